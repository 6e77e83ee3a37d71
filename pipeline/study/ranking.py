"""Which trial of a sweep is how good: one rule for the leaderboard, the next region, the winner and the report."""

from collections.abc import Iterable

from pipeline.objective import Objective
from pipeline.records import SCORED, Trial, ended_metrics


def ranked(trials: Iterable[Trial], objective: Objective) -> list[Trial]:
    """Those that ended, best first; those that failed or diverged come last, in order of number."""

    def key(trial: Trial) -> tuple[bool, float, float, bool, int]:
        score = objective.score(ended_metrics(trial))
        return trial.status not in SCORED, -score[0], -score[1], trial.status != "completed", trial.number

    ended = (trial for trial in trials if trial.status is not None and trial.replicate_of is None)
    return sorted(ended, key=key)
