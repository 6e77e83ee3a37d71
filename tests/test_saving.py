import json
import resource
import time
from importlib.metadata import version
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from pipeline import hdf5
from pipeline.data.sources import load_splits
from pipeline.errors import InputError, lacked
from pipeline.jsonl import read
from pipeline.models.layers import normalized
from pipeline.models.mlp import mlp
from pipeline.records import TrainJob, TrialTask
from pipeline.saving import check_savable, load_model, model_attributes, save_model
from pipeline.training import checkpoint
from pipeline.training.cohort import run_trials
from pipeline.training.trial import build_model
from pipeline.versions import library_versions
from tests.conftest import composed, head, here
from tests.workers.jobs import collector


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """(folder, config, record) of a small trial, trained as a worker trains it."""
    folder = tmp_path_factory.mktemp("trial")
    lines = ["dataset=spirals", "model.hidden_units=[8,6]", "model.dropout_rate=0.1", "train.epochs=3"]
    lines += ["train.batch_size=128", "optimizer.learning_rate=0.02"]
    # The "best" epoch is then an early one, so that the last one's weights would be noticed.
    of = composed(*lines, "sweep.metric=val_loss", "sweep.direction=maximize")
    record = of.record
    record["tracking"]["uri"] = "${oc.env:SECRET}"  # the record is what goes into the file, not the config
    events = []
    job = TrainJob(0, (TrialTask(0, of.config, record, str(folder)),), export=True)
    run_trials(job, collector(events), lambda: False)
    assert events[-1].status == "completed", events[-1]
    return folder, of.config, record


def test_model_h5_predicts_what_the_trained_model_predicts_on_raw_inputs(trial):
    folder, config, _ = trial
    splits = load_splits(config)
    trained = build_model(config, splits)
    trained.set_weights(checkpoint.load(folder / "state.h5")[1])
    expected = np.asarray(head("softmax").for_use(trained)(splits.test.inputs))
    alone = keras.models.load_model(folder / "model.h5", compile=False)
    np.testing.assert_array_equal(alone(splits.test.inputs), expected)
    np.testing.assert_array_equal(load_model(folder / "model.h5")(splits.test.inputs), expected)
    np.testing.assert_allclose(alone.predict(splits.test.inputs, verbose=0), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(expected.sum(1), 1, rtol=1e-5)


def test_model_h5_is_the_best_epoch_s_model(trial):
    folder, config, _ = trial
    epochs = [event for event in read(folder / "events.jsonl") if event["event"] == "epoch"]
    best = max(epochs, key=lambda event: event["val_loss"])
    assert best["epoch"] < epochs[-1]["epoch"]
    attributes = model_attributes(folder / "model.h5")
    assert attributes["epoch"] == best["epoch"]
    assert attributes["metrics"] == {key: best[key] for key in ("loss", "accuracy", "val_loss", "val_accuracy")}
    validation = load_splits(config).validation
    probabilities = np.asarray(load_model(folder / "model.h5")(validation.inputs))
    assert (probabilities.argmax(1) == validation.labels).mean() == pytest.approx(best["val_accuracy"])
    loss = -np.log(probabilities[np.arange(len(validation)), validation.labels]).mean()
    assert loss == pytest.approx(best["val_loss"], rel=1e-4)


def test_model_h5_describes_itself(trial):
    folder, config, record = trial
    splits = load_splits(config)
    attributes = model_attributes(folder / "model.h5")
    created = attributes.pop("created")
    assert abs(time.mktime(time.strptime(created[:19], "%Y-%m-%dT%H:%M:%S")) - time.time()) < 3600
    for ours in ("metrics", "epoch"):
        del attributes[ours]
    assert {key: value for key, value in attributes.items() if not key.startswith(("keras", "backend"))} == {
        "caviar_config": record,
        "class_names": ["class 0", "class 1", "class 2"],
        "input_shape": [2],
        "input_dtype": "float32",
        "data_fingerprint": splits.fingerprint,
        "data_attributes": {},
        "library_versions": {name: version(name) for name in ("tensorflow", "keras", "numpy", "h5py")},
    }


def test_the_attributes_are_readable_without_caviar(trial):
    with h5py.File(trial[0] / "model.h5") as file:
        assert json.loads(file.attrs["caviar_config"])["model"]["hidden_units"] == [8, 6]
        assert json.loads(file.attrs["class_names"]) == ["class 0", "class 1", "class 2"]
        assert "model_config" in file.attrs and "optimizer_weights" not in file


def test_library_versions():
    assert library_versions()["keras"] == keras.__version__


# --- models of every shape


def network(shape, name, n_classes, norm_placement="before_activation", dropout_rate=0.0):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    mean, variance = np.linspace(5, 9, shape[-1], dtype=np.float32), np.linspace(1, 50, shape[-1], dtype=np.float32)
    logits = mlp(
        normalized(inputs, mean, variance),
        head(name).n_outputs(n_classes),
        hidden_units=[6, 5],
        hidden_layers=2,
        activation="gelu",
        norm_placement=norm_placement,
        norm_momentum=0.9,
        norm_epsilon=1e-3,
        dropout_rate=dropout_rate,
    )
    model = keras.Model(inputs, logits)
    rng = np.random.default_rng(0)
    for layer in model.layers[2:]:  # behind the input and its normalisation
        layer.set_weights([w + rng.uniform(0.1, 1, w.shape).astype(np.float32) for w in layer.get_weights()])
    return head(name).for_use(model)


def raw_inputs(shape):
    return np.random.default_rng(1).uniform(0, 16, (20, *shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "name", "n_classes", "norm_placement", "dropout_rate"),
    [
        ((3,), "softmax", 4, "before_activation", 0.0),
        ((3,), "sigmoid", 2, "none", 0.5),
        ((4, 5, 2), "softmax", 2, "after_activation", 0.2),
        ((200,), "softmax", 300, "before_activation", 0.0),
    ],
)
def test_a_saved_model_predicts_the_same_to_the_bit(tmp_path, shape, name, n_classes, norm_placement, dropout_rate):
    model = network(shape, name, n_classes, norm_placement, dropout_rate)
    save_model(model, tmp_path / "model.h5", {}, raw_inputs(shape))
    loaded = keras.models.load_model(tmp_path / "model.h5", compile=False)
    np.testing.assert_array_equal(loaded(raw_inputs(shape)), model(raw_inputs(shape)))
    assert np.asarray(model(raw_inputs(shape))).std() > 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]


