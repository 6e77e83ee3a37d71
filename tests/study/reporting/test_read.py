"""What a report says of a sweep is what its ledger and its events say."""

import json
import math
import shutil
import time

import pytest
import yaml

from pipeline.errors import InputError
from pipeline.search.scales import LINEAR, LOG, ONE_MINUS_LOG
from pipeline.study.reporting.axes import ticks_of
from pipeline.study.reporting.clock import Clock
from pipeline.study.reporting.read import read_sweep
from pipeline.tracking.report.page import render
from tests.conftest import ROOT
from tests.study.made_up_sweep import DESCRIPTION, make_sweep


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_sweep(tmp_path_factory.mktemp("made") / "s")


@pytest.fixture(scope="module")
def sweep(folder):
    return read_sweep(folder)


def records(folder, kind):
    return [r for line in (folder / "ledger").read_text().splitlines() if (r := json.loads(line))["record"] == kind]


def events(folder, number, kind):
    path = folder / str(number) / "events.jsonl"
    return [e for line in path.read_text().splitlines() if (e := json.loads(line))["event"] == kind]


def test_trials_are_those_of_the_ledger_best_first(folder, sweep):
    ended = {record["trial"]: record for record in records(folder, "ended")}
    asked = {record["trial"]: record for record in records(folder, "asked")}
    assert sorted(report.trial.number for report in sweep.trials) == sorted(asked)
    for report in sweep.trials:
        number = report.trial.number
        assert report.trial.params == asked[number]["params"]
        scored = ended[number]["status"] in ("completed", "pruned")
        assert report.metrics == (ended[number]["metrics"] if scored else {})
        epochs = events(folder, number, "epoch")
        assert list(report.epochs) == [event["epoch"] for event in epochs]
        for name, curve in report.curves.items():
            assert [None if math.isnan(value) else value for value in curve] == [event[name] for event in epochs]
        assert report.seconds == pytest.approx(0.25 * len(epochs))
    scores = [report.metrics["val_accuracy"] for report in sweep.trials if report.metrics]
    assert scores == sorted(scores, reverse=True)
    assert [bool(report.metrics) for report in sweep.trials] == sorted(
        (bool(r.metrics) for r in sweep.trials), reverse=True
    )


def test_axes_have_the_scales_of_their_ranges(sweep):
    axes = {axis.key: axis for axis in sweep.axes}
    assert {key: axis.scale for key, axis in axes.items()} == {
        "optimizer": "choice",
        "optimizer.learning_rate": "log",
        "optimizer.beta_1": "one_minus_log",
        "train.batch_size": "choice",
        "optimizer.momentum": "one_minus_log",
    }
    assert (axes["optimizer.learning_rate"].low, axes["optimizer.learning_rate"].high) == (-4, 0)  # of both arms
    assert [(t.text, t.note) for t in axes["optimizer.beta_1"].ticks] == [
        ("0.999", "1,000 steps"),
        ("0.99", "100 steps"),
        ("0.9", "10 steps"),
    ]
    assert axes["optimizer"].choices == ["adam", "momentum"]
    assert axes["optimizer.learning_rate"].tier == 1
    assert list(axes["optimizer.beta_1"].ranges) == ["tag(one_minus_log, interval(0.5, 0.999))", ""]
    for place, axis in enumerate(sweep.axes):
        for report in sweep.trials:
            at, value = report.coordinates[place], report.trial.params.get(axis.key)
            if value is None:
                assert at is None
            elif axis.scale == "log":
                assert at == pytest.approx(math.log10(value))
            elif axis.scale == "one_minus_log":
                assert at == pytest.approx(-math.log10(1 - value))
            else:
                assert axis.choices[int(at)] == str(value)


def test_stages_close_in(sweep):
    places = [axis.key for axis in sweep.axes]
    first, second = ({(b.axis, b.arm): (b.low, b.high) for b in stage.boxes} for stage in sweep.stages)
    rate = places.index("optimizer.learning_rate")
    assert first[rate, 0] == pytest.approx((-4, -1))
    assert second[rate, 0] == pytest.approx((-3, -2))
    assert second[rate, 1] == pytest.approx((-2, -1))
    assert second[places.index("train.batch_size"), 0] == (-0.4, 1.4)


