"""MODEL on the command line: a saved model that gives class probabilities, or costs."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import hdf5
from pipeline.cli.sources.arrays import Fitted, Shape, fit
from pipeline.cli.sources.examples import Examples
from pipeline.cli.views.quiet import without_chatter
from pipeline.cli.views.text import clean, size
from pipeline.data.probe import opened
from pipeline.errors import InputError
from pipeline.evaluation import outputs, probabilities
from pipeline.models.heads import HEADS
from pipeline.saving import load_model, model_attributes


def saved_model(path: Path) -> "Classifier | CostModel":
    """The model in a file, as what its head makes it; one that Caviar did not write is taken for a classifier.

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
    return (Classifier if _classifies(description) else CostModel)(path, description)


class _SavedModel:
    """Raw inputs in. class_names: of the C classes; input_shape: of one example; dtype: of the inputs."""

    def __init__(self, path: Path, description: dict[str, Any]) -> None:
        self.path, self.description = path, description
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
        return []

    def _found(self) -> tuple[list[str], Shape, str]:
        """What the layers say."""
        (inputs,), (outputs,) = self._model.inputs, self._model.outputs
        return self._labels(outputs.shape[1]), tuple(inputs.shape[1:]), str(inputs.dtype)

    def fitted(self, examples: Examples) -> Fitted:
        """The inputs of `examples` as [n, *input_shape]."""
        return fit(examples.title, examples.inputs, self.input_shape, self.dtype)

    def _ask(self, question: Callable[[Any, Any], np.ndarray], inputs: Fitted) -> np.ndarray:
        """`question` of the model. Raises InputError if the model is not what its description says, or fails."""
        labels, shape, _ = self._found()
        if len(labels) != len(self.class_names) or shape != self.input_shape:
            raise InputError(
                f"{self.path}: its description ({len(self.class_names)} classes, input {size(self.input_shape)}) is "
                f"not that of its layers ({len(labels)} classes, input {size(shape)})."
            )
        try:
            return question(self._model, inputs)
        except InputError:  # of a file that is read meanwhile
            raise
        # TensorFlow's errors have no base class of their own: an index that a layer refuses, no memory left.
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(f"{self.path}: can't predict ({clean(reason)}).") from None


class Classifier(_SavedModel):
    """Class probabilities out."""

    def _labels(self, n_outputs: int) -> list[str]:
        return [str(label) for label in range(max(2, n_outputs))]  # a single output is the probability of class 1

    def probabilities(self, inputs: Fitted) -> np.ndarray:
        """[n, *input_shape] -> float [n, C], each row summing to 1. Raises InputError if they don't, as those of a
        model that was saved without its softmax."""
        result = self._ask(probabilities, inputs)
        if not ((result >= -1e-6).all() and np.allclose(result.sum(axis=1), 1, atol=1e-2)):
            raise InputError(f"{self.path}: its outputs are not probabilities (not all within 0..1 with the sum 1).")
        return result


class CostModel(_SavedModel):
    """Costs out: a model whose head is `cost`."""

    def costs(self, inputs: Fitted) -> np.ndarray:
        """[n, *input_shape] -> float [n]"""
        return self._ask(outputs, inputs)[:, 0]


def _classifies(description: dict[str, Any]) -> bool:
    config: Any = description.get("caviar_config")
    model = config.get("model") if isinstance(config, dict) else None
    head = HEADS.get(str(model.get("head"))) if isinstance(model, dict) else None
    return head is None or head.classifies


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
