"""`sweep.start_from=NAME|FOLDER`: a sweep begins with what another one, of other data perhaps, found to be best."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import compatibility
from pipeline.errors import InputError, nearest
from pipeline.layout import counted
from pipeline.objective import Objective
from pipeline.records import Trial
from pipeline.schema import StageSettings, leaves
from pipeline.search.plan import START_FROM, Arm, Plan, Stage
from pipeline.search.planning import stages_of
from pipeline.search.space import Params
from pipeline.search.tiers import applicable
from pipeline.search.transfer import KEEP, Start, fitting
from pipeline.study.ledger import NAME, History
from pipeline.study.lineage import schedule
from pipeline.study.ranking import ranked
from pipeline.study.standing import standings
from pipeline.tracking.display import number

STAGE = "start_from"


def taken_over(plan: Plan) -> Plan:
    """The plan with what it takes over; what a sweep took over at its beginning it has when it is resumed, whatever
    has become of the other one.

    Raises InputError for a sweep that isn't there, and for one of which nothing can be taken.
    """
    config = plan.config
    source, sweeps = config.sweep.start_from, Path(config.output_dir) / "sweeps"
    if source is None:
        if config.sweep.start_from_control:
            raise InputError("sweep.start_from_control=true needs another sweep to start from: sweep.start_from=NAME.")
        return plan
    own = sweeps / config.sweep.name / NAME if config.sweep.name else None
    if config.sweep.start_from_control:
        arms = [
            Arm({**arm.crossed, START_FROM: start}, arm.composed, arm.space)
            for arm in plan.arms
            for start in (source, None)
        ]
        plan = replace(plan, arms=arms)
    if own and any(folder.resolve() == own.parent.resolve() for folder in (sweeps / source, Path(source))):
        raise InputError(f"sweep.start_from={source} is this sweep itself: give it another name.")
    begun = History(own) if own and own.exists() else None
    if begun and begun.header:
        start, notes = begun.start, [f"start_from {source}: as at this sweep's beginning"]
        if start is None or start.source != source:
            was = f"started from {start.source}" if start else "started afresh"
            raise InputError(f"sweep.name={config.sweep.name} {was}: repeat its own command, or use another name.")
    else:
        start, notes = _read(plan, _folder(source, sweeps), source)
    return _with_start(plan, start, notes)


def _with_start(plan: Plan, start: Start, notes: Sequence[str]) -> Plan:
    arms, sweep = plan.arms, plan.config.sweep
    given = tuple(
        tuple(_whole(arm, params) for params in best[: start.n_starters]) for arm, best in zip(arms, start.best)
    )
    n_given = sum(len(points) or start.n_starters for points in given)
    first = Stage(STAGE, n_given, list(sweep.stages.values())[-1].epochs, False, given=given)
    spaces = start.spaces([arm.space for arm in arms])
    settings, _ = applicable(sweep.stages, [(arm.space, arm.config) for arm in arms], sweep.max_tier)
    left = None if sweep.n_trials is None else _left(sweep.n_trials, n_given, settings)
    try:
        stages = stages_of(arms, spaces, replace(sweep, n_trials=left), settings, first=1)
    except InputError as error:
        if left is None:
            raise
        raise InputError(
            f"sweep.start_from: {counted(n_given, 'configuration')} it tries first leave {left} of sweep.n_trials="
            f"{sweep.n_trials}, as if sweep.n_trials={left}: {error}"
        ) from None
    return replace(plan, stages=[first, *stages], start=start, notes=(*plan.notes, *notes))


def _left(n_trials: int, n_given: int, stages: Mapping[str, StageSettings]) -> int:
    """How many trials the stages have that follow. Raises InputError where they have too few."""
    first = counted(n_given, "configuration")
    fixed = [stage.n_trials for stage in stages.values() if stage.n_trials is not None]
    if len(fixed) == len(stages):
        raise InputError(
            f"sweep.start_from tries {first} first, which sweep.stages leaves no room for: let the "
            "n_trials of one stage be null."
        )
    least = n_given + sum(fixed) + len(stages) - len(fixed)
    if n_trials < least:
        raise InputError(
            f"sweep.n_trials={n_trials} is the total: sweep.start_from tries {first} first, the "
            f"stages after it are {', '.join(stages)}{f', of which {sum(fixed)} are given' * bool(fixed)}. "
            f"It must be at least {least}."
        )
    return n_trials - n_given


def _whole(arm: Arm, params: Params) -> Params:
    """A point of the arm's space: what the other sweep did not search is as the config says, or in the middle."""
    configured = dict(leaves(arm.config.plain()))
    others = {
        key: configured[key] if fitting({key: dist}, {key: configured.get(key)}) else dist.at(0.5)
        for key, dist in arm.space.items()
        if key not in params
    }
    return {key: params.get(key, others.get(key)) for key in arm.space}


def _folder(source: str, sweeps: Path) -> Path:
    for folder in (sweeps / source, Path(source)):
        if (folder / NAME).is_file():
            return folder
    names = [path.parent.name for path in sweeps.glob(f"*/{NAME}")]
    raise InputError(
        f"sweep.start_from={source}: there is no such sweep in {sweeps}, nor a folder of one.{nearest(source, names)}"
    )


