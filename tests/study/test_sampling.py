"""The generations of a stage: what is asked, what is told, and that a sampler that learns is resumed as it was."""

import importlib
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import InputError
from pipeline.objective import Objective
from pipeline.records import Ended, EpochEnded, Paused, Trial
from pipeline.schema import Target
from pipeline.search.plan import Arm, Plan, Stage
from pipeline.search.samplers.sampler import Outcome
from pipeline.search.scales import LOG
from pipeline.search.space import Choice, Interval
from pipeline.study.ledger import Ledger
from pipeline.study.sampling import Sampling
from tests.conftest import TINY, here

RATE, KIND, DEPTH = "optimizer.learning_rate", "model.kind", "model.depth"
SPACE = {RATE: Interval(1e-4, 1, LOG), KIND: Choice(("a", "b", "c")), DEPTH: Interval(1, 9, integer=True)}
# Each point is drawn around the best that it was told of, or anywhere; its generator has a state of its own.
CLIMBER = """
import random

from pipeline.search.samplers.sampler import Point, Sampler

TOLD = []  # of every instance, for the tests


class Climber(Sampler):
    def __init__(self, search, *, size=3, room=1000):
        super().__init__(search)
        self.size, self.room = size, room
        self.best, self.random = None, random.Random(search.stage)

    @property
    def generation(self):
        return self.size

    def ask(self, n):
        points = []
        for _ in range(min(n, self.room)):
            arm = self.random.randrange(len(self.search.spaces))
            at = {key: dist.place(self.random.random()) for key, dist in self.search.spaces[arm].items()}
            if self.best:
                at |= {key: 0.8 * self.best.coordinates[key] + 0.2 * value for key, value in at.items()}
            points.append(Point(arm, at))
        self.room -= len(points)
        return points

    def tell(self, outcomes):
        TOLD.append(tuple(outcomes))
        self.best = max([o for o in (self.best, *outcomes) if o and o.score is not None], key=lambda o: o.score)
"""
CONFIG = SimpleNamespace(seed=0, sweep=SimpleNamespace(generation=4))
TPE = Target("pipeline.search.samplers.tpe.Tpe")
CMA_ES = Target("pipeline.search.samplers.cma_es.CmaEs")
OPTUNA_TPE = Target("optuna.samplers.TPESampler", {"n_startup_trials": 3})
RANDOM = Target("pipeline.search.samplers.random.Random")


@pytest.fixture
def climber(tmp_path, monkeypatch):
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "climber_for_tests.py").write_text(CLIMBER)
    monkeypatch.syspath_prepend(folder)
    import climber_for_tests

    climber_for_tests.TOLD.clear()
    return climber_for_tests


def node(**arguments):
    return Target("climber_for_tests.Climber", arguments)


def plan_of(sampler, n_trials, arms=2, space=SPACE, second=None):
    crossed = [{"optimizer": name} for name in ("adam", "sgd", "lion")[:arms]]
    spaces = [space, space if second is None else second, space]
    made = [Arm(values, SimpleNamespace(config=CONFIG), own) for values, own in zip(crossed, spaces)]
    return Plan(made, [Stage("first", n_trials, None, True)], [], sampler)


def result(trial):
    """How a trial ends; it follows from its parameters, as in training."""
    loss = abs(SPACE[RATE].coordinate(trial.params[RATE]) + 1.7) + 0.1 * trial.params[DEPTH]
    status = random.Random(repr(trial.params)).choice(["completed"] * 4 + ["pruned", "failed", "diverged"])
    metrics = {} if status in ("failed", "diverged") else {"val_loss": loss, "val_accuracy": 1 - loss}
    return Ended(0.0, status, None, 1, 1, metrics)


def epochs_of(trial):
    losses = [None, trial.metrics.get("val_loss", 1.0)]
    return [EpochEnded(0.0, number, {"val_loss": loss}) for number, loss in enumerate(losses, start=1)]


def opened(folder):
    return Ledger(folder, what="a sweep")


def run(plan, folder, stop_after=None):
    """A sweep whose trials end one by one; stop_after: how many until it is killed. Returns the trials of each
    generation."""
    ledger = opened(folder)
    generations, ends = [], 0
    try:
        sampling = Sampling(plan, 0, plan.spaces)
        for trials in sampling.generations(ledger, Objective("val_loss", "minimize"), epochs_of):
            generations.append([(t.number, t.arm, t.params) for t in trials])
            for trial in trials:
                if ends == stop_after:
                    return generations
                if trial.status is None:
                    ledger.on(trial, result(trial))
                    ends += 1
        return generations
    finally:
        ledger.close()


