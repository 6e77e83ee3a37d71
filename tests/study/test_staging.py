"""Where the stages of a sweep look, on made-up trials."""

import pytest

from pipeline.search.space import Choice, Interval
from tests.study.stubbed import run, trials

RATE, UNITS, BATCH, LAYERS = "optimizer.learning_rate", "model.hidden_units", "train.batch_size", "model.hidden_layers"
DROPOUT, L2, ACTIVATION = "model.dropout_rate", "model.l2", "model.activation"
TIERED = ["sweep=tiered", "sweep.n_trials=24", "train.epochs=2", "executor.fuse=never"]


def bowl(config, epoch):
    """Best where the learning rate is 0.01, the wider the better, and a little with more layers."""
    rate, arguments = config.optimizer.learning_rate, config.model.arguments
    return 0.9 - abs(Interval(1e-6, 1).scale.coordinate(rate) - 0.01) + arguments["hidden_units"] / 1e4


def of_stage(study, name):
    return [trial.params for trial in study.ledger.of_stage(name)]


@pytest.fixture(scope="module")
def tiered(tmp_path_factory):
    return run(tmp_path_factory.mktemp("tiered") / "s", bowl, *TIERED)[0]


def test_a_tier_is_searched_with_the_next_ones_as_the_config_has_them(tiered):
    assert [stage.name for stage in tiered.plan.stages] == ["tier1", "tier2", "tier3"]
    first, second, third = (of_stage(tiered, name) for name in ("tier1", "tier2", "tier3"))
    assert [len(stage) for stage in (first, second, third)] == [8, 8, 8]
    # l2 is 0 in the config, of which its logarithmic range has nothing
    fixed = {UNITS: 64, BATCH: 32, LAYERS: 2, DROPOUT: 0.0}
    assert all({key: params.get(key) for key in fixed} == fixed and L2 not in params for params in first)
    assert len({params[RATE] for params in first}) == 8
    assert all((params[LAYERS], params[DROPOUT]) == (2, 0.0) for params in second)
    assert len({params[UNITS] for params in second}) > 4
    assert all(len(params) == 6 for params in third)
    assert len({params[L2] for params in third}) == 8


def test_what_was_freed_before_is_searched_around_the_best_and_the_rest_in_its_whole_range(tiered):
    best = sorted(of_stage(tiered, "tier1"), key=lambda params: abs(params[RATE] - 0.01))[:2]
    box = tiered.plan.arms[0].space[RATE].around([params[RATE] for params in best], 0.1)
    assert tiered.ledger.regions["tier1"][0] == {
        RATE: str(box),
        UNITS: "tag(log, int(interval(16, 256)))",
        BATCH: "choice(16, 32, 64, 128)",
    }
    assert all(box.low <= params[RATE] <= box.high for params in of_stage(tiered, "tier2"))
    third = tiered.ledger.regions["tier2"][0]
    assert set(third) == {RATE, UNITS, BATCH, LAYERS, DROPOUT, L2}
    assert third[UNITS] != "tag(log, int(interval(16, 256)))"
    assert third[L2] == "tag(log, interval(1e-06, 0.01))"


def test_the_best_so_far_may_be_of_an_earlier_tier(tmp_path):
    """Every width but that of the config is bad: tier 3 looks around the best of tier 1."""

    def narrow(config, epoch):
        return bowl(config, epoch) - 0.5 * (config.model.arguments["hidden_units"] != 64)

    study, _ = run(tmp_path / "s", narrow, *TIERED, "sweep.keep=0.1")
    low, high = study.ledger.regions["tier2"][0][UNITS].removeprefix("tag(log, int(interval(").rstrip(")").split(", ")
    assert int(low) <= 64 <= int(high)


@pytest.mark.parametrize("most", [1, 7, 8, 13, 16, 23])
def test_a_killed_tiered_sweep_asks_the_trials_of_an_undisturbed_one(tmp_path, tiered, most):
    run(tmp_path / "s", bowl, *TIERED, most=most)
    assert trials(run(tmp_path / "s", bowl, *TIERED)[0]) == trials(tiered)


def test_arms_have_their_own_tiers(tmp_path):
    line = ["sweep=tiered", "sweep.n_trials=24", "train.epochs=1", "executor.fuse=never", "sweep.max_tier=2"]
    study, _ = run(tmp_path / "s", bowl, *line, "optimizer=sgd,momentum", f"{UNITS}=64", f"{BATCH}=32")
    space = study.plan.arms[1].space
    assert [stage.name for stage in study.plan.stages] == ["tier1", "tier2"]
    assert [(t.arm, sorted(set(t.params) - {"optimizer"})) for t in study.ledger.of_stage("tier1")] == [
        (0, [RATE]),
        (1, [RATE, "optimizer.momentum"]),
    ] * 6
    assert isinstance(space["optimizer.momentum"], Interval)
    assert len({t.params["optimizer.momentum"] for t in study.ledger.of_stage("tier1") if t.arm}) == 1
    assert len({t.params["optimizer.momentum"] for t in study.ledger.of_stage("tier2") if t.arm}) == 6
    assert not isinstance(space[RATE], Choice)
