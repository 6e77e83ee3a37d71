"""What findings claim, and what figures do with trials that diverged or a sweep that they can't draw."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from pipeline.errors import InputError
from pipeline.experiments import (
    batch_size,
    bn_batch_size,
    bn_depth,
    bn_learning_rate,
    coarse_to_fine,
    covariate_shift,
    decay,
    momentum,
    quadratic,
    random_vs_grid,
    scales,
    softmax_boundaries,
)
from pipeline.experiments.drawing import RATE
from pipeline.experiments.evidence import NOT_SHOWN
from pipeline.experiments.table import Table
from pipeline.search import scales as scales_of_ranges
from pipeline.search.space import Choice, Interval
from pipeline.study.finished import SEED
from pipeline.training.diagnostics.diagnosis import PROBE
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
from tests.workers.jobs import config

RATES = (0.01, 0.1, 1.0)
RANGES = {RATE: LOG}


def rates(*scores):
    return dict(zip(RATES, scores, strict=True))


RISING = rates(0.1, 0.5, 0.9)


def placed(without, with_norm):
    return by_rate(PLACEMENT, {"none": without, "before_activation": with_norm})


def shifted(without, with_norm):
    pairs = (("none", without), ("before_activation", with_norm))
    rows = [(seed, name, shift) for seed in (0, 1) for name, shift in pairs]
    return results([trial({PLACEMENT: name, SEED: seed}, 0.9, 2, layered(shift)) for seed, name, shift in rows])


def timed(small, large):
    """Batches of 8 and 128, whose quickest epochs take so long; the loss jumps with those of 8, with both seeds."""
    trials = []
    for seed in (0, 1):
        for size, seconds, jump in ((8, small, 1.1), (128, large, 1.0)):
            rows = [{"loss": 0.9**i * jump ** (i % 2)} for i in range(10)]
            epochs = [*epochs_of(rows[:-1], seconds=9.0), *epochs_of(rows[-1:], seconds=seconds)]
            trials.append(finished(0, {SIZE: size, SEED: seed}, "completed", rows[-1], epochs))
    return results(trials)


def deep(without, with_norm):
    scores = {"none": {2: 0.9, 20: without}, "before_activation": {2: 0.9, 20: with_norm}}
    rows = [(p, depth, score) for p, row in scores.items() for depth, score in row.items()]
    return results([trial({SEED: seed, PLACEMENT: p, DEPTH: d, RATE: 0.1}, s) for seed in (0, 1) for p, d, s in rows])


@pytest.mark.parametrize(
    ("module", "found", "shows"),
    [
        (bn_learning_rate, placed(rates(0.1, 0.9, 0.1), rates(0.9, 0.9, 0.9)), True),
        (bn_learning_rate, placed(rates(0.1, None, 0.9), rates(0.9, 0.9, 0.9)), True),
        (bn_learning_rate, placed(rates(0.9, 0.9, 0.9), rates(0.9, None, 0.9)), False),
        (bn_depth, deep(0.2, 0.8), True),
        (bn_depth, deep(None, 0.8), True),
        (bn_depth, deep(0.8, 0.82), False),
        (bn_depth, deep(0.8, None), False),
        (decay, by_rate("schedule", {"constant": rates(0.3, 0.2, 0.4), "cosine": rates(0.3, 0.1, None)}), True),
        (decay, by_rate("schedule", {"constant": rates(0.3, 0.2, 0.4), "cosine": rates(0.3, 0.2, 0.4)}), False),
        (decay, by_rate("schedule", {"cosine": rates(0.3, 0.2, 0.4), "constant": rates(None, None, None)}), None),
        (momentum, by_rate(MOMENTUM, {0.0: rates(0.3, 0.2, 0.1), 0.9: rates(0.1, 0.2, 0.3)}), True),
        (momentum, by_rate(MOMENTUM, {0.0: rates(0.3, 0.1, 0.2), 0.9: rates(0.3, 0.1, 0.2)}), False),
        (momentum, by_rate(MOMENTUM, {0.0: rates(0.3, 0.1, 0.2), 0.9: rates(None, None, None)}), None),
        (batch_size, timed(0.2, 0.1), True),
        (batch_size, timed(0.1, 0.2), False),
        (covariate_shift, shifted(1.0, 0.1), True),
        (covariate_shift, shifted(0.1, 1.0), False),
    ],
)
def test_a_finding_says_whether_its_claim_shows(module, found, shows):
    of = yaml.safe_load((ROOT / f"conf/experiment/{module.__name__.rsplit('.', 1)[1]}.yaml").read_text())
    _, finding = module.figure(judged(found, of["experiment"]["above"]))
    assert finding.endswith(". No other seeds confirm it.")
    assert finding.count(NOT_SHOWN) == (shows is False)
    assert ("Nothing to compare." in finding) == (shows is None)
    assert "can't be told" not in finding and "nan" not in finding


def bent(*shares):
    """Softmax regression, straight, and hidden layers whose classes have an angle, with seeds 0 and 1."""
    arguments = {"examples_per_class": 5, "noise": 0.1, "turns": 0.5, "validation_fraction": 0.2, "test_fraction": 0.2}
    of = config()
    of = replace(of, dataset=replace(of.dataset, target="pipeline.data.sets.planar.spirals", arguments=arguments))
    rows = [({"dataset.n_classes": 3, DEPTH: depth, SEED: seed}, depth) for seed in (0, 1) for depth in (0, 2)]
    trials = [trial(params, 0.9, number=shares[depth > 0]) for params, depth in rows]
    corner = np.eye(3)
    return results(trials, of=of, predict=lambda n, x: corner[((x[:, 0] > 0) & ((x[:, 1] > 0) | (n == 0))).astype(int)])


def drawn(score):
    return results([trial({RATE: rate, SEED: seed}, score) for seed in (0, 1) for rate in RATES], RANGES)


@pytest.mark.parametrize(
    ("module", "first", "other"),
    [
        (bn_learning_rate, placed(rates(0.1, 0.9, 0.1), rates(0.9, 0.9, 0.9)), placed(rates(0.9, 0.9, 0.9), RISING)),
        (bn_depth, deep(0.2, 0.8), deep(0.6, 0.7)),
        (decay, *(by_rate("schedule", {"constant": RISING, "cosine": rates(0.3, low, 0.4)}) for low in (0.1, 0.2))),
        (momentum, *(by_rate(MOMENTUM, {0.0: RISING, 0.9: row}) for row in (RISING, rates(0.9, 0.5, 0.1)))),
        (batch_size, timed(0.2, 0.1), timed(0.7, 0.1)),
        (covariate_shift, shifted(1.0, 0.1), shifted(5.0, 0.2)),
        (bn_batch_size, batches(), batches(noise=0.7)),
        (softmax_boundaries, bent(0, 1), bent(1, 1)),
        (scales, drawn(0.3), drawn(0.9)),
    ],
)
def test_seeds_that_confirm_change_no_figure_but_their_own(module, first, other):
    confirm = [replace(t, params={**t.params, SEED: t.params[SEED] + 2}) for t in other.trials]
    both = replace(first, trials=[*first.trials, *confirm])
    (_, alone), (_, together) = (module.figure(judged(found, confirm=(2, 3))) for found in (first, both))
    assert together.startswith(alone.removesuffix("No other seeds confirm it.") + "Other seeds: ")
    if module is not scales:  # where either search is as good as the other
        assert alone != module.figure(judged(other))[1]


def test_diverged_trials_are_said():
    _, finding = momentum.figure(by_rate(MOMENTUM, {0.0: rates(0.3, 0.2, 0.1), 0.99: rates(None, None, None)}))
    assert "β 0.99 none, every rate diverged" in finding
    _, finding = bn_depth.figure(deep(None, 0.8))
    assert "with 20 hidden layers at the best rate: without batch norm diverged, batch norm before" in finding
    sizes = [trial({SIZE: size}, score) for size, score in ((8, 0.3), (32, None), (128, 0.3))]
    _, finding = batch_size.figure(results(sizes))
    assert finding.endswith("Left out, since trials failed: 32.")


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ((), "Batches of 4 and 16"),
        ((("none", 8, 1),), "Batches of 4 and 16"),
        ((("before_activation", 4, 1),), "Batches of 4 and 16"),
        ((("none", 4, 0), ("none", 4, 1)), "Batches of 8 and 16"),
    ],
)
def test_a_diverged_trial_costs_its_cell(lost, said):
    canvas, finding = bn_batch_size.figure(batches(*lost))
    assert said in finding and "nan" not in finding
    assert ("Left out, since trials failed: 4." in finding) == ("of 8" in said)
    assert "probe loss" in canvas.axes[1].get_ylabel()
    assert bn_batch_size.PROBE == PROBE


def cut(experiment):
    """All trials of it but the last."""
    found = searched(experiment, lambda params: [0.1])
    return replace(found, trials=found.trials[:-1])


ROW = trial({RATE: 0.1}, 0.9)
LINEAR = config({"model.hidden_layers": 2, "model.activation": "linear"})
BLIND = [trial({PLACEMENT: p, SIZE: 4}, 0.9) for p in ("none", "before_activation")]
BARE = {epoch: {"dense": {"weight_norm": 1.0}} for epoch in range(3)}
PLACED = [trial({PLACEMENT: p, SEED: 0, SIZE: s}, 0.9, 2, BARE) for p in ("none", "before_activation") for s in (4, 8)]


@pytest.mark.parametrize(
    ("module", "found", "message"),
    [
        (scales, results([ROW], {RATE: Choice((0.1, 0.2))}), "optimizer.learning_rate=choice(0.1, 0.2) has no scale"),
        (scales, results([ROW], {RATE: Interval(0, 1)}), "optimizer.learning_rate=interval(0, 1) must have a scale"),
        (scales, results([ROW], {RATE: Interval(0.1, 0.1, scales_of_ranges.LOG)}), "has no scale"),
        (scales, results([ROW], {RATE: LOG, "optimizer.beta_1": LOG}), "It must be 1 range: pin the others."),
        (scales, results([trial({RATE: 0.1})], RANGES), "no trial has a validation loss"),
        (random_vs_grid, cut("random_vs_grid"), "327 trials of a seed: a grid and random search"),
        (coarse_to_fine, cut("coarse_to_fine"), "179 trials of a seed: all searches of one take 180"),
        (decay, results([trial({"schedule": "constant", RATE: 0.1}, 0.9, 1)]), "train.epochs=1 must be at least 2"),
        (decay, results([trial({"schedule": "cosine", RATE: 0.1}, 0.9)]), "schedule=cosine lacks 'constant'"),
        (batch_size, results([trial({SIZE: 8}, 0.9, 2)]), "train.epochs=2 must be at least 5"),
        (covariate_shift, results(BLIND), "train.diagnostics=false"),
        (covariate_shift, results([trial({PLACEMENT: "none"}, 0.9)]), "lacks 'before_activation'"),
        (covariate_shift, results(PLACED, of=LINEAR), "model.activation=linear"),
        (bn_batch_size, results(PLACED, of=LINEAR), "model.activation=linear"),
        (bn_batch_size, results(BLIND), "train.diagnostics=false"),
        (bn_batch_size, batches(("none", 4, 0), ("none", 4, 1), sizes=(4, 8)), "train.batch_size=4,8"),
        (bn_depth, results([trial({PLACEMENT: "after_activation", DEPTH: 2, RATE: 0.1}, 0.9)]), "lacks 'none'"),
        (bn_learning_rate, results([trial({PLACEMENT: "after_activation", RATE: 0.1}, 0.9)]), "lacks 'none'"),
        (
            softmax_boundaries,
            results([trial({"dataset.n_classes": 8, DEPTH: 0}, 0.9)]),
            "n_classes=8 must be at most 6",
        ),
        (quadratic, results([trial({"dataset.coefficients": [1, 2, 3]}, 0.9)]), "dataset.coefficients has several"),
    ],
)
def test_a_sweep_that_a_figure_cant_draw_is_said_by_the_key(module, found, message):
    with pytest.raises(InputError) as raised:
        module.figure(found)
    assert message in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_trial_without_an_epoch_is_no_row_of_a_table():
    found = Table(results([ROW, finished(1, {RATE: 0.2}, "failed")], RANGES))
    assert [params[RATE] for params in found.params] == [0.1]
