"""A layer that takes whole numbers, such as tokens, behind normalised inputs: said, and trained rightly without."""

import keras
import numpy as np
import pytest

from pipeline.__main__ import main
from pipeline.models.layers import normalized
from pipeline.models.tokens import rounding_layer
from tests.conftest import here

TOKENS = np.array([[0, 3, 7], [9, 3, 1]])
L = keras.layers


@keras.saving.register_keras_serializable("tests")
class Positions(L.Layer):
    """Adds what it learned of each place: an embedding of places, not of inputs."""

    def __init__(self):
        super().__init__()
        self.table = L.Embedding(3, 1)

    def call(self, x):
        return x + keras.ops.reshape(self.table(keras.ops.arange(3)), (3,))


@keras.saving.register_keras_serializable("tests")
class Within(L.Layer):
    def __init__(self):
        super().__init__()
        self.table = L.Embedding(10, 4, name="inner")

    def call(self, x):
        return self.table(x)


@pytest.mark.parametrize(
    ("body", "layer"),
    [
        (lambda x: L.Embedding(10, 4, name="table")(x), "table"),
        (lambda x: Within()(x), "inner"),
        (lambda x: keras.Sequential([keras.Input((3,)), L.Embedding(10, 4, name="nested")])(x), "nested"),
        (lambda x: L.CategoryEncoding(10, name="counts", output_mode="count")(keras.ops.abs(x)), "counts"),
        (lambda x: keras.ops.one_hot(x, 10), "one_hot"),
        (lambda x: L.Embedding(10, 4)(keras.ops.cast(x, "int32")), "cast"),
        (lambda x: Positions()(x), None),
        (lambda x: L.Dense(2)(x), None),
    ],
    ids=["embedding", "in a layer", "in a model", "counts", "one_hot", "cast", "positions", "dense"],
)
@pytest.mark.parametrize("normalizes", [True, False])
def test_a_layer_that_rounds_its_inputs_is_named(body, layer, normalizes):
    inputs = keras.Input((3,))
    x = normalized(inputs, np.full(3, 4.3, np.float32), np.full(3, 9.7, np.float32)) if normalizes else inputs
    model = keras.Model(inputs, body(x))
    assert rounding_layer(model, TOKENS + 0.5) is None  # no tokens
    assert (rounding_layer(model, TOKENS) or "").rstrip("_0123456789") == ((layer or "") if normalizes else "")
    assert not any("call" in vars(inner) for inner in model._flatten_layers())  # nothing stays in its place


def test_tokens_are_learned_as_they_are_and_predicted_raw(tmp_path, capsys):
    """The class is whether most tokens are below 25, which an embedding of normalised ones does not see."""
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "words.py").write_text(
        "import keras\n"
        "def words(inputs, n_logits):\n"
        "    x = keras.layers.Embedding(50, 8, name='table')(inputs)\n"
        "    return keras.layers.Dense(n_logits)(keras.layers.GlobalAveragePooling1D()(x))\n"
    )
    (tmp_path / "conf/model/words.yaml").write_text("_target_: words.words\nhead: softmax\nsearch: {}\n")
    x = np.random.default_rng(0).integers(0, 50, (400, 6))
    y = ((x < 25).sum(1) > 2).astype(int)
    np.savez(tmp_path / "t.npz", x=x, y=y)
    own = ["--config-dir", "conf", "allowed_targets=[pipeline.,keras.optimizers.,words.]", "model=words"]
    line = [*own, "dataset=npz", "dataset.file=t.npz", "executor=inline", "executor.xla=never", "tracking=none"]
    done = here(*line, "train.epochs=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (said,) = [text for text in done.stdout.splitlines() if "table" in text]
    assert said.startswith("the layer table takes whole numbers, such as tokens, but gets inputs that were normalised")
    assert said.endswith("; dataset.normalize=false gives the model the inputs as they are")
    fast = ["train.epochs=15", "train.batch_size=16", "optimizer.learning_rate=0.03", "output_dir=raw"]
    done = here(*line, *fast, "dataset.normalize=false", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "table" not in done.stdout
    (model,) = (tmp_path / "raw/runs").glob("*/model.h5")
    loaded = keras.models.load_model(model, compile=False)
    assert (loaded.predict(x, verbose=0).argmax(1) == y).mean() > 0.95
    capsys.readouterr()
    assert main(["evaluate", str(model), str(tmp_path / "t.npz")]) == 0
    assert float(capsys.readouterr().out.split("accuracy ")[1].split(",")[0]) > 0.95
