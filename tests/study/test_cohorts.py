"""Which trials of a stage train together."""

import itertools

import pytest

from pipeline.building import built
from pipeline.records import Conditions, Trial
from pipeline.schema import ExecutorSettings
from pipeline.study.cohorts import COHORT_SIZE, SMALLEST_SHARE, cohort_key, cohorts, conditions, populations, width
from tests.workers.jobs import VALUES, with_value

BASE = {
    "seed": 0,
    "output_dir": "outputs",
    "dataset": {"_target_": "pipeline.data.sets.planar.blobs", "spread": 0.25},
    "model": {
        "_target_": "pipeline.models.mlp.mlp",
        "hidden_units": 64,
        "hidden_layers": 2,
        "activation": "relu",
        "norm_placement": "none",
        "dropout_rate": 0.1,
        "l2": 0.0,
        "widths": ["hidden_units"],
        "head": "softmax",
        "search": {"l2": {"tier": 3, "range": "interval(0.0, 1.0)"}},
    },
    "optimizer": {"_target_": "keras.optimizers.Adam", "learning_rate": 0.001, "beta_1": 0.9, "clipnorm": None},
    "schedule": {"_target_": "pipeline.training.schedules.constant"},
    "train": {"batch_size": 32, "epochs": 20, "label_smoothing": 0.0, "early_stopping": {"patience": 10}},
    "device": {"name": "cpu", "precision": "float32"},
    "sweep": VALUES["sweep"],
    "executor": {"workers": 4},
    "tracking": {"kind": "none"},
}


def config(**changes):
    """BASE with `name=value` changed, or `group__name=value` in a group."""
    made = BASE
    for name, value in changes.items():
        group, _, key = name.partition("__")
        assert not key or key in made[group]
        made = with_value(made, name.replace("__", ".", 1), value)
    return built(made)


TOGETHER = {
    "learning rate": {"optimizer__learning_rate": 0.1},
    "beta": {"optimizer__beta_1": 0.5},
    "a clipnorm and none": {"optimizer__clipnorm": 1.0},
    "schedule": {"schedule": {"_target_": "pipeline.training.schedules.cosine", "warmup_epochs": 2}},
    "seed": {"seed": 1},
    "label smoothing": {"train__label_smoothing": 0.1},
    "patience": {"train__early_stopping": {"patience": 3}},
    "no early stopping": {"train__early_stopping": None},
    "dropout 0.1 and 0.2": {"model__dropout_rate": 0.2},
    "width": {"model__hidden_units": 256},
    "what is searched": {"model__search": {}},
    "output_dir": {"output_dir": "elsewhere"},
    "tracking": {"tracking__kind": "mlflow"},
    "executor": {"executor__workers": 1},
    "sweep": {"sweep__metric": "val_loss"},
}
APART = {
    "dropout 0 and 0.1": {"model__dropout_rate": 0.0},
    "l2 0 and 0.1": {"model__l2": 0.1},
    "hidden_layers": {"model__hidden_layers": 3},
    "a width and a list of one a layer": {"model__hidden_units": [64, 64]},
    "activation": {"model__activation": "tanh"},
    "norm_placement": {"model__norm_placement": "before_activation"},
    "widths without the key": {"model__widths": []},
    "optimizer": {"optimizer___target_": "keras.optimizers.SGD"},
    "batch size": {"train__batch_size": 64},
    "epochs": {"train__epochs": 10},
    "data": {"dataset__spread": 0.3},
    "precision": {"device__precision": "bfloat16"},
}


@pytest.mark.parametrize("changes", TOGETHER.values(), ids=TOGETHER.keys())
def test_what_is_data_to_the_graph_trains_together(changes):
    assert config(**changes) != config()
    assert cohort_key(config(**changes)) == cohort_key(config())


@pytest.mark.parametrize("changes", APART.values(), ids=APART.keys())
def test_another_graph_trains_apart(changes):
    assert cohort_key(config(**changes)) != cohort_key(config())


def test_every_kind_of_difference_has_a_key_of_its_own():
    assert len({cohort_key(config(**changes)) for changes in APART.values()}) == len(APART)


# Lists of widths: as many layers, or not.
LISTS = [([8, 16], [256, 32], True), ([8], [9], True), ([8, 16], [8, 16, 32], False), (64, None, True)]


@pytest.mark.parametrize(("one", "other", "together"), LISTS, ids=[f"{a}-{b}" for a, b, _ in LISTS])
def test_lists_of_widths_train_together_if_as_long(one, other, together):
    keys = {cohort_key(config(model__hidden_units=units)) for units in (one, other)}
    assert len(keys) == (1 if together else 2)


def test_only_the_widths_that_the_model_names_are_free():
    one, other = (config(model__hidden_units=units, model__widths=None) for units in (8, 16))
    assert cohort_key(one) != cohort_key(other)


