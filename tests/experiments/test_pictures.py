"""No experiment's picture has letters that lie on others or are clipped, or a legend over its curves, at the size in
which MLflow shows it."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure

from pipeline.experiments.drawing import RATE, draw_losses, drawing, panels
from pipeline.search import scales
from pipeline.search.space import Interval
from pipeline.study.figure import frame
from pipeline.study.finished import SEED
from pipeline.targets import locate
from tests.conftest import ROOT
from tests.experiments.made_up import (
    DEPTH,
    LOG,
    MOMENTUM,
    PLACEMENT,
    SIZE,
    batches,
    by_rate,
    epochs_of,
    finished,
    judged,
    layered,
    results,
    searched,
    trial,
)
from tests.pictures import faults_of
from tests.workers.jobs import config

EXPERIMENTS = {
    path.stem: yaml.safe_load(path.read_text())["experiment"] for path in (ROOT / "conf/experiment").glob("*.yaml")
}
RATES = np.logspace(-4, 1, 13).tolist()
PLACEMENTS = ("none", "before_activation", "after_activation")
SEEDS = (0, 1, 2)


def losses(low, high=2.3, worst=None):
    """By rate: low in the middle; the last ones as large as a trial's that nearly diverged."""
    found = {rate: low + (high - low) * abs(np.log10(rate) + 1.5) / 3 for rate in RATES}
    return found | ({RATES[-2]: worst, RATES[-1]: None} if worst else {})


def seeded(key, values, *arguments):
    return results([trial({key: value, SEED: seed}, 0.9, *arguments) for value in values for seed in SEEDS])


def one_range(dist, key):
    rng = np.random.default_rng(0)
    draws = [dist.at(rng.random()) for _ in range(30)]
    return results([trial({key: v, SEED: i % 3}, 0.05 + rng.random() ** 3) for i, v in enumerate(draws)], {key: dist})


def bowl(params):
    """By epoch, lowest at a learning rate of 0.01."""
    low = 0.05 + abs(np.log10(params[RATE]) + 2) / 4
    return [low * (1 + 1 / epoch) for epoch in range(1, 11)]


def parabola():
    names = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "nadam", "lion")
    trials = []
    for number, (name, rate) in enumerate((name, rate) for name in names for rate in RATES):
        rows = [{"val_loss": 25 * np.exp(-rate * epoch)} for epoch in range(200)]
        trials.append(finished(number, {"optimizer": name, RATE: rate}, "completed", rows[-1], epochs_of(rows)))
    of = config({"dataset.coefficients": [1, -10, 25]})
    return results(trials, {}, of, lambda number, inputs: np.full((len(inputs), 1), 5.0))


def classes():
    """Softmax regression and hidden layers, whose predictions don't matter here."""
    arguments = {
        "examples_per_class": 30,
        "noise": 0.15,
        "turns": 0.5,
        "validation_fraction": 0.2,
        "test_fraction": 0.2,
    }
    trials = [trial({"dataset.n_classes": n, DEPTH: depth}, 0.9) for n in (3, 4, 5, 6) for depth in (0, 2)]
    of = config()
    of = replace(of, dataset=replace(of.dataset, target="pipeline.data.sets.planar.spirals", arguments=arguments))
    return results(trials, of=of, predict=lambda number, inputs: np.eye(3)[(inputs[:, 0] > 0).astype(int)])


MADE_UP = {
    "batch_size": lambda: seeded(SIZE, (8, 32, 128, 512, 1437), 30),
    "bn_batch_size": lambda: batches(sizes=(4, 8, 16, 32, 64, 128)),
    "bn_depth": lambda: results(
        [trial({PLACEMENT: p, DEPTH: d, RATE: 10.0**-d}, 0.9) for p in PLACEMENTS[:2] for d in (2, 5, 10, 20)]
    ),
    "bn_learning_rate": lambda: by_rate(PLACEMENT, {placement: losses(0.9, 0.1) for placement in PLACEMENTS}),
    "coarse_to_fine": lambda: searched("coarse_to_fine", bowl),
    "covariate_shift": lambda: seeded(PLACEMENT, PLACEMENTS[:2], 30, layered(1.0)),
    "decay": lambda: by_rate(
        "schedule",
        {name: losses(0.06) for name in ("constant", "inverse_time", "exponential", "staircase", "cosine")},
    ),
    "log_vs_linear": lambda: one_range(LOG, RATE),
    "momentum": lambda: by_rate(MOMENTUM, {beta: losses(0.07, worst=1e8) for beta in (0.0, 0.5, 0.9, 0.99)}),
    "one_minus_log": lambda: one_range(Interval(0.9, 0.999, scales.ONE_MINUS_LOG), MOMENTUM),
    "quadratic": parabola,
    "random_vs_grid": lambda: searched("random_vs_grid", bowl),
    "softmax_boundaries": classes,
}


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_an_experiments_picture_can_be_read_where_mlflow_shows_it(name):
    experiment = EXPERIMENTS[name]
    found = judged(MADE_UP[name](), experiment.get("above", 0), confirm=(1,))
    figure, finding = locate(experiment["figure"]["_target_"])(found)
    frame(figure, experiment["title"], finding)
    assert faults_of(figure) == []
    assert "\n" not in figure.get_suptitle()
    assert figure.get_supxlabel().count("\n") <= 2, finding


def test_a_loss_that_nearly_diverged_hides_no_minimum():
    found = by_rate(MOMENTUM, {0.9: {0.01: 0.3, 0.1: 0.06, 1.0: 1e8, 10.0: None}})
    canvas, (axis,) = panels("A")
    draw_losses(axis, found, MOMENTUM)
    low, high = axis.get_ylim()
    assert 0 < low < 0.06 and 2.3 < high <= 100 * 0.06  # 2.3 nats: chance among ten classes
    assert drawing(canvas, "found") == (canvas, "found")


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda figure, axis: axis.legend(), "lies on a panel"),
        (lambda figure, axis: axis.set_title("a title " * 20), "is clipped"),
        (lambda figure, axis: axis.set_xticks([0, 0.01], ["zero", "hundredth"]), "'zero' lies on 'hundredth'"),
        (lambda figure, axis: axis.set_xlabel("small", fontsize=4), "has letters of"),
    ],
)
def test_what_keeps_a_picture_from_being_read_is_seen(spoil, fault):
    figure = Figure(figsize=(8, 6), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], label="a line")
    assert faults_of(figure) == []
    spoil(figure, axis)
    assert any(fault in found for found in faults_of(figure))
