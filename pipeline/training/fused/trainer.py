"""A cohort of trials trained as one stacked computation."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from pipeline.data.input_pipeline import Augmentation
from pipeline.data.splits import Splits
from pipeline.heads.head import Head
from pipeline.training.fused import stacking, updates
from pipeline.training.fused.batches import Batches, InMemoryBatches, StreamingBatches
from pipeline.training.fused.program import Constants, Program, Settings, State
from pipeline.training.fused.stacked import Stacked, gathered
from pipeline.training.recent import Recent
from pipeline.training.solo import STEPS_PER_CALL
from pipeline.training.sums import Numbers, Sums, added, as_numbers, values

CALL_SECONDS = 2.0  # after about so long a stop request is noticed
FIRST_STEPS = 16  # of a cohort, which tell how long a step takes

_programs: Recent[Program] = Recent(4)  # a worker mostly gets cohorts of the same few structures


class FusedTrainer:
    """Trains P models of one structure (see stacking.structure), each with its own optimizer, on its own numbers.

    models, optimizers, splits, seeds, label_smoothing: one a trial; models as they begin, optimizers of one class.
    Trials with the same splits (the same object) and seed share batches; data of others must have the same shapes.
    resident: whether the data stays on the device as tensors; otherwise it streams through tf.data, which wants one
    data set for all, and may be changed on its way by `augment`. xla: compile with XLA. steps_per_call: at most; a
    longer epoch runs as several calls, between which a stop request is noticed. layer_numbers: those that may differ by
    trial and change later, by their paths in a Structure, [P] each; None: those in which the models differ.
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        optimizers: Sequence[keras.optimizers.Optimizer],
        splits: Sequence[Splits],
        *,
        seeds: Sequence[int],
        batch_size: int,
        label_smoothing: Sequence[float],
        head: Head,
        epoch: int = 0,
        resident: bool = True,
        xla: bool = True,
        augment: Augmentation | None = None,
        steps_per_call: int = STEPS_PER_CALL,
        layer_numbers: Mapping[stacking.Path, np.ndarray] | None = None,
    ) -> None:
        self._epoch, self._head, self._most_steps, self.waited = epoch, head, steps_per_call, 0.0
        self._steps_per_call = min(FIRST_STEPS, steps_per_call)
        sources = {(id(own), seed): (own, seed) for own, seed in zip(splits, seeds)}
        data = [list(sources).index((id(own), seed)) for own, seed in zip(splits, seeds)]
        own_splits, own_seeds = zip(*sources.values())

        structures = [stacking.structure(model) for model in models]
        differing = stacking.differing(structures) if layer_numbers is None else layer_numbers
        numbers, labels = updates.numbers(optimizers), splits[0].train.labels
        settings = Settings(
            optimizer=type(optimizers[0]),
            head=head,
            targets=tf.TensorSpec([None, *labels.shape[1:]], labels.dtype),
            paths=tuple(differing),
            batch_size=batch_size,
            clip=bool(np.isfinite(numbers["clipnorm"]).any()),
            decay=bool(numbers["weight_decay"].any()),
            own_data=len(sources) > 1,
            xla=xla,
        )
        program = _programs.get(
            _key(models[0], structures, settings), lambda: _make_program(models[0], structures, settings)
        )
        wide = [tuple(v.shape) for v in program.template.variables]
        self._trials = Stacked(models, optimizers, updates.RULES[settings.optimizer], numbers, wide)
        self._constants = Constants(
            layers=[tf.constant(values) for values in differing.values()],
            optimizer={name: tf.constant(values) for name, values in numbers.items()},
            label_smoothing=tf.constant(label_smoothing, tf.float32),
            masks=self._trials.masks(),
            data=tf.constant(data, tf.int32),
        )
        self.program = program
        if resident:
            self._batches: Batches = InMemoryBatches(program, own_splits, own_seeds, batch_size=batch_size)
        else:
            self._batches = StreamingBatches(
                program, splits[0], seeds[0], batch_size=batch_size, epoch=epoch, augment=augment
            )

    @property
    def size(self) -> int:
        return len(self._trials)

    def epoch(
        self, rates: np.ndarray, should_stop: Callable[[], bool] = lambda: False
    ) -> list[dict[str, float]] | None:
        """Trains an epoch at learning rates [P, steps] and validates.

        Returns for each trial the head's metrics, of training (the loss as trained on) and validation; None if
        `should_stop` turned true between two calls.
        """
        state, batches, rate = self._trials.state, self._batches, tf.constant(rates)
        batches.begin(self._epoch)
        totals, begin = self.program.zero(state), 0
        while begin < batches.calls:
            if should_stop():
                return None
            began, end = time.perf_counter(), min(begin + self._steps_per_call, batches.calls)
            state, totals = self._steps(state, totals, rate, begin, end)
            totals["loss"].numpy()  # a GPU answers before it is done
            fitting = (end - begin) * CALL_SECONDS / (time.perf_counter() - began)
            begin, self._steps_per_call = end, max(1, min(self._most_steps, int(fitting)))
        trained = as_numbers(totals)
        state, rest, validation = batches.finish(state, self._constants, rate)
        trained = added(trained, as_numbers(rest))
        validated = as_numbers(validation)
        self._trials.state = state
        self.waited = float(trained["waited"])
        self._epoch += 1
        return [self._metrics(trained, i) | self._metrics(validated, i, "val_") for i in range(self.size)]

    def _metrics(self, sums: Numbers, i: int, prefix: str = "") -> dict[str, float]:
        """Those of trial `i`."""
        return values(self._head, {key: value[i] if np.ndim(value) else value for key, value in sums.items()}, prefix)

    def rehearse(self, rates: np.ndarray, steps: int) -> int:
        """Computes up to `steps` steps of an epoch and forgets them: what a step takes, compiled; 0 only compiles.
        Returns how many: the partial batch at an epoch's end is a step only where there is no full one."""
        state, rate = self._trials.state, tf.constant(rates)
        self._batches.begin(self._epoch)
        full = min(steps, self._batches.calls)
        if self._batches.calls:
            _, totals = self._steps(state, self.program.zero(state), rate, 0, full)
        else:
            _, totals, _ = self._batches.finish(state, self._constants, rate)
        totals["loss"].numpy()
        return full or 1

    def _steps(self, state: State, totals: Sums, rate: tf.Tensor, begin: int, end: int) -> tuple[State, Sums]:
        span = tf.constant(begin), tf.constant(end)
        return self._batches.steps(state, totals, self._constants, rate, *span)

    def weights(self, i: int) -> list[np.ndarray]:
        """What predicting needs of trial `i`, in its own widths and the order of model.weights."""
        return self._trials.weights(i)

    def state(self, i: int) -> dict[str, np.ndarray]:
        """Everything that training changes of trial `i`, as SoloTrainer names it."""
        return self._trials.of(i)

    def restore(self, i: int, state: dict[str, np.ndarray]) -> None:
        """Sets what state() gave. Raises ValueError if names or shapes are not this trial's."""
        self._trials.restore(i, state)

    def keep(self, indices: Sequence[int]) -> None:
        """Goes on with these trials only."""
        chosen = tf.constant(indices, tf.int32)
        self._trials.keep(chosen)
        self._constants = gathered(self._constants, chosen)

    def copy(self, sources: Sequence[int]) -> None:
        """Each trial goes on as the one in its place of `sources` stands: with its weights, averages and slots."""
        self._trials.copy(tf.constant(sources, tf.int32))

    def set_numbers(
        self,
        layer_numbers: Mapping[stacking.Path, np.ndarray],
        optimizer: Mapping[str, np.ndarray],
        label_smoothing: np.ndarray,
    ) -> None:
        """Goes on with other hyperparameters: all that there are of each kind, [P] each, as they were at first."""
        self._constants = self._constants._replace(
            layers=[tf.constant(values) for values in layer_numbers.values()],
            optimizer={name: tf.constant(values) for name, values in optimizer.items()},
            label_smoothing=tf.constant(label_smoothing, tf.float32),
        )

    def whole(self) -> list[np.ndarray]:
        """Everything that training changes of all trials, as set_whole() takes it back."""
        return self._trials.whole()

    def set_whole(self, arrays: Sequence[np.ndarray]) -> None:
        """Raises ValueError for other shapes than these trials have."""
        self._trials.set_whole(arrays)


def _key(model: keras.Model, structures: Sequence[stacking.Structure], settings: Settings) -> Hashable:
    """Equal for cohorts that one program trains: what all trials of one share is a constant of its graph."""
    first = structures[0]
    same = [(path, value) for path, value in first.numbers.items() if path not in settings.paths]
    statistics = () if settings.own_data else [w.tobytes() for n in _normalizations(model) for w in n.get_weights()]
    return settings, first.key(), tuple(stacking.common_widths(structures).items()), tuple(same), tuple(statistics)


def _make_program(model: keras.Model, structures: Sequence[stacking.Structure], settings: Settings) -> Program:
    template = stacking.widest(model, structures)
    template = keras.models.clone_model(template) if template is model else template
    # Input normalisation is a constant of the graph, not a variable, as long as all trials share their data.
    for source, target in zip(_normalizations(model), _normalizations(template), strict=True):
        target.set_weights(source.get_weights())
        target.finalize_state()
    return Program(template, settings)


def _normalizations(model: keras.Model) -> list[keras.layers.Normalization]:
    return [layer for layer in model._flatten_layers() if type(layer) is keras.layers.Normalization]
