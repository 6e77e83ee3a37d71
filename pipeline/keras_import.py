"""Importing Keras: the longest part of every process that trains or predicts."""

import gc
import sys

# Keras imports these if it finds them, for data frames, wrappers and pictures of models that nothing here asks it for.
# They take a third of the time. Whoever wants one imports it afterwards; Keras itself does without.
OPTIONAL = ("pandas", "sklearn", "matplotlib")


def import_keras() -> None:
    """Later imports of Keras, and of TensorFlow, cost nothing."""
    if "keras" in sys.modules:
        return
    absent = [name for name in OPTIONAL if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # an import of it raises ImportError
    # The import makes a million objects that live as long as the process. Collecting in between costs a second, and
    # later every clear_session() would go through them all.
    gc.disable()
    try:
        import keras  # noqa: F401
    finally:
        for name in absent:
            sys.modules.pop(name, None)
        gc.freeze()
        gc.enable()