@pytest.mark.parametrize("noted", [False, True])
def test_arms_are_compared_on_the_same_points(tmp_path, noted):
    """noted: which trials are of one point; an earlier version did not."""
    folder = make_sweep(tmp_path / "s")
    if noted:
        text = (folder / "ledger").read_text()
        for number in range(20):
            text = text.replace(f'"asked", "trial": {number},', f'"asked", "pair": {number // 2}, "trial": {number},')
        (folder / "ledger").write_text(text)
    (pairs,) = read_sweep(folder).pairs
    ended = {r["trial"]: r for r in records(folder, "ended")}
    scored = [n for n, record in ended.items() if record["status"] in ("completed", "pruned")]
    partner = {"optimizer=adam": 1, "optimizer=momentum": -1}[pairs.arm]
    first = [n for n in sorted(scored) if (n % 2 == 0) == (partner == 1)]
    assert list(pairs.trials) == [(n, n + partner) for n in first if n + partner in scored]
    assert pairs.lost == 10 - len(pairs.trials)
    for (ours, theirs), difference in zip(pairs.trials, pairs.differences, strict=True):
        curves = [[e["val_accuracy"] for e in events(folder, n, "epoch")] for n in (ours, theirs)]
        pruned = "pruned" in (ended[ours]["status"], ended[theirs]["status"])
        n = min(map(len, curves)) if pruned else None
        assert difference == max(curves[0][:n]) - max(curves[1][:n])
    assert pairs.mean == pytest.approx(sum(pairs.differences) / len(pairs.differences))
    assert pairs.mean > 0  # the better one first
    assert pairs.interval[0] < pairs.mean < pairs.interval[1]


def test_arms_of_other_draws_are_no_pairs(tmp_path):
    folder = make_sweep(tmp_path / "s")
    text = (folder / "ledger").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        if line["record"] == "asked" and line["arm"] == 1:
            line["params"]["optimizer.learning_rate"] *= 1.3
    (folder / "ledger").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [list(pairs.trials) for pairs in read_sweep(folder).pairs] == [[]]


@pytest.mark.parametrize(
    ("scale", "low", "high", "whole", "texts"),
    [
        (LINEAR, 0, 1, False, ["0", "0.5", "1"]),
        (LINEAR, 1, 4, True, ["1", "2", "3", "4"]),
        (LOG, -4, -1, False, ["0.0001", "0.001", "0.01", "0.1"]),
        (LOG, -10, -4, False, ["1e-10", "1e-9", "1e-8", "1e-7", "1e-6", "1e-5", "0.0001"]),
        (LOG, math.log10(16), math.log10(256), False, ["20", "50", "100", "200"]),
        (ONE_MINUS_LOG, 1, 3, False, ["0.999", "0.99", "0.9"]),
    ],
)
def test_ticks(scale, low, high, whole, texts):
    assert [tick.text for tick in ticks_of(scale, low, high, whole)] == texts


def test_progress_is_the_best_so_far(folder, sweep):
    every = [e for report in sweep.trials for e in events(folder, report.trial.number, "epoch")]
    values = [step.value for step in sweep.progress]
    assert values == sorted(values)
    assert values[-1] == max(event["val_accuracy"] for event in every)
    assert 0 < sweep.progress[-1].epochs <= len(every)


def test_epochs_may_end_at_the_same_time(tmp_path):
    """By a coarse clock."""
    folder = make_sweep(tmp_path / "s", n=4)
    for path in folder.glob("*/events.jsonl"):
        path.write_text(
            "".join(json.dumps({**json.loads(e), "time": 1.7e9}) + "\n" for e in path.read_text().splitlines())
        )
    values = [step.value for step in read_sweep(folder).progress]
    assert values and values == sorted(values)


def test_rungs_failures_and_cost(sweep):
    stopped = [report for report in sweep.trials if report.trial.status == "pruned"]
    assert stopped and all(list(report.rungs) == [2] for report in stopped)
    assert {r.trial.reason for r in sweep.trials if r.trial.status == "failed"} == {"out of memory"}
    assert {(r.cohort, r.parameters) for r in sweep.trials} == {(4, 100)}
    assert sweep.data["data"] == DESCRIPTION
    assert sweep.versions == {"numpy": "2.0"}
    assert sweep.fixed == {"seed": "0", "model.activation": "relu"}


