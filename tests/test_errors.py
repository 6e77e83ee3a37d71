import pytest

from pipeline.errors import InputError, first_line, in_one_line, nearest, one_of

TRACED = """in user code:

    File "/x/stacked.py", line 3, in step  *
        y = layer(x)
    TypeError: Exception encountered when calling Layer.call().

    File "/x/mine.py", line 9, in call
        return op(x)

    tensorflow.python.framework.errors_impl.TypeError: got no [tensor] at all
"""
CALLED = (
    "Exception encountered when calling Layer.call().\n\n\x1b[1mShapes differ: 3 and 4.\x1b[0m\n\nArguments received:"
)
OPTIMIZERS = ["adam", "adamw", "sgd", "rmsprop"]
KEYS = ["optimizer.learning_rate", "optimizer.momentum", "train.batch_size", "train.epochs", "model.norm_momentum"]


@pytest.mark.parametrize(
    ("word", "allowed", "suggestion"),
    [
        ("adma", OPTIMIZERS, "adam"),
        ("ADAMW", OPTIMIZERS, "adamw"),
        ("rmspropp", OPTIMIZERS, "rmsprop"),
        ("softmx", ["Softmax", "sigmoid"], "Softmax"),
        ("optimizer.learning_rte", KEYS, "optimizer.learning_rate"),
        ("train.learning_rate", KEYS, "optimizer.learning_rate"),
        ("learning_rate", KEYS, "optimizer.learning_rate"),
        ("optimizer.momentm", KEYS, "optimizer.momentum"),
        ("model.momentum", KEYS, "model.norm_momentum"),
        ("train.epoch", KEYS, "train.epochs"),
        ("optimiser.learning_rate", ["optimizer", *KEYS], "optimizer.learning_rate"),
    ],
)
def test_nearest_names_the_likely_intention(word, allowed, suggestion):
    assert nearest(word, allowed) == f" Did you mean '{suggestion}'?"


@pytest.mark.parametrize(
    ("word", "allowed"), [("zebra", OPTIMIZERS), ("adam", []), ("optimizer.zebra", KEYS), ("zebra.adam", KEYS)]
)
def test_nearest_is_silent_when_nothing_is_close(word, allowed):
    assert nearest(word, allowed) == ""


@pytest.mark.parametrize(
    ("error", "first", "line"),
    [
        (ValueError("too long\nfor developers"), "too long", "ValueError: too long"),
        (KeyError("a"), "'a'", "KeyError: 'a'"),
        (ValueError(), "ValueError", "ValueError"),
        (RuntimeError(" \n"), "RuntimeError", "RuntimeError"),
        (TypeError(TRACED), "got no [tensor] at all", "TypeError: got no [tensor] at all"),
        (TypeError("in user code:\n\n    and nothing else\n"), "and nothing else", "TypeError: and nothing else"),
        (ValueError(CALLED), "Shapes differ: 3 and 4.", "ValueError: Shapes differ: 3 and 4."),
    ],
)
def test_an_error_is_said_in_a_line(error, first, line):
    assert (first_line(error), in_one_line(error)) == (first, line)


def test_nearest_takes_any_iterable_once():
    assert nearest("sdg", (name for name in OPTIMIZERS)) == " Did you mean 'sgd'?"


@pytest.mark.parametrize(
    ("got", "allowed", "message"),
    [
        ("gpuu", ("cpu", "gpu"), "device.name=gpuu is not known. Allowed: cpu, gpu. Did you mean 'gpu'?"),
        (None, ("cpu", "gpu"), "device.name=None is not known. Allowed: cpu, gpu."),
        (16, (1, 2), "device.name=16 is not known. Allowed: 1, 2. Did you mean '1'?"),
    ],
)
def test_one_of_says_received_allowed_and_nearest(got, allowed, message):
    error = one_of("device.name", got, allowed)
    assert isinstance(error, InputError)
    assert str(error) == message
