"""Which trial of a sweep is how good: one rule for the leaderboard, the next region, the winner and the report."""

from collections.abc import Iterable, Sequence

from pipeline.objective import Objective
from pipeline.records import SCORED, Trial, ended_metrics
from pipeline.study.ledger import History
from pipeline.study.standing import Standing


def ranked(trials: Iterable[Trial], objective: Objective, standings: Sequence[Standing] = ()) -> list[Trial]:
    """Those that ended, best first; those that failed or diverged come last, in order of number. Finalists come first,
    as they stand; replicates are no trials of their own.
    """

    def key(trial: Trial) -> tuple[bool, float, float, bool, int]:
        score = objective.score(ended_metrics(trial))
        return trial.status not in SCORED, -score[0], -score[1], trial.status != "completed", trial.number

    ended = (trial for trial in trials if trial.status is not None and trial.replicate_of is None)
    return _finalists_first(sorted(ended, key=key), standings)


def candidates(history: History, objective: Objective, standings: Sequence[Standing]) -> list[Trial]:
    """Those that may be a sweep's winner, best first: finalists, then those that completed and, where there is a budget
    that may leave them at that, paused ones as they stand."""

    def able(trial: Trial) -> bool:
        paused = trial.paused and trial.best_epoch > 0 and not trial.status
        return trial.status == "completed" or (paused and history.budget is not None)

    chosen = [trial for trial in history.sampled if able(trial)]
    chosen.sort(key=lambda t: (objective.score(t.metrics), t.status == "completed", -t.number), reverse=True)
    return _finalists_first(chosen, standings)


def _finalists_first(trials: Sequence[Trial], standings: Sequence[Standing]) -> list[Trial]:
    first = {standing.trial.number: standing.trial for standing in standings}
    return [*first.values(), *(trial for trial in trials if trial.number not in first)]