def test_the_command_names_the_folder_as_it_is_called_now(folder, tmp_path):
    number = read_sweep(folder).winner.number
    command = f"python run.py repeat=outputs/sweeps/old/{number} x=1"
    best = {"trial": number, "command": command, "overrides": "python y"}
    moved = tmp_path / "else where"
    shutil.copytree(folder, moved)
    (moved / "best.yaml").write_text(yaml.safe_dump(best))
    winner = read_sweep(moved).winner
    assert winner.command == f"python run.py 'repeat={moved}/{number}' x=1"
    assert winner.nearly == "python y"
    (moved / "best.yaml").write_text(yaml.safe_dump({**best, "trial": number + 1}))  # of an earlier winner
    assert "optimizer.learning_rate=" in read_sweep(moved).winner.nearly


def test_a_sweep_of_an_earlier_version():
    """Its header names a strategy, says nothing of scales, and its events and ledger nothing of the data."""
    sweep = read_sweep(ROOT / "tests/fixtures/begun_earlier/sweep")
    assert (sweep.metric, sweep.sampler, len(sweep.trials)) == ("val_accuracy", "random", 8)
    (axis,) = sweep.axes
    assert (axis.scale, axis.tier, axis.low, axis.high) == ("log", 1, -4, -1)
    assert sweep.winner.number == 3
    assert [len(stage.boxes) for stage in sweep.stages] == [1, 1]
    assert sweep.data == {"fingerprint": "e58d616783c73fb1"}


def test_a_sweep_that_runs_or_was_killed(tmp_path):
    folder = make_sweep(tmp_path / "s")
    kept = [line for line in (folder / "ledger").read_text().splitlines() if '"ended"' not in line]
    (folder / "ledger").write_text("\n".join(kept) + '\n{"record": "ended", "tri')
    shutil.rmtree(folder / "3")
    sweep = read_sweep(folder)
    assert sweep.winner is None
    assert {r.trial.shown_status for r in sweep.trials} == {"interrupted"}
    best = max(r.metrics.get("val_accuracy", 0) for r in sweep.trials)
    assert sweep.trials[0].metrics["val_accuracy"] == best  # measured so far
    assert sweep.trials[-1].trial.number == 3
    assert not sweep.trials[-1].metrics


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no sweep was run there"),
        ("", "ended before its first trial was chosen"),
        ('{"record": "study", "header": {"arms": 3}}\n', "is not understood"),
        ('{"record": "ended", "trial": 1}\n', "record 1 is none of a ledger's"),
    ],
)
def test_no_sweep(tmp_path, text, message):
    if text is not None:
        (tmp_path / "ledger").write_text(text)
    with pytest.raises(InputError, match=message):
        read_sweep(tmp_path)


def test_ranges_that_cannot_be_read_make_axes_of_what_was_tried(tmp_path):
    folder = make_sweep(tmp_path / "s", arms=1)
    text = (folder / "ledger").read_text()
    text = text.replace("tag(log, interval(0.0001, 0.1))", "tag(mine, interval(0.0001, 0.1))")
    (folder / "ledger").write_text(text.replace("choice(16, 32, 64)", "choice([1, 2], None)"))
    axes = {axis.key: axis for axis in read_sweep(folder).axes}
    assert axes["optimizer.learning_rate"].scale == "linear"
    assert set(axes["train.batch_size"].choices) >= {"16", "32"}


@pytest.mark.slow
def test_a_thousand_trials_are_read_in_seconds(tmp_path):
    folder = make_sweep(tmp_path / "s", n=1000, epochs=20)
    start = time.process_time()
    read_sweep(folder)
    assert time.process_time() - start < 3


def test_what_mattered_is_read_as_the_sweep_wrote_it(tmp_path):
    folder = make_sweep(tmp_path / "s")
    assert not read_sweep(folder).importance
    rows = ["a.b,3,0.7000,0.6000,0.8000", "c,,0.2000,0.1000,0.3000", "d,1,0.1000,0.0000,0.2000"]
    (folder / "importance.csv").write_text("\n".join(["key,tier,importance,low,high", *rows]) + "\n")
    sweep = read_sweep(folder)
    assert [(row.key, row.tier, row.share, row.low, row.high) for row in sweep.importance] == [
        ("a.b", 3, 0.7, 0.6, 0.8),
        ("c", None, 0.2, 0.1, 0.3),
        ("d", 1, 0.1, 0.0, 0.2),
    ]
    assert list(sweep.disagreements) == [
        "the trials disagree with the tiers: a.b (tier 3) mattered more than d (tier 1)"
    ]
    (folder / "importance.csv").write_text("key,tier\nx,y\n")
    with pytest.raises(InputError, match=r"importance\.csv is not understood"):
        read_sweep(folder)