def test_a_generation_is_asked_when_the_one_before_has_ended(climber, tmp_path):
    generations = run(plan_of(node(), 10), tmp_path)
    assert [len(generation) for generation in generations] == [3, 3, 3, 1]
    assert [number for generation in generations for number, _, _ in generation] == list(range(10))
    assert all(list(params) == ["optimizer", *SPACE] for generation in generations for _, _, params in generation)
    assert [len(outcomes) for outcomes in climber.TOLD] == [3, 3, 3]  # nobody asks after the last


def test_what_is_told(climber, tmp_path):
    run(plan_of(node(size=20), 40), tmp_path)
    ledger = opened(tmp_path)
    ledger.close()
    (outcomes,) = climber.TOLD
    for trial, outcome in zip(ledger.trials.values(), outcomes):
        loss = trial.metrics.get("val_loss")
        assert outcome == Outcome(
            trial.arm,
            {key: dist.coordinate(trial.params[key]) for key, dist in SPACE.items()},
            trial.status,
            None if loss is None else -loss,  # larger is better
            (float("-inf"), -1.0 if loss is None else -loss),
        )
    assert {o.status for o in outcomes} == {"completed", "pruned", "failed", "diverged"}
    assert all(o.score is not None for o in outcomes if o.status in ("completed", "pruned"))


@pytest.mark.parametrize(
    ("sampler", "n_trials"),
    [(node(), 11), (node(size=4, room=7), 11), (RANDOM, 11), (TPE, 26), (CMA_ES, 26), (OPTUNA_TPE, 18)],
    ids=["learns", "runs out", "random", "tpe", "cma_es", "optuna"],
)
def test_a_sweep_killed_after_any_end_asks_the_same_trials(climber, tmp_path, sampler, n_trials):
    plan = plan_of(sampler, n_trials)
    (tmp_path / "whole").mkdir()
    whole = run(plan, tmp_path / "whole")
    records = (tmp_path / "whole/ledger").read_bytes()
    told = list(climber.TOLD)
    for ends in range(n_trials):
        folder = tmp_path / str(ends)
        folder.mkdir()
        run(plan, folder, stop_after=ends)
        climber.TOLD.clear()
        assert run(plan, folder) == whole
        assert told == climber.TOLD  # from the first generation on
        assert (folder / "ledger").read_bytes() == records


def test_a_ledger_torn_at_any_record_goes_on_to_the_same_trials(climber, tmp_path):
    plan = plan_of(node(), 8)
    (tmp_path / "whole").mkdir()
    whole = run(plan, tmp_path / "whole")
    lines = (tmp_path / "whole/ledger").read_bytes().splitlines(keepends=True)
    for n in range(len(lines)):
        folder = tmp_path / str(n)
        folder.mkdir()
        (folder / "ledger").write_bytes(b"".join(lines[:n]))  # also amid the asked of a generation
        assert run(plan, folder) == whole


@pytest.mark.parametrize("sampler", [node(), node(size=5), RANDOM, TPE], ids=["threes", "fives", "random", "tpe"])
@pytest.mark.parametrize(("first", "then"), [(2, 9), (3, 9), (7, 11), (9, 4)])
def test_a_total_may_grow_and_one_that_shrinks_loses_nothing(climber, tmp_path, sampler, first, then):
    (tmp_path / "at_once").mkdir()
    at_once = run(plan_of(sampler, max(first, then)), tmp_path / "at_once")
    run(plan_of(sampler, first), tmp_path)
    assert run(plan_of(sampler, then), tmp_path) == at_once


