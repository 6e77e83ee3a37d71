"""The samplers that experiments bring along: which trials are asked for, and what is refused."""

from collections import Counter

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.experiments.coarse_to_fine import CoarseToFine, Factors
from pipeline.experiments.drawing import RATE
from pipeline.experiments.random_vs_grid import GridBesideRandom, grid_places, layout
from pipeline.search.samplers.sampler import Outcome, Search
from pipeline.search.scales import LOG, ONE_MINUS_LOG
from pipeline.search.space import Choice, Interval

SPACE = {RATE: Interval(1e-4, 1.0, LOG), "momentum": Interval(0.9, 0.999, ONE_MINUS_LOG), "l2": Interval(0.0, 1.0)}
REST = {RATE: 0.01, "momentum": 0.99, "l2": 0.25}
ZOOM = {"coarse_epochs": 1, "keep": 0.25, "margin": 0.1}


def search(space=SPACE, seeds=(0,), n_trials=None):
    return Search((space,) * len(seeds), seeds, 0, n_trials)


def test_grids_are_put_down_everywhere():
    places = grid_places(5, np.array([0.5, 0.0]))
    assert places.shape == (25, 2)
    np.testing.assert_allclose(np.unique(places[:, 0].round(9)), [0.1, 0.3, 0.5, 0.7, 0.9])
    np.testing.assert_allclose(np.unique(places[:, 1].round(9)), [0, 0.2, 0.4, 0.6, 0.8])


def test_a_grid_has_few_values_of_each_and_random_search_beside_it_as_many_as_trials():
    sampler = GridBesideRandom(search(seeds=(0, 1)), sides=[3, 2], rest=REST)
    points = sampler.ask(1000)
    assert len(points) == sampler.total() == 2 * len(layout([3, 2])) == 2 * 2 * (9 + 8)
    assert [point.arm for point in points] == [0, 1] * (len(points) // 2)  # a sweep cut short has compared them
    of_seed = [point.coordinates for point in points if point.arm == 0]
    for (n, kind), values in {(2, "grid"): 3, (2, "random"): 9, (3, "grid"): 2, (3, "random"): 8}.items():
        own = [at for at, place in zip(of_seed, layout([3, 2]), strict=True) if place == (n, kind)]
        searched = list(SPACE)[:n]
        assert [len({round(at[key], 9) for at in own}) for key in searched] == [values] * n
        assert {at[key] for at in own for key in SPACE if key not in searched} == ({0.25} if n == 2 else set())


def outcomes(points):
    """The nearer to a learning rate of 1e-3, the better."""
    return [
        Outcome(point.arm, point.coordinates, "completed", -1.0, (-abs(point.coordinates[RATE] + 3), 0.0))
        for point in points
    ]


def test_the_fine_trials_of_each_search_lie_around_its_best_coarse_ones():
    factors = Factors([2, 4], [4, 8])
    sampler = CoarseToFine(search(seeds=(0, 1)), widths=[2, 4], budgets=[4, 8], **ZOOM)
    coarse = sampler.ask(sampler.generation)
    assert Counter(point.arm for point in coarse) == {0: 16, 1: 16}
    sampler.tell(outcomes(coarse))
    fine = sampler.ask(sampler.generation)
    assert len(coarse) + len(fine) == sampler.total() == 2 * factors.of_seed()
    for arm in (0, 1):
        own = [point for point in (*coarse, *fine) if point.arm == arm]
        rates = np.array([point.coordinates[RATE] for point in own])
        for (width, budget), draws, zoomed in factors.searches():
            assert (draws.stop - draws.start, zoomed.stop - zoomed.start) == (budget, budget // 2)
            assert np.abs(rates[draws] + 2).max() <= width / 2  # around the middle of four decades
            best = rates[draws][np.argsort(np.abs(rates[draws] + 3))[: max(2, budget // 4)]]
            margin = 0.1 * np.ptp(best) + 1e-9
            assert best.min() - margin <= rates[zoomed].min() and rates[zoomed].max() <= best.max() + margin


def test_a_resumed_sweep_is_given_the_same_points():
    asked = []
    for _ in range(2):
        sampler = CoarseToFine(search(seeds=(3,)), widths=[2, 4], budgets=[4, 8], **ZOOM)
        first = sampler.ask(sampler.generation)
        sampler.tell(outcomes(first))
        asked.append([*first, *sampler.ask(sampler.generation)])
    assert asked[0] == asked[1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GridBesideRandom(search(), sides=[2, 2, 2], rest=REST), "sweep.sampler.sides fewer numbers than keys"),
        (lambda: GridBesideRandom(search(), sides=[2], rest={RATE: 0.1, "x": 1}), "a value of each searched key"),
        (lambda: GridBesideRandom(search(n_trials=7), sides=[2], rest=REST).total(), "n_trials=7 must be null or 8"),
        (
            lambda: CoarseToFine(search(), widths=[5], budgets=[4], **ZOOM),
            "spans 4 decades; sweep.sampler.widths has 5",
        ),
        (lambda: CoarseToFine(search({RATE: Choice((1, 2))}), widths=[1], budgets=[4], **ZOOM), "must be a range"),
        (lambda: CoarseToFine(search(n_trials=5), widths=[1], budgets=[4], **ZOOM).total(), "must be null or 6"),
    ],
)
def test_what_the_searches_cannot_be_made_of_is_said(make, message):
    with pytest.raises(InputError) as raised:
        make()
    assert message in str(raised.value)
