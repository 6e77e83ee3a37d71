"""Importing Keras: the longest part of every process that trains or predicts."""

import contextlib
import gc
import logging
import os
import sys
from collections.abc import Iterable, Iterator

# Keras imports these if it finds them, for data frames, wrappers and pictures of models that nothing here asks it for.
# They take a third of the time. Whoever wants one imports it afterwards; Keras itself does without.
OPTIONAL = ("pandas", "sklearn", "matplotlib")


@contextlib.contextmanager
def absent(names: Iterable[str]) -> Iterator[list[str]]:
    """Within it an import of those of `names` that are not imported yet, which it yields, raises ImportError."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield hidden
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


def import_keras() -> None:
    """Later imports of Keras, and of TensorFlow, cost nothing."""
    if "keras" in sys.modules:
        return
    # The import makes a million objects that live as long as the process. Collecting in between costs a second, and
    # later every clear_session() would go through them all.
    gc.disable()
    try:
        with absent(OPTIONAL):
            import keras  # noqa: F401
    finally:
        gc.freeze()
        gc.enable()


def import_quietly() -> None:
    """The same in a process whose terminal a person looks at: without what TensorFlow's libraries say of the machine
    whatever they are told, and what absl repeats of Keras' formats."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    if "keras" in sys.modules:
        return
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import_keras()
        import tensorflow as tf

        tf.config.list_physical_devices()  # which looks for drivers
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)
