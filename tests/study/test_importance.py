"""How much hyperparameters mattered, on results that are made up."""

import csv
import itertools
import math
import random
from types import SimpleNamespace

import pytest

from pipeline.objective import Objective
from pipeline.records import Trial
from pipeline.schema import SearchRange
from pipeline.search.scales import LOG, ONE_MINUS_LOG
from pipeline.search.space import Choice, Interval
from pipeline.study.importance import LEAST, Importance, conclude_importance, disagreements, importance, lines, write
from pipeline.tracking.recorder import Recorder

RATE, BETA, UNITS, BATCH = "optimizer.learning_rate", "optimizer.momentum", "model.hidden_units", "train.batch_size"
SPACE = {
    RATE: Interval(1e-4, 1, LOG),
    BETA: Interval(0.5, 0.999, ONE_MINUS_LOG),
    UNITS: Interval(16, 256, LOG, integer=True),
    BATCH: Choice((16, 32, 64, 128)),
}
TIERS = {RATE: 1, BETA: 2, UNITS: 2, BATCH: 2}
ACCURACY = Objective("val_accuracy", "maximize")


def trials(n, score, space=SPACE, arm=0, stage="random", first=0, **crossed):
    """Drawn at random, with the val_accuracy that `score` has of their parameters."""
    draws, result = random.Random(n + arm), []
    for number in range(first, first + n):
        params = {**crossed, **{key: dist.at(draws.random()) for key, dist in space.items()}}
        metrics = {"val_accuracy": score(params), "val_loss": 0.0}
        result.append(Trial(number, stage, arm, params, True, "completed", metrics=metrics))
    return result


def rate(params):
    return -abs(math.log10(params[RATE]) + 2)


def batch(params):
    return -abs(math.log2(params[BATCH]) - 5)


def of(made, spaces=(SPACE,), tiers=TIERS):
    return {row.key: row for row in importance(made, spaces, tiers, ACCURACY)}


@pytest.mark.parametrize("n", [24, 200])
@pytest.mark.parametrize(("what", "score"), [(RATE, rate), (BETA, lambda p: math.log10(1 - p[BETA])), (BATCH, batch)])
def test_what_decides_comes_first(n, what, score):
    rows = of(trials(n, score))
    assert next(iter(rows)) == what
    assert sum(row.share for row in rows.values()) == pytest.approx(1)
    assert all(0 <= row.low <= row.high <= 1 for row in rows.values())
    if n == 200:
        assert rows.pop(what).low > max(row.high for row in rows.values())


def test_a_scale_of_its_own_coordinates_is_used():
    """momentum matters in its last two decades only, which are a hundredth of its linear range."""
    rows = of(trials(200, lambda p: -abs(math.log10(1 - p[BETA]) + 2.7)))
    assert rows[BETA].low > 0.6


def test_a_seed_is_no_hyperparameter():
    """It was crossed, and all that differs is by its arms: still it takes no share of what was searched."""
    made = [*trials(30, lambda p: rate(p) + 9, seed=0), *trials(30, rate, arm=1, first=30, seed=1)]
    assert set(of(made, (SPACE, SPACE))) == {*SPACE}


def test_stages_are_compared_within_themselves():
    """Later trials train longer and are all better; where they looked is no merit of a key that does not matter."""
    narrow = {**SPACE, UNITS: Interval(16, 20, LOG, integer=True), RATE: Interval(3e-3, 3e-2, LOG)}
    later = trials(60, lambda p: 10 + rate(p), narrow, stage="fine", first=60)
    rows = of([*trials(60, rate), *later])
    assert rows[RATE].low > rows[UNITS].high


def test_trials_that_diverged_are_the_worst():
    """Of the others none is better: that they did is all that the rate decides."""
    made = [
        Trial(**{**vars(t), "status": "diverged", "metrics": {}}) if t.params[RATE] > 0.01 else t
        for t in trials(60, lambda p: random.Random(str(p)).random())
    ]
    assert next(iter(of(made))) == RATE


def test_arms_are_categories_and_keys_may_be_in_some_of_them_only():
    own = {key: dist for key, dist in SPACE.items() if key != BETA}
    made = [
        *trials(50, rate, SPACE, optimizer="momentum"),
        *trials(50, lambda p: rate(p) - 9, own, 1, first=50, optimizer="sgd"),
    ]
    rows = of(made, (SPACE, own))
    assert set(rows) == {"optimizer", *SPACE}
    assert rows["optimizer"].tier is None
    assert set(list(rows)[:2]) == {"optimizer", RATE}
    assert rows["optimizer"].low > rows[BATCH].high


