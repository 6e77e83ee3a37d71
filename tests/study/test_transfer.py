import csv
import json
import math
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.errors import InputError
from pipeline.eventlog import append_event
from pipeline.events import Exploited
from pipeline.records import (
    DataFacts,
    Done,
    Ended,
    EpochEnded,
    LoadJob,
    Message,
    Started,
    TestJob,
    TestResult,
    TrainJob,
    TrialEvent,
)
from pipeline.search.planning import make_plan
from pipeline.search.scales import LOG, ONE_MINUS_LOG
from pipeline.search.space import Choice, Interval
from pipeline.search.transfer import Start, fitting, narrowed
from pipeline.study import start as starting
from tests.conftest import composed

RATE, BETA, UNITS = "optimizer.learning_rate", "optimizer.beta_1", "model.hidden_units"
RANGES = [f"{RATE}=tag(log,interval(1e-5,1))", f"{BETA}=tag(one_minus_log,interval(0.5,0.999))"]
LINE = ["tracking=none", "sweep.max_tier=0", "train.epochs=2", "train.early_stopping=null", *RANGES]


class Stub:
    """Trains nothing: the nearer the learning rate is to 0.01, and beta_1 to 0.99, the better."""

    def __init__(self, dies_after=math.inf):
        self.trained, self.dies_after = [], dies_after

    def run(self, jobs, receive):
        for job in jobs:
            answer = None
            match job:
                case LoadJob(configs=configs):
                    answer = (DataFacts(configs[0].dataset.target, "made for this test", {}, {}),) * len(configs)
                case TrainJob(trials=tasks):
                    for task in tasks:
                        self._train(job, task, receive)
                case TestJob():
                    answer = TestResult({"accuracy": 0.5}, 9)
            receive(Message(job.number, Done(answer)))

    def _train(self, job, task, receive):
        if len(self.trained) >= self.dies_after:
            raise KeyboardInterrupt
        self.trained.append(task.number)
        given = task.config.optimizer.arguments
        loss = (math.log10(given["learning_rate"]) + 2) ** 2 + (math.log10(1 - given["beta_1"]) + 2) ** 2
        metrics = {"loss": loss, "val_loss": loss, "val_accuracy": 1 / (1 + loss)}
        epochs = [EpochEnded(1.0 + n, n, metrics, seconds=1.0) for n in (1, 2)]
        for event in (Started(1.0, os.getpid()), *epochs, Ended(3.0, "completed", None, 2, 1, metrics)):
            receive(Message(job.number, TrialEvent(task.number, event, logged=False)))

    def stop(self):
        pass

    kill = close = stop


def plan_of(*lines):
    def values(override):
        return [getattr(value, "text", value) for value in override.sweep_iterator()]

    return make_plan(OverridesParser.create().parse_overrides([*LINE, *lines]), lambda own: composed(*own), values)


def run(*lines, stub=None):
    stub = stub or Stub()
    assert starting.run(plan_of(*lines), stub) == 0
    return stub


def asked(name):
    lines = Path(f"outputs/sweeps/{name}/ledger").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["record"] == "asked"]


def leaderboard(name):
    return list(csv.DictReader(Path(f"outputs/sweeps/{name}/leaderboard.csv").read_text().splitlines()))


@pytest.fixture
def first(tmp_path, monkeypatch):
    """A finished sweep called `first`, of digits."""
    monkeypatch.chdir(tmp_path)
    run("sweep.name=first", "sweep.n_trials=16")
    return leaderboard("first")


def test_the_best_are_tried_first_and_the_region_around_them_is_searched(first, capsys):
    run("sweep.name=second", "sweep.n_trials=12", "dataset=blobs", "sweep.start_from=first")
    trials = asked("second")
    taken = [t for t in trials if t["stage"] == "start_from"]
    assert [{k: float(row[k]) for k in (RATE, BETA)} for row in first[:3]] == [t["params"] for t in taken]
    assert len(trials) == 12  # in total, those taken over among them
    best = [float(row[RATE]) for row in first[:4]]  # a quarter of 16
    low, high = math.log10(min(best)), math.log10(max(best))
    extra = (high - low) / 4
    for trial in trials[3:]:
        assert low - extra - 1e-6 <= math.log10(trial["params"][RATE]) <= high + extra + 1e-6
    text = capsys.readouterr().out
    assert "start_from first: 16 completed trials, of digits" in text
    assert re.search(r"  its best 4 of 16, the first with val_accuracy 0\.\d{4}, narrow what is searched", text)
    assert re.search(r"start_from: of what was taken over the best is trial 0, val_accuracy \d\.\d{4}; of all", text)


