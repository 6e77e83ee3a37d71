"""Importing Keras: the longest part of every process that trains or predicts."""

import contextlib
import gc
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
