"""Intervals, verdicts and their confirmation by other seeds, of effects made up so that the answer is known."""

import math

import pytest

from pipeline.experiments.evidence import NOT_SHOWN, Estimate, estimate, lower_by, most, verdict
from tests.experiments.made_up import judged, results

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "mean", "half", "n"),
    [
        ([1.0, 2.0, 3.0], 2.0, 4.303 / math.sqrt(3), 3),  # Student's t with two degrees of freedom
        ([1.0, 1.0, 1.0], 1.0, 0.0, 3),
        ([1.0, NAN, 3.0, math.inf], 2.0, 12.706, 2),
        ([4.0], 4.0, math.inf, 1),
    ],
)
def test_the_interval_of_a_mean(values, mean, half, n):
    found = estimate(values)
    assert (found.mean, found.n) == (mean, n)
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half), rel=1e-3)


@pytest.mark.parametrize(
    ("of", "text"),
    [
        (Estimate(1.5, 1.26, 1.74, 3), "1.5 (1.3 to 1.7)"),
        (Estimate(1.5, -math.inf, math.inf, 1), "1.5 (one seed)"),
    ],
)
def test_an_estimate_in_words(of, text):
    assert of.text("{:.1f}") == text


SHOWN, LOST = {0: 1.0, 1: 1.1, 2: 0.9}, {0: 1.0, 1: -1.0, 2: 0.1}
CONFIRMING, FAILING = {3: 1.2, 4: 1.0, 5: 1.1}, {3: -1.0, 4: 1.0, 5: 0.0}


@pytest.mark.parametrize(
    ("effects", "above", "shows", "end"),
    [
        (SHOWN | CONFIRMING, 0.5, True, "Other seeds: 1.10 (0.85 to 1.35), confirmed."),
        (SHOWN | CONFIRMING, 0.9, False, "Other seeds: 1.10 (0.85 to 1.35), confirmed."),
        (SHOWN | FAILING, 0.5, True, "Other seeds: 0.00 (-2.48 to 2.48), not confirmed."),
        (LOST | CONFIRMING, 0.5, False, "Other seeds: 1.10 (0.85 to 1.35), not confirmed."),
        (LOST | FAILING, 0.5, False, "Other seeds: 0.00 (-2.48 to 2.48), confirmed."),
        (SHOWN, 0.5, True, "No other seeds confirm it."),
        (SHOWN | {3: NAN}, 0.5, True, "No other seeds confirm it."),
        ({0: 9.0} | CONFIRMING, 0.5, False, "Other seeds: 1.10 (0.85 to 1.35), not confirmed."),
        ({0: NAN, 1: NAN}, 0.5, False, "No other seeds confirm it."),
    ],
)
def test_a_verdict_needs_the_whole_interval_and_says_what_other_seeds_say(effects, above, shows, end):
    found = verdict("It adds {}", effects, judged(results([]), above, confirm=(3, 4, 5)))
    assert found.startswith("It adds " if math.isfinite(effects[0]) else f"Nothing to compare: {NOT_SHOWN}. ")
    assert (NOT_SHOWN not in found) == shows
    assert found.endswith(end)
    assert "nan" not in found and "inf)" not in found
    assert ("rule: above" in found) == (sum(math.isfinite(effects.get(seed, NAN)) for seed in (0, 1, 2)) > 1)


def test_the_condition_under_which_a_claim_shows_most_is_not_chosen_by_the_seeds_that_confirm_it():
    of_conditions = {"few": LOST | CONFIRMING, "many": SHOWN | FAILING, "none": {0: NAN, 3: 9.0}}
    assert most(of_conditions, judged(results([]), confirm=(3, 4, 5))) == ("many", SHOWN | FAILING)


@pytest.mark.parametrize(
    ("ours", "theirs", "share"),
    [(0.8, 1.0, 0.2), (1.0, 0.8, -0.2), (1.0, 1.0, 0), (1.0, NAN, 1), (math.inf, 1.0, -1), (NAN, math.inf, 0)],
)
def test_by_which_share_one_loss_is_lower(ours, theirs, share):
    assert lower_by(ours, theirs) == pytest.approx(share)
