"""The hyperparameters of a population as numbers of its graph, where they can change while it trains."""

import contextlib

import numpy as np

from pipeline.errors import InputError
from pipeline.evolution import Evolution, Params
from pipeline.schema import changed
from pipeline.training.fused import stacking, updates
from pipeline.training.trial import TrainedTrial, build_model


class Numbers:
    """The hyperparameters of a population's places as its trainer takes them: [P] each."""

    def __init__(self, trial: TrainedTrial, evolution: Evolution) -> None:
        """trial: one of them, built with the nominal values. Raises InputError for a hyperparameter that can't change
        within the graph."""
        n = len(evolution.params)
        self._paths = {
            key: layer_paths(trial, evolution.nominal, key) for key in evolution.nominal if _of(key, "model")
        }
        paths = [path for own in self._paths.values() for path in own]
        self.layers = {path: np.zeros(n, np.float32) for path in paths}
        self.optimizer = updates.numbers([trial.optimizer] * n)
        self.label_smoothing = np.full(n, trial.config.train.label_smoothing, np.float32)
        for key in evolution.nominal:
            name = key.partition(".")[2]
            if _of(key, "optimizer") and name != "learning_rate" and name not in self.optimizer:
                names = ", ".join(f"optimizer.{own}" for own in self.optimizer if not own.startswith("one_minus"))
                raise InputError(f"{key} can't change while a population trains; those that can: {names}.")
        for place, params in enumerate(evolution.params.values()):
            self.set(place, params)

    def set(self, place: int, params: Params) -> None:
        for key, value in params.items():
            name = key.partition(".")[2]
            for path in self._paths.get(key, ()):
                self.layers[path][place] = value
            if _of(key, "optimizer") and name in self.optimizer:
                updates.set_number(self.optimizer, place, name, value)
            if key == "train.label_smoothing":
                self.label_smoothing[place] = value


def _of(key: str, group: str) -> bool:
    return key.startswith(f"{group}.")


def layer_paths(trial: TrainedTrial, nominal: Params, key: str) -> list[stacking.Path]:
    """The numbers of the model's layers that a hyperparameter is, seen by building it with another value. Raises
    InputError if it is more, or other, than numbers of layers."""
    if not nominal[key]:
        return []  # 0 in all trials
    other, before = nominal[key] / 2, stacking.structure(trial.model)
    after = None
    with contextlib.suppress(InputError):  # of a model that does not take it: a whole number was meant
        after = stacking.structure(build_model(changed(trial.config, {**nominal, key: other}), trial.splits))
    numbers = after.numbers if after else {}
    paths = [path for path, value in before.numbers.items() if numbers.get(path) != value]
    alike = after is not None and (before.fixed, before.widths) == (after.fixed, after.widths)
    if not alike or {(before.numbers[path], numbers.get(path)) for path in paths} != {(nominal[key], other)}:
        raise InputError(
            f"{key} is no number that a layer uses as it is, so that it can't change while a population trains.\n"
            f"Pin it, or compare values as arms: {key}=A,B."
        )
    return paths
