"""Which stages a sweep by tiers has, and what each of them searches."""

import re

import pytest

from pipeline.errors import InputError
from tests.study.stubbed import plan_of

RATE, UNITS, BATCH, BETA = "optimizer.learning_rate", "model.hidden_units", "train.batch_size", "optimizer.beta_1"
LAYERS, DROPOUT, L2 = "model.hidden_layers", "model.dropout_rate", "model.l2"
THIRD = [LAYERS, DROPOUT, L2]
FOURTH = ["optimizer.beta_1", "optimizer.beta_2", "optimizer.epsilon"]

# command line -> what each stage searches, and the stages that are said to be left out
STAGES = [
    ([], {"tier1": [RATE], "tier2": [UNITS, RATE, BATCH], "tier3": [UNITS, *THIRD, RATE, BATCH]}, ()),
    (["sweep.max_tier=1"], {"tier1": [RATE]}, ()),
    (["sweep.max_tier=2"], {"tier1": [RATE], "tier2": [UNITS, RATE, BATCH]}, ()),
    # typed: a key belongs to its own tier, an undeclared one to the first
    (
        ["sweep.max_tier=1", f"{BETA}=interval(0.5,0.9)"],
        {"tier1": [RATE], "tier4": [RATE, BETA]},
        (),  # nobody asked for more than tier 1
    ),
    (["sweep.max_tier=1", "model.activation=choice(relu,tanh)"], {"tier1": [RATE, "model.activation"]}, ()),
    (
        ["model=softmax_regression"],
        {"tier1": [RATE], "tier2": [RATE, BATCH]},
        ("tier3",),
    ),
    (
        [f"{RATE}=0.1"],
        {"tier2": [UNITS, BATCH], "tier3": [UNITS, *THIRD, BATCH]},
        ("tier1",),
    ),
    (["sweep.max_tier=0"], {"tier1": []}, ()),
    # a second round in the same tier, and a control
    (["sweep.max_tier=1", "sweep.stages.tier2.tiers=1"], {"tier1": [RATE], "tier2": [RATE]}, ()),
    (
        ["sweep.max_tier=2", f"{UNITS}=8", f"{BATCH}=8", "sweep.stages.tier3.tiers=2"],
        {"tier1": [RATE]},
        ("tier2", "tier3"),
    ),
    (
        ["sweep.max_tier=1", "sweep.stages.tier4.tiers=null", "sweep.stages.tier4.refine=false"],
        {"tier1": [RATE], "tier4": [RATE]},
        (),
    ),
    (
        ["sweep=coarse_to_fine", "sweep.max_tier=1", "sweep.stages.coarse.tiers=1", "sweep.stages.medium.tiers=1"],
        {"coarse": [RATE], "medium": [RATE], "fine": [RATE]},
        (),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "stages", "notes"), STAGES)
def test_each_stage_frees_a_tier(lines, stages, notes):
    plan = plan_of(*([] if "sweep=coarse_to_fine" in lines else ["sweep=tiered"]), *lines)
    assert {stage.name: list(*map(list, plan.free(stage))) for stage in plan.stages} == stages
    said = [f"stage {name} is left out: there is nothing to search in tier" for name in notes]
    assert [note.rpartition(" ")[0] for note in plan.notes if "left out" in note] == said
    assert sum(stage.n_trials for stage in plan.stages) == 36


def test_the_fourth_tier_is_there_for_whoever_asks():
    plan = plan_of("sweep=tiered", "sweep.max_tier=4")
    assert set(plan.free(plan.stages[3])[0]) - set(plan.free(plan.stages[2])[0]) == set(FOURTH)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["sweep.stages.tier3.tiers=1"], "sweep.stages.tier3.tiers=1 is less than 2, which stage tier2 has searched."),
        (["sweep.stages.tier1.tiers=null"], "sweep.stages.tier2.tiers=2 is less than 4, which stage tier1 has"),
        (["sweep.stages.tier1.tiers=5"], "sweep.stages.tier1.tiers=5 must be a whole number at least 1 and at most 4"),
        (["sweep.max_tier=5"], "sweep.max_tier=5 must be"),
        (["sweep.keep=null"], "a sweep of several stages needs sweep.keep and sweep.margin."),
        (["sweep.n_trials=2"], "sweep.n_trials=2 is the total of all stages (tier1, tier2, tier3)"),
    ],
)
def test_what_makes_no_sense_is_refused(lines, message):
    with pytest.raises(InputError, match=re.escape(message)):
        plan_of("sweep=tiered", *lines)
