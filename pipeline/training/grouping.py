"""Which trials of a job can be one computation, and why others can't."""

from typing import Any

from pipeline.training.fused import stacking
from pipeline.training.fused.padding import unpadded_reason
from pipeline.training.trainers import obstacle
from pipeline.training.trial import TrainedTrial


def grouped(trials: list[TrainedTrial]) -> list[list[TrainedTrial]]:
    """Trials that can be one computation: of one structure, optimizer, size and shape of data, at the same epoch."""
    groups: dict[Any, list[TrainedTrial]] = {}
    models = {id(trial.model): trial.model for trial in trials}  # most trials of a sweep share one
    layers = {key: stacking.structure(model).key() for key, model in models.items()}
    for trial in trials:
        train, data = trial.config.train, trial.splits
        settings = (train.batch_size, train.epochs, train.augment, trial.objective())
        precision = trial.config.device.precision
        shapes = (data.train.inputs.shape, data.validation.inputs.shape, data.n_classes)
        stream = id(data) if trial.streams else None  # one stream serves one data set
        graph = (layers[id(trial.model)], trial.head, type(trial.optimizer), precision)
        key = (graph, obstacle(trial), settings, shapes, stream, trial.progress.epoch)
        groups.setdefault(key, []).append(trial)
    return list(groups.values())


def why_divided(groups: list[list[TrainedTrial]]) -> str | None:
    """Why trials that `model.widths` was to let train together don't; None if it is not for their widths."""
    if len(groups) < 2:
        return None
    models = [group[0].config.model for group in groups]
    differing = [name for name in models[0].widths or () if len({str(m.arguments.get(name)) for m in models}) > 1]
    if not differing or len({stacking.structure(group[0].model).key() for group in groups}) == 1:
        return None
    reason = unpadded_reason(groups[0][0].model.get_config()) or "they differ in more than the widths of layers"
    return f"model.{differing[0]} keeps trials apart, for {reason}"
