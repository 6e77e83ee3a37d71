"""How much each hyperparameter mattered in a sweep, beside the tier that says how much it usually does.

Measured by PED-ANOVA (Watanabe et al. 2023): how differently the best quarter of the trials is spread over a
hyperparameter than all trials are, in the coordinates of its scale, as a share of all hyperparameters searched.
"""

import copy
import csv
import io
import itertools
import random
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.jsonl import write_atomically
from pipeline.objective import Objective
from pipeline.overrides import to_text
from pipeline.records import SCORED, Trial, ended_metrics
from pipeline.search import ranges
from pipeline.search.space import Interval, Space
from pipeline.study.standing import SEED
from pipeline.study.study import Study
from pipeline.tracking.display import print_line
from pipeline.tracking.recorder import Recorder

BEST = 0.25  # the share of the trials that counts as good: of 0.1 to 0.25 it told keys apart with the fewest trials
LEAST = 20  # scored trials: below, that quarter has fewer than the five that the method's authors advise
MOST = 1000  # trials: of more, as many at random, for they say as much and the end of a sweep should not wait
RESAMPLES = 40  # of the bootstrap; each costs 15 ms of 1,000 trials
INTERVAL = 0.9  # the share of the resamples that an interval holds


@dataclass(frozen=True)
class Importance:
    """Of one hyperparameter that was searched or crossed."""

    key: str
    tier: int | None  # None: the config declares none
    share: float  # of the importance of all of them, which sums to 1
    low: float  # the ends of the interval that 90 % of bootstrap resamples of the trials give
    high: float


def importance(
    trials: Iterable[Trial], spaces: Sequence[Space], tiers: Mapping[str, int], objective: Objective
) -> list[Importance]:
    """The most important first. Empty where it would say nothing: with fewer than LEAST scored trials, or with fewer
    than two hyperparameters that varied.

    spaces: the whole space of each arm, in scale coordinates of which parameters are compared; tiers: by key. Trials
    are compared within their stage: later ones train longer. Those that diverged are the worst.
    """
    ended = [trial for trial in trials if trial.status in (*SCORED, "diverged")]
    if sum(trial.status in SCORED for trial in ended) < LEAST:
        return []
    draws = random.Random(0)
    if len(ended) > MOST:
        ended = draws.sample(ended, MOST)
    places = _places(ended, spaces)
    keys = list(dict.fromkeys(key for at in places for key in at))
    if len(keys) < 2:
        return []
    measure = _Measure(places, _ranks(ended, objective), keys)
    shares = measure.shares(range(len(ended)))
    resampled = [measure.shares(draws.choices(range(len(ended)), k=len(ended))) for _ in range(RESAMPLES)]
    cut = round(RESAMPLES * (1 - INTERVAL) / 2)
    result = []
    for key in keys:
        values = sorted(resample[key] for resample in resampled)[cut : RESAMPLES - cut]
        result.append(Importance(key, tiers.get(key), shares[key], values[0], values[-1]))
    return sorted(result, key=lambda row: -row.share)


@dataclass(frozen=True)
class _Place:
    """Where a trial is on one hyperparameter: at one of n places, or anywhere between two coordinates."""

    at: float
    low: float
    high: float
    kind: str  # float, ordered or category


def _places(trials: Sequence[Trial], spaces: Sequence[Space]) -> list[dict[str, _Place]]:
    """Of each trial, for each key that varied. Arms of other ranges are compared within themselves."""
    places: list[dict[str, _Place]] = [{} for _ in trials]
    groups: dict[tuple[str, str], list[int]] = {}
    for i, trial in enumerate(trials):
        for key, value in trial.params.items():
            if key == SEED:  # no hyperparameter, though it may be crossed: its arms repeat a search on other points
                continue
            dist = spaces[trial.arm].get(key)
            if dist is None or dist.contains(value):  # a value that was not drawn may lie outside
                groups.setdefault((key, str(dist)), []).append(i)
    for (key, _), members in groups.items():
        dist = spaces[trials[members[0]].arm].get(key)
        values = [trials[i].params[key] for i in members]
        if isinstance(dist, Interval):
            at, kind = [dist.coordinate(value) for value in values], "float"
            low, high = dist.ends()
        else:
            texts = list(map(to_text, values))
            listed = {text: float(place) for place, text in enumerate(dict.fromkeys(texts))}
            at, kind = [listed[text] for text in texts], "category"
            low, high = 0.0, len(listed) - 1.0
        different = sorted(set(at))
        if len(different) < 2:
            continue
        if kind == "float" and len(different) <= len(at) / 2:  # of a grid, or of few whole numbers
            ranks = {value: float(rank) for rank, value in enumerate(different)}
            at, kind, low, high = [ranks[value] for value in at], "ordered", 0.0, len(different) - 1.0
        for i, value in zip(members, at, strict=True):
            places[i][key] = _Place(value, low, high, kind)
    return places


