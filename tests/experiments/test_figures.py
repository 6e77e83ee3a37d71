"""The numbers that experiments report, on results made up so that the answer is known."""

import numpy as np
import pytest

from pipeline.experiments import quadratic
from pipeline.experiments import table as table_module
from pipeline.experiments.batch_size import noise
from pipeline.experiments.bn_batch_size import gap
from pipeline.experiments.bn_learning_rate import good_decades
from pipeline.experiments.drawing import best
from pipeline.experiments.scales import by_decade
from pipeline.experiments.softmax_boundaries import bent_share
from pipeline.experiments.table import Table, share_lower
from pipeline.search.scales import LOG, ONE_MINUS_LOG, window
from pipeline.search.space import Interval
from tests.experiments.made_up import epochs_of, finished, results
from tests.workers.jobs import config


def trial(number=0, status="completed", losses=(), metrics=None, **params):
    return finished(number, params, status, metrics, epochs_of([{"loss": loss} for loss in losses]))


RATES = np.array([1e-3, 1e-2, 1e-1, 1.0])
DECADES = [
    ([0, 0, 0, 0], 0.0),
    ([1, 1, 1, 1], 3.0),
    ([0, 1, 0, 0], 1.0),  # half of the way to each neighbour
    ([1, 0, 0, 0], 0.5),
    ([0, 1, 0, 1], 1.5),
    ([0, 0.9, 1, 0], 2.0),
]


@pytest.mark.parametrize(("scores", "decades"), DECADES)
def test_the_width_of_the_good_range(scores, decades):
    assert good_decades(RATES, np.array(scores), 0.9) == pytest.approx(decades)


def grid(n=60):
    ticks = np.linspace(-1, 1, n)
    return np.stack(np.meshgrid(ticks, ticks), axis=-1)


@pytest.mark.parametrize("n_classes", [2, 3, 6])
@pytest.mark.parametrize("seed", range(3))
def test_the_classes_of_linear_scores_are_convex(n_classes, seed):
    weights = np.random.default_rng(seed).normal(size=(2, n_classes))
    assert bent_share((grid() @ weights).argmax(-1)) <= 0.001  # cells have a size


def test_rings_are_not():
    radius = np.linalg.norm(grid(), axis=-1)
    assert bent_share((radius > 0.6).astype(int)) > 0.2


@pytest.mark.parametrize(("beta", "steps"), [(0.0, 1), (0.5, 2), (0.9, 10), (0.98, 50), (0.99, 100)])
def test_the_window_of_momentum(beta, steps):
    assert window(beta) == pytest.approx(steps)
    # what a gradient of so many steps ago still weighs beside the newest
    assert beta**steps == pytest.approx(np.exp(-1), abs=0.12) or beta == 0


def test_a_smooth_loss_has_no_noise_and_a_jumping_one_has():
    smooth = np.exp(-0.1 * np.arange(20))
    assert noise(trial(losses=smooth)) == pytest.approx(0, abs=1e-12)
    jumping = smooth * np.where(np.arange(20) % 2, 1.1, 1.0)
    assert noise(trial(losses=jumping)) == pytest.approx(2 * np.log(1.1))


@pytest.mark.parametrize(("metric", "number"), [("val_loss", 1), ("val_accuracy", 2)])
def test_the_best_trial(metric, number):
    scores = [(0.5, 0.9), (0.4, 0.8), (0.6, 0.95)]
    trials = [trial(n, metrics={"val_loss": a, "val_accuracy": b}) for n, (a, b) in enumerate(scores)]
    trials.append(trial(3, status="diverged", metrics={"val_loss": 0.1, "val_accuracy": 1.0}))
    assert best(trials, metric).number == number


@pytest.mark.parametrize(
    ("ours", "theirs", "share"),
    [
        ([1, 1], [2, 2], 1),
        ([2, 2], [1, 1], 0),
        ([1, 1], [1, 1], 0.5),
        ([1, 3], [2, 2], 0.5),
        ([1, 1, 3], [2, 2, 2], 2 / 3),
    ],
)
def test_the_share_of_pairs_in_which_one_is_lower(ours, theirs, share):
    assert share_lower(np.array(ours), np.array(theirs)) == pytest.approx(share)


ARRIVALS = [
    ([5, 1, 0.01, 0.001], 3),
    ([0.01, 0.001], 1),
    ([5, 0.001, 0.02, 0.01], 4),  # passed it once
    ([5, 1, 0.5], np.inf),
    ([0.001, 0.001, 0.02], np.inf),
    ([5, np.nan, np.nan], np.inf),
]


@pytest.mark.parametrize(("path", "epoch"), ARRIVALS)
def test_the_epoch_from_which_on_the_minimum_is_near(path, epoch):
    assert quadratic.arrival(np.array(path)) == epoch


def test_the_distance_from_the_minimum_is_the_root_of_the_cost():
    losses = [25, 4e-6, 0.0, -1e-6, None]  # rounding may leave a little less than the minimum
    cost = quadratic.Parabola(1, -10, 25)
    found = cost.distances(trial_of(losses))
    np.testing.assert_allclose(found, [5, 2e-3, cost.least, cost.least, np.nan])


@pytest.mark.parametrize(
    ("coefficients", "minimum", "text"),
    [
        ((1, -10, 25), 5, "J(W) = W² - 10 W + 25"),
        ((1, -4, 4), 2, "J(W) = W² - 4 W + 4"),
        ((2, 4, 5), -1, "J(W) = 2 W² + 4 W + 5"),  # 3 at its minimum
    ],
)
def test_a_parabola(coefficients, minimum, text):
    cost = quadratic.Parabola(*coefficients)
    a, b, c = coefficients
    ws = minimum + np.array([3.0, -0.5, 0.01])
    losses = [a * w**2 + b * w + c for w in ws]
    assert cost.minimum == minimum
    assert str(cost) == text
    np.testing.assert_allclose(cost.distances(trial_of(losses)), [3, 0.5, 0.01])


