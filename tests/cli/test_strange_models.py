"""Models whose file a stranger may have written: what it says is not done unless the user's own files say it too."""

import json
import os

import h5py
import pytest

from tests.cli.conftest import wrong
from tests.cli.test_evaluate import evaluated
from tests.cli.test_main import python


def recorded(target="pipeline.data.sets.planar.blobs", **changes):
    """A config as a model.h5 records it, of 150 blobs, with `changes` to the arguments of the data set."""
    own = {"n_classes": 3, "examples_per_class": 50, "spread": 0.1, "validation_fraction": 0.2, "test_fraction": 0.2}
    return json.dumps({"dataset": {"_target_": target, **own, **changes}, "seed": 0})


LAMBDA = {
    "class_name": "Sequential",
    "config": {
        "name": "s",
        "layers": [
            {"class_name": "InputLayer", "config": {"batch_shape": [None, 2], "dtype": "float32", "name": "i"}},
            {
                "class_name": "Lambda",
                "config": {
                    "name": "l",
                    "function": {"class_name": "__lambda__", "config": {"code": "4wA=", "defaults": None}},
                },
            },
        ],
    },
}
STRANGE_MODELS = [
    ({"caviar_config": None}, "no data set is recorded in it"),
    ({"caviar_config": "[1]"}, "no data set is recorded in it"),
    ({"caviar_config": recorded("os.system", command="true")}, "which no file in conf/dataset names"),
    # Within allowed_targets, and would run code of the file's choice with safe_mode=False.
    ({"caviar_config": recorded("keras.saving.deserialize_keras_object", config={})}, "no file in conf/dataset"),
    ({"caviar_config": recorded("pipeline.targets.call", node={"_target_": "os.system"})}, "no file in conf/dataset"),
    ({"caviar_config": recorded(more=1)}, "does not take this config"),
    ({"caviar_config": recorded(spread="x")}, "could not convert string to float"),
    # A stranger's model looks up nothing in the environment: the value stays as it is written.
    ({"caviar_config": recorded(spread="${oc.env:HOME}")}, "could not convert string to float: '${oc.env:HOME}'"),
    ({"caviar_config": recorded(examples_per_class=10**13)}, "Unable to allocate"),
    ({"caviar_config": recorded(n_classes=1)}, "must be"),
    ({"caviar_config": recorded(n_classes=5)}, "this model's 3"),
    ({"caviar_config": recorded(noise={"_target_": "os.system"})}, "is not allowed"),
    (
        {"caviar_config": '{"model": {"head": "mine"}}'},
        "its head is mine, which the map `heads` of conf/config.yaml lacks",
    ),
    ({"class_names": '["a", "b"]'}, "this model's 2 classes"),
    ({"class_names": '["a", "b", "c", "d"]'}, "its description (4 classes, input 2) is not that of its layers"),
    ({"model_config": None}, "not a Keras model (it has no model_config)"),
    ({"model_config": "{"}, "not a model that Keras can load"),
    ({"model_config": json.dumps(LAMBDA)}, "not a model that Keras can load"),
]


@pytest.mark.parametrize(("attributes", "expected"), STRANGE_MODELS)
def test_strange_models(run, altered, attributes, expected):
    wrong(run("evaluate", altered(**attributes)), expected)


def test_description_of_no_use_is_replaced_by_the_layers(run, altered):
    """A Keras file that Caviar did not write: labels stand for names."""
    found, _ = evaluated(run, altered(class_names=None, input_shape=None, caviar_config=None), "blobs:test")
    assert (found["class_names"], found["n"]) == (["0", "1", "2"], 180)


def test_recorded_environment_is_looked_up_where_the_own_yaml_says_so(altered, tmp_path):
    """The data set says what it was given. A process of its own has a folder of the user's to itself."""
    (tmp_path / "my_data.py").write_text("def mine(path, other, seed): raise ValueError(f'{path} {other}')")
    own = {"path": "${oc.env:CAVIAR_DATA}/a.csv", "_target_": "my_data.mine"}
    (tmp_path / "conf/dataset").mkdir(parents=True)
    (tmp_path / "conf/dataset/mine.yaml").write_text(json.dumps(own))
    model = altered(caviar_config=json.dumps({"dataset": own | {"other": "${oc.env:HOME}"}, "seed": 0}))
    words = ["allowed_targets=[pipeline.,keras.,my_data.]", "--config-dir", tmp_path / "conf"]
    result = python("evaluate", model, *words, env=os.environ | {"CAVIAR_DATA": "/data"})
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"dataset: my_data.mine: /data/a.csv ${{oc.env:HOME}} ({tmp_path}/my_data.py, line 1)\n"


def test_logits_are_not_probabilities(run, altered):
    path = altered()
    with h5py.File(path) as file:
        config = json.loads(file.attrs["model_config"])
    config["config"]["layers"].pop()
    config["config"]["output_layers"] = ["logits", 0, 0]
    names = [layer["name"].encode() for layer in config["config"]["layers"]]
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(config)
        file["model_weights"].attrs["layer_names"] = names
        del file.attrs["caviar_sha256"]
    wrong(run("evaluate", path), "its outputs are not probabilities")


def test_changed_model(run, altered):
    path = altered()
    with h5py.File(path, "r+") as file:
        file["model_weights/logits/logits/bias"][0] += 1
    wrong(run("evaluate", path), "its content has changed")


def test_state_is_no_model(run, run_folder):
    wrong(run("evaluate", run_folder / "state.h5"), "the model is the model.h5 beside it")
