"""MODEL on the command line: a saved model that gives class probabilities."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import hdf5
from pipeline.cli.sources.arrays import Shape, fit
from pipeline.cli.sources.examples import Examples
from pipeline.cli.views.quiet import without_chatter
from pipeline.cli.views.text import clean, size
from pipeline.errors import InputError
from pipeline.evaluation import probabilities
from pipeline.saving import load_model, model_attributes


class Classifier:
    """Raw inputs in, class probabilities out.

    class_names: of the C classes; input_shape: of one example; dtype: of the inputs.
    The file is checked at once; TensorFlow is imported when the model is first needed, so that input which does not
    fit a model of Caviar's is told about sooner. Raises InputError if the file is no intact model or the model no
    classifier of one input.
    """

    def __init__(self, path: Path) -> None:
        inside = path / "model.h5"
        if path.is_dir() and inside.is_file():
            raise InputError(f"{path}: is a folder. Did you mean '{inside}'?")
        trial = path if path.is_dir() else path.parent
        if not inside.is_file() and not path.is_file() and (trial / "state.h5").is_file():
            raise InputError(f"{path}: this trial has no model.h5. Write it: python -m pipeline export {trial}")
        hdf5.check(path)
        with hdf5.opened(path) as file:
            if "model_config" not in file.attrs:
                state = "progress" in file.attrs
                hint = " It is a training state; the model is the model.h5 beside it." if state else ""
                raise InputError(f"{path}: not a Keras model (it has no model_config).{hint}")
            self.description: dict[str, Any] = model_attributes(path)
        self.path = path
        self.class_names, self.input_shape, self.dtype = _recorded(self.description) or self._found()

    @cached_property
    def _model(self) -> Any:
        with without_chatter():
            model = load_model(self.path)
        inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
        if len(inputs) != 1 or len(outputs) != 1 or len(outputs[0].shape) != 2 or outputs[0].shape[1] is None:
            raise InputError(
                f"{self.path}: has {len(inputs)} inputs and outputs of shape {[tuple(t.shape) for t in outputs]}; "
                "one input and one output [batch, classes] are needed."
            )
        return model

    def _found(self) -> tuple[list[str], Shape, str]:
        """What the layers say; the classes are then called by their labels."""
        (inputs,), (outputs,) = self._model.inputs, self._model.outputs
        n_classes = max(2, outputs.shape[1])  # a single output is the probability of class 1
        return [str(label) for label in range(n_classes)], tuple(inputs.shape[1:]), str(inputs.dtype)

    def fitted(self, examples: Examples) -> np.ndarray:
        """The inputs of `examples` as [n, *input_shape], of `dtype`."""
        return fit(examples.title, examples.inputs, self.input_shape, self.dtype)

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """[n, *input_shape] -> float [n, C], each row summing to 1. Raises InputError if they don't, as those of a
        model that was saved without its softmax."""
        labels, shape, _ = self._found()
        if len(labels) != len(self.class_names) or shape != self.input_shape:
            raise InputError(
                f"{self.path}: its description ({len(self.class_names)} classes, input {size(self.input_shape)}) is "
                f"not that of its layers ({len(labels)} classes, input {size(shape)})."
            )
        try:
            result = probabilities(self._model, inputs)
        # TensorFlow's errors have no base class of their own: an index that a layer refuses, no memory left.
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(f"{self.path}: can't predict ({clean(reason)}).") from None
        if not ((result >= -1e-6).all() and np.allclose(result.sum(axis=1), 1, atol=1e-2)):
            raise InputError(f"{self.path}: its outputs are not probabilities (not all within 0..1 with the sum 1).")
        return result


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
