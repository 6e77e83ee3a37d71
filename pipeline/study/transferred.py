"""How a sweep fared that took over what another one had found, and beside arms that started afresh."""

from collections.abc import Sequence

from pipeline.records import SCORED, Trial
from pipeline.search.plan import START_FROM
from pipeline.study.study import Study
from pipeline.study.transfer import STAGE
from pipeline.tracking.display import number


def outcome_of_start(study: Study) -> list[str]:
    """How the sweep fared with what it took over, and beside an arm that started afresh."""
    if study.plan.start is None:
        return []
    metric, lines = study.objective.metric, []
    trials = [t for t in study.ranked() if t.status in SCORED]
    arms = list(enumerate(study.plan.arms))
    for place, arm in arms:
        own = [t for t in trials if t.arm == place]
        if not study.plan.start.best[place] or not own:
            continue
        taken, winner = next((t for t in own if t.stage == STAGE), None), own[0]
        if taken:
            values = [number(trial.metrics[metric]) for trial in (taken, winner)]
            lines.append(
                f"start_from: of what was taken over the best is trial {taken.number}, {metric} {values[0]}; of all it "
                f"is trial {winner.number}, {values[1]}"
            )
        for other, control in arms:
            if control.crossed == {**arm.crossed, START_FROM: None} and other != place:
                lines += _against(study, own, [t for t in trials if t.arm == other])
    return lines


def _against(study: Study, own: Sequence[Trial], fresh: Sequence[Trial]) -> list[str]:
    """After how many trials each came to the best that the other found. own, fresh: best first."""
    if not own or not fresh:
        return []
    metric, score = study.objective.metric, study.objective.score

    def reached(trials: Sequence[Trial], aim: tuple[float, float]) -> str:
        as_asked = sorted(trials, key=lambda trial: trial.number)
        n = next((i for i, t in enumerate(as_asked, start=1) if score(t.metrics)[0] >= aim[0]), None)
        return f"after {n} of its {len(trials)} trials" if n else f"in none of its {len(trials)} trials"

    best = [max(trials, key=lambda t: score(t.metrics)).metrics for trials in (own, fresh)]
    values, (ours, theirs) = [number(metrics[metric]) for metrics in best], map(score, best)
    return [
        f"start_from: {metric} {values[0]} taken over, {values[1]} afresh; what the other found was reached "
        f"{reached(own, theirs)} with it, {reached(fresh, ours)} without"
    ]