def test_a_grid_is_measured_by_its_values():
    grid = []
    for i, (power, size) in enumerate(itertools.product(range(5), (16, 32, 64, 128))):
        metrics = {"val_accuracy": -abs(power - 2) - size / 1e9}
        grid.append(Trial(i, "grid", 0, {RATE: 10.0**-power, BATCH: size}, True, "completed", metrics=metrics))
    rows = of(grid)
    assert next(iter(rows)) == RATE


@pytest.mark.parametrize(
    ("why", "made"),
    [
        ("too few", trials(LEAST - 1, rate)),
        ("one key", trials(50, rate, {RATE: SPACE[RATE]})),
        ("the others have one value", trials(50, rate, {RATE: SPACE[RATE], BATCH: Choice((32,))})),
        ("none has ended", [Trial(i, "random", 0, {RATE: 0.1 * i, BATCH: i}) for i in range(50)]),
        ("all failed", [Trial(i, "random", 0, {RATE: 0.1 * i, BATCH: i}, status="failed") for i in range(50)]),
    ],
)
def test_nothing_is_said_of(why, made):
    assert of(made) == {}


def test_it_is_the_same_whenever_it_is_asked():
    assert of(trials(40, rate)) == of(trials(40, rate))


ROWS = [Importance(BATCH, 2, 0.7, 0.5, 0.8), Importance(RATE, 1, 0.2, 0.1, 0.4), Importance("seed", None, 0.1, 0, 0.3)]


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (ROWS, "train.batch_size (tier 2) mattered more than optimizer.learning_rate (tier 1)"),
        ([Importance(BATCH, 2, 0.7, 0.3, 0.8), *ROWS[1:]], None),  # the intervals overlap, whatever the shares
        ([Importance(BATCH, 1, 0.7, 0.5, 0.8), *ROWS[1:]], None),
        ([Importance(BATCH, None, 0.7, 0.5, 0.8), *ROWS[1:]], None),
    ],
)
def test_intervals_decide_where_trials_disagree_with_the_tiers(rows, line):
    prefix = "importance: the trials disagree with the tiers: "
    assert disagreements(rows) == ([] if line is None else [prefix + line])


def test_the_table_and_the_file(tmp_path):
    assert lines(ROWS)[:-1] == [
        "importance               tier  share  90 % of resamples",
        "train.batch_size            2   0.70  0.50 to 0.80",
        "optimizer.learning_rate     1   0.20  0.10 to 0.40",
        "seed                        -   0.10  0.00 to 0.30",
    ]
    write(tmp_path / "importance.csv", ROWS)
    assert list(csv.reader((tmp_path / "importance.csv").open())) == [
        ["key", "tier", "importance", "low", "high"],
        ["train.batch_size", "2", "0.7000", "0.5000", "0.8000"],
        ["optimizer.learning_rate", "1", "0.2000", "0.1000", "0.4000"],
        ["seed", "", "0.1000", "0.0000", "0.3000"],
    ]


class Kept(Recorder):
    """A recorder that knows which files it was given for the sweep itself."""

    def __init__(self):
        self.paths = []

    def artifact(self, number, path):
        self.paths.append((number, path.name))


@pytest.mark.parametrize(("n", "names"), [(LEAST, ["importance.csv"]), (LEAST - 1, [])])
def test_the_end_of_a_sweep_writes_and_records_it(n, names, tmp_path, capsys):
    ranges_of = {RATE.partition(".")[2]: SearchRange(1, "tag(log, interval(1e-4, 1))")}
    group = SimpleNamespace(search={})
    groups = dict.fromkeys(("dataset", "model", "schedule", "train"), group)
    config = SimpleNamespace(optimizer=SimpleNamespace(search=ranges_of), **groups)
    plan = SimpleNamespace(arms=[SimpleNamespace(config=config)], spaces=[SPACE])
    ledger = SimpleNamespace(sampled=trials(n, rate))
    recorder = Kept()
    conclude_importance(SimpleNamespace(plan=plan, ledger=ledger, objective=ACCURACY, folder=tmp_path), recorder)
    assert [path.name for path in tmp_path.iterdir()] == names
    assert recorder.paths == [(None, name) for name in names]
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in said if line.startswith(RATE)] == [[RATE, "1"]] * len(names)
