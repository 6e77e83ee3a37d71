"""Where a sweep's finalists stand, by what they come to with other seeds: who wins by luck of one seed, loses here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from pipeline.objective import Objective
from pipeline.records import Trial
from pipeline.study.differences import Difference, paired
from pipeline.study.ledger import History
from pipeline.tracking.display import number

SEED = "seed"


@dataclass(frozen=True)
class Standing:
    """A finalist and its replicates."""

    trial: Trial
    values: Mapping[int, float]  # the metric, by seed; of the replicates that completed
    replicates: int  # all, also those that diverged or failed

    @property
    def mean(self) -> float | None:
        return fmean(self.values.values()) if self.values else None

    @property
    def sd(self) -> float | None:
        return stdev(self.values.values()) if len(self.values) > 1 else None


def standings(history: History, objective: Objective) -> list[Standing]:
    """The finalists, best first: by their mean, and those behind of whose replicates some did not complete. None until
    the replicates of all have ended, for they are compared."""
    result: list[Standing] = []
    for finalist in history.finalists:
        own = [t for t in history.trials.values() if t.replicate_of == finalist and t.params[SEED] in history.seeds]
        if len(own) < len(history.seeds) or any(trial.status is None for trial in own):
            return []
        completed = {t.params[SEED]: t.metrics[objective.metric] for t in own if t.status == "completed"}
        result.append(Standing(history.trials[finalist], completed, len(own)))

    def key(standing: Standing) -> tuple[int, tuple[float, float]]:
        return len(standing.values), objective.score({objective.metric: standing.mean})

    return sorted(result, key=key, reverse=True)


def lead(standings: Sequence[Standing]) -> Difference | None:
    """The first against the second, on the seeds that both have; None with fewer than two of them."""
    if len(standings) < 2:
        return None
    first, second = (standing.values for standing in standings[:2])
    shared = [seed for seed in first if seed in second]
    return paired([first[seed] for seed in shared], [second[seed] for seed in shared])


def of_winner(standings: Sequence[Standing], metric: str) -> Iterator[str]:
    """What is said of the first of the finalists, and of how sure it is that it is better than the second."""
    first = standings[0]
    completed = len(first.values)
    if first.mean is not None:
        spread = "" if first.sd is None else f", sd {number(first.sd)}"
        yield f"seeds:    trial {first.trial.number}: mean {metric} {number(first.mean)}{spread} of {completed} seeds"
    if lost := sum(standing.replicates - len(standing.values) for standing in standings):
        every = sum(standing.replicates for standing in standings)
        yield f"          {lost} of {every} replicates diverged or failed; trials that lost one rank behind"
    if (difference := lead(standings)) is not None:
        second = standings[1].trial.number
        tells = "is ahead of" if difference.tells else "can't be told from"
        yield f"          it {tells} trial {second}: {difference}"


def for_summary(standing: Standing, metric: str) -> dict[str, float]:
    """The winner's metrics, as the tracking store and best.yaml name them."""
    values = {f"mean_{metric}": standing.mean, f"sd_{metric}": standing.sd, "seeds": len(standing.values)}
    return {name: value for name, value in values.items() if value is not None}
