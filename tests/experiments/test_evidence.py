"""Intervals, verdicts and their confirmation by other seeds, of effects made up so that the answer is known."""

import math

import pytest

from pipeline.experiments.evidence import (
    NOT_SHOWN,
    SHARE,
    UNTOLD,
    Estimate,
    estimate,
    finding,
    lower_by,
    most,
    verdict,
)
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
    interval = estimate(values)
    assert (interval.mean, interval.n) == (mean, n)
    assert (interval.low, interval.high) == pytest.approx((mean - half, mean + half), rel=1e-3)


def test_the_interval_of_a_share_ends_at_its_bounds():
    assert estimate([0.9, 0.5, 0.9], SHARE) == Estimate(
        pytest.approx(0.7667, rel=1e-3), pytest.approx(0.193, rel=1e-2), 1.0, 3
    )
    assert "78% (45% to 100%)" in verdict(
        "{}", {3: 0.64, 4: 0.92, 5: 0.78}, judged(results([])), "{:.0%}", bounds=(0.45, 1.0)
    )


@pytest.mark.parametrize(
    ("of", "text"),
    [
        (Estimate(1.5, 1.26, 1.74, 3), "1.5 (1.3 to 1.7)"),
        (Estimate(1.5, -math.inf, math.inf, 1), "1.5 (one seed)"),
    ],
)
def test_an_estimate_in_words(of, text):
    assert of.text("{:.1f}") == text


SHOWN, NULL, WIDE = {0: 1.0, 1: 1.1, 2: 0.9}, {0: 0.0, 1: 0.1, 2: -0.1}, {0: 1.0, 1: -1.0, 2: 0.1}
CONFIRMING, NOTHING, FAILING = {3: 1.2, 4: 1.0, 5: 1.1}, {3: 0.0, 4: 0.1, 5: 0.2}, {3: -1.0, 4: 1.0, 5: 0.0}
YES, NO, OPEN, NONE = ".", f": {NOT_SHOWN}.", f": {UNTOLD.format('')}.", "Nothing to compare."
CONFIRMS, WAVERS = "Other seeds: 1.10 (0.85 to 1.35), ", "Other seeds: 0.00 (-2.48 to 2.48), "


@pytest.mark.parametrize(
    ("effects", "above", "answer", "end"),
    [
        (SHOWN | CONFIRMING, 0.5, YES, CONFIRMS + "confirmed."),
        (SHOWN | FAILING, 0.5, YES, WAVERS + "not confirmed."),
        (SHOWN | NOTHING, 0.5, YES, "Other seeds: 0.10 (-0.15 to 0.35), not confirmed."),
        (NULL | NOTHING, 0.5, NO, "Other seeds: 0.10 (-0.15 to 0.35), where it does not show either."),
        (NULL | FAILING, 0.5, NO, WAVERS + "not confirmed."),
        (NULL | CONFIRMING, 0.5, NO, CONFIRMS + "not confirmed."),
        # As far from what the rule asks for as from nothing: no second set, however alike, makes that a finding.
        (SHOWN | CONFIRMING, 0.9, OPEN, CONFIRMS + "nothing to confirm."),
        (WIDE | CONFIRMING, 0.5, OPEN, CONFIRMS + "nothing to confirm."),
        (WIDE | FAILING, 0.5, OPEN, WAVERS + "nothing to confirm."),
        (NULL | NOTHING, 0.0, OPEN, "Other seeds: 0.10 (-0.15 to 0.35), nothing to confirm."),
        ({0: 9.0} | CONFIRMING, 0.5, OPEN, CONFIRMS + "nothing to confirm."),
        ({0: 0.0, 1: 0.0}, 0.0, NO, "No other seeds confirm it."),
        (SHOWN, 0.5, YES, "No other seeds confirm it."),
        (SHOWN | {3: NAN}, 0.5, YES, "No other seeds confirm it."),
        ({0: NAN, 1: NAN}, 0.5, NONE, "No other seeds confirm it."),
        (CONFIRMING, 0.5, NONE, CONFIRMS + "nothing to confirm."),
        ({0: NAN} | CONFIRMING, 0.5, NONE, CONFIRMS + "nothing to confirm."),
    ],
)
def test_a_verdict_needs_the_whole_interval_and_says_what_other_seeds_say(effects, above, answer, end):
    said = verdict("It adds {}", effects, judged(results([]), above, confirm=(3, 4, 5)))
    first, seeds = said.removesuffix(end), [s for s in (0, 1, 2) if math.isfinite(effects.get(s, NAN))]
    assert said.endswith(f" {end}") and first.startswith("It adds " if seeds else NONE)
    assert first.rstrip().endswith(answer)
    assert (NOT_SHOWN in first, "can't be told" in first) == (answer == NO, answer == OPEN)
    assert "nan" not in said and "inf)" not in said
    assert ("rule: above" in said) == (len(seeds) > 1)


def test_figures_before_a_verdict_are_of_the_seeds_that_find():
    of = judged(results([]), confirm=(3, 4, 5))
    assert finding(SHOWN | CONFIRMING, of) == SHOWN
    assert finding(CONFIRMING, of) == CONFIRMING  # seed=3,4,5 was typed


def test_the_condition_under_which_a_claim_shows_most_is_not_chosen_by_the_seeds_that_confirm_it():
    of_conditions = {"few": WIDE | CONFIRMING, "many": SHOWN | FAILING, "none": {0: NAN, 3: 9.0}}
    assert most(of_conditions, judged(results([]), confirm=(3, 4, 5))) == ("many", SHOWN | FAILING)


def test_a_claim_shows_under_no_condition_only_if_none_is_left_open():
    of_conditions = {"none": NULL, "wide": WIDE, "empty": {0: NAN}}
    assert most(of_conditions, judged(results([]), 0.5)) == ("wide", WIDE)
    said = verdict("Most: {}", WIDE, judged(results([]), 0.5), among=" with any number")
    assert "whether the claim shows with any number can't be told." in said


@pytest.mark.parametrize(
    ("ours", "theirs", "share"),
    [(0.8, 1.0, 0.2), (1.0, 0.8, -0.2), (1.0, 1.0, 0), (1.0, NAN, 1), (math.inf, 1.0, -1), (NAN, math.inf, 0)],
)
def test_by_which_share_one_loss_is_lower(ours, theirs, share):
    assert lower_by(ours, theirs) == pytest.approx(share)