WIDTHS = [(64, 64), ([8, 16], 128), (None, 1), ([], 1)]


@pytest.mark.parametrize(("units", "total"), WIDTHS, ids=[str(units) for units, _ in WIDTHS])
def test_width_is_the_product_of_what_widths_names(units, total):
    assert width(config(model__hidden_units=units)) == total


def test_a_model_without_widths_has_one():
    assert width(config(model__widths=None)) == 1


def alike(n, **changes):
    """`n` configs that can train together, of one width."""
    return [config(seed=seed, **changes) for seed in range(n)]


def executor(cohort_size=None):
    return ExecutorSettings(cohort_size=cohort_size)


S, C = SMALLEST_SHARE, COHORT_SIZE
# trials that can train together, workers, cohort_size -> sizes
SIZES = [
    (1, 1, None, [1]),
    (6, 4, None, [6]),
    (2 * S - 1, 2, None, [2 * S - 1]),
    (2 * S, 2, None, [S, S]),
    (2 * S, 1, None, [2 * S]),
    (2 * S, 8, None, [S, S]),
    (3 * S + 2, 3, None, [S + 1, S + 1, S]),
    (C, 1, None, [C]),
    (C + 1, 1, None, [C // 2 + 1, C // 2]),
    (2 * C, 1, None, [C, C]),
    (6, 1, 4, [3, 3]),
    (7, 1, 3, [3, 3, 1]),
    (5, 4, 1, [1, 1, 1, 1, 1]),
    (C + 1, 1, 1000, [C + 1]),
]


@pytest.mark.parametrize(("n", "workers", "most", "sizes"), SIZES, ids=[f"{n}-{w}-{m}" for n, w, m, _ in SIZES])
def test_sizes(n, workers, most, sizes):
    assert [len(cohort) for cohort in cohorts(alike(n), workers, executor(most))] == sizes


def test_what_never_fuses_is_a_job_a_trial():
    """So that every worker takes part, not one that would train them in turn."""
    assert cohorts(alike(3), 1, ExecutorSettings(fuse="never")) == [[0], [1], [2]]


def test_the_largest_comes_first_then_the_earliest():
    kinds = ["relu", "tanh", "relu", "gelu", "tanh", "tanh", "elu"]
    plain = [config(seed=i, model__activation=kind) for i, kind in enumerate(kinds)]
    assert cohorts(plain, 4, executor()) == [[1, 4, 5], [0, 2], [3], [6]]


def test_workers_are_shared_by_the_size_of_the_groups():
    """Of 4 workers, 3 for the larger kind and 1 for the smaller."""
    plain = alike(3 * S) + alike(S, model__activation="tanh")
    assert cohorts(plain, 4, executor()) == [list(range(i, i + S)) for i in range(0, 4 * S, S)]


def test_a_share_has_widths_close_to_each_other():
    units = [256, 16] * S
    plain = [config(seed=i, model__hidden_units=u) for i, u in enumerate(units)]
    found = cohorts(plain, 2, executor())
    assert [{units[place] for place in cohort} for cohort in found] == [{256}, {16}]
    assert all(cohort == sorted(cohort) for cohort in found)


def test_widths_stay_in_one_cohort_that_is_not_split():
    plain = [config(model__hidden_units=units) for units in (256, 16, 128, 32)]
    assert cohorts(plain, 8, executor()) == [[0, 1, 2, 3]]


@pytest.mark.parametrize("workers", [1, 3, 8])
@pytest.mark.parametrize("most", [None, 1, 5, 64])
def test_every_trial_is_in_one_cohort_of_trials_of_its_kind(workers, most):
    grid = itertools.product(range(7), (8, 32, 128), ("relu", "tanh"), (0.0, 0.1, 0.2))
    plain = [
        config(seed=seed, model__hidden_units=units, model__activation=activation, model__dropout_rate=rate)
        for seed, units, activation, rate in grid
    ]
    found = cohorts(plain, workers, executor(most))
    assert sorted(place for cohort in found for place in cohort) == list(range(len(plain)))
    assert all(len({cohort_key(plain[place]) for place in cohort}) == 1 for cohort in found)
    assert max(map(len, found)) <= (most or COHORT_SIZE)
    assert [len(c) for c in found] == sorted((len(c) for c in found), reverse=True)


def test_conditions_of_a_job():
    made = conditions(config(executor={"workers": 4, "xla": "never", "cohort_size": 8}))
    assert 0 < made.memory < float("inf")
    assert made == Conditions("auto", "never", 8, made.memory)


def test_nothing_to_train_is_no_cohort():
    assert cohorts([], 4, executor()) == []


def test_a_population_is_all_of_an_arm_however_many():
    trials = [Trial(number, "s", number % 2, {}) for number in range(4 * COHORT_SIZE)]
    assert populations(trials) == [list(range(arm, 4 * COHORT_SIZE, 2)) for arm in (0, 1)]
