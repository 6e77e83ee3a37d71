"""What a person does with the page, done in a browser: no error, what is highlighted and brushed shows everywhere."""

import json
import re

import pytest

from pipeline.study.reporting.read import read_sweep
from pipeline.tracking.report.page import render
from tests.study.made_up_sweep import make_sweep
from tests.tracking.report.browser import BROWSER, DRIVER, browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DRIVER and BROWSER), reason="needs chromedriver and chromium"),
]
# Where the middle of an element is, once it is scrolled to.
MIDDLE = """
const element = document.querySelector(arguments[0]);
element.scrollIntoView({block: 'center', behavior: 'instant'});
const box = element.getBoundingClientRect();
return [box.x, box.y, box.width, box.height];
"""
NASTY = "</script><img src=x onerror=alert(1)>\"'&\x1b[31m\u2028 " + 60 * "long_name."
PIXELS = """
const canvas = document.querySelector(arguments[0]);
const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
let n = 0;
for (let i = 3; i < data.length; i += 4) n += data[i] > 0;
return n;
"""
TRAY = "const tray = document.getElementById('tray'); return tray.hidden ? null : tray.textContent"
ROWS = "return [...document.querySelectorAll('#trials tbody th')].map(cell => Number(cell.textContent))"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return read_sweep(make_sweep(tmp_path_factory.mktemp("made") / "s", n=24))


@pytest.fixture(scope="module")
def opened_browser(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as session:
        yield session


@pytest.fixture
def session(opened_browser):
    """Whatever a test does with it, nothing it does may end in an error."""
    yield opened_browser
    assert opened_browser.log() == []


@pytest.fixture
def page(sweep, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(render([sweep]))
    return path


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (800, True), (390, False)])
def test_it_opens_without_an_error_at_every_width(session, page, width, dark):
    session.open(page, width, dark=dark)
    assert session.run("return document.documentElement.scrollWidth <= innerWidth")  # nothing sticks out
    assert session.run("return document.documentElement.dataset.theme") == ("dark" if dark else "light")
    titles = session.run("return [...document.querySelectorAll('main h2')].map(title => title.textContent)")
    assert titles[1:] == ["Learning curves", "Parameters against the metric", "Parallel coordinates", "Trials",
                          "Stages closing in", "Arms", "Progress", "Time and cost", "Rungs", "Failures", "Space",
                          "Data and versions"]  # fmt: skip


def lines_of(folder, change):
    """Changes the records of a ledger: `change` gives each as it is to be, or None."""
    records = [change(json.loads(line)) for line in (folder / "ledger").read_text().splitlines()]
    (folder / "ledger").write_text("".join(json.dumps(record) + "\n" for record in records if record))


def one_trial(record):
    return record if record.get("trial", 0) == 0 else None


def all_failed(record):
    return {**record, "status": "failed", "metrics": {}} if record["record"] == "ended" else record


def only_asked(record):
    return record if record["record"] not in ("started", "ended") else None


def nothing_searched(record):
    if record["record"] == "study":
        (arm,) = record["header"]["arms"].values()
        arm["space"] = {}
    return {**record, "params": {}} if record["record"] == "asked" else record


def strange_values(record):
    if record["record"] == "asked":
        values = [None, True, [1, "a"], {"b": 1}, NASTY, 1e300][record["trial"] % 6]
        record["params"] = {**record["params"], "model.widths": values, NASTY: 1e-300 * record["trial"]}
    return {**record, "reason": NASTY} if record["record"] == "ended" else record


@pytest.mark.parametrize("change", [one_trial, all_failed, only_asked, nothing_searched, strange_values])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_whatever_became_of_the_sweep(session, tmp_path, change, width):
    folder = make_sweep(tmp_path / "s", n=8, arms=1)
    lines_of(folder, change)
    if change is only_asked:
        for events in folder.glob("*/events.jsonl"):
            events.unlink()
    path = tmp_path / "report.html"
    path.write_text(render([read_sweep(folder)]))
    session.open(path, width)
    assert session.run("return document.documentElement.scrollWidth <= innerWidth")
    assert session.run("return document.querySelectorAll('main section').length") >= 4
    assert session.run("return document.querySelectorAll('img').length") == 0
    session.run("const plot = document.querySelector('[role=slider]'); if (plot) plot.focus()")
    for name in ("ArrowRight", "ArrowRight", "Enter", "Escape"):
        session.key(name)


@pytest.mark.parametrize(
    ("budget", "row"),
    [
        (None, "all starts 1 min 1 s, start-up included"),
        (120.0, "budget 1 min 1 s of 2 min 0 s used by all starts, start-up included"),
    ],
)
def test_what_was_spent_is_of_a_budget_where_there_is_one(session, tmp_path, budget, row):
    folder = make_sweep(tmp_path / "s", n=4)
    lines_of(folder, lambda record: {**record, "budget": budget} if budget and record["record"] == "spent" else record)
    path = tmp_path / "report.html"
    path.write_text(render([read_sweep(folder)]))
    session.open(path)
    first = "return [...document.querySelector('#cost table').rows[0].cells].map(cell => cell.textContent).join(' ')"
    assert session.run(first) == row