def test_a_stage_that_frees_some_tiers_has_boxes_for_their_keys(tmp_path):
    folder = make_sweep(tmp_path / "s")
    path = folder / "ledger"
    path.write_text(path.read_text().replace('"coarse": {"epochs": null', '"coarse": {"tiers": 1, "epochs": null'))
    sweep = read_sweep(folder)
    keys = [{sweep.axes[box.axis].key for box in stage.boxes} for stage in sweep.stages]
    # momentum is of tier 2; a key of which conf/ declares no tier is of tier 1
    assert keys[0] == {"optimizer.learning_rate", "optimizer.beta_1", "train.batch_size"}


@pytest.mark.parametrize(
    ("starts", "ends", "seconds"),
    [
        ([0, 10], [5, 20], {0: 0, 5: 5, 10: 10, 20: 20}),
        ([100, 5000], [200, 5100], {100: 0, 200: 100, 5000: 100, 5100: 200}),  # resumed after a night
        ([0, 10], [2000, 4000], {2000: 2000, 4000: 4000}),  # long epochs are no pause
        ([0, 1000, 3000], [100, 1100], {1000: 100, 1100: 200, 3000: 200}),
    ],
)
def test_the_clock_leaves_out_what_passed_between_starts(starts, ends, seconds):
    clock = Clock(starts, ends)
    assert {time: clock.seconds(time) for time in seconds} == seconds


