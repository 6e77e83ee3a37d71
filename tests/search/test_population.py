"""What a sweep of populations may search, and what it is told of the rest: tables of command lines."""

import pytest

from pipeline.errors import InputError
from tests.search.test_plan import hydra, plan_of  # noqa: F401  the fixture is for every test here

RATE = "optimizer.learning_rate"
UNSEARCHED = "not searched in a population, whose trials copy each other's weights: "
PATIENCE = "train.early_stopping does not apply to a population: who falls behind copies another one"

# command line -> what each arm searches, what is not searched
SEARCHED = [
    ([], [[RATE]], "model.hidden_units, train.batch_size"),
    (["sweep.max_tier=1"], [[RATE]], ""),
    (
        ["sweep.max_tier=4"],
        [["model.dropout_rate", "model.l2", RATE, *(f"optimizer.{key}" for key in ("beta_1", "beta_2", "epsilon"))]],
        "model.hidden_units, model.hidden_layers, train.batch_size",
    ),
    (["sweep.max_tier=1", "schedule=cosine", "schedule.final_fraction=interval(0.0,0.2)"],
     [[RATE, "schedule.final_fraction"]], ""),
    (["sweep.max_tier=1", "train.label_smoothing=interval(0.0,0.2)"], [[RATE, "train.label_smoothing"]], ""),
    (["sweep.max_tier=1", "model.dropout_rate=choice(0,0.25)"], [[RATE, "model.dropout_rate"]], ""),
    (["sweep.max_tier=1", "optimizer.weight_decay=choice(null,1e-4)"], [[RATE, "optimizer.weight_decay"]], ""),
    (["optimizer=adam,momentum", "model.hidden_units=8,16", "train.batch_size=64"],
     [[RATE], [RATE], [RATE, "optimizer.momentum"], [RATE, "optimizer.momentum"]], ""),
]  # fmt: skip


@pytest.mark.parametrize(("line", "arms", "unsearched"), SEARCHED, ids=[" ".join(line) for line, *_ in SEARCHED])
def test_what_can_change_is_searched_and_the_rest_stays(line, arms, unsearched):
    plan = plan_of("sweep=population", *line)
    assert [list(arm.space) for arm in plan.arms] == arms
    assert list(plan.notes) == [*([UNSEARCHED + unsearched] if unsearched else []), PATIENCE]
    assert plan.evolves


def test_arms_whose_spaces_are_small_are_small_populations():
    line = ["sweep=population", "optimizer=sgd,momentum", f"{RATE}=choice(0.1,0.01)", "sweep.max_tier=1"]
    plan = plan_of(*line, "sweep.population.every=2")
    small = [
        f"a population of 2 trials with optimizer={name}: its space has no more that differ"
        for name in ("sgd", "momentum")
    ]
    assert [*plan.notes] == [PATIENCE, *small]
    assert [*plan_of(*line, "sweep.n_trials=4").notes] == [PATIENCE]


COPY = "the trials of a population copy each other's weights, and can't differ in it."
REFUSED = {
    "train.batch_size=choice(16,32)": f"train.batch_size=choice(16, 32): {COPY}\nPin it, train.batch_size=VALUE, or "
    "compare values as arms, each a population: train.batch_size=A,B.",
    "model.hidden_units=int(interval(4,8))": COPY,
    "model.hidden_layers=choice(1,2)": COPY,
    "model.activation=choice(relu,tanh)": COPY,
    "model.norm_placement=choice(none,before_activation)": COPY,
    "seed=choice(1,2)": COPY,
    "train.epochs=choice(2,4) sweep.stages.population.epochs=null": COPY,
    "train.early_stopping.patience=choice(1,2)": COPY,
    "optimizer=adagrad optimizer.initial_accumulator_value=interval(0.1,0.2)": COPY,
    "executor.fuse=never": "a population is one computation; drop executor.fuse=never.",
    "sweep.start_from=other": "a population begins at points that are drawn; drop sweep.start_from.",
    "sweep.replicates=3": "a trial has followed a schedule, which other seeds would not; drop sweep.replicates.",
    "sweep.n_trials=null sweep.budget=1min": "a population is whole from its beginning; sweep.budget=1min also needs "
    "sweep.n_trials.",
    "sweep=tpe sweep.population.every=2": "pipeline.search.samplers.tpe.Tpe waits for results; use another sampler.",
    "executor.cohort_size=8": "executor.cohort_size must be at least its 24 trials.",
    "device.name=multi_gpu": "device=multi_gpu splits each model instead.",
    "sweep.n_trials=1": "a population has at least 2 trials; sweep.n_trials=1 must be at least 2.",
    "sweep.n_trials=3 optimizer=adam,sgd": "a population has at least 2 trials; sweep.n_trials=3 must be at least 4.",
    "sweep.max_tier=0": "a population has at least 2 different trials, and there is only 1: search a range",
    f"sweep.max_tier=0 {RATE}=choice(0.1) model.norm_placement=none,before_activation": "only 1 with "
    "model.norm_placement=none: search",
    "sweep.halving.min_epochs=2": "its trials can't be halved, too; add sweep.halving.min_epochs=null.",
    "schedule.warmup_epochs='${optimizer.learning_rate}'": "schedule.warmup_epochs follows from "
    "optimizer.learning_rate, which changes while a population trains: pin one.",
    "sweep.population.fraction=0.6": "sweep.population.fraction=0.6 must be a number above 0 and at most 0.5.",
    "sweep.population.every=0": "sweep.population.every=0 must be a whole number at least 1 or null.",
    "sweep.population.step=0": "sweep.population.step=0.0 must be a number above 0 and at most 1.",
    "sweep.population.resample=1.5": "sweep.population.resample=1.5 must be a number at least 0 and at most 1.",
}  # fmt: skip


@pytest.mark.parametrize(("line", "message"), REFUSED.items(), ids=REFUSED)
def test_what_can_t_be_a_population_is_refused(line, message):
    with pytest.raises(InputError) as error:
        plan_of(*([] if line.startswith("sweep=") else ["sweep=population"]), *line.split())
    assert message in str(error.value)
    assert str(error.value).count("\n") <= 1


def test_a_sweep_without_a_period_is_none():
    assert not plan_of("sweep.population.every=null").evolves
    assert not plan_of().evolves


def test_it_has_one_stage():
    with pytest.raises(InputError, match="a population has one stage; drop the others"):
        plan_of("sweep=coarse_to_fine", "sweep.population.every=2")
