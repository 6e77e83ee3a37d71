"""MODEL on the command line: a saved model and its head."""

import shlex
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import hdf5
from pipeline.checks import naming
from pipeline.cli.sources.arrays import Fitted, fit
from pipeline.cli.sources.conf import maps
from pipeline.cli.sources.description import Description, Signature
from pipeline.cli.views.quiet import without_chatter
from pipeline.cli.views.text import clean, size
from pipeline.data.rows import Rows
from pipeline.errors import InputError, first_line
from pipeline.evaluation import Answers, answers
from pipeline.heads.head import Head
from pipeline.heads.lookup import make_head
from pipeline.saving import load_model, model_attributes
from pipeline.user_folder import option


class SavedModel:
    """Raw inputs in, the head's predictions out; a model that Caviar did not write is taken for a classifier. words:
    what the user's command adds to the maps of names.

    The file is checked at once; TensorFlow is imported when the model is first needed, so that input which does not
    fit a model of Caviar's is told about sooner. Raises InputError if the file is no intact model or the model has
    not one input and one output [batch, numbers].
    """

    def __init__(self, path: Path, words: Sequence[str] = ()) -> None:
        inside = path / "model.h5"
        if path.is_dir() and inside.is_file():
            raise InputError(f"{path}: is a folder. Did you mean '{inside}'?")
        trial = path if path.is_dir() else path.parent
        if not inside.is_file() and not path.is_file() and (trial / "state.h5").is_file():
            export = shlex.join(["python", "-m", "pipeline", "export", str(trial), *option(), *naming(words)])
            raise InputError(f"{path}: this trial has no model.h5. Write it: {export}")
        with hdf5.opened(path) as file:
            hdf5.check(path)
            if "model_config" not in file.attrs:
                state = "progress" in file.attrs
                hint = " It is a training state; the model is the model.h5 beside it." if state else ""
                raise InputError(f"{path}: not a Keras model (it has no model_config).{hint}")
            self.description = Description(path, model_attributes(path))
        self.path = path
        self.head = _head(self.description, words)
        self.signature = self.description.signature or self._signature_of_layers()

    @cached_property
    def _model(self) -> Any:
        with without_chatter():
            model = load_model(self.path)
        inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
        if len(inputs) != 1 or len(outputs) != 1 or len(outputs[0].shape) != 2 or outputs[0].shape[1] is None:
            raise InputError(
                f"{self.path}: has {len(inputs)} inputs and outputs of shape {[tuple(t.shape) for t in outputs]}; "
                "one input and one output [batch, numbers] are needed."
            )
        return model

    def _signature_of_layers(self) -> Signature:
        """Classes have no names there: they are called by their labels."""
        (inputs,), (outputs,) = self._model.inputs, self._model.outputs
        n_classes = max(2, outputs.shape[1]) if self.head.classifies else 0  # one output: the probability of class 1
        return Signature([str(label) for label in range(n_classes)], tuple(inputs.shape[1:]), str(inputs.dtype))

    def fitted(self, title: str, inputs: Rows) -> Fitted:
        """Inputs as [n, *input_shape]."""
        return fit(title, inputs, self.signature.input_shape, self.signature.dtype)

    def answers(self, inputs: Fitted) -> Answers:
        """For [n, *input_shape]: probabilities, float [n, C], each row summing to 1, or what else the head predicts.

        Raises InputError if the model is not what its description says, or fails, or its outputs are no probabilities,
        as those of a model that was saved without its softmax.
        """
        said, true = self.signature, self._signature_of_layers()
        if len(true.class_names) != len(said.class_names) or true.input_shape != said.input_shape:
            raise InputError(
                f"{self.path}: its description ({len(said.class_names)} classes, input {size(said.input_shape)}) is "
                f"not that of its layers ({len(true.class_names)} classes, input {size(true.input_shape)})."
            )
        try:
            result = answers(self._model, inputs, self.head)
        except InputError:  # of a file that is read meanwhile
            raise
        # TensorFlow's errors have no base class of their own: an index that a layer refuses, no memory left.
        except Exception as error:
            raise InputError(f"{self.path}: can't predict ({clean(first_line(error))}).") from None
        shares = result.predictions
        if self.head.classifies and not ((shares >= -1e-6).all() and np.allclose(shares.sum(axis=1), 1, atol=1e-2)):
            raise InputError(f"{self.path}: its outputs are not probabilities (not all within 0..1 with the sum 1).")
        return result


def _head(description: Description, words: Sequence[str]) -> Head:
    """The head that the description names, as the user's own conf/config.yaml has it: the file may be a stranger's."""
    own = maps(words)
    name, asked = description.config("model", "head"), description.config("train", "metrics")
    name = name if isinstance(name, str) else "softmax"
    if name not in own["heads"]:
        lacks = "which the map `heads` of conf/config.yaml lacks"
        raise InputError(f"{description.path}: its head is {clean(name)}, {lacks}.")
    known = [metric for metric in own["metrics"] if isinstance(asked, list) and metric in asked]
    return make_head(name, heads=own["heads"], metrics=own["metrics"], asked=known)
