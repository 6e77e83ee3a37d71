"""What targets take, from their source alone."""

import sys

import pytest

from pipeline.errors import InputError
from pipeline.schema import Dataset, Model, Target
from pipeline.signatures import accepted_by, check_arguments

SOURCE = """
from functools import wraps
from elsewhere_for_tests import deep as renamed
from elsewhere_for_tests import other as shallow, shallow as other
import keras

raise RuntimeError("nobody is to import it")

def plain(inputs, n_logits, *, depth, width=3): ...
def twice(inputs, n_logits): ...
def twice(inputs, n_logits, second): ...
def anything(inputs, n_logits, **keys): ...
@wraps(plain)
def decorated(inputs, n_logits): ...
class Own:
    def __init__(self, inputs, n_logits, depth=1): ...
@keras.saving.register_keras_serializable()
class Registered(Own):
    def __init__(self, inputs, n_logits, width): ...
class Inherits(Own): ...
class Both(Own, Registered): ...
class Unknown(keras.Model): ...
if True:
    def plain_or_not(): ...
def overwritten(inputs, n_logits): ...
overwritten = print
"""


@pytest.fixture(scope="module", autouse=True)
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    (folder / "models_for_tests.py").write_text(SOURCE)
    (folder / "elsewhere_for_tests.py").write_text(
        "async def deep(inputs): ...\ndef deep(inputs, n_logits, layers): ...\n"
        "def shallow(inputs, n_logits, low): ...\ndef other(seed, normalize, high): ..."
    )
    (folder / "torn_for_tests.py").write_text("def (")
    sys.path.append(str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.mark.parametrize(
    ("target", "names", "required"),
    [
        ("models_for_tests.plain", ["depth", "width"], {"depth"}),
        ("models_for_tests.twice", ["second"], {"second"}),
        ("models_for_tests.renamed", ["layers"], {"layers"}),
        ("models_for_tests.other", ["low"], {"low"}),
        ("models_for_tests.Own", ["depth"], set()),
        ("models_for_tests.Inherits", ["depth"], set()),
        ("models_for_tests.Registered", ["width"], {"width"}),
        ("pipeline.models.softmax_regression.softmax_regression", [], set()),
    ],
)
def test_what_a_model_takes_stands_in_its_source(target, names, required):
    accepted = accepted_by("model", target)
    assert (accepted.names, accepted.required & set(names), accepted.more) == (names, required, False)


@pytest.mark.parametrize(
    "name", ["decorated", "Both", "Unknown", "plain_or_not", "overwritten", "absent", "keras", "anything.more"]
)
def test_what_the_source_does_not_say_is_left_to_the_call(name):
    assert accepted_by("model", f"models_for_tests.{name}") is None
    check_arguments("model", Model(f"models_for_tests.{name}", {"what": 1}))


@pytest.mark.parametrize("target", ["", "plain", "torn_for_tests.f", "no_such.f", "math.sqrt", ".f", "__main__.f"])
def test_what_has_no_source_is_left_to_the_call(target):
    assert accepted_by("model", target) is None


def test_optimizers_of_keras_take_what_their_base_takes():
    accepted = accepted_by("optimizer", "keras.optimizers.SGD")
    assert accepted.names[:5] == ["learning_rate", "momentum", "nesterov", "weight_decay", "clipnorm"]
    assert not accepted.more


@pytest.mark.parametrize(
    ("key", "target", "message"),
    [
        (
            "model",
            Model("models_for_tests.plain", {"depth": 1, "widht": 2}),
            "takes depth, width. Did you mean 'model.wi",
        ),
        (
            "model",
            Model("models_for_tests.plain", {"width": 2}),
            "model.depth is missing: models_for_tests.plain needs it.",
        ),
        ("model", Model("models_for_tests.plain", {"depth": 1, "inputs": 2}), "model.inputs is no argument of"),
        ("train.callbacks", Target("models_for_tests.Own", {"inputs": 1}), "train.callbacks: n_logits is missing"),
        ("dataset", Dataset("models_for_tests.shallow", {"high": 1}), "dataset.normalize is missing"),
        (
            "dataset",
            Dataset("models_for_tests.twice", {"inputs": 1, "n_logits": 1, "second": 2, "normalize": "no"}),
            "dataset.normalize=no must be true or false.",
        ),
        ("dataset", Dataset("models_for_tests.anything", {"seed": 1}), "dataset.seed is what the runner itself gives"),
    ],
)
def test_arguments_are_refused(key, target, message):
    with pytest.raises(InputError) as raised:
        check_arguments(key, target)
    assert message in str(raised.value)


@pytest.mark.parametrize("arguments", [{"normalize": "minmax"}, {}], ids=["its own", "the runner's"])
def test_a_data_set_may_take_what_the_runner_reads_as_well(arguments):
    normalize = None if arguments else True
    check_arguments("dataset", Dataset("models_for_tests.shallow", {"high": 1, **arguments}, normalize=normalize))


@pytest.mark.parametrize(
    "target",
    [Model("models_for_tests.plain", {"depth": 1}, widths=["depth"]), Model("models_for_tests.anything", {"x": 1})],
)
def test_arguments_are_taken(target):
    check_arguments("model", target)
