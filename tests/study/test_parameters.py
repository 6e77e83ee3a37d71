"""sweep.max_parameters: larger models are left out, the sampler's next points take their place, and a resume agrees."""

import re
from dataclasses import replace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.errors import InputError
from pipeline.objective import Objective
from pipeline.records import CountJob, Done, Ended, Message
from pipeline.search.plan import Stage
from pipeline.search.planning import make_plan
from pipeline.study.ledger import Ledger
from pipeline.study.parameters import ModelSizes
from pipeline.study.sampling import Sampling, first_sizes
from pipeline.workers.worker import perform
from tests.conftest import TINY, composed

UNITS = "model.hidden_units"


class Counting:
    """A worker to which a model has a hundred parameters a unit."""

    def __init__(self):
        self.counted = []

    def run(self, jobs, receive):
        for job in jobs:
            units = [config.model.arguments["hidden_units"] for config in job.configs]
            self.counted += units
            receive(Message(job.number, Done([100 * n for n in units])))


def plan_of(*lines):
    overrides = OverridesParser.create().parse_overrides(["dataset=blobs", *lines])
    return make_plan(overrides, lambda words: composed(*words), lambda override: [])


def drawn(plan, worker, most=None):
    sizes = ModelSizes(most, worker) if most else None
    return [trial.params for trial in Sampling(plan, 0, plan.spaces, sizes).first()]


@pytest.mark.parametrize("sampler", ["random", "quasi_random", "tpe"])
def test_the_next_points_take_the_place_of_models_that_are_too_large(sampler, capsys):
    line, worker = [f"sweep={sampler}", "sweep.max_tier=2", "train.batch_size=128"], Counting()
    chosen = drawn(plan_of(*line, "sweep.n_trials=16"), worker, 6000)
    assert len(chosen) == 16
    assert all(params[UNITS] <= 60 for params in chosen)
    unlimited = drawn(plan_of(*line, "sweep.n_trials=128"), worker)
    if sampler != "tpe":  # whose first generation has a size of its own
        assert chosen == [params for params in unlimited if params[UNITS] <= 60][:16]
    assert chosen == drawn(plan_of(*line, "sweep.n_trials=16"), Counting(), 6000)
    assert len(worker.counted) == len(set(worker.counted))  # by structure, not by trial
    assert "sweep.max_parameters=6,000: " in capsys.readouterr().out


def test_a_grid_is_the_rest_of_it():
    plan = plan_of("sweep=grid", "sweep.max_tier=1", "model.search.hidden_units.tier=1", "sweep.points=3")
    units = [params[UNITS] for params in drawn(plan, Counting(), 10_000)]
    assert units
    assert max(units) <= 100


def test_a_space_that_is_too_large_as_a_whole_is_refused_with_its_ends():
    plan = plan_of("sweep.n_trials=8", "sweep.max_parameters=20")
    with pytest.raises(InputError, match=r"sweep.max_parameters=20: all models of this space are larger, from 1,\d00 "):
        first_sizes(plan, Counting())
    with pytest.raises(InputError, match=r"all models of this space are larger, with 1,600 parameters\. Raise it"):
        first_sizes(plan_of(f"{UNITS}=16", "sweep.n_trials=8", "sweep.max_parameters=20"), Counting())


def test_fractions_of_a_model_of_ones_own_may_decide_its_size():
    class Widths(Counting):
        def run(self, jobs, receive):
            for job in jobs:
                self.counted += [config.model.arguments["width"] for config in job.configs]
                receive(Message(job.number, Done([int(1000 * c.model.arguments["width"]) for c in job.configs])))

    config, worker = composed(*TINY).config, Widths()
    configs = [
        replace(config, model=replace(config.model, target="mine.Wide", arguments={"width": width}))
        for width in (0.25, 0.5, 4.0, 0.25)
    ]
    sizes = ModelSizes(1000, worker)
    assert [*sizes.allowed(configs[:2]), *sizes.allowed(configs)] == [True, True, True, True, False, True]
    assert worker.counted == [0.25, 0.5, 4.0]