dense, inner = keras.layers.Dense(6), keras.Input((6,))
nested = keras.Model(inner, keras.ops.tanh(keras.layers.Dense(6)(inner)) * 2)
WAYS_TO_CONNECT = {  # inputs [n, 6] -> outputs
    "operator": lambda x: x + keras.layers.Dense(6)(x),
    "reversed operator": lambda x: 1.0 - x,
    "slice": lambda x: x[:, :5],
    "function": lambda x: keras.ops.relu(x),
    "function of a list": lambda x: keras.ops.concatenate([x, x[:, ::2]], axis=1),
    "shared layer": lambda x: dense(dense(x)),
    "Sequential": lambda x: keras.Sequential([keras.layers.Dense(4), keras.layers.BatchNormalization()])(x),
    "nested and shared model": lambda x: nested(x) + nested(dense(x)),
    "recurrent": lambda x: keras.layers.Bidirectional(keras.layers.LSTM(3))(keras.layers.Reshape((3, 2))(x)),
}


@pytest.mark.parametrize("way", WAYS_TO_CONNECT)
def test_plain_keras_loads_however_layers_are_connected(way, tmp_path):
    inputs = keras.Input((6,), name="inputs")
    model = keras.Model(inputs, keras.layers.Dense(2, "softmax")(WAYS_TO_CONNECT[way](inputs)))
    check_savable(model)
    save_model(model, tmp_path / "model.h5", {}, raw_inputs((6,)))
    loaded = keras.models.load_model(tmp_path / "model.h5", compile=False)
    np.testing.assert_array_equal(loaded(raw_inputs((6,))), model(raw_inputs((6,))))


