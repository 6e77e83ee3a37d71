"""What became of a trial, from its events: its curves, what it cost, and where it was compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.eventlog import events_of, exploits_among
from pipeline.events import Ended, EpochEnded, Exploited, Grouped, Paused, Started
from pipeline.objective import Objective
from pipeline.records import Trial, ended_metrics

RATE = "learning_rate"  # of an epoch's last step: a curve like the metrics, where it changes


@dataclass(frozen=True)
class TrialHistory:
    trial: Trial
    epochs: Sequence[EpochEnded]  # each once
    starts: Sequence[float] = ()  # seconds since 1970: it may have been started more than once
    parameters: int = 0
    cohort: int = 1
    rungs: Sequence[int] = ()
    exploits: Sequence[Exploited] = ()  # of a trial of a population

    @property
    def seconds(self) -> float:
        return sum(epoch.seconds for epoch in self.epochs)

    def metrics(self, objective: Objective) -> Mapping[str, float | None]:
        """Of its best epoch; of a trial that has not ended, the best measured so far."""
        if self.trial.status is None and self.epochs:
            return max((epoch.metrics for epoch in self.epochs), key=objective.score)
        return ended_metrics(self.trial)

    def curves(self) -> dict[str, list[float]]:
        """Every recorded metric by epoch, and the learning rate and other hyperparameters where they change."""
        names = dict.fromkeys(name for epoch in self.epochs for name in epoch.metrics)
        curves = {name: [epoch.value(name) for epoch in self.epochs] for name in names}
        rates = [epoch.learning_rate for epoch in self.epochs]
        changing = dict.fromkeys(key for epoch in self.epochs for key in epoch.hyperparameters or ())
        for key in changing:
            values = [(epoch.hyperparameters or {}).get(key) for epoch in self.epochs]
            if all(isinstance(value, int | float) for value in values):
                curves[key] = [float(value) for value in values if value is not None]
        return curves | ({RATE: rates} if max(rates, default=0.0) > min(rates, default=0.0) else {})


def read_trial(trial: Trial, folder: Path) -> TrialHistory:
    """Raises InputError for damaged events."""
    epochs: dict[int, EpochEnded] = {}
    rungs: dict[int, None] = {}
    starts: list[float] = []
    parameters, cohort = 0, 1
    events = list(events_of(folder))
    for event in events:
        match event:
            case EpochEnded(epoch=epoch):
                epochs[epoch] = event
            case Started():
                parameters, cohort = event.parameters or parameters, max(cohort, event.cohort)
                starts.append(event.time)
            case Grouped(trials=numbers):
                cohort = max(cohort, len(numbers))
            case Paused(epochs=rung):
                rungs[rung] = None
            case Ended(status="pruned", epochs=rung):
                rungs[rung] = None
    return TrialHistory(trial, list(epochs.values()), starts, parameters, cohort, list(rungs), exploits_among(events))