def _read(plan: Plan, folder: Path, source: str) -> tuple[Start, list[str]]:
    """What the sweep in `folder` has for each arm, and lines that say so."""
    history = History(folder / NAME)
    header: Any = compatibility.current(history.header or {})
    strategy, order = header.get("strategy", {}), header.get("order", [])
    objective = Objective(strategy.get("metric", "val_loss"), strategy.get("direction", "minimize"))
    completed = [t for t in _best_first(history, objective) if t.status == "completed"]
    if not completed:
        raise InputError(f"sweep.start_from={source}: no trial of it has completed.")
    if "population" in strategy:
        completed = [_as_it_ended(folder, trial) for trial in completed]
    configs = [compatibility.current(header["arms"][name]["config"]) for name in order]
    best, notes = [], []
    for arm in plan.arms:
        fresh = START_FROM in arm.crossed and arm.crossed[START_FROM] is None
        alike = [] if fresh else _different([t for t in completed if _alike(configs[t.arm], arm)], arm)
        taken = [params for trial in _top(alike) if (params := fitting(arm.space, dict(trial.params)))]
        best.append(tuple(taken))
        if not fresh:
            notes += _said(arm, alike, taken, configs, objective)
    if not any(best):
        raise InputError(f"sweep.start_from={source}: nothing of it can be taken over. {' '.join(notes)}".strip())
    n = plan.config.sweep.n_trials
    data = _target(configs[completed[0].arm], "dataset")
    title = f"start_from {source}: {counted(len(completed), 'completed trial')}, of {data}"
    return Start.of(source, best, n), [title, *notes]


def _best_first(history: History, objective: Objective) -> list[Trial]:
    """A sweep's trials as its leaderboard has them: replicates are none of their own, they say how finalists stand."""
    return ranked(history.sampled, objective, standings(history, objective))


def _as_it_ended(folder: Path, trial: Trial) -> Trial:
    """A trial of a population with what trained its best epoch, which is seldom what it began with."""
    periods = schedule(folder, trial.number, trial.best_epoch)
    if not periods:
        raise InputError(
            f"{folder / str(trial.number)}: its events are gone, which say what the trial of a population became. "
            "Restore them, or start from another sweep."
        )
    return replace(trial, params={**trial.params, **periods[-1].params})


def _different(trials: Sequence[Trial], arm: Arm) -> list[Trial]:
    """The first of those that are one point in the arm's space: of arms, stages and seeds that it does not tell apart,
    a configuration would be tried again and again."""
    first: dict[str, Trial] = {}
    for trial in trials:
        first.setdefault(repr([trial.params.get(key) for key in arm.space]), trial)
    return list(first.values())


def _top(trials: Sequence[Trial]) -> Sequence[Trial]:
    return trials[: max(2, round(KEEP * len(trials)))]


def _target(config: Any, group: str) -> str:
    return str(config[group]["_target_"]).rpartition(".")[2]


def _alike(config: Any, arm: Arm) -> bool:
    """Whether values mean the same with what another sweep's arm trained: the same model, the same optimizer."""
    return all(config[group]["_target_"] == getattr(arm.config, group).target for group in ("model", "optimizer"))


def _said(
    arm: Arm, alike: Sequence[Trial], taken: Sequence[Params], configs: Sequence[Any], objective: Objective
) -> list[str]:
    """What an arm takes over, and how it is not what the other sweep searched."""
    which = f"{arm.describe()}: " if arm.crossed else ""
    kind = f"{arm.config.model.target.rpartition('.')[2]} with {arm.config.optimizer.target.rpartition('.')[2]}"
    if not alike:
        return [f"  {which}no trial of it has {kind}: it starts afresh"]
    if not taken:
        return [f"  {which}its best values lie outside the ranges here: it starts afresh"]
    first = alike[0]
    lines = [
        f"  {which}its best {len(taken)} of {len(alike)}, the first with {objective.metric} "
        f"{number(first.metrics.get(objective.metric))}, narrow what is searched"
    ]
    theirs, ours = set(first.params), set(arm.space)
    if new := sorted(ours - theirs):
        lines.append(f"  {which}not searched there, so whole here: {', '.join(new)}")
    if gone := sorted(key for key in theirs - ours if "." in key):
        lines.append(f"  {which}not searched here: {', '.join(gone)}")
    groups = ("model", "optimizer", "schedule", "train")
    before, now = dict(leaves({g: configs[first.arm].get(g, {}) for g in groups})), dict(leaves(arm.config.plain()))
    fixed = [
        f"{key} {before[key]} ({now[key]} here)"
        for key in before
        if key in now and key not in theirs | ours and before[key] != now[key] and ".search" not in key
    ]
    if fixed:
        lines.append(f"  {which}fixed otherwise there: {', '.join(fixed[:6])}{', …' if len(fixed) > 6 else ''}")
    return lines