class Scaled(keras.layers.Layer):
    """Lacks a get_config() of its own."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor


def with_a_lambda(inputs, n_logits):
    return keras.layers.Dense(n_logits)(keras.layers.Lambda(lambda x: x * 2)(inputs))


def with_own_layer(inputs, n_logits):
    return keras.layers.Dense(n_logits)(Scaled(2.0)(inputs))


@pytest.mark.parametrize(
    ("function", "reason"), [("with_a_lambda", "Lambda"), ("with_own_layer", "Scaled")], ids=["Lambda", "own"]
)
def test_a_model_that_keras_could_not_load_again_is_refused_before_training(function, reason, tmp_path):
    line = f"dataset=blobs model=softmax_regression model._target_={__name__}.{function} tracking=none"
    done = here(*line.split(), "allowed_targets=[pipeline.,keras.,tests.]", "executor=inline", cwd=tmp_path)
    assert done.returncode == 2
    assert "this model could not be loaded from its model.h5 (" in done.stderr and reason in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 2
    assert not any((tmp_path / "outputs").rglob("*.h5")) and not any((tmp_path / "outputs/runs").iterdir())


def test_a_file_that_predicts_something_else_is_no_model(tmp_path, monkeypatch):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    other = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    monkeypatch.setattr(keras.models, "load_model", lambda *words, **settings: other)
    with pytest.raises(InputError, match="does not predict what it did"):
        save_model(model, tmp_path / "model.h5", {}, raw_inputs((3,)))
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.h5"
    attributes = {"created": "now", "epoch": 3, "caviar_config": {"seed": 0}}
    save_model(network((3,), "softmax", 4), path, attributes, raw_inputs((3,)))
    return path


@pytest.fixture
def path(saved, tmp_path):
    """A copy of a saved model, to be damaged."""
    (tmp_path / "model.h5").write_bytes(saved.read_bytes())
    return tmp_path / "model.h5"


@pytest.mark.parametrize(
    ("given", "read_back"),
    [
        ("text", "text"),
        ("", ""),
        ("[not JSON", "[not JSON"),
        (3, 3),
        (0.25, 0.25),
        (None, None),
        (["a", "b"], ["a", "b"]),
        ([], []),
        ({"a": {"b": [1, None, True]}}, {"a": {"b": [1, None, True]}}),
        (["naïve", "数"], ["naïve", "数"]),
        ({"long": "x" * 200_000}, {"long": "x" * 200_000}),  # more than HDF5 keeps in an object's header
    ],
    ids=lambda value: repr(value)[:20],
)
def test_attributes_come_back(tmp_path, given, read_back):
    save_model(network((3,), "softmax", 4), tmp_path / "model.h5", {"given": given}, raw_inputs((3,)))
    attributes = model_attributes(tmp_path / "model.h5")
    assert attributes["given"] == read_back or (given is None and attributes["given"] == "null")
    assert "model_config" not in attributes and hdf5.DIGEST not in attributes


def test_saving_again_replaces_the_model(path):
    other = network((3,), "softmax", 2)
    save_model(other, path, {"epoch": 9}, raw_inputs((3,)))
    assert model_attributes(path)["epoch"] == 9
    np.testing.assert_array_equal(load_model(path)(raw_inputs((3,))), other(raw_inputs((3,))))


def test_a_save_that_fails_leaves_the_old_model(path):
    before = path.read_bytes()
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_model(network((3,), "softmax", 2), path, {"bad": object()}, raw_inputs((3,)))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["model.h5"]


@pytest.mark.parametrize("size", [10, 3000, 20_000])
def test_a_full_disk_is_an_error_and_the_old_model_stays(size, path):
    """HDF5 itself crashes on one. A limit on the size of files fails writes as it does."""
    before, limit = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            save_model(network((100,), "softmax", 4), path, {"text": "x" * 10_000}, raw_inputs((100,)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (raised.value.filename, lacked(raised.value)) == (str(path), "disk")
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["model.h5"]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-500])


def flip_a_weight(path):
    with h5py.File(path, "r+") as file:
        weights = []
        file.visititems(lambda _, item: weights.append(item) if isinstance(item, h5py.Dataset) else None)
        values = weights[0][()]
        values.reshape(-1).view(np.uint8)[0] ^= 1
        weights[0][...] = values


def zero_64_bytes_of_a_weight(path):
    with h5py.File(path, "r") as file:
        found = []
        file.visititems(
            lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) and item.size > 16 else None
        )
        offset = found[0].id.get_offset()
    whole = bytearray(path.read_bytes())
    whole[offset : offset + 64] = bytes(64)
    path.write_bytes(whole)


def edit_the_config(path):
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace("gelu", "relu")


def replace_by(content):
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "there is no such file"),
        (replace_by(b""), "not a readable HDF5 file"),
        (replace_by(b"a model, believe me"), "not a readable HDF5 file"),
        (truncate, "not a readable HDF5 file"),
        (flip_a_weight, "its content has changed since it was written"),
        (zero_64_bytes_of_a_weight, "its content has changed since it was written"),
        (edit_the_config, "its content has changed since it was written"),
    ],
)
def test_a_damaged_model_is_refused(path, damage, message):
    load_model(path)
    damage(path)
    with pytest.raises(InputError, match=rf"model\.h5: {message}"):
        load_model(path)


def no_model(file):
    file["weights"] = np.zeros(3)


def garbled_config(file):
    file.attrs["model_config"] = "{not JSON"


def unknown_layer(file):
    file.attrs["model_config"] = json.dumps({"class_name": "Zebra", "config": {}})


def weights_missing(file):
    inputs = keras.Input((3,))
    file.attrs["model_config"] = json.dumps(
        {"class_name": "Functional", "config": keras.Model(inputs, keras.layers.Dense(2)(inputs)).get_config()},
        default=str,
    )


@pytest.mark.parametrize("content", [no_model, garbled_config, unknown_layer, weights_missing])
def test_an_intact_file_that_is_no_keras_model_is_refused(tmp_path, content):
    def fill(temporary):
        with h5py.File(temporary, "w") as file:
            content(file)

    hdf5.write(tmp_path / "model.h5", fill)
    with pytest.raises(InputError, match=r"model\.h5: not a model that Keras can load \(.+\)") as raised:
        load_model(tmp_path / "model.h5")
    assert "\n" not in str(raised.value)


def test_a_model_that_keras_alone_saved_loads_too(tmp_path):
    model = network((3,), "softmax", 4)
    model.save(tmp_path / "theirs.h5")
    np.testing.assert_array_equal(load_model(tmp_path / "theirs.h5")(raw_inputs((3,))), model(raw_inputs((3,))))
    assert "caviar_config" not in model_attributes(tmp_path / "theirs.h5")
