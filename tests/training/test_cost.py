"""A model whose output is its cost, through the runner: J(W) = W^2 - 10 W + 25, whose minimum is J(5) = 0."""

import itertools
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from pipeline.checks import check
from pipeline.data.sources import load_splits
from pipeline.errors import InputError
from pipeline.eventlog import events_of
from pipeline.records import CohortPlanned, Conditions, Ended, EpochEnded, Started, TrainJob
from pipeline.saving import load_model
from pipeline.schema import Model
from pipeline.training.cohort import run_trials
from pipeline.training.trial import build_model
from tests.conftest import ROOT, composed
from tests.workers.jobs import task

OPTIMIZERS = sorted(path.stem for path in (ROOT / "conf/optimizer").glob("*.yaml"))
NEAR = 0.01
ANY = Conditions()
SOLO = Conditions(fuse="never")


def config_of(*overrides):
    return composed("experiment=quadratic", "device=cpu", *overrides).config


def run(folder: Path, configs, conditions=ANY):
    """Trains the configs as one job; the events of each, and what was said of cohorts."""
    for config in configs:
        check(config)
    tasks = tuple(task(folder, number, config) for number, config in enumerate(configs))
    reports = []
    run_trials(TrainJob(0, tasks, export=True, conditions=conditions), reports.append, lambda: False)
    events = [list(events_of(folder / str(number))) for number in range(len(tasks))]
    return events, [report for report in reports if isinstance(report, CohortPlanned)]


def weight(folder: Path) -> float:
    """W of a saved model: its cost of 0 W^2 + 1 W + 0."""
    return float(load_model(folder / "model.h5")(np.array([[0, 1, 0]], np.float32))[0, 0])


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_by_one_word_reaches_the_minimum(tmp_path, optimizer):
    (events,), _ = run(tmp_path, [config_of(f"optimizer={optimizer}")])
    assert events[-1].status == "completed"
    assert events[-2].metrics["val_loss"] <= NEAR**2  # and stays there, rather than to have passed it once
    assert weight(tmp_path / "0") == pytest.approx(5, abs=NEAR)


def test_other_coefficients_have_another_minimum(tmp_path):
    (events,), _ = run(tmp_path, [config_of("optimizer=adam", "dataset.coefficients=[2, 12, 1]")])
    assert weight(tmp_path / "0") == pytest.approx(-3, abs=NEAR)
    assert events[-2].metrics["val_loss"] == pytest.approx(-17, abs=1e-3)  # a cost may be below 0


RATES = [0.05, 0.6]


@pytest.fixture(scope="module", params=OPTIMIZERS)
def learned(tmp_path_factory, request):
    """Events of trials of RATES, by how they were trained."""
    folder, optimizer = tmp_path_factory.mktemp("learned"), f"optimizer={request.param}"
    trials = [config_of(optimizer, "train.epochs=6", f"optimizer.learning_rate={rate}") for rate in RATES]
    results = {"alone": [run(folder / f"alone {i}", [trial], SOLO)[0][0] for i, trial in enumerate(trials)]}
    modes = {"fused": "never"}
    if request.param == "adam":  # test_updates.py compiles the others
        modes["fused_xla"] = "always"
    for mode, xla in modes.items():
        results[mode], cohorts = run(folder / mode, trials, Conditions("always", xla))
        assert [(c.summary.mode, c.trials) for c in cohorts] == [(mode, (0, 1))]
    return results


@pytest.mark.slow
def test_learning_rates_fuse_and_give_what_each_gives_alone(learned):
    """The steps are compared up to the minimum; about it Lion turns on the sign of what rounding left."""
    for mode in learned.keys() - {"alone"}:
        for number, (together, alone) in enumerate(zip(learned[mode], learned["alone"], strict=True)):
            assert [type(e) for e in alone] == [Started, *[EpochEnded] * 6, Ended]
            for a, b in zip(together[2:-1], alone[1:-1], strict=True):
                for name in ("loss", "val_loss"):
                    expected = pytest.approx(b.metrics[name], rel=1e-4, abs=1e-4)
                    assert a.metrics[name] == expected, (mode, number, a.epoch, name)


@pytest.mark.slow
def test_its_metrics_are_losses_only(learned):
    for trial in itertools.chain(*learned.values()):
        for event in trial:
            line = event.to_json()
            assert not [name for name in (*line, *line.get("metrics", {})) if "accuracy" in name]
        assert set(trial[-1].metrics) == {"loss", "val_loss"}


def test_costs_and_classes_of_one_structure_do_not_share_a_program(tmp_path):
    """A cost of one output beside a sigmoid of one logit: only the head tells them apart."""
    common = ["model=softmax_regression", "dataset=blobs", "dataset.n_classes=2", "train.batch_size=100"]
    common += ["train.epochs=1", "train.label_smoothing=0.0"]
    results = {}
    for head in ("sigmoid", "cost"):
        trials = [config_of(*common, f"model.head={head}", f"optimizer.learning_rate={r}") for r in (1e-3, 1e-2)]
        events, _ = run(tmp_path / head, trials, Conditions("always", "never"))
        results[head] = [trial[2].metrics for trial in events]
    assert all("accuracy" in metrics for metrics in results["sigmoid"])
    assert all("accuracy" not in metrics for metrics in results["cost"])
    assert results["sigmoid"][0]["val_loss"] > 0
    assert results["cost"][0]["val_loss"] != pytest.approx(results["sigmoid"][0]["val_loss"])


def test_inputs_of_a_cost_are_not_normalised():
    config = config_of()
    model = build_model(config, load_splits(config))
    np.testing.assert_array_equal(model(np.array([[1, 2, 25]], np.float32)), [[25]])
    assert not [layer for layer in model.layers if type(layer).__name__ == "Normalization"]


def two_outputs(inputs, n_outputs):
    return keras.layers.Dense(2)(inputs)


def test_a_model_with_more_outputs_than_its_cost_is_refused():
    config = replace(config_of(), model=Model(f"{__name__}.two_outputs", head="cost"))
    with pytest.raises(InputError, match=r"model.head=cost needs outputs \[batch, 1\] \(the cost of the example\)"):
        build_model(config, load_splits(config))
