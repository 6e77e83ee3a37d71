import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.models.cnn import cnn
from pipeline.models.mlp import mlp
from pipeline.training.fused import padding, stacking
from tests.models.settings import CNN, MLP


def of_mlp(*, n_inputs=2, n_logits=3, **changes):
    keras.utils.clear_session(free_memory=False)  # layers are numbered from the start, as build_model does it
    inputs = keras.Input((n_inputs,))
    return keras.Model(inputs, mlp(inputs, n_logits, **{**MLP, "hidden_units": [5, 3], "dropout_rate": 0.2, **changes}))


def of_cnn(**changes):
    keras.utils.clear_session(free_memory=False)
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, cnn(inputs, 10, **{**CNN, "dropout_rate": 0.2, **changes}))


def of_layers(*layers, shape=(8, 8, 1)):
    x = inputs = keras.Input(shape)
    for layer in (*layers, keras.layers.Dense(3, name="logits")):
        x = layer(x)
    return keras.Model(inputs, x)


def key(model):
    return stacking.structure(model).key()


@pytest.mark.parametrize(
    ("make", "changes", "other_changes", "equal"),
    [
        # (what differs), whether the keys are equal
        (of_mlp, {}, {}, True),
        (of_mlp, {"dropout_rate": 0.2}, {"dropout_rate": 0.5}, True),
        (of_mlp, {"norm_momentum": 0.9}, {"norm_momentum": 0.5}, True),
        (of_mlp, {"norm_epsilon": 1e-3}, {"norm_epsilon": 1e-5}, True),
        (of_mlp, {"l2": 0.1}, {"l2": 0.2}, True),
        (of_mlp, {"hidden_units": [5, 3]}, {"hidden_units": [8, 6]}, True),
        (of_cnn, {"filters": [2, 3]}, {"filters": [4, 1]}, True),
        (of_cnn, {"dropout_rate": 0.2}, {"dropout_rate": 0.5}, True),
        (of_mlp, {"dropout_rate": 0.2}, {"dropout_rate": 0.0}, False),  # has no such layer
        (of_mlp, {"l2": 0.1}, {"l2": 0.0}, False),
        (of_mlp, {"hidden_units": [5, 3]}, {"hidden_units": [5]}, False),
        (of_mlp, {"activation": "relu"}, {"activation": "tanh"}, False),
        (of_mlp, {"norm_placement": "none"}, {"norm_placement": "after_activation"}, False),
        (of_mlp, {"n_logits": 3}, {"n_logits": 4}, False),
        (of_mlp, {"n_inputs": 2}, {"n_inputs": 4}, False),
        (of_mlp, {"activation": "softmax"}, {"activation": "softmax", "hidden_units": [8, 6]}, False),
        (of_cnn, {"kernel_size": 3}, {"kernel_size": 5}, False),
        (of_cnn, {"pooling": "max"}, {"pooling": "average"}, False),
        (of_cnn, {"collapse": "flatten"}, {"collapse": "flatten", "filters": [4, 1]}, False),
        (of_cnn, {"collapse": "flatten", "dropout_rate": 0.1}, {"collapse": "flatten"}, True),
    ],
)
def test_models_of_one_structure_have_one_key(make, changes, other_changes, equal):
    assert (key(make(**changes)) == key(make(**other_changes))) is equal


layers = keras.layers


@keras.saving.register_keras_serializable("tests")
def centred(x):
    return x - keras.ops.mean(x, axis=-1, keepdims=True)