SOME = ["sweep.max_tier=0", f"{UNITS}=choice(10,20,40,80,90)"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([*SOME, "sweep=grid"], "2 points with larger models are left out"),
        ([*SOME, "sweep.n_trials=12"], "2 points with larger models are left out"),
        (
            ["sweep.max_tier=0", f"{UNITS}=int(interval(10,90))", "sweep.n_trials=12"],
            r"\d+ points with larger models are left out; the sampler's next take their place",
        ),
    ],
)
def test_the_next_points_are_said_to_take_the_place_of_others_only_where_there_are_some(lines, said, capsys):
    plan, sizes = plan_of(*lines), ModelSizes(5000, Counting())
    for _ in range(2):  # before the sweep, and in it
        Sampling(plan, 0, plan.spaces, sizes).first()
    assert re.fullmatch(rf"sweep.max_parameters=5,000: {said}\n", capsys.readouterr().out)


def test_points_are_counted_over_all_generations(tmp_path, capsys):
    line = ["sweep=tpe", "sweep.generation=8", "sweep.n_trials=24", "sweep.max_tier=2"]
    plan, ledger = plan_of(*line), Ledger(tmp_path, what="it")
    sizes = ModelSizes(6000, Counting())
    objective = Objective("val_loss", "minimize")
    for generation in Sampling(plan, 0, plan.spaces, sizes).generations(ledger, objective, lambda trial: []):
        for trial in generation:
            ledger.on(trial, Ended(1.0, "completed", None, 1, 1, {"val_loss": trial.params[UNITS]}))
    ledger.close()
    text = capsys.readouterr().out
    said = re.findall(r"(\d+) (?:more )?points? with larger models \w+ left out(?:, (\d+) in all)?", text)
    assert len(said) > 1
    assert sum(int(new) for new, _ in said) == int(said[-1][1])
    assert all(trial.params[UNITS] <= 60 for trial in ledger.trials.values())


def test_given_points_that_are_too_large_are_left_out_and_the_space_is_not_blamed(tmp_path, capsys):
    plan = plan_of("sweep.max_tier=0", f"{UNITS}=int(interval(10,90))", "sweep.n_trials=8", "sweep.max_parameters=5000")
    points = tuple({UNITS: n} for n in (20, 60, 80))
    first = Stage("start_from", 3, None, False, given=(points,))
    all_large = replace(first, given=(points[1:],), n_trials=2)
    sizes = first_sizes(replace(plan, stages=[all_large, *plan.stages]), Counting())
    assert sizes is not None
    capsys.readouterr()
    for stage, expected in ((first, [20]), (all_large, [])):
        (folder := tmp_path / str(len(expected))).mkdir()
        ledger = Ledger(folder, what="it")
        own = Sampling(replace(plan, stages=[stage, *plan.stages]), 0, plan.spaces, sizes)
        tried = [t.params[UNITS] for g in own.generations(ledger, Objective(), lambda trial: []) for t in g]
        assert tried == expected
        ledger.close()
    assert capsys.readouterr().out.splitlines() == [
        f"sweep.max_parameters=5,000: 2 of the {n} configurations to be tried first have larger models: left out"
        for n in (3, 2)
    ]


def test_what_is_left_of_a_space_may_be_too_large_without_all_of_it(tmp_path, capsys):
    plan, sizes = plan_of(*SOME, "sweep=grid"), ModelSizes(5000, Counting())
    with pytest.raises(InputError, match=r"=5000: all models of this space are larger, from 8,000 to 9,000 parameters"):
        plan_large = plan_of("sweep.max_tier=0", f"{UNITS}=choice(80,90)", "sweep=grid")
        Sampling(plan_large, 0, plan_large.spaces, sizes).first()
    ledger = Ledger(tmp_path, what="it")
    generations = list(Sampling(plan, 0, plan.spaces, sizes).generations(ledger, Objective(), lambda trial: []))
    ledger.close()
    assert [len(generation) for generation in generations] == [3]
    assert "no more than 3 different trials with models small enough: each is tried once" in capsys.readouterr().out


def test_a_worker_counts_and_passes_over_what_can_not_be_built():
    configs = [composed(*TINY, f"{UNITS}={n}").config for n in (8, 16)]
    broken = composed(*TINY, "model.activation=nonsense").config
    small, large, none = perform(CountJob(0, (*configs, broken)), lambda report: None, lambda: False)
    assert 0 < small < large
    assert none is None
