"""sweep.max_parameters: larger models are left out, the sampler's next points take their place, and a resume agrees."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.errors import InputError
from pipeline.records import CountJob, Done, Message
from pipeline.search.plan import make_plan
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


def test_a_worker_counts_and_passes_over_what_can_not_be_built():
    configs = [composed(*TINY, f"{UNITS}={n}").config for n in (8, 16)]
    broken = composed(*TINY, "model.activation=nonsense").config
    small, large, none = perform(CountJob(0, (*configs, broken)), lambda report: None, lambda: False)
    assert 0 < small < large
    assert none is None