def _ranks(trials: Sequence[Trial], objective: Objective) -> list[float]:
    """Of each trial within its stage, from 0, the best, to below 1."""
    ranks = [0.0] * len(trials)
    order = sorted(range(len(trials)), key=lambda i: trials[i].stage)
    for _, group in itertools.groupby(order, key=lambda i: trials[i].stage):
        ranked = sorted(group, key=lambda i: objective.score(ended_metrics(trials[i])), reverse=True)
        for place, i in enumerate(ranked):
            ranks[i] = place / len(ranked)
    return ranks


class _Measure:
    """The trials as a study of Optuna's, which is imported here: it takes 0.3 s."""

    def __init__(self, places: Sequence[Mapping[str, _Place]], ranks: Sequence[float], keys: Sequence[str]) -> None:
        import optuna
        from optuna.importance import PedAnovaImportanceEvaluator

        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._keys = keys
        self._study = optuna.create_study(direction="minimize")
        optuna.logging.set_verbosity(verbosity)
        distributions: dict[tuple[str, float, float], Any] = {}
        for at, rank in zip(places, ranks, strict=True):
            own: dict[str, Any] = {}
            for key, place in at.items():
                kind = (place.kind, place.low, place.high)
                if kind not in distributions:
                    distributions[kind] = _distribution(place)
                own[key] = distributions[kind]
            params = {key: place.at if place.kind == "float" else int(place.at) for key, place in at.items()}
            self._study.add_trial(optuna.trial.create_trial(params=params, distributions=own, value=rank))
        self._trials = self._study.get_trials(deepcopy=False)
        self._evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST)

    def shares(self, chosen: Iterable[int]) -> dict[str, float]:
        """By key, of these trials, one of which may stand there more than once."""
        trials = [self._trials[i] for i in chosen]
        study = copy.copy(self._study)
        study.get_trials = lambda *_, **__: trials  # type: ignore[method-assign]
        present = [key for key in self._keys if any(key in trial.params for trial in trials)]
        with warnings.catch_warnings(action="ignore"):  # of arms with a trial or none, which the intervals show
            values = self._evaluator.evaluate(study, present)
        total = sum(values.values()) or 1.0
        return {key: values.get(key, 0.0) / total for key in self._keys}


def _distribution(place: _Place) -> Any:
    from optuna import distributions

    if place.kind == "float":
        return distributions.FloatDistribution(place.low, place.high)
    if place.kind == "ordered":
        return distributions.IntDistribution(0, int(place.high))
    return distributions.CategoricalDistribution(range(int(place.high) + 1))


def conclude_importance(study: Study, recorder: Recorder) -> None:
    """Prints it, and writes it to importance.csv, which is an artifact of the sweep's run."""
    tiers = {key: tier for arm in study.plan.arms for key, tier in ranges.tiers(arm.config).items()}
    if rows := importance(study.ledger.sampled, study.plan.spaces, tiers, study.objective):
        write(path := study.folder / "importance.csv", rows)
        recorder.artifact(None, path)
        for line in lines(rows):
            print_line(line)


def write(path: Path, rows: Sequence[Importance]) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["key", "tier", "importance", "low", "high"])
    for row in rows:
        writer.writerow([row.key, row.tier or "", *(f"{value:.4f}" for value in (row.share, row.low, row.high))])
    write_atomically(path, [text.getvalue().encode()])


def lines(rows: Sequence[Importance]) -> list[str]:
    """A table for a terminal, and where the data disagree with the tiers."""
    width = max(len(row.key) for row in rows)
    result = [f"{'importance':<{width}}  tier  share  90 % of resamples"]
    for row in rows:
        result.append(f"{row.key:<{width}}  {row.tier or '-':>4}  {row.share:5.2f}  {row.low:.2f} to {row.high:.2f}")
    return result + disagreements(rows)


def disagreements(rows: Sequence[Importance]) -> list[str]:
    """A line where a hyperparameter mattered more than one of a tier before its own, told by intervals that do not
    overlap; it names for each the one it left farthest behind."""
    behind: list[str] = []
    for row in rows:
        beaten = [r for r in rows if r.tier and row.tier and r.tier < row.tier and r.high < row.low]
        if beaten:
            last = min(beaten, key=lambda r: r.high)
            behind.append(f"{row.key} (tier {row.tier}) mattered more than {last.key} (tier {last.tier})")
    return [f"importance: the trials disagree with the tiers: {'; '.join(behind)}"] if behind else []