@keras.saving.register_keras_serializable("tests")
class Dropout(layers.Layer):
    """Has the name of a layer that pads, and mixes the units."""

    def call(self, inputs):
        return centred(inputs)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: of_mlp(), None),
        (lambda: of_mlp(norm_placement="after_activation", activation="sigmoid"), None),
        (lambda: of_cnn(), None),
        (lambda: of_cnn(pooling="average"), None),
        (lambda: of_layers(layers.Flatten(), layers.Dense(4)), None),
        (lambda: of_layers(layers.LayerNormalization(), layers.Flatten(), layers.Dense(4)), None),
        (lambda: of_layers(layers.Dense(4), layers.Flatten(), shape=(2,)), None),
        (lambda: of_cnn(collapse="flatten"), r"layer flatten \(Flatten\) mixes the units"),
        (
            lambda: of_layers(layers.Conv2D(4, 3), layers.Flatten(name="flat")),
            r"layer flat \(Flatten\) mixes the units",
        ),
        (
            lambda: of_layers(layers.Dense(4), layers.LayerNormalization(name="ln"), shape=(2,)),
            r"layer ln \(LayerNormalization\) mixes the units",
        ),
        (
            lambda: of_layers(layers.Dense(4), layers.Reshape((2, 2), name="re"), shape=(2,)),
            r"layer re \(Reshape\) mixes the units",
        ),
        (lambda: of_mlp(activation="softmax"), "has the activation softmax, which mixes the units"),
        (
            lambda: of_layers(layers.Dense(4, activation="softmax", name="d"), shape=(2,)),
            "layer d has the activation softmax",
        ),
        (
            lambda: of_layers(layers.Dense(4, activation=centred, name="d"), shape=(2,)),
            "layer d has the activation tests>centred, which mixes the units of a layer, or may do so",
        ),
        (
            lambda: of_layers(layers.Dense(4), layers.Activation(centred, name="a"), shape=(2,)),
            "layer a has the activation tests>centred",
        ),
        (
            lambda: of_layers(layers.Dense(4, activation=layers.ReLU(max_value=1.0), name="d"), shape=(2,)),
            "layer d has the activation",
        ),
        (lambda: of_layers(layers.Dense(4), Dropout(name="d"), shape=(2,)), r"layer d \(.*\.Dropout\) mixes the units"),
        (
            lambda: of_layers(
                layers.Conv2D(4, 3), layers.Conv2D(4, 3, groups=2, name="g"), layers.GlobalAveragePooling2D()
            ),
            r"layer g \(Conv2D\) has groups",
        ),
    ],
)
def test_what_can_be_padded(model, reason):
    result = padding.unpadded_reason(model().get_config())
    if reason is None:
        assert result is None
    else:
        assert re.search(reason, result)


NO_ACTIVATIONS = {"get", "serialize", "deserialize", "threshold"}  # the last wants more arguments than a name gives
ACTIVATIONS = [n for n in dir(keras.activations) if not n.startswith("_") and n not in NO_ACTIVATIONS]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_can_be_padded_if_it_acts_on_each_unit_alone(name):
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    function = keras.activations.get(name)
    both = function(x) if name == "glu" else np.concatenate([function(x[:, :2]), function(x[:, 2:])], axis=1)
    alone = both.shape == x.shape and np.allclose(function(x), both)
    assert (keras.activations.serialize(function) in padding.UNITWISE_ACTIVATIONS) is alone


def test_differing_is_what_is_not_the_same_in_all():
    changes = [{"dropout_rate": 0.1}, {"dropout_rate": 0.5}, {"dropout_rate": 0.1, "norm_momentum": 0.5}]
    models = [of_mlp(**change) for change in changes]
    result = stacking.differing([stacking.structure(model) for model in models])
    for path, values in result.items():
        expected = {"rate": [0.1, 0.5, 0.1], "momentum": [0.9, 0.9, 0.5]}[path[-1]]
        np.testing.assert_array_equal(values, np.float32(expected))
        kind = {"rate": keras.layers.Dropout, "momentum": keras.layers.BatchNormalization}[path[-1]]
        assert values.dtype == np.float32 and isinstance(models[0].get_layer(path[1]), kind)
    assert sorted(path[-1] for path in result) == ["momentum", "momentum", "rate", "rate"]
    assert stacking.differing([stacking.structure(models[0])] * 3) == {}