@pytest.mark.parametrize("coefficients", [(1, -10, 25), (1, -4, 4), (1, -1000, 250_000)])
def test_what_float32_tells_of_a_parabola(coefficients):
    """Weights nearer to the minimum than `least` may have its cost, those that count as away have not."""
    cost = quadratic.Parabola(*coefficients)
    a, b, c = np.array(coefficients, np.float32)
    w = np.float32(cost.minimum + cost.near)
    assert cost.near >= quadratic.NEAR
    assert (a * w + b) * w + c > cost.c - cost.b**2 / (4 * cost.a)


@pytest.mark.parametrize(
    ("weight", "lost", "said"),
    [
        (2.0, (), "J(W) = W² - 4 W + 4: all reach W = 2 within 0.01"),
        (4.0, (), "all but sgd, adam reach W = 2"),
        (2.0, ("adam",), "all but adam reach W = 2"),
    ],
)
def test_an_optimizer_that_fails_is_named(weight, lost, said):
    trials = [
        finished(
            n,
            {"optimizer": name, "optimizer.learning_rate": rate},
            "diverged" if name in lost else "completed",
            {},
            epochs_of([{"val_loss": None if name in lost else loss} for loss in (4.0, 1e-5)]),
        )
        for n, (name, rate) in enumerate((o, r) for o in ("sgd", "adam") for r in (0.1, 1.0))
    ]
    of = config({"dataset.coefficients": [1, -4, 4]})
    canvas, finding = quadratic.figure(results(trials, {}, of, lambda n, x: np.full((len(x), 1), weight)))
    assert canvas.axes[0].get_ylabel().startswith("|W - 2|")
    assert said in finding
    assert len(canvas.axes) == 2
    if not lost:
        assert "adam" in finding and "(0.1 to 1)" in finding


RATE = Interval(1e-4, 1.0, LOG)


def table(losses):
    """Trials at 1e-4, 1e-3, … with these validation losses by epoch."""
    trials = [trial_of(row, n, {"o.rate": 10.0 ** (n - 4)}) for n, row in enumerate(losses)]
    return Table(results(trials, {"o.rate": RATE}))


def test_a_draw_has_the_result_of_the_nearest_trial_on_the_scale():
    trials = table([[1.0]] * 5)
    places = trials.coordinates([{"o.rate": value} for value in (1e-4, 2e-4, 4e-4, 0.02, 0.9)])
    assert trials.nearest(places).tolist() == [0, 0, 1, 2, 4]


@pytest.mark.parametrize(
    ("losses", "lowest"),
    [
        ([0.5, 0.7, 0.3], [0.5, 0.5, 0.3]),
        ([0.5, None], [0.5, 0.5, 0.5]),  # diverged in its second epoch
        ([None], [2.0, 2.0, 2.0]),  # at once
        ([9.0, 0.1, 0.2], [2.0, 0.1, 0.1]),
    ],
)
def test_the_lowest_loss_so_far(losses, lowest):
    assert table_module.lowest(trial_of(losses), 3, worst=2.0).tolist() == lowest


def trial_of(losses, number=0, params=None):
    return finished(number, params or {}, epochs=epochs_of([{"val_loss": loss} for loss in losses]))


@pytest.mark.parametrize(
    ("drawn", "dist", "shares", "labels"),
    [
        (RATE, RATE, [0.25] * 4, ["0.0001 to 0.001", "0.001 to 0.01", "0.01 to 0.1", "0.1 to 1"]),
        (
            Interval(0.9, 0.999),
            Interval(0.9, 0.999, ONE_MINUS_LOG),
            [10 / 11, 1 / 11],
            ["0.9 to 0.99", "0.99 to 0.999"],
        ),
        (
            Interval(5e-3, 0.5),
            Interval(5e-3, 0.5, LOG),
            [1 / 99, 18 / 99, 80 / 99],
            ["0.005 to 0.01", "0.01 to 0.1", "0.1 to 0.5"],
        ),
    ],
    ids=["log", "one_minus_log", "no whole decades"],
)
def test_shares_by_decade(drawn, dist, shares, labels):
    found, named = by_decade(drawn, dist)
    assert found.tolist() == pytest.approx(shares)
    assert named == labels


def test_without_a_score_there_is_no_best_trial():
    assert best([trial(status="failed")], "val_loss") is None


def test_results_by_a_key():
    trials = [trial(n, **{"a.b": value}) for n, value in enumerate([2, 1, 2])]
    found = {value: [t.number for t in some] for value, some in results(trials).by("a.b")}
    assert list(found.items()) == [(2, [0, 2]), (1, [1])]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([(1.0, 1.1), (0.1, 0.3), (0.01, 0.2)], 0.2),  # at an epoch
        ([(1.0, 1.1), (0.01, 0.3)], 0.6),  # half of the way in the logarithm: 0.7 - 0.1
        ([(1.0, 1.1), (0.1, 0.3), (1.0, 2.0), (0.1, 0.9)], 0.2),  # the first time
        ([(0.05, 0.3), (0.01, 0.5)], 0.25),  # lower from the beginning
        ([(0.05, 0.3), (1.0, 1.1), (0.1, 0.2)], 0.1),
    ],
)
def test_the_gap_at_a_training_loss(losses, expected):
    rows = [{"probe_loss": probe, "val_loss": validation} for probe, validation in losses]
    assert gap(epochs_of(rows), 0.1) == pytest.approx(expected)
