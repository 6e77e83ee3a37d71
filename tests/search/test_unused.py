"""What is typed for a sweep and can't apply to it: the line that refuses it; what applies is silent."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.errors import InputError
from pipeline.search.planning import make_plan
from pipeline.search.unused import check_typed, without_effect
from tests.conftest import composed

AROUND = "is for stages that search around the best of the one before, as in sweep=coarse_to_fine."
AGAIN = "is for stages that search again what the one before did, as in sweep=coarse_to_fine."
OTHER_SEEDS = "is for trials that train again with other seeds: add sweep.replicates=3."
POPULATIONS = "is for populations: sweep=population."
HALVING = "is for halving: add sweep.halving.min_epochs=2."
GRIDS = "is for grids, sweep=grid: this sweep's sampler does not read it."


def checked(*lines):
    """The plan of a command that is not refused."""
    overrides = OverridesParser.create().parse_overrides(["dataset=blobs", *lines])
    plan = make_plan(overrides, lambda words: composed(*words), lambda override: ["adam", "sgd"])
    check_typed(overrides, plan)
    return plan


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["sweep.stop_seeds=3"], AGAIN),
        (["sweep.points=3"], GRIDS),
        (["sweep=tpe", "sweep.points=3"], GRIDS),
        (["sweep.keep=0.5"], AROUND),
        (["++sweep.keep=0.5"], AROUND),
        (["sweep=halving", "sweep.margin=0.2"], AROUND),
        (["sweep=hyperband", "sweep.keep=0.5"], AROUND),
        (["sweep=tiered", "sweep.max_tier=1", "sweep.keep=0.5"], AROUND),  # one stage is left
        (["sweep=tiered", "sweep.stop_seeds=3"], AGAIN),  # each stage frees a key more
        (["sweep=coarse_to_fine", "~sweep.stages.medium", "sweep.stages.fine.refine=false", "sweep.keep=0.5"], AROUND),
        (["sweep.finalists=3"], OTHER_SEEDS),
        (["sweep.halving.factor=2"], HALVING),
        (["sweep.halving={factor:2}"], HALVING),
        (["sweep.population.step=0.2"], POPULATIONS),
        (["sweep=tiered", "sweep.stages.tier4.epochs=3"], "does not apply: stage tier4 has nothing more to search"),
        (["sweep=hyperband", "sweep.stages.hyperband.n_trials=9"], "does not apply to brackets"),
        (["optimizer=adam,sgd", "sweep.keep=0.5"], AROUND),
    ],
)
def test_what_can_not_apply_is_refused(lines, why):
    with pytest.raises(InputError) as error:
        checked(*lines)
    shown = lines[-1].lstrip("+").replace("={factor:2}", ".factor=2")
    assert str(error.value).startswith(f"{shown} {why}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "lines",
    [
        ["sweep.keep=null", "sweep.stop_seeds=null", "sweep.points=null"],  # nothing is asked
        ["sweep=grid", "sweep.points=3", "sweep.max_tier=1"],
        ["sweep=coarse_to_fine", "sweep.keep=0.5", "sweep.margin=0.2", "sweep.stop_seeds=2"],
        ["sweep=tiered", "sweep.keep=0.5", "sweep.stages.tier3.epochs=3"],
        ["sweep=tiered", "sweep.stages.tier2.tiers=1", "sweep.stop_seeds=3"],  # searched again
        ["sweep.replicates=2", "sweep.finalists=3"],
        ["sweep.halving.min_epochs=2", "sweep.halving.factor=2"],
        ["sweep=population", "sweep.population.step=0.2"],
        ["sweep=hyperband", "sweep.stages.hyperband.epochs=9"],
        ["sweep.keep=0.5", "model.dropout_rate=${sweep.keep}"],  # taken from it, as an own sampler's argument may be
        ["sweep.n_trials=5", "sweep.max_tier=3", "sweep.keep_models=2", "sweep.budget=10min", "sweep.dry_run=true"],
    ],
)
def test_what_applies_is_not(lines):
    checked(*lines)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], []),
        (["sweep=halving"], []),
        (["sweep=halving", "sweep.stages.halving.epochs=3"], ["no trial is stopped early: sweep.halving.min_epochs=3"]),
        (["sweep.halving.min_epochs=20"], ["no trial is stopped early: sweep.halving.min_epochs=20, of 20 epochs"]),
        (["sweep=population"], []),
        (["sweep=population", "sweep.population.every=40"], ["no trial copies another one: sweep.population.every=40"]),
        (["sweep=tpe"], []),
        (["sweep=tpe", "sweep.n_trials=10"], ["nothing is learned from any trial: all 10 are asked at once"]),
        (["sweep=tpe", "sweep.generation=64"], ["nothing is learned from any trial: all 64 are asked at once"]),
    ],
)
def test_a_sweep_that_does_not_do_what_it_is_for_says_so(lines, said):
    notes = without_effect(checked(*lines))
    assert [note.startswith(start) for note, start in zip(notes, said, strict=True)] == [True] * len(said)