@pytest.mark.parametrize(
    ("sampler", "space", "sizes"),
    [
        (RANDOM, {KIND: SPACE[KIND]}, [6]),  # three values for each of two arms
        (node(size=4, room=7), SPACE, [4, 3]),
        (node(size=4, room=8), SPACE, [4, 4]),
        (node(room=0), SPACE, []),
    ],
)
def test_a_stage_ends_where_the_sampler_has_no_more(climber, tmp_path, capsys, sampler, space, sizes):
    plan = plan_of(sampler, 50, space=space)
    ledger = opened(tmp_path)
    sampling = Sampling(plan, 0, plan.spaces)
    trials = []
    for generation in sampling.generations(ledger, Objective(), lambda trial: []):
        trials.append(len(generation))
        metrics = {"val_accuracy": 0.5, "val_loss": 1.0}
        for trial in generation:
            ledger.on(trial, Ended(0.0, "completed", None, 1, 1, metrics))
    ledger.close()
    assert trials == sizes
    assert capsys.readouterr().out.count(f"the space has no more than {sum(sizes)} different trials") == 1


@pytest.mark.parametrize("space", [{KIND: SPACE[KIND]}, {RATE: SPACE[RATE]}], ids=["small", "large"])
def test_copies_that_an_earlier_version_asked_stay_and_nothing_else_is_lost(tmp_path, space):
    """An arm without anything searched was tried anew for each point of the other."""
    plans = [plan_of(RANDOM, n, space=space, second={}) for n in (4, 7)]
    copy = {"optimizer": "sgd"}
    points = [t.params for t in Sampling(plans[1], 0, plans[1].spaces).first() if t.params != copy]
    begun = [(0, 0, points[0]), (1, 1, copy), (2, 0, points[1]), (3, 1, copy)]
    ledger = opened(tmp_path)
    ledger.ask(Trial(number, "first", arm, params) for number, arm, params in begun)
    rest = [(4 + i, 0, params) for i, params in enumerate(points[2:5])]
    for plan, expected in zip(plans, (begun, [*begun, *rest])):
        trials = next(Sampling(plan, 0, plan.spaces).generations(ledger, Objective(), epochs_of))
        assert [(t.number, t.arm, t.params) for t in trials] == expected
    ledger.close()


def test_the_first_generation_is_known_before_anything_is_asked(climber, tmp_path):
    for sampler, size in ((node(), 3), (RANDOM, 10)):
        plan = plan_of(sampler, 10)
        first = Sampling(plan, 0, plan.spaces).first()
        assert len(first) == size
        (tmp_path / str(size)).mkdir()
        asked = run(plan, tmp_path / str(size))[0]
        assert [(trial.number, trial.arm, trial.params) for trial in first] == asked


HISTORIAN = """
from pipeline.search.samplers.random import Random

HISTORIES = []


class Historian(Random):
    generation = 2

    def __init__(self, search):
        super().__init__(search)
        HISTORIES.append(search.history)
"""


def test_a_later_stage_is_told_of_earlier_trials_that_lie_in_its_space(tmp_path, monkeypatch):
    (tmp_path / "package").mkdir()
    (tmp_path / "package/historian.py").write_text(HISTORIAN)
    monkeypatch.syspath_prepend(tmp_path / "package")
    import historian

    record = {"model": {"depth": 3}}
    arm = Arm({}, SimpleNamespace(config=CONFIG, record=record), SPACE)
    stages = [Stage("short", 9, 5, True), Stage("long", 9, 20, True), Stage("last", 9, 20, False)]
    plan = Plan([arm], stages, [], Target("historian.Historian"))
    region = {RATE: Interval(1e-3, 1, LOG), DEPTH: Interval(2, 4, integer=True)}
    params = [
        ("short", {RATE: 0.01, KIND: "a", DEPTH: 2}, "completed"),
        ("short", {RATE: 1e-4, KIND: "a", DEPTH: 2}, "completed"),  # outside
        ("short", {RATE: 0.1, KIND: "a", DEPTH: 7}, "completed"),  # outside
        ("short", {RATE: 0.1, KIND: "a"}, "failed"),  # of a stage in which the depth was what the config has
        ("long", {RATE: 0.2, KIND: "b", DEPTH: 4}, "completed"),
        ("long", {RATE: 0.3, KIND: "b", DEPTH: 4}, None),  # not ended
        ("last", {RATE: 0.4, KIND: "b", DEPTH: 4}, "completed"),  # its own
    ]
    ledger = opened(tmp_path)
    trials = [Trial(number, stage, 0, values) for number, (stage, values, _) in enumerate(params)]
    ledger.ask(trials)
    ledger.ask([Trial(7, "long", 0, {**params[4][1], "seed": 1}, replicate_of=4)])
    for trial, (_, _, status) in zip(trials, params):
        metrics = {"val_loss": 0.5, "val_accuracy": 0.5} if status == "completed" else {}
        if status:
            ledger.on(trial, Ended(0.0, status, None, 1, 1, metrics))
    # Once the last stage had begun, a trial that had stopped in the one before went on: what it was told stays.
    stopped = {"val_loss": 0.9, "val_accuracy": 0.1}
    ledger.ask([Trial(8, "long", 0, {RATE: 0.5, KIND: "b", DEPTH: 2})])
    ledger.on(ledger.trials[8], Paused(0.0, 1, 1, stopped))
    ledger.on(ledger.trials[8], Ended(0.0, "pruned", "it was", 1, 1, stopped))
    ledger.promote(8, asked=9)
    told = {}
    for index, spaces in ((0, [SPACE]), (1, [region]), (2, [region])):
        next(Sampling(plan, index, spaces).generations(ledger, Objective("val_loss", "minimize"), epochs_of))
        told[index] = [
            (o.status, o.score, round(o.coordinates[RATE], 3), o.coordinates[DEPTH]) for o in historian.HISTORIES[-1]
        ]
    ledger.close()
    assert told == {
        0: [],
        1: [("pruned", -0.5, -2.0, 2), ("failed", None, -1.0, 3)],  # of fewer epochs than those of this stage
        2: [
            ("pruned", -0.5, -2.0, 2),
            ("failed", None, -1.0, 3),
            ("completed", -0.5, -0.699, 4),
            ("pruned", -0.9, -0.301, 2),
        ],
    }