TABLE = """
const table = document.querySelector(arguments[0] + ' table');
return [...table.rows].map(row => [...row.cells].map(cell => cell.textContent.replace(/\\s+/g, ' ').trim()));
"""


def test_a_replicated_sweep_shows_its_means_and_what_they_cost(session, tmp_path):
    path = tmp_path / "report.html"
    report = read_sweep(make_sweep(tmp_path / "s", n=24, seeds=3))
    path.write_text(render([report]))
    session.open(path)
    heads, *rows = session.run(TABLE, "#trials")
    assert heads[:6] == ["trial", "rank ▲", "val_accuracy", "mean", "sd", "seeds"]
    assert [row[3:6] for row in rows[:3]] == [["0.9800", "0.0100", "3"], ["0.9400", "0.0100", "3"], ["–", "–", "–"]]
    first, second = (row[0] for row in rows[:2])
    assert [row[0] for row in session.run(TABLE, "#replicates")] == [f"trial {first}", f"trial {second}"]
    cost = dict(session.run(TABLE, "#cost"))
    assert cost["other seeds"] == "6 fits with other seeds, among all these: 12 epochs, 6 s of training"
    epochs = sum(len(trial.epochs) for trial in report.trials) + 12
    assert cost["epochs"].startswith(f"{epochs}, ")
    assert f"of the {epochs} epochs" in session.run("return document.querySelector('#progress .note').textContent")
    for view in ("timeline", "by trial", "by epoch"):
        session.run(
            "[...document.querySelectorAll('#cost button')].find(b => b.textContent === arguments[0]).click()", view
        )
        x, y, width, height = session.run(MIDDLE, "#cost .plot")
        for share in (5, 50, 90):
            session.mouse("mouseMoved", x + width * share / 100, y + height * share / 100)
            session.drawn()


def test_sweeps_compare_by_what_decided_and_say_what_one_did_not_search(session, tmp_path):
    replicated, plain = make_sweep(tmp_path / "a", n=24, seeds=2), make_sweep(tmp_path / "b", n=24, seed=3, arms=1)

    def of_one_optimizer(record):
        if record["record"] == "study":
            (arm,) = record["header"]["arms"].values()
            arm["config"]["optimizer"] = {"_target_": "keras.optimizers.Adam"}
        if record["record"] == "asked":
            del record["params"]["optimizer"]
        return record

    lines_of(plain, of_one_optimizer)
    path = tmp_path / "report.html"
    path.write_text(render([read_sweep(plain), read_sweep(replicated)]))
    session.open(path)
    first = "return [...document.querySelector('#compare tbody').rows].map(row => row.cells[1].textContent)"
    best = max(report.metrics.get("val_accuracy", 0) for report in read_sweep(plain).trials)
    assert session.run(first) == ["0.9750, mean of 2 seeds", f"{best:.4f}"]
    winners = "return [...document.querySelectorAll('#compare table')[1].rows].map(row => row.textContent)"
    assert session.run(winners)[:2] == ["winnerab", "optimizermomentumAdam"]


def test_a_sweep_of_which_none_completed_has_no_winner_and_will_have_none(session, tmp_path):
    folder = make_sweep(tmp_path / "s", n=8)
    path = tmp_path / "report.html"
    for change, title in ((all_failed, "No winner"), (only_asked, "No winner yet")):
        lines_of(folder, change)
        path.write_text(render([read_sweep(folder)]))
        session.open(path)
        assert session.run("return document.querySelector('#winner h2').textContent") == title


def test_the_lineage_of_the_winner_starts_at_its_best_epoch(session, tmp_path):
    folder = make_sweep(tmp_path / "s", n=4, arms=1)

    def best_after_five_of_eight(record):
        return {**record, "best_epoch": 5} if record["record"] == "ended" else record

    lines_of(folder, best_after_five_of_eight)
    best = read_sweep(folder).winner.number
    first, second = ([n for n in range(4) if n != best])[:2]
    exploits = [
        {"time": 1, "event": "exploited", "epoch": epoch, "source": source, "params": {"optimizer.x": 0.1}}
        for epoch, source in ((0, best), (2, first), (6, second))  # the last one after the best epoch
    ]
    events = folder / str(best) / "events.jsonl"
    begun, *others = events.read_text().splitlines()
    events.write_text("\n".join([begun, *map(json.dumps, exploits), *others]) + "\n")
    path = tmp_path / "report.html"
    path.write_text(render([read_sweep(folder)]))
    session.open(path)
    said = session.run("return document.querySelector('#lineage .plot').getAttribute('aria-label')")
    assert f"newest first: trial {best}, epochs 3 to 5; trial {first}, epochs 1 to 2." in said
    assert session.run("return document.querySelector('#lineage .note').textContent").startswith(
        "A line each of the 3 of 4 trials that copied another one or were copied, the best on top;"
    )