def test_what_comes_from_the_environment_is_not_in_the_page(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter22")
    folder = make_sweep(tmp_path / "s", n=10)
    for config in folder.glob("*/.hydra/config.yaml"):
        config.write_text(config.read_text() + "tracking:\n  uri: x://me:${oc.env:DATABASE_PASSWORD}@host\n")
    for overrides in folder.glob("*/.hydra/overrides.yaml"):
        overrides.write_text(overrides.read_text() + "- tracking.uri=x://me:secret1@host\n")
    path = folder / "ledger"
    path.write_text(path.read_text().replace("out of memory", "no x://me:secret1@host").replace("made up", "hunter22"))
    page = render([read_sweep(folder)])
    assert "hunter22" not in page
    assert "secret1" not in page
    assert "${oc.env:DATABASE_PASSWORD}: 100 examples" in page


def test_replicates_are_no_trials_and_show_how_far_results_are_chance(tmp_path):
    folder = make_sweep(tmp_path / "s")
    best = read_sweep(folder).winner.number
    records = []
    for number, (seed, value, status) in enumerate(
        [(1, 0.5, "completed"), (2, 0.7, "completed"), (3, 0.9, "failed")], start=20
    ):
        asked = {"stage": "fine", "arm": 0, "params": {"optimizer": "adam", "seed": seed}, "replicate_of": best}
        records.append({"record": "asked", "trial": number, **asked})
        end = {"status": status, "reason": None, "metrics": {"val_accuracy": value}, "best_epoch": 1}
        records.append({"record": "ended", "trial": number, **end})
    decision = {"trial": best, "replicates": [20, 21, 22], "gain": 0.01, "noise": 0.1, "stops": True}
    records.append({"record": "decision", "stage": "coarse", **decision})
    with (folder / "ledger").open("a") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    sweep = read_sweep(folder)
    assert len(sweep.trials) == 20
    assert "seed" not in [axis.key for axis in sweep.axes]
    (of,) = sweep.replicated
    assert (of.number, list(of.values)) == (best, [(1, 0.5), (2, 0.7), (3, None)])
    assert (of.mean, of.sd) == pytest.approx((0.6, 0.1414), abs=1e-4)
    assert sweep.stages[0].decision == (
        "stopped: another stage may gain 0.0100 of val_accuracy, seeds alone make 0.1000"
    )


def test_the_lineage_of_a_population(tmp_path):
    folder = make_sweep(tmp_path / "s", n=3, arms=1)
    best = read_sweep(folder).winner.number
    source = (best + 1) % 3
    for number, copies in {best: [(0, best, 0.1), (2, source, 0.3)], source: [(0, source, 0.2)]}.items():
        path = folder / str(number) / "events.jsonl"
        first, *others = path.read_text().splitlines()
        exploits = [
            json.dumps({"time": 1, "event": "exploited", "epoch": epoch, "source": of, "params": {"optimizer.x": x}})
            for epoch, of, x in copies
        ]
        path.write_text("\n".join([first, *exploits, *others]) + "\n")
    sweep = read_sweep(folder)
    assert [(copy.trial, copy.epoch, copy.source) for copy in sweep.copies] == [(best, 2, source)]
    assert [(s.from_epoch, s.trial, s.params) for s in sweep.schedule] == [
        (1, source, {"optimizer.x": 0.2}),
        (3, best, {"optimizer.x": 0.3}),
    ]


def test_hyperparameters_that_change_are_curves(tmp_path):
    folder = make_sweep(tmp_path / "s", n=3, arms=1)
    path = folder / "0/events.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["event"] == "epoch":
            line["hyperparameters"] = {"optimizer.beta_1": 1 - 1 / line["epoch"], "model.kind": "a"}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    sweep = read_sweep(folder)
    assert sweep.metrics[-1] == "optimizer.beta_1"
    (trial,) = (report for report in sweep.trials if report.trial.number == 0)
    assert trial.curves["optimizer.beta_1"][:3] == pytest.approx([0, 1 / 2, 2 / 3])


@pytest.mark.parametrize("budget", [None, 20])
def test_where_there_is_a_budget_the_best_may_be_paused(tmp_path, budget):
    folder = make_sweep(tmp_path / "s", n=4)
    lines = [json.loads(line) for line in (folder / "ledger").read_text().splitlines()]
    for line in lines:
        if line["record"] == "ended":
            line |= {"record": "reached", "epoch": 2, "status": None}
        if line["record"] == "spent" and budget:
            line["budget"] = budget
    (folder / "ledger").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sweep = read_sweep(folder)
    assert {report.trial.shown_status for report in sweep.trials} == {"paused"}
    assert (sweep.spent, sweep.budget) == (61, budget)
    if budget:
        best = max(line["metrics"]["val_accuracy"] for line in lines if line["record"] == "reached")
        (winner,) = (r.trial for r in sweep.trials if r.trial.number == sweep.winner.number)
        assert winner.metrics["val_accuracy"] == best
    else:  # without a budget they are at a rung, and go on
        assert sweep.winner is None


def test_what_replicates_cost_is_in_the_cost_and_the_progress(tmp_path):
    plain, sweep = read_sweep(make_sweep(tmp_path / "plain")), read_sweep(make_sweep(tmp_path / "s", seeds=3))
    assert [len(report.epochs) for report in sweep.replicates] == 6 * [2]
    assert {report.trial.replicate_of for report in sweep.replicates} == {of.number for of in sweep.replicated}
    assert min(report.ended for report in sweep.replicates) > max(r.ended for r in sweep.trials if r.ended)
    assert sweep.progress == plain.progress  # whose best value is of no replicate
    first, second = sweep.replicated
    assert (first.mean, second.mean, second.sd, second.seeds) == pytest.approx((0.94, 0.98, 0.01, 3))
    assert sweep.winner.number == second.number == sweep.trials[0].trial.number  # though its own value is the worse one


def test_noise_runs_are_in_no_mean_by_which_finalists_are_ranked(tmp_path):
    folder = make_sweep(tmp_path / "s", seeds=3)
    path = folder / "ledger"
    path.write_text(path.read_text().replace('"seeds": [1, 2, 3]', '"seeds": [1, 2]'))
    (_, of) = read_sweep(folder).replicated
    assert (of.mean, of.seeds, len(of.values)) == pytest.approx((0.975, 2, 3))


def test_no_progress_is_of_trials_that_diverged(tmp_path):
    folder = make_sweep(tmp_path / "s")
    path = folder / "ledger"
    ended = ("completed", "pruned", "failed")
    text = path.read_text()
    for status in ended:
        text = text.replace(f'"status": "{status}"', '"status": "diverged"')
    path.write_text(text)
    sweep = read_sweep(folder)
    assert not sweep.progress
    assert sweep.winner is None