def test_what_a_sweep_took_over_stays_whatever_becomes_of_the_other(first):
    line = ["sweep.name=second", "sweep.n_trials=12", "dataset=blobs", "sweep.start_from=first"]
    run(*line)
    whole = asked("second")
    shutil.rmtree("outputs/sweeps/second")
    with pytest.raises(KeyboardInterrupt):
        starting.run(plan_of(*line), Stub(dies_after=5))
    shutil.rmtree("outputs/sweeps/first")
    run(*line)
    assert asked("second") == whole
    with pytest.raises(InputError, match=r"sweep.name=second started from first: repeat its own command"):
        run(*line[:-1], "sweep.start_from=third")


def test_a_control_is_searched_with_as_many_trials_in_the_whole_space(first, capsys):
    line = ["sweep.name=second", "sweep.n_trials=20", "dataset=blobs", "sweep.start_from=outputs/sweeps/first"]
    run(*line, "sweep.start_from_control=true")
    trials = asked("second")
    arms = [[t for t in trials if t["arm"] == arm] for arm in (0, 1)]
    assert [len(arm) for arm in arms] == [10, 10]
    spread = [max(math.log10(t["params"][RATE]) for t in arm) - min(math.log10(t["params"][RATE]) for t in arm)
              for arm in arms]  # fmt: skip
    assert spread[1] > 2 * spread[0]
    assert {row["sweep.start_from"] for row in leaderboard("second")} == {"outputs/sweeps/first", "null"}
    assert re.search(
        r"start_from: val_accuracy \d\.\d{4} taken over, \d\.\d{4} afresh; what the other found was reached "
        r"(after \d+|in none) of its 10 trials with it, (after \d+|in none) of its 10 trials without",
        capsys.readouterr().out,
    )
    best = yaml.safe_load(Path("outputs/sweeps/second/best.yaml").read_text())
    assert "start_from" not in best["overrides"]  # which trains one model


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["sweep.start_from=frist"], "no such sweep in outputs/sweeps, nor a folder of one. Did you mean 'first'?"),
        (["sweep.start_from=first", "sweep.name=first"], "sweep.start_from=first is this sweep itself"),
        (["sweep.start_from_control=true"], "needs another sweep to start from: sweep.start_from=NAME."),
        (["sweep.start_from=first", "optimizer=adamw"], "no trial of it has mlp with AdamW"),
        (["sweep.start_from=first", "sweep.stages.random.n_trials=24"], "which sweep.stages leaves no room for"),
    ],
)  # fmt: skip
def test_what_can_not_be_taken_over_is_refused(first, lines, message):
    with pytest.raises(InputError, match=re.escape(message)):
        run(*lines)


SPACE = {
    RATE: Interval(1e-4, 1e-1, LOG),
    BETA: Interval(0.5, 0.999, ONE_MINUS_LOG),
    UNITS: Interval(16, 256, LOG, integer=True),
    "model.activation": Choice(("relu", "tanh")),
}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({RATE: 0.01, "train.batch_size": 64}, {RATE: 0.01}),
        ({RATE: 1}, None),
        ({UNITS: 32.5}, None),
        ({UNITS: [32, 16]}, None),
        ({"model.activation": "gelu"}, None),
        ({"model.activation": "tanh", BETA: 0.9}, {"model.activation": "tanh", BETA: 0.9}),
        ({"dataset.noise": 0.1}, {}),
    ],
)
def test_fitting(params, expected):
    assert fitting(SPACE, params) == expected


def test_a_region_is_a_quarter_wider_on_the_scale_and_keeps_what_the_other_lacked():
    region = narrowed(SPACE, [{RATE: 1e-3, "model.activation": "relu"}, {RATE: 1e-2, "model.activation": "relu"}])
    assert region[RATE].low == pytest.approx(10**-3.25)
    assert region[RATE].high == pytest.approx(10**-1.75)
    assert region[BETA] == SPACE[BETA]
    assert region["model.activation"] == SPACE["model.activation"]
    assert narrowed(SPACE, []) == SPACE


