"""A model whose output is its cost, through the runner: J(W) = W^2 - 10 W + 25, whose minimum is J(5) = 0."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from pipeline import config as configs
from pipeline.errors import InputError
from pipeline.jsonl import read
from pipeline.saving import load_model
from pipeline.training.cohort import run_trials
from pipeline.training.trial import build_model
from tests.conftest import ROOT

OPTIMIZERS = sorted(path.stem for path in (ROOT / "conf/optimizer").glob("*.yaml"))
NEAR = 0.01


@pytest.fixture(scope="module")
def composed():
    configs.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield lambda *overrides: configs.plain(compose("config", ["experiment=quadratic", "device=cpu", *overrides]))


def run(folder: Path, trial_configs, **settings):
    """Trains the configs as one job; the epochs' events of each, and what was said of cohorts."""
    trials = []
    for number, config in enumerate(trial_configs):
        configs.check(config)
        (folder / str(number)).mkdir(parents=True)
        trials.append({"number": number, "config": config, "record": config, "folder": str(folder / str(number))})
    said = []
    run_trials({"kind": "train", "trials": trials, "export": True, **settings}, said.append, lambda: False)
    events = [list(read(folder / str(trial["number"]) / "events.jsonl")) for trial in trials]
    return events, [message["cohort"] for message in said if "cohort" in message]


def weight(folder: Path) -> float:
    """W of a saved model: its cost of 0 W^2 + 1 W + 0."""
    return float(load_model(folder / "model.h5")(np.array([[0, 1, 0]], np.float32))[0, 0])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_by_one_word_reaches_the_minimum(composed, tmp_path, optimizer):
    (events,), _ = run(tmp_path, [composed(f"optimizer={optimizer}")])
    assert events[-1]["status"] == "completed"
    assert events[-2]["val_loss"] <= NEAR**2  # and stays there, rather than to have passed it once
    assert weight(tmp_path / "0") == pytest.approx(5, abs=NEAR)


def test_other_coefficients_have_another_minimum(composed, tmp_path):
    (events,), _ = run(tmp_path, [composed("optimizer=adam", "dataset.coefficients=[2, 12, 1]")])
    assert weight(tmp_path / "0") == pytest.approx(-3, abs=NEAR)
    assert events[-2]["val_loss"] == pytest.approx(-17, abs=1e-3)  # a cost may be below 0


RATES = [0.01, 0.05, 0.6]


@pytest.fixture(scope="module", params=OPTIMIZERS)
def learned(composed, tmp_path_factory, request):
    """Events of trials of RATES, by how they were trained."""
    folder, one = tmp_path_factory.mktemp("learned"), composed(f"optimizer={request.param}", "train.epochs=6")
    trials = [{**one, "optimizer": {**one["optimizer"], "learning_rate": rate}} for rate in RATES]
    found = {"alone": [run(folder / f"alone {i}", [trial], fuse="never")[0][0] for i, trial in enumerate(trials)]}
    modes = {"fused": "never"}
    if request.param == "adam":  # test_updates.py compiles the others
        modes["fused_xla"] = "always"
    for mode, xla in modes.items():
        found[mode], cohorts = run(folder / mode, trials, fuse="always", xla=xla)
        assert [(c["mode"], c["trials"]) for c in cohorts] == [(mode, [0, 1, 2])]
    return found


def test_learning_rates_fuse_and_give_what_each_gives_alone(learned):
    """The steps are compared up to the minimum; about it Lion turns on the sign of what rounding left."""
    for mode in learned.keys() - {"alone"}:
        for number, (together, alone) in enumerate(zip(learned[mode], learned["alone"], strict=True)):
            assert [e["event"] for e in alone] == ["started", *["epoch"] * 6, "ended"]
            for a, b in zip(together[1:-1], alone[1:-1], strict=True):
                for name in ("loss", "val_loss"):
                    assert a[name] == pytest.approx(b[name], rel=1e-4, abs=1e-4), (mode, number, a["epoch"], name)


def test_its_metrics_are_losses_only(learned):
    for trial in itertools.chain(*learned.values()):
        for event in trial:
            assert not [name for name in (*event, *event.get("metrics", {})) if "accuracy" in name]
        assert set(trial[-1]["metrics"]) == {"loss", "val_loss"}


def test_costs_and_classes_of_one_structure_do_not_share_a_program(composed, tmp_path):
    """A cost of one output beside a sigmoid of one logit: only the head tells them apart."""
    common = ["model=softmax_regression", "dataset=blobs", "dataset.n_classes=2", "train.batch_size=100"]
    common += ["train.epochs=1", "train.label_smoothing=0.0"]
    found = {}
    for head in ("sigmoid", "cost"):
        trials = [composed(*common, f"model.head={head}", f"optimizer.learning_rate={r}") for r in (1e-3, 1e-2)]
        events, _ = run(tmp_path / head, trials, fuse="always", xla="never")
        found[head] = [trial[1] for trial in events]
    assert all("accuracy" in event for event in found["sigmoid"])
    assert all("accuracy" not in event for event in found["cost"])
    assert found["sigmoid"][0]["val_loss"] > 0
    assert found["cost"][0]["val_loss"] != pytest.approx(found["sigmoid"][0]["val_loss"])


def test_inputs_of_a_cost_are_not_normalised(composed):
    from pipeline.data.sources import load_splits

    config = composed()
    model = build_model(config, load_splits(config))
    np.testing.assert_array_equal(model(np.array([[1, 2, 25]], np.float32)), [[25]])
    assert not [layer for layer in model.layers if type(layer).__name__ == "Normalization"]


def test_a_model_with_more_outputs_than_its_cost_is_refused(composed, monkeypatch):
    import keras

    from pipeline.data.sources import load_splits
    from pipeline.models import quadratic

    config = composed()

    def two(inputs, n_outputs):
        return keras.layers.Dense(2)(inputs)

    two.__module__ = "pipeline.models.quadratic"
    monkeypatch.setattr(quadratic, "quadratic", two)
    with pytest.raises(InputError, match=r"model.head=cost needs outputs \[batch, 1\] \(the cost of the example\)"):
        build_model(config, load_splits(config))
