"""How far the results of a sweep are chance: its trials that were trained again with other seeds."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev

from pipeline.objective import Objective
from pipeline.search.stopping import Decision
from pipeline.study.reporting.trials import TrialHistory
from pipeline.study.standing import SEED, Standing
from pipeline.tracking.display import number
from pipeline.tracking.report.data import Replicated


def replicated(
    histories: Mapping[int, TrialHistory], objective: Objective, finalists: Sequence[Standing]
) -> Iterator[Replicated]:
    """Of each trial that has replicates, in the order of their numbers. What finalists come to is of the seeds by which
    they are ranked."""
    ranked_by = {standing.trial.number: standing.values for standing in finalists}
    of = {h.trial.replicate_of for h in histories.values() if h.trial.replicate_of is not None}
    for trial in sorted(of):
        fits = [history for history in histories.values() if history.trial.replicate_of == trial]
        values = [fit.metrics(objective).get(objective.metric) if fit.trial.status else None for fit in fits]
        measured = [value for value in values if value is not None and math.isfinite(value)]
        known = list(ranked_by[trial].values()) if trial in ranked_by else measured
        yield Replicated(
            trial,
            [(fit.trial.params[SEED], value) for fit, value in zip(fits, values, strict=True)],
            fmean(known) if known else None,
            stdev(known) if len(known) > 1 else None,
            len(known),
            sum(len(fit.epochs) for fit in fits),
            sum(fit.seconds for fit in fits),
        )


def in_words(decision: Decision | None, metric: str) -> str:
    """Whether the search went on after a stage, and why."""
    if decision is None:
        return ""
    if decision.gain is None or decision.noise is None:
        return "went on: too few trials completed to say what seeds alone do"
    what = f"another stage may gain {number(decision.gain)} of {metric}, seeds alone make {number(decision.noise)}"
    return f"{'stopped' if decision.stops else 'went on'}: {what}"