def test_a_start_is_read_as_it_was_written():
    start = Start.of("first", [[{RATE: 0.012345678901}], []], 24)
    assert Start.from_json(json.loads(json.dumps(start.to_json()))) == start
    assert start.n_starters == 1


STAGES = ["sweep=coarse_to_fine", *(f"sweep.stages.{name}.epochs=null" for name in ("coarse", "medium", "fine"))]


def twice(numbers):
    """The stub's finished sweep, in which an arm's trials are those of another one, and the best have replicates."""
    run("sweep.name=twice", "sweep.n_trials=24", "model.norm_placement=none,before_activation", *numbers)
    rows = [row for row in leaderboard("twice") if not row.get("replicate_of")]
    points = list(dict.fromkeys((float(row[RATE]), float(row[BETA])) for row in rows))
    assert len(points) == 12
    return points


@pytest.mark.parametrize("numbers", [[], ["sweep.replicates=4", "sweep.finalists=4"]])
def test_what_another_sweep_tried_twice_is_one_configuration(tmp_path, monkeypatch, capsys, numbers):
    monkeypatch.chdir(tmp_path)
    points = twice(numbers)
    run("sweep.name=second", "sweep.n_trials=24", "dataset=blobs", "sweep.start_from=twice")
    taken = [tuple(t["params"].values()) for t in asked("second") if t["stage"] == "start_from"]
    assert taken == points[:3]
    text = capsys.readouterr().out
    assert "start_from twice: 24 completed trials, of digits" in text
    assert "  its best 3 of 12, the first with" in text


def test_replicates_are_no_trials_of_which_a_start_is_told(first, capsys):
    line = ["sweep.name=second", "sweep.n_trials=12", "dataset=blobs", "sweep.start_from=first"]
    run(*line, "sweep.start_from_control=true", "sweep.replicates=3")
    assert len(asked("second")) > 12
    assert len(re.findall(r"of its 6 trials", capsys.readouterr().out)) == 2


def test_of_a_population_what_trained_its_best_epochs_is_taken_over(first):
    folder = Path("outputs/sweeps/first")
    records = [json.loads(line) for line in (folder / "ledger").read_text().splitlines()]
    for record in records:
        if record["record"] == "study":
            record["header"]["strategy"]["population"] = {"every": 1, "n_trials": 16}
    (folder / "ledger").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    line = ["sweep.name=second", "sweep.n_trials=12", "dataset=blobs", "sweep.start_from=first"]
    with pytest.raises(InputError, match=r"sweeps/first/\d+: its events are gone, which say what"):
        run(*line)
    rates = {}
    for trial in asked("first"):
        number = trial["trial"]
        rates[number] = round(1e-3 + 1e-5 * number, 8)  # its best epoch is the first
        for epoch, own in ((0, {**trial["params"], RATE: rates[number]}), (1, trial["params"])):
            append_event(folder / str(number), Exploited(1.0 + epoch, epoch, number, own))
    run(*line)
    best = [int(row["trial"]) for row in leaderboard("first")[:3]]
    taken = [t["params"] for t in asked("second") if t["stage"] == "start_from"]
    assert [params[RATE] for params in taken] == [rates[number] for number in best]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["sweep.n_trials=1"],
            "sweep.n_trials=1 is the total: sweep.start_from tries 1 configuration first, the stages after it are "
            "random. It must be at least 2.",
        ),
        ([*STAGES, "sweep.n_trials=3"], "after it are coarse, medium, fine. It must be at least 4."),
        (
            [*STAGES, "sweep.n_trials=8", "sweep.stages.coarse.n_trials=6"],
            "sweep.n_trials=8 is the total: sweep.start_from tries 2 configurations first, the stages after it are "
            "coarse, medium, fine, of which 6 are given. It must be at least 10.",
        ),
        (
            ["sweep=grid", "sweep.points=3", "sweep.n_trials=10"],
            "sweep.start_from: 2 configurations it tries first leave 8 of sweep.n_trials=10, as if sweep.n_trials=8: "
            "sweep=grid has 9 trials",
        ),
    ],
)
def test_too_few_trials_are_named_as_they_were_typed(first, lines, message):
    with pytest.raises(InputError, match=re.escape(message)):
        run("dataset=blobs", "sweep.start_from=first", *lines)
