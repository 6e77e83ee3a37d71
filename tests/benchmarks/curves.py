"""Tables of learning curves: 2,000 trials of a task, trained once by the project's own sweep, kept in the user's cache.

A replayed search looks up what it asks for among them, so that hundreds of searches cost no training (Eggensperger et
al. 2015). A task's file is made when it is first wanted, in about five minutes on two cores, and takes 220 KB; its name
has a hash of the task's words, so that another task is another file.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache as cache_results
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline import cache
from pipeline.eventlog import epochs_of
from pipeline.search.ranges import distribution, parse
from pipeline.search.space import Choice, Space, coordinates_of
from pipeline.study.ledger import NAME, History
from tests.benchmarks.stopwatch import run
from tests.benchmarks.sweeps import caviar_command

SCALES = {name: f"pipeline.search.scales.{name.upper()}" for name in ("linear", "log", "one_minus_log")}
FOLDER = cache.file("curves")  # of the user, who imports this before a benchmark hides the cache
TRIALS, EPOCHS = 2000, 27
HOW = (
    f"sweep.n_trials={TRIALS} sweep.max_tier=4 sweep.keep_models=1 sweep.metric=val_loss sweep.direction=minimize "
    "tracking=none executor.workers=1"
)
# Every range that the YAML of the groups declares is searched, but for what is pinned. Small models: what is compared
# is how searches spend epochs, not how long one takes.
TASKS = {
    "digits": "dataset=digits dataset.validation_fraction=0.2 optimizer=adam optimizer.beta_2=0.999 "
    "optimizer.epsilon=1e-7 model.hidden_units=32 model.hidden_layers=1",
    "blobs": "dataset=blobs dataset.spread=0.5 dataset.validation_fraction=0.4 optimizer=momentum "
    "model.hidden_layers=1 model.norm_placement=none model.l2=0.0 model.dropout_rate=0.0",
    "spirals": "dataset=spirals dataset.validation_fraction=0.4 optimizer=momentum model.hidden_units=32 "
    "model.hidden_layers=2",
    "five_spirals": "dataset=spirals dataset.n_classes=5 dataset.turns=1.5 dataset.noise=0.1 "
    "dataset.validation_fraction=0.4 optimizer=adam optimizer.epsilon=1e-7 model.hidden_units=48 "
    "model.hidden_layers=2 model.norm_placement=none model.l2=0.0",
    "ten_blobs": "dataset=blobs dataset.n_classes=10 dataset.examples_per_class=150 dataset.spread=0.2 "
    "dataset.validation_fraction=0.4 optimizer=rmsprop schedule=exponential model.hidden_units=32 "
    "model.hidden_layers=1 model.dropout_rate=0.0 model.l2=0.0",
}


@dataclass(frozen=True)
class Curves:
    """What every trial of a task did."""

    space: Space
    coordinates: np.ndarray  # [trials, keys of the space], on their scales; of a choice the value's place
    losses: np.ndarray  # [trials, epochs]: validation loss after each; NaN where it was not finite, or no more trained

    @cached_property
    def lowest(self) -> np.ndarray:
        """[trials, epochs]: the lowest loss up to each epoch."""
        return np.asarray(np.fmin.accumulate(np.where(np.isfinite(self.losses), self.losses, np.inf), axis=1))

    def taken(self, asked: np.ndarray, free: np.ndarray) -> int:
        """The row nearest to coordinates [keys], in the unit box, of those that are still `free` [trials], which it is
        no longer. Different values of a choice are all as far apart as its ends."""
        lows, highs = np.array([dist.ends() for dist in self.space.values()]).T
        apart = np.abs(self.coordinates - asked) / (highs - lows)
        choices = [isinstance(dist, Choice) for dist in self.space.values()]
        apart[:, choices] = apart[:, choices] > 0
        row = int(np.argmin(np.where(free, (apart**2).sum(axis=1), np.inf)))
        free[row] = False
        return row


def curves_file(task: str, folder: Path, tell: Callable[[str], None]) -> Path:
    """The file of a task's table, which is trained in `folder` where the cache lacks it."""
    file = FOLDER / f"{task}-{hashlib.sha256(f'{TASKS[task]} {HOW}'.encode()).hexdigest()[:8]}.npz"
    if not file.exists():
        tell(f"{task}: no table in {FOLDER} yet: training {TRIALS} trials of {EPOCHS} epochs…")
        output = folder / task
        words = f"sweep.name=table {TASKS[task]} {HOW}".split()
        done = run(task, caviar_command(output, f"{EPOCHS}", "-m", *words), output)
        _write(output / "sweeps/table", file)
        tell(f"{task}: trained in {done.seconds:.0f} s, {file.stat().st_size / 1e3:.0f} KB")
    return file


@cache_results
def curves(file: Path) -> Curves:
    """What a file has."""
    with np.load(file) as arrays:
        ranges = dict(zip(arrays["keys"].tolist(), arrays["ranges"].tolist(), strict=True))
        return Curves(_space(ranges), arrays["coordinates"], arrays["losses"])


def _space(ranges: Mapping[str, str]) -> Space:
    return {key: distribution(parse([f"{key}={text}"])[0], SCALES) for key, text in ranges.items()}


def _write(sweep: Path, file: Path) -> None:
    """Keeps of a finished sweep what a replay needs."""
    ledger = History(sweep / NAME)
    (arm,) = ledger.header["arms"].values()
    ranges = {key.replace("/", "."): text for key, text in arm["space"].items()}
    space = _space(ranges)
    losses = np.full((len(ledger.trials), EPOCHS), np.nan, np.float32)
    for row, trial in zip(losses, ledger.trials.values(), strict=True):
        for epoch in epochs_of(sweep / str(trial.number)):
            value = epoch.metrics.get("val_loss")
            row[epoch.epoch - 1] = np.nan if value is None else value
    coordinates = [list(coordinates_of(space, trial.params).values()) for trial in ledger.trials.values()]
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part.npz")
    np.savez_compressed(part, keys=list(ranges), ranges=list(ranges.values()), coordinates=coordinates, losses=losses)
    part.replace(file)
