"""What the parent does of a trial is as much at the end of a long sweep as at its beginning: counted, not timed."""

import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.building import built
from pipeline.search.planning import make_plan
from pipeline.study.start import run
from tests.benchmarks.scale import LINE, SAMPLERS, Stub
from tests.conftest import composed

N = 500  # trials of a quarter


class Counting(Stub):
    """Notes at the end of every trial how many calls of Python's functions there have been, without its own."""

    def __init__(self):
        super().__init__()
        self.n = 0
        self.counts = []

    def parent(self):
        self.counts.append(self.n)
        return super().parent()


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_work_a_trial_stays_the_same(sampler, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    overrides = OverridesParser.create().parse_overrides(
        [*LINE, f"sweep.n_trials={4 * N}", "sweep.max_tier=1", sampler]
    )
    plan, stub = make_plan(overrides, lambda lines: composed(*lines), lambda override: []), Counting()

    def count(frame, event, argument):
        stub.n += event == "call"

    sys.setprofile(count)
    try:
        assert run(plan, stub) == 0
    finally:
        sys.setprofile(None)
    quarters = [
        stub.counts[i * N + N - 1] - stub.counts[i * N + 99] for i in range(4)
    ]  # a start comes before the first
    assert max(quarters) < 1.1 * min(quarters)
    at_the_end = stub.n - stub.counts[-1]
    assert at_the_end < 4000 * 4 * N


def test_a_trial_s_config_is_that_which_is_built_of_all_its_values():
    base = composed("optimizer=momentum", "dataset=blobs")
    values = {
        "optimizer.learning_rate": 0.1,
        "model.hidden_units": [8, 4],
        "train.batch_size": 16,
        "train.epochs": 3,
        "seed": 5,
    }
    trial = base.with_values(values)
    assert trial.config == built(trial.record)
    assert trial.config.dataset is base.config.dataset  # what ten thousand trials share is there once
    assert (trial.config.train.batch_size, trial.config.seed, base.config.seed) == (16, 5, 0)