FAULTY = """
from pipeline.search.samplers.random import Random
from pipeline.search.samplers.sampler import Point


class Faulty(Random):
    def __init__(self, search, *, faults):
        super().__init__(search)
        self.faults = faults

    generation = 2

    def ask(self, n):
        if "ask" in self.faults:
            raise KeyError("momentum")
        wrong = {"key": Point(0, {}), "arm": Point(7, {}), "no point": 3}
        return [wrong[fault] for fault in self.faults if fault in wrong] or super().ask(n)

    def tell(self, outcomes):
        if "tell" in self.faults:
            raise KeyError("momentum")
"""


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "faulty_sampler.py").write_text(FAULTY)
    monkeypatch.syspath_prepend(folder)
    yield f"{folder}/faulty_sampler.py"
    sys.modules.pop("faulty_sampler", None)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("ask", "KeyError: 'momentum' ({}, line 15)"),
        ("tell", "KeyError: 'momentum' ({}, line 21)"),
        ("key", f"ask() gives a point without {RATE}."),
        ("arm", "ask() gives a point of arm 7; the last is 1."),
        ("no point", "ask() gives 3, which is no Point."),
    ],
)
def test_a_fault_of_a_sampler_is_told_in_one_line(faulty, tmp_path, fault, message):
    with pytest.raises(InputError) as raised:
        run(plan_of(Target("faulty_sampler.Faulty", {"faults": [fault]}), 4), tmp_path)
    assert str(raised.value) == "sweep.sampler: faulty_sampler.Faulty: " + message.format(faulty)


@pytest.mark.slow
def test_a_sweep_whose_sampler_fails_is_concluded_and_can_be_resumed(faulty, tmp_path):
    allowed = "allowed_targets=[pipeline.,keras.optimizers.,faulty_sampler.]"
    line = ["-m", *TINY, allowed, "sweep.sampler._target_=faulty_sampler.Faulty", "+sweep.sampler.faults=[tell]"]
    line += [
        "sweep.name=s",
        "sweep.n_trials=4",
        "sweep.max_tier=1",
        "executor=inline",
        "tracking=none",
        "executor.xla=never",
    ]
    done = here(*line, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"sweep.sampler: faulty_sampler.Faulty: KeyError: 'momentum' ({faulty}, line 21)\n"
    assert "the same command with sweep.name=s goes on" in done.stdout
    sweep = tmp_path / "outputs/sweeps/s"
    assert len((sweep / "leaderboard.csv").read_text().splitlines()) == 3
    assert (sweep / "best.yaml").exists()

    text = Path(faulty).read_text()
    Path(faulty).write_text(text.replace('"tell" in self.faults', "False"))
    sys.modules.pop("faulty_sampler")
    importlib.invalidate_caches()
    done = here(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len((sweep / "leaderboard.csv").read_text().splitlines()) == 5
