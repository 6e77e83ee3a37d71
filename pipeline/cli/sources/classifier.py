"""MODEL on the command line: a saved model and its head."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import hdf5
from pipeline.cli.sources import datasets
from pipeline.cli.sources.arrays import Fitted, Shape, fit
from pipeline.cli.views.quiet import without_chatter
from pipeline.cli.views.text import clean, size
from pipeline.data.encoding import Encoding, of_model
from pipeline.data.rows import Rows
from pipeline.errors import InputError, first_line
from pipeline.evaluation import outputs
from pipeline.hdf5 import opened
from pipeline.heads.head import Head
from pipeline.heads.lookup import make_head
from pipeline.saving import load_model, model_attributes


def saved_model(path: Path, words: Sequence[str] = ()) -> "SavedModel":
    """The model in a file with its head; one that Caviar did not write is taken for a classifier. words: what the
    user's command adds to the maps of names.

    The file is checked at once; TensorFlow is imported when the model is first needed, so that input which does not
    fit a model of Caviar's is told about sooner. Raises InputError if the file is no intact model or the model has
    not one input and one output [batch, numbers].
    """
    inside = path / "model.h5"
    if path.is_dir() and inside.is_file():
        raise InputError(f"{path}: is a folder. Did you mean '{inside}'?")
    trial = path if path.is_dir() else path.parent
    if not inside.is_file() and not path.is_file() and (trial / "state.h5").is_file():
        raise InputError(f"{path}: this trial has no model.h5. Write it: python -m pipeline export {trial}")
    with opened(path) as file:
        hdf5.check(path)
        if "model_config" not in file.attrs:
            state = "progress" in file.attrs
            hint = " It is a training state; the model is the model.h5 beside it." if state else ""
            raise InputError(f"{path}: not a Keras model (it has no model_config).{hint}")
        description = model_attributes(path)
    return SavedModel(path, description, _head(path, description, words))


class SavedModel:
    """Raw inputs in, the head's predictions out. class_names: of the C classes; input_shape: of one example; dtype: of
    the inputs."""

    def __init__(self, path: Path, description: dict[str, Any], head: Head) -> None:
        self.path, self.description, self.head = path, description, head
        self.class_names, self.input_shape, self.dtype = _recorded(description) or self._found()

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

    def _labels(self, n_outputs: int) -> list[str]:
        """What classes are called that have no names: by their labels."""
        # A single output is the probability of class 1.
        return [str(label) for label in range(max(2, n_outputs))] if self.head.classifies else []

    def _found(self) -> tuple[list[str], Shape, str]:
        """What the layers say."""
        (inputs,), (outputs,) = self._model.inputs, self._model.outputs
        return self._labels(outputs.shape[1]), tuple(inputs.shape[1:]), str(inputs.dtype)

    @property
    def encoding(self) -> Encoding | None:
        """Of the columns of the table that it learned from, if it was one."""
        return of_model(self.path, self.description)

    def fitted(self, title: str, inputs: Rows) -> Fitted:
        """Inputs as [n, *input_shape]."""
        return fit(title, inputs, self.input_shape, self.dtype)

    def predictions(self, inputs: Fitted) -> np.ndarray:
        """[n, *input_shape] -> float [n, C] of probabilities, each row summing to 1, or what else the head predicts.

        Raises InputError if the model is not what its description says, or fails, or its outputs are no probabilities,
        as those of a model that was saved without its softmax.
        """
        labels, shape, _ = self._found()
        if len(labels) != len(self.class_names) or shape != self.input_shape:
            raise InputError(
                f"{self.path}: its description ({len(self.class_names)} classes, input {size(self.input_shape)}) is "
                f"not that of its layers ({len(labels)} classes, input {size(shape)})."
            )
        try:
            result = self.head.predictions(outputs(self._model, inputs))
        except InputError:  # of a file that is read meanwhile
            raise
        # TensorFlow's errors have no base class of their own: an index that a layer refuses, no memory left.
        except Exception as error:
            reason = first_line(error)
            raise InputError(f"{self.path}: can't predict ({clean(reason)}).") from None
        if self.head.classifies and not ((result >= -1e-6).all() and np.allclose(result.sum(axis=1), 1, atol=1e-2)):
            raise InputError(f"{self.path}: its outputs are not probabilities (not all within 0..1 with the sum 1).")
        return result


def _head(path: Path, description: dict[str, Any], words: Sequence[str]) -> Head:
    """The head that the description names, as the user's own conf/config.yaml has it: the file may be a stranger's."""
    config, own = description.get("caviar_config"), datasets.maps(words)
    model, train = (config.get(key) if isinstance(config, dict) else None for key in ("model", "train"))
    name = model.get("head") if isinstance(model, dict) else None
    asked = train.get("metrics") if isinstance(train, dict) else None
    if isinstance(name, str) and name not in own["heads"]:
        raise InputError(f"{path}: its head is {clean(name)}, which the map `heads` of conf/config.yaml lacks.")
    known = [metric for metric in own["metrics"] if isinstance(asked, list) and metric in asked]
    name = name if isinstance(name, str) else "softmax"
    return make_head(name, heads=own["heads"], metrics=own["metrics"], asked=known)


def _recorded(description: dict[str, Any]) -> tuple[list[str], Shape, str] | None:
    """Class names, input shape and dtype as a model.h5 describes them; None if it does not, or not in earnest."""
    names, shape = description.get("class_names"), description.get("input_shape")
    if not isinstance(names, list) or not isinstance(shape, list) or not all(isinstance(n, int) for n in shape):
        return None
    try:
        dtype = np.dtype(description.get("input_dtype", ""))
    except TypeError:
        return None
    return ([clean(name) for name in names], tuple(shape), dtype.name) if dtype.kind in "iuf" else None
