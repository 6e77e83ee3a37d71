"""Importing TensorFlow without what it prints while it starts."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from pipeline.errors import InputError
from pipeline.keras_import import import_keras


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Hides what TensorFlow prints while it starts: 2.21 tells about CPU instructions and the GPU that is not there
    before it reads TF_CPP_MIN_LOG_LEVEL, from C++, where only the file descriptor helps. CAVIAR_TRACEBACK=1, or an
    error that is not the user's, shows it."""
    if os.environ.get("CAVIAR_TRACEBACK") == "1":
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as hidden:
        terminal = os.dup(2)
        os.dup2(hidden.fileno(), 2)
        try:
            import_keras()
            import tensorflow as tf

            tf.config.list_logical_devices()  # the GPU is looked for at the first use, not at the import
            yield
        except Exception as error:
            if not isinstance(error, InputError):
                hidden.seek(0)
                os.write(terminal, hidden.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
