"""Hyperband's brackets: table 1 of Li et al. 2018, and its proportion for any number of trials."""

import itertools

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.errors import InputError
from pipeline.search.hyperband import brackets
from pipeline.search.planning import make_plan
from tests.conftest import composed


@pytest.mark.parametrize(
    ("epochs", "least", "factor", "expected"),
    [
        (81, 1, 3, [(81, (1, 3, 9, 27)), (34, (3, 9, 27)), (15, (9, 27)), (8, (27,)), (5, ())]),
        (27, 1, 3, [(27, (1, 3, 9)), (12, (3, 9)), (6, (9,)), (4, ())]),
        (20, 1, 3, [(9, (2, 7)), (5, (7,)), (3, ())]),
        (16, 4, 4, [(4, (4,)), (2, ())]),
        (8, 1, 2, [(8, (1, 2, 4)), (6, (2, 4)), (4, (4,)), (4, ())]),
        (5, 3, 3, [(1, ())]),
    ],
)
def test_the_papers_numbers(epochs, least, factor, expected):
    assert [(b.n_trials, b.rungs) for b in brackets(epochs, least, factor, None)] == expected


@pytest.mark.parametrize("n_trials", [4, 5, 49, 50, 98, 1000])
def test_any_number_of_trials_is_shared_in_the_papers_proportion(n_trials):
    made = brackets(27, 1, 3, n_trials)
    assert sum(b.n_trials for b in made) == n_trials
    for bracket, size in zip(made, (27, 12, 6, 4), strict=True):
        assert bracket.n_trials >= 1
        assert abs(bracket.n_trials - n_trials * size / 49) <= 3
    if n_trials % 49 == 0:
        assert [b.n_trials for b in made] == sorted((b.n_trials for b in made), reverse=True)


def test_a_number_that_grows_takes_no_trial_from_a_bracket():
    shares = [[b.n_trials for b in brackets(27, 1, 3, n)] for n in range(4, 300)]
    for n, (before, after) in enumerate(itertools.pairwise(shares), start=5):
        assert sum(after) == n
        assert sum(new - old for old, new in zip(before, after, strict=True)) == 1
        assert all(new >= old for old, new in zip(before, after, strict=True))
    assert shares[49 - 4] == [27, 12, 6, 4]  # the paper's own


def test_fewer_trials_than_brackets_are_refused():
    with pytest.raises(InputError, match=r"sweep.n_trials=3 must be at least 4: hyperband has as many brackets"):
        brackets(27, 1, 3, 3)


def plan_of(*lines):
    own = ["dataset=blobs", *([] if "sweep=coarse_to_fine" in lines else ["sweep=hyperband"])]
    overrides = OverridesParser.create().parse_overrides([*own, *lines])
    return make_plan(overrides, lambda words: composed(*words), lambda override: [])


def test_each_bracket_is_a_stage_of_its_own_in_the_whole_space():
    plan = plan_of("sweep.n_trials=null")
    assert [(s.name, s.n_trials, plan.epochs(s), plan.rungs(s)) for s in plan.stages] == [
        ("bracket_3", 27, 27, [1, 3, 9]),
        ("bracket_2", 12, 27, [3, 9]),
        ("bracket_1", 6, 27, [9]),
        ("bracket_0", 4, 27, []),
    ]
    assert not any(stage.refine for stage in plan.stages[1:])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["sweep.halving.min_epochs=null"], "sweep.halving.brackets=true needs sweep.halving.min_epochs"),
        (["sweep=coarse_to_fine", "sweep.halving.min_epochs=1", "sweep.halving.brackets=true"], "of one stage, not of"),
    ],
)
def test_what_can_be_no_hyperband_is_refused(lines, message):
    with pytest.raises(InputError, match=message):
        plan_of(*lines)
