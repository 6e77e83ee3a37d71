"""A sweep's folder as its report shows it. Nothing is locked, trained or changed: the sweep may be running."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.errors import InputError
from pipeline.objective import Objective
from pipeline.overrides import to_text
from pipeline.records import SCORED, DataFacts, Trial
from pipeline.search.space import Choice, Space
from pipeline.search.stopping import Decision
from pipeline.search.tiers import UNDECLARED
from pipeline.search.transfer import Start
from pipeline.secret import masked
from pipeline.study.ledger import NAME, History
from pipeline.study.lineage import schedule
from pipeline.study.ranking import candidates, ranked
from pipeline.study.reporting.axes import make_axis, read_space
from pipeline.study.reporting.clock import Clock
from pipeline.study.reporting.header import Header
from pipeline.study.reporting.importance import how_much_mattered
from pipeline.study.reporting.pairs import arms_in_pairs
from pipeline.study.reporting.replicated import in_words, replicated
from pipeline.study.reporting.trials import TrialHistory, read_trial
from pipeline.study.reporting.winner import describe_winner, tiers_of
from pipeline.study.standing import standings
from pipeline.tracking.report.data import (
    Box,
    Copy,
    Improvement,
    Pairs,
    ParameterAxis,
    ScheduleStep,
    StageReport,
    SweepReport,
    TrialReport,
)


def read_sweep(folder: Path) -> SweepReport:
    """Raises InputError if `folder` holds no sweep, or a damaged one."""
    path = folder / NAME
    if not path.is_file():
        raise InputError(f"{folder}: no sweep was run there: it holds no {NAME}. Sweeps are in outputs/sweeps/.")
    sweep = History(path)
    if sweep.header is None:
        raise InputError(f"{folder}: the sweep was ended before its first trial was chosen. Start it again.")
    try:
        header = Header(sweep.header)
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: what it says of the sweep is not understood. Restore the file.") from None
    objective = header.objective
    histories = {n: read_trial(trial, folder / str(n)) for n, trial in sweep.trials.items()}
    clock = Clock(
        [start for history in histories.values() for start in history.starts],
        [epoch.time for history in histories.values() for epoch in history.epochs],
    )
    finalists = standings(sweep, objective)
    order = ranked(sweep.sampled, objective, finalists)
    open_ = [trial for trial in sweep.sampled if trial.status is None]
    open_.sort(key=lambda trial: objective.score(histories[trial.number].metrics(objective)), reverse=True)
    trials = [*order, *open_]
    tiers = tiers_of(folder, trials)
    axes, places = _axes(header, trials, tiers)
    names = _metrics(histories.values(), objective.metric)
    spaces = dict(_spaces_of_stages(header, sweep, tiers))
    best = next(iter(candidates(sweep, objective, finalists)), None)
    arms, winner = header.names(), None
    mattered, disagreements = how_much_mattered(folder)
    facts = sweep.data[best.arm] if best and best.arm < len(sweep.data) else DataFacts(header.fingerprint, "", {}, {})
    pairs: list[Pairs] = []
    if best:
        winner = describe_winner(
            folder, best, order, objective, facts, histories, sweep.tested, header.spaces, finalists
        )
        pairs = arms_in_pairs(sweep.sampled, spaces, best, objective, lambda trial: histories[trial.number].epochs)
    return SweepReport(
        name=folder.resolve().name,
        folder=str(folder),
        metric=objective.metric,
        direction=objective.direction,
        sampler=header.sampler,
        metrics=names,
        trials=[
            _trial(histories[trial.number], objective, clock, [axis[i] for axis in places])
            for i, trial in enumerate(trials)
        ],
        axes=axes,
        arms=arms,
        begun=clock.begun,
        stages=[_stage(name, spaces[name], header, axes, sweep.decisions.get(name)) for name in header.stages],
        pairs=pairs,
        progress=list(_progress(histories.values(), objective, clock)),
        winner=winner,
        data={**_data(sweep.data, header, arms), **_start(sweep.start)},
        fixed=header.fixed([axis.key for axis in axes]),
        versions=sweep.versions,
        importance=mattered,
        disagreements=disagreements,
        replicated=list(replicated(histories, objective, finalists)),
        replicates=[
            _trial(history, objective, clock, [])
            for history in histories.values()
            if history.trial.replicate_of is not None
        ],
        copies=_copies(histories),
        schedule=_schedule(folder, best),
        spent=sweep.spent,
        budget=sweep.budget,
    )


def _axes(
    header: Header, trials: Sequence[Trial], tiers: Mapping[str, int]
) -> tuple[list[ParameterAxis], list[list[float | None]]]:
    """Every crossed or searched key, in order of first appearance, and of each where the trials are."""
    by_number = sorted(trials, key=lambda trial: trial.number)
    keys = list(dict.fromkeys([*(k for t in by_number for k in t.params), *(k for r in header.ranges for k in r)]))
    last = [key.rsplit(".", 1)[-1] for key in keys]
    axes, places = [], []
    for key, short in zip(keys, last, strict=True):
        name = short if short and last.count(short) == 1 else key
        texts = [ranges.get(key, "") for ranges in header.ranges]
        axis, place = make_axis(key, name, header.spaces, trials, tiers.get(key), texts)
        axes.append(axis)
        places.append(place)
    return axes, places


def _metrics(histories: Iterable[TrialHistory], metric: str) -> list[str]:
    names = dict.fromkeys([metric, "val_loss"])
    return list(names | dict.fromkeys(name for history in histories for name in history.curves()))


def _trial(
    history: TrialHistory, objective: Objective, clock: Clock, coordinates: Sequence[float | None]
) -> TrialReport:
    return TrialReport(
        history.trial if history.trial.reason is None else replace(history.trial, reason=masked(history.trial.reason)),
        history.metrics(objective),
        coordinates,
        [epoch.epoch for epoch in history.epochs],
        history.curves(),
        history.seconds,
        clock.seconds(min(history.starts)) if history.starts else None,
        clock.seconds(max(epoch.time for epoch in history.epochs)) if history.epochs else None,
        history.parameters,
        history.cohort,
        history.rungs,
    )


def _spaces_of_stages(header: Header, sweep: History, tiers: Mapping[str, int]) -> Iterator[tuple[str, list[Space]]]:
    """Where each stage looked, in each arm: the whole space, or what of it was taken over, as far as its tiers go; or
    the region that the stage before left."""
    whole, region = sweep.start.spaces(header.spaces) if sweep.start else header.spaces, None
    for name, stage in header.stages.items():
        if region and stage.get("refine") is not False:
            yield name, [read_space(*pair) for pair in zip(region, header.scales, strict=True)]
        else:
            upto = stage.get("tiers") or math.inf
            yield name, [{k: d for k, d in s.items() if tiers.get(k, UNDECLARED) <= upto} for s in whole]
        region = sweep.regions.get(name)


def _stage(
    name: str, spaces: Sequence[Space], header: Header, axes: Sequence[ParameterAxis], decision: Decision | None
) -> StageReport:
    boxes = []
    for arm, space in enumerate(spaces):
        for place, axis in enumerate(axes):
            if (dist := space.get(axis.key)) is None:
                continue
            if isinstance(dist, Choice):
                at = [axis.choices.index(text) for v in dist.values if (text := to_text(v)) in axis.choices]
                low, high = (min(at) - 0.4, max(at) + 0.4) if at else (0.0, 0.0)
            else:
                low, high = dist.scale.coordinate(dist.low), dist.scale.coordinate(dist.high)
            boxes.append(Box(place, arm, low, high, str(dist)))
    return StageReport(name, header.stages[name].get("epochs"), boxes, in_words(decision, header.objective.metric))


def _progress(histories: Iterable[TrialHistory], objective: Objective, clock: Clock) -> Iterator[Improvement]:
    """How the best value so far grew with the epochs trained, those of replicates too, and with time. No best value is
    of a trial that failed or diverged, or of a replicate."""
    ends = sorted(((h.trial, e) for h in histories for e in h.epochs), key=lambda end: (end[1].time, end[0].number))
    best = (float("-inf"), float("-inf"))
    for epochs, (trial, epoch) in enumerate(ends, start=1):
        score = objective.score(epoch.metrics)
        if score[0] > best[0] and trial.replicate_of is None and (trial.status is None or trial.status in SCORED):
            best = score
            yield Improvement(trial.number, epochs, clock.seconds(epoch.time), epoch.value(objective.metric))


def _copies(histories: Mapping[int, TrialHistory]) -> list[Copy]:
    """Of a population: who went on as whose copy."""
    copies = [Copy(n, e.epoch, e.source) for n, history in histories.items() for e in history.exploits if e.source != n]
    return sorted(copies, key=lambda copy: (copy.epoch, copy.trial))


def _schedule(folder: Path, best: Trial | None) -> list[ScheduleStep]:
    """The hyperparameters that led to the winner of a population."""
    periods = schedule(folder, best.number, best.best_epoch) if best else []
    return [ScheduleStep(period.from_epoch, period.trial, period.params) for period in periods]


def _data(data: Sequence[DataFacts], header: Header, arms: Sequence[str]) -> dict[str, str]:
    """What is known of the data, by heading: arms of one data set are a line."""
    facts: dict[str, str] = {}
    for arm, of_arm in zip(arms, data, strict=False):
        known = masked(of_arm.description)
        if known not in facts.values():
            facts["data" if not facts else f"data of {arm}"] = known
        if counts := of_arm.validation_counts:
            facts.setdefault("validation examples of each class", ", ".join(map(str, counts)))
    return {**facts, "fingerprint": header.fingerprint}


def _start(start: Start | None) -> dict[str, str]:
    """What was taken over from another sweep."""
    if start is None:
        return {}
    first = min(max(map(len, start.best), default=0), start.n_starters)
    return {"started from": f"{start.source}: its best {first} configurations first, and the region around its best"}
