"""Between the stages of a sweep: where the next one looks, which follows from the trials of those before it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from pipeline.layout import counted
from pipeline.records import SCORED, Trial
from pipeline.search.plan import Arm, Plan, Stage, listed_arms
from pipeline.search.refine import Widening, around, survivors, widened
from pipeline.search.space import Space
from pipeline.search.tiers import by_tier
from pipeline.study.deciding import is_worth_it
from pipeline.study.interruption import Stop
from pipeline.study.ranking import ranked
from pipeline.tracking.display import short
from pipeline.tracking.subscriber import StageBegan
from pipeline.workers.executor import Executor

if TYPE_CHECKING:
    from pipeline.study.study import Study


@dataclass(frozen=True)
class Region:
    """Where a stage looks."""

    spaces: list[Space]  # of each arm
    widenings: Sequence[Sequence[Widening]] = field(default=())  # of each arm; empty: none


def staged(study: "Study", executor: Executor, stop: Stop) -> Iterator[tuple[int, Region]]:
    """The stages to be run, by their place, with their regions; a stage must have ended when the next one is taken.

    Where a stage is not worth its trials, those that refine its region go, too.
    """
    region, stopped = Region([]), False
    for index, stage in enumerate(study.plan.stages):
        if not index or not stage.refine or study.plan.stages[index - 1].given:
            region, stopped = Region(study.plan.free(stage)), False
        elif not stopped:
            region = next_region(study, index, region)
            worth_it = is_worth_it(study, index, ranked_before(study, index), executor, stop)
            if worth_it is None:
                study.undecided = True
                return
            stopped = not worth_it
        if stop.requested:
            return
        if not stopped:
            yield index, region


def next_region(study: "Study", index: int, searched: Region) -> Region:
    """Where the stage at a place looks for what was searched before: around the best. What it frees itself it searches
    whole. searched: the region of the stage before."""
    plan, ledger, sweep = study.plan, study.ledger, study.config.sweep
    assert sweep.keep is not None and sweep.margin is not None  # make_plan has seen to it
    before, trials = plan.stages[index - 1], ranked_before(study, index)
    # An earlier version, which noted a region as it made it, widened none: what was begun then goes on there.
    as_noted = before.name in ledger.regions and before.name not in ledger.widened
    spaces: list[Space] = []
    widenings: list[list[Widening]] = []
    for i, (free, box) in enumerate(zip(plan.free(plan.stages[index]), searched.spaces, strict=True)):
        whole, own = plan.arms[i].space, [trial.params for trial in trials if trial.arm == i]
        n = sum(trial.arm == i and trial.stage == before.name for trial in trials)
        best = survivors(own[:n], sweep.keep)
        space, wider = around(box, best, whole, sweep.margin), list[Widening]()
        if best and not as_noted:
            space, wider = widened(space, box, best[0], whole)
        spaces.append({key: space.get(key, dist) for key, dist in free.items()})
        widenings.append(wider)
    written = [{key: str(dist) for key, dist in space.items()} for space in spaces]
    ledger.note_region(before.name, written, [[asdict(widening) for widening in arm] for arm in widenings])
    return Region(spaces, widenings)


def ranked_before(study: "Study", index: int) -> list[Trial]:
    """The trials whose best are what the stage at a place looks around, best first: those of the stage before. Where
    tiers are freed one after the other, those of earlier stages that trained as long are among them: the best so far
    may be one of theirs."""
    plan = study.plan
    before = plan.stages[index - 1]
    names = {before.name}
    if plan.stages[index].tiers is not None:
        names |= {s.name for s in plan.stages[:index] if s.tiers is not None and plan.epochs(s) == plan.epochs(before)}
    trials = ranked(study.ledger.sampled, study.objective)
    return [trial for trial in trials if trial.stage in names and trial.status in SCORED]


def beginning(plan: Plan, stage: Stage, region: Region, generation: Sequence[Trial], first: bool) -> StageBegan:
    """What is said of a generation of trials that is about to run. first: a later one looks where this one did."""
    total, ended = len(generation), sum(trial.status is not None for trial in generation)
    epochs = counted(plan.epochs(stage), "epoch")
    title = f"stage {stage.name}: {counted(total, 'trial')} of up to {epochs}"
    title += f", {ended} already ended" if ended else ""
    if not first:
        return StageBegan(stage.name, title, total, ended)
    places: dict[tuple[str, ...], list[str]] = {}
    for i, (arm, space) in enumerate(zip(plan.arms, region.spaces, strict=True)):
        widenings = region.widenings[i] if region.widenings else ()
        places.setdefault((*space_lines(arm, space), *map(_wider, widenings)), []).append(arm.describe())
    for lines, arms in places.items():  # twenty arms that look in one place are a line, not twenty
        if any(arms):
            title += f"\n  {listed_arms(arms)}:"
        title += "".join(f"\n  {'  ' * any(arms)}{line}" for line in lines)
    return StageBegan(stage.name, title, total, ended)


def space_lines(arm: Arm, space: Space) -> list[str]:
    """What is searched of an arm, a line a tier."""
    if not space:
        return ["nothing to search"]
    parts = by_tier(space, arm.config).items()
    return [f"tier {tier}: {', '.join(f'{key} {dist}' for key, dist in part.items())}" for tier, part in parts]


def _wider(widening: Widening) -> str:
    way = "down" if widening.to < widening.edge else "up"
    return (
        f"widened: {widening.key} {way} to {short(widening.to)}, for the best, {short(widening.best)}, is at the edge "
        f"{short(widening.edge)} of where the stage before looked"
    )
