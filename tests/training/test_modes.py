"""How a cohort trains: the rule, the size that fits into memory, what is remembered of a failure, and the timing."""

import keras
import pytest

from pipeline.records import Conditions, MeasureJob
from pipeline.training.grouping import why_divided
from pipeline.training.measuring import measure
from pipeline.training.modes import XLA_WEIGHTS, FusionPlan, fused_modes, note_failure, plan_fusion
from pipeline.training.trial import TrainedTrial
from tests.workers.jobs import config, task

GB = 10**9
# trials, cohort_size, bytes a trial, bytes of memory -> at once
LARGEST = [
    (1, 10**6, 0, GB, 1),
    (24, 10**6, 1000, GB, 24),
    (24, 8, 1000, GB, 8),
    (25, 8, 1000, GB, 7),  # four cohorts of 7, 7, 7, 4, not three of 8 and one of a single trial
    (9, 8, 1000, GB, 5),
    (24, 10**6, 100, 1000, 8),  # 10 fit
    (24, 4, 100, 1000, 4),
    (24, 10**6, 2000, 1000, 1),  # not even one fits: it is tried
    (24, 10**6, 1000, 0, 1),
]


@pytest.mark.parametrize(("n_trials", "most", "each", "memory", "largest"), LARGEST)
def test_cohorts_are_of_about_one_size_and_fit_into_memory(n_trials, most, each, memory, largest):
    plan = FusionPlan("fused", "a reason", resident=True, bytes_a_trial=each, memory=memory, most=most)
    assert plan.largest(n_trials) == largest
    assert plan.largest(n_trials) <= most


BOTH, XLA, PLAIN = ["fused_xla", "fused"], ["fused_xla"], ["fused"]
MB = 10**6
# fuse, xla, steps, weights, bytes of the cohort -> modes in the order in which they are tried, why
MODES = [
    ("auto", "auto", 2500, 1000, 0, BOTH, "2,500 steps repay compiling"),
    ("auto", "auto", 2499, 1000, 0, PLAIN, "2,499 steps do not repay compiling with XLA"),
    ("auto", "auto", 1250, 1000, 10 * MB, BOTH, "1,250 steps repay compiling"),
    ("auto", "auto", 1249, 1000, 10 * MB, PLAIN, "1,249 steps do not repay compiling with XLA"),
    ("auto", "auto", 100, 1000, 240 * MB, BOTH, "100 steps repay compiling"),
    ("auto", "auto", 10**6, XLA_WEIGHTS, MB, BOTH, "1,000,000 steps repay compiling"),
    ("auto", "auto", 10**6, XLA_WEIGHTS + 1, MB, PLAIN, "XLA saves nothing at 4,000,001 weights"),
    ("auto", "always", 1, 1000, 0, XLA, "executor.xla=always"),
    ("auto", "never", 10**6, 1000, 0, PLAIN, "executor.xla=never"),
    ("always", "auto", 1, 1000, 0, BOTH, "executor.fuse=always"),
    ("always", "never", 1, 1000, 0, PLAIN, "executor.fuse=always"),
]


@pytest.mark.parametrize(("fuse", "xla", "steps", "weights", "cohort_bytes", "modes", "reason"), MODES)
def test_xla_is_used_where_its_steps_repay_compiling(fuse, xla, steps, weights, cohort_bytes, modes, reason):
    assert fused_modes(fuse, xla, steps, weights, cohort_bytes) == (modes, reason)


def trial_of(folder, changes=None):
    trial = TrainedTrial(task(folder, 0, config(changes)), lambda event: None)
    trial.build({})
    return trial


# settings, trials planned, obstacle -> mode, reason; two steps of an epoch
PLANS = [
    ({}, 8, None, "fused", "2 steps do not repay compiling with XLA"),
    ({}, 1, None, "solo", "it is the only one of its kind"),
    ({"fuse": "always"}, 1, None, "fused_xla", "executor.fuse=always"),
    ({"fuse": "never"}, 8, None, "solo", "executor.fuse=never"),
    ({}, 8, "a reason", "solo", "a reason"),
    ({"fuse": "always"}, 8, "a reason", "solo", "whatever executor.fuse=always says, for a reason"),
]


@pytest.mark.parametrize(("settings", "planned", "obstacle", "mode", "reason"), PLANS)
def test_trials_fuse_unless_something_stands_against_it(tmp_path, settings, planned, obstacle, mode, reason):
    plan = plan_fusion([trial_of(tmp_path)], planned, obstacle, Conditions(**settings))
    assert (plan.mode, plan.reason) == (mode, reason)


# settings of two trials -> why they are no cohort, though their file names what may differ
DIVIDED = [
    (("hidden_units", 4, 8), {}, None),
    (
        ("hidden_units", 4, 8),
        {"model.activation": "softmax"},
        "hidden_units keeps trials apart, for layer ",
    ),
    (
        ("hidden_layers", 1, 2),
        {},
        "hidden_layers keeps trials apart, for they differ in more than the widths of layers",
    ),
    (("hidden_units", 4, 4), {"model.activation": "softmax"}, None),
]


@pytest.mark.parametrize(("differing", "common", "reason"), DIVIDED)
def test_why_widths_keep_trials_apart_is_said(tmp_path, differing, common, reason):
    name, *values = differing
    common = {**common, "model.widths": [name]}
    why = why_divided([[trial_of(tmp_path, {**common, f"model.{name}": value})] for value in values])
    assert why is None if reason is None else reason in why


def test_a_graph_that_failed_is_tried_in_the_next_mode_and_then_no_more(tmp_path):
    def plan(trial):
        return plan_fusion([trial], 8, None, Conditions("always"))

    trial, inputs = trial_of(tmp_path), keras.Input((3, 2))
    trial.model = keras.Model(inputs, keras.layers.LSTM(4)(inputs))
    assert plan(trial).mode == "fused_xla"
    note_failure(trial, "fused_xla", ValueError("no kernel\nand more"))
    assert plan(trial).mode == "fused"
    assert plan(trial).reason == "with XLA its graph can't be fused (ValueError: no kernel)"
    note_failure(trial, "fused", TypeError("a variant"))
    why = "whatever executor.fuse=always says, for its graph can't be fused (TypeError: a variant)"
    assert (plan(trial).mode, plan(trial).reason) == ("solo", why)
    note_failure(trial, "fused", NotImplementedError())
    assert plan(trial).reason.endswith("its graph can't be fused (NotImplementedError)")
    trial.model = keras.Model(inputs, keras.layers.LSTM(4, unroll=True)(inputs))
    assert plan(trial).mode == "fused_xla"  # the same class of layers, with another setting


@pytest.mark.parametrize("batch_size", [32, 128], ids=["last", "only"])
@pytest.mark.parametrize(("xla", "mode"), [("never", "fused"), ("always", "fused_xla")])
def test_an_epoch_is_measured_in_which_the_last_or_only_batch_is_not_full(batch_size, xla, mode):
    of = config({"train.batch_size": batch_size})  # 54 examples
    measured = measure(MeasureJob(0, of, 1, Conditions("always", xla)))
    assert measured.summary.mode == mode
    assert measured.epoch > 0