@pytest.mark.parametrize(("width", "selector"), [(1440, "#trials th:nth-child(14)"), (390, "#winner pre")])
def test_nothing_that_is_read_is_cut_off(session, page, width, selector):
    """The last of 14 columns, and a number of a command."""
    session.open(page, width)
    inside = "const b = document.querySelector(arguments[0]), r = b.closest('.scroll, .card').getBoundingClientRect();"
    assert session.run(inside + "return b.getBoundingClientRect().right <= r.right", selector)
    broken = """
    const texts = [...document.querySelectorAll('#winner pre')].flatMap(pre => [...pre.childNodes]);
    return texts.filter(node => /^[\\d.]+\\b/.test(node.data || '')).filter(node => {
      const range = document.createRange(), [number] = node.data.match(/^[\\d.]+/);
      range.setStart(node, 0);
      range.setEnd(node, number.length);
      return range.getClientRects().length > 1;
    }).length;
    """
    assert session.run(broken) == 0


def test_pointing_at_a_curve_highlights_its_trial_in_every_chart_and_in_the_table(session, page, sweep):
    session.open(page)
    chart = "#curves .plot"
    x, y, width, height = session.run(MIDDLE, chart)
    for share in range(5, 95, 3):
        session.mouse("mouseMoved", x + width * 0.7, y + height * share / 100)
        session.drawn()
        if told := session.run(TRAY):
            break
    assert told
    number = int(re.match(r"trial (\d+) ", told)[1])
    assert session.run("return document.querySelectorAll('#trials tr.on').length") == 1
    for canvas in (f"{chart} .over", "#parallel .over"):
        assert session.run(PIXELS, canvas) > 0
    assert number in [report.trial.number for report in sweep.trials]
    session.mouse("mouseMoved", 2, 2)
    session.drawn()
    assert session.run(TRAY) is None
    assert session.run(PIXELS, f"{chart} .over") == 0


def test_dragging_along_an_axis_filters_the_table(session, page, sweep):
    session.open(page)
    x, y, width, _ = session.run(MIDDLE, "#parallel .plot")
    right = x + width - 74  # the axis of the metric; its upper half
    session.mouse("mouseMoved", right, y + 60)
    session.mouse("mousePressed", right, y + 50, pressed=True)
    for step in (80, 120, 150):
        session.mouse("mouseMoved", right, y + step, pressed=True)
    session.mouse("mouseReleased", right, y + 150)
    session.drawn()
    rows = session.run(ROWS)
    best_first = [report.trial.number for report in sweep.trials]
    assert 0 < len(rows) < len(best_first)
    assert rows == best_first[: len(rows)]  # those with the best values
    text = session.run("return document.querySelector('#parallel [role=status]').textContent")
    assert text == f"{len(rows)} of {len(best_first)} trials in the brush"
    session.run("[...document.querySelectorAll('#parallel button')].at(-1).click()")
    session.drawn()
    assert session.run(ROWS) == best_first


def test_the_keyboard_moves_through_trials_pins_one_and_sorts(session, page, sweep):
    session.open(page)
    session.run("document.querySelector('#curves .plot').focus()")
    told = []
    for name in ("ArrowRight", "ArrowRight", "ArrowLeft", "End"):
        session.key(name)
        told.append(session.run("return document.querySelector('#curves .plot').getAttribute('aria-valuetext')"))
    drawn = [report.trial.number for report in sweep.trials if report.epochs]
    assert [text.split(",")[0] for text in told] == [f"trial {drawn[i]}" for i in (0, 1, 0, -1)]
    session.key("Enter")
    session.run("document.activeElement.blur()")
    session.drawn()
    assert f"trial {drawn[-1]} " in session.run(TRAY)
    session.key("Escape")
    assert session.run(TRAY) is None
    session.run("document.querySelector('#trials thead button').click()")
    assert session.run(ROWS) == sorted(drawn)
    session.run("document.querySelector('#trials tbody tr').focus()")
    session.key("ArrowDown")
    assert session.run("return document.activeElement.querySelector('th').textContent") == "1"


def test_several_sweeps_and_words_that_look_like_html(session, sweep, tmp_path):
    other = make_sweep(tmp_path / "<img src=x onerror=document.title=1>", n=8, seed=3)
    path = tmp_path / "report.html"
    path.write_text(render([sweep, read_sweep(other)]))
    session.open(path)
    assert session.run("return document.querySelectorAll('img').length") == 0
    assert session.run("return document.querySelector('#compare table').tBodies[0].rows.length") == 2
    session.run(
        "const list = document.querySelector('#which select'); list.selectedIndex = 1;"
        "list.dispatchEvent(new Event('change'))"
    )
    session.drawn()
    assert len(session.run(ROWS)) == 8


def test_a_thousand_trials_are_interactive_soon(session, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(render([read_sweep(make_sweep(tmp_path / "s", n=1000, epochs=20))]))
    times = []
    for _ in range(3):
        session.open(path, 1440)
        times.append(int(session.run("return document.documentElement.dataset.ready")))
    assert min(times) < 1500