def test_assigned_sets_the_numbers_for_a_while():
    models = [of_mlp(l2=0.1, dropout_rate=0.1), of_mlp(l2=0.3, dropout_rate=0.5)]
    result = stacking.differing([stacking.structure(model) for model in models])
    dense, dropout = models[0].layers[1], models[0].layers[4]
    with stacking.assigned(models[0], {path: values[1] for path, values in result.items()}):
        assert (dense.kernel_regularizer.l2, dropout.rate) == (np.float32(0.3), 0.5)
    assert (dense.kernel_regularizer.l2, dropout.rate) == (0.1, 0.1)


def functional(rate):
    inputs = keras.Input((3, 4), name="inner_inputs")
    return keras.Model(inputs, layers.Dropout(rate, name="d")(inputs + 1.0), name="inner")


def sequential(rate):
    return keras.Sequential([keras.Input((3, 4)), layers.Dense(4), layers.Dropout(rate, name="d")], name="inner")


class Unheld(layers.Layer):
    """Says in its config that it has a layer under a name that the layer itself does not know."""

    def __init__(self, inner, **options):
        super().__init__(**options)
        self._layer = inner

    def get_config(self):
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self._layer)}

    def call(self, inputs):
        return self._layer(inputs)


def behind_an_operation(inner):
    """Two layers on either side of `inner`, so that a wrong place is another layer with a rate."""
    keras.utils.clear_session(free_memory=False)
    inputs = keras.Input((3, 4))
    x = layers.Dropout(0.5, name="first")(inputs)
    return keras.Model(inputs, layers.Dropout(0.5, name="last")(inner(keras.ops.tanh(x + inputs))))


@pytest.mark.parametrize(
    ("make", "find"),
    [
        # (what is between, where its number is)
        (lambda rate: layers.Dropout(rate, name="d"), lambda model: model.get_layer("d")),
        (functional, lambda model: model.get_layer("inner").get_layer("d")),
        (sequential, lambda model: model.get_layer("inner").get_layer("d")),
        (lambda rate: layers.TimeDistributed(layers.Dropout(rate), name="t"), lambda model: model.get_layer("t").layer),
    ],
    ids=["a layer", "a model", "a Sequential", "a wrapper"],
)
def test_a_number_is_that_of_its_layer_though_a_config_counts_operations_too(make, find):
    models = [behind_an_operation(make(rate)) for rate in (0.1, 0.3)]
    structures = [stacking.structure(model) for model in models]
    assert structures[0].key() == structures[1].key()
    before = models[0].get_config()
    with stacking.assigned(models[0], {path: v[1] for path, v in stacking.differing(structures).items()}):
        assert find(models[0]).rate == np.float32(0.3)
        find(models[0]).rate = 0.1
        assert models[0].get_config() == before  # nothing else was set
    assert models[0].get_config() == before


def test_a_number_that_is_not_found_in_its_model_must_be_equal():
    models = [behind_an_operation(Unheld(layers.Dropout(rate, name="d"), name="u")) for rate in (0.1, 0.3)]
    structures = [stacking.structure(model) for model in models]
    assert structures[0].key() != structures[1].key()
    assert stacking.differing(structures) == {}
    assert structures[0].key() == stacking.structure(models[0]).key()


def test_a_penalty_that_two_weights_share_is_as_it_was_afterwards():
    penalty = keras.regularizers.L2(0.1)
    model = of_layers(layers.Dense(4, kernel_regularizer=penalty, bias_regularizer=penalty), shape=(2,))
    numbers = stacking.structure(model).numbers
    assert len(numbers) == 2
    with stacking.assigned(model, dict.fromkeys(numbers, tf.constant(0.3))):
        pass
    assert penalty.l2 == 0.1


@pytest.mark.parametrize(("make", "name"), [(of_mlp, "hidden_units"), (of_cnn, "filters")])
def test_widest_has_the_largest_width_of_each_layer(make, name):
    models = [make(**{name: widths}) for widths in ([5, 3], [2, 6])]
    structures = [stacking.structure(model) for model in models]
    wide = stacking.widest(models[0], structures)
    assert [v.shape for v in wide.variables] == [v.shape for v in make(**{name: [5, 6]}).variables]
    assert stacking.widest(models[0], structures[:1]) is models[0]
