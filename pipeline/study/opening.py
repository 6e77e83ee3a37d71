"""A study in its folder, new or as an earlier start left it: one that was begun otherwise is not gone on with."""

import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import compatibility
from pipeline.config import Composed, differences
from pipeline.errors import InputError
from pipeline.eventlog import append_event, events_of, last_event
from pipeline.heads.lookup import head_of
from pipeline.jsonl import remove_temporary
from pipeline.records import DataFacts, Ended, Restarting, Started, Trial
from pipeline.search.plan import Arm, Plan
from pipeline.search.space import Interval
from pipeline.search.unused import unused
from pipeline.study import folders
from pipeline.study.ledger import Ledger
from pipeline.study.study import Study
from pipeline.tracking.display import print_line
from pipeline.versions import library_versions


def open_study(plan: Plan, data: Sequence[DataFacts]) -> Study:
    """The study of a plan. Raises InputError if it was begun otherwise."""
    config, fingerprint = plan.config, "/".join(dict.fromkeys(facts.fingerprint for facts in data))
    if plan.single and config.resume is None:
        folder = folders.new_folder(Path(config.output_dir) / "runs")
        return Study(plan, folder, Ledger(folder, what=str(folder), file=None))
    now = header(plan, fingerprint)
    if plan.single:
        folder, anew = Path(str(config.resume)), "start a new run, without resume"
        what = f"resume={folder}"
        if not folders.config_file(folder).is_file():
            raise InputError(f"{what}: no run was started there. Runs are folders in outputs/runs/.")
        ledger = Ledger(folder, what=what, otherwise="Wait for it, or end it.", file=None)
    else:
        folder = folders.sweep_folder(Path(config.output_dir) / "sweeps", config.sweep.name)
        what, anew = f"sweep.name={folder.name}", "give this sweep another name"
        ledger = Ledger(folder, what=what, otherwise="Use another name.")
    try:
        before = _of_run(folder, fingerprint, plan) if plan.single else compatibility.current(ledger.header)
        if before is None:
            ledger.begin(now, plan.start)
        else:
            _check_same(what, anew, compatibility.with_entries(before, now, _idle(plan)), now)
        if not plan.single and ledger.identity is None:
            ledger.identify(uuid.uuid4().hex)
        if not plan.single:
            ledger.note_data(data, library_versions())
        study = Study(plan, folder, ledger)
        _take_ends(study)
        _take_up(study)
    except BaseException:
        ledger.close()
        raise
    return study


def _take_ends(study: Study) -> None:
    """Has the ledger know of every end that stands in a trial's events: a kill may have come between the two."""
    ledger = study.ledger
    begun = [trial for trial in ledger.trials.values() if trial.started and trial.status is None]
    if study.plan.single:
        begun = [Trial(0, study.plan.stages[0].name, 0, {})]
    for trial in begun:
        last = last_event(study.trial_folder(trial))
        if isinstance(last, Ended):
            if trial.number not in ledger.trials:
                ledger.ask([trial])
            ledger.on(trial, last)


def _take_up(study: Study) -> None:
    """Removes what killed processes left, and has trials that ended for want of disk or memory start again."""
    trials = study.ledger.trials.values()
    for folder in {study.folder, *map(study.trial_folder, trials)}:
        remove_temporary(folder)
    ended = study.ledger.lacking()
    for trial in ended:
        if isinstance(last_event(folder := study.trial_folder(trial)), Ended):
            append_event(folder, Restarting(time.time(), f"it had ended for want of {trial.lacked}"))
    study.ledger.start_again(trial.number for trial in ended)
    if ended:
        which = "the trial" if len(trials) == 1 else f"{len(ended)} trial{'s' * (len(ended) > 1)}"
        print_line(f"{which} that had failed for want of disk or memory start{'s' * (len(ended) == 1)} again")


def open_ended(plan: Plan) -> tuple[Study, DataFacts] | None:
    """The run that is to be resumed, if it has ended, with what its events say of its data: all that may be left to do
    is to record it. Raises InputError if it was begun otherwise."""
    folder = Path(str(plan.config.resume))
    last = last_event(folder) if folders.config_file(folder).is_file() else None
    if not isinstance(last, Ended) or last.lacked:
        return None
    facts = DataFacts("", "", {}, {})
    for event in events_of(folder):
        if isinstance(event, Started):
            facts = DataFacts(event.data_fingerprint or facts.fingerprint, "", {}, event.data_attributes)
    return open_study(plan, [facts]), facts


def _check_same(what: str, anew: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = changes(before, now)
    if len(changed) == 1 and changed[0].startswith("data: "):
        fingerprints = changed[0].removeprefix("data: ")
        raise InputError(
            f"{what}: the data has changed since it was begun (its fingerprint {fingerprints}).\n"
            f"Bring back the data as it was, or {anew}."
        )
    if changed:
        listed = "; ".join(changed[:5]) + ("; …" if len(changed) > 5 else "")
        raise InputError(f"{what} was begun otherwise ({listed}).\nRepeat its own command to resume it, or {anew}.")


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How two headers differ; where both have one and the same arm, without naming it."""
    arms = [f"arms.{name}." for name in now["order"]]
    lines = differences(before, now)
    if before.get("order") != now["order"] or len(arms) > 1:
        return lines
    return [line.removeprefix(f"{arms[0]}config.").removeprefix(arms[0]) for line in lines]


def _of_run(folder: Path, fingerprint: str, now: Plan) -> Mapping[str, object]:
    """The header of a run that was begun; its events may lack the fingerprint of its data."""
    fingerprints = (event.data_fingerprint for event in events_of(folder) if isinstance(event, Started))
    composed = Composed.from_file(folders.config_file(folder))
    return header(Plan.of_one(composed, []), next(filter(None, fingerprints), fingerprint), now)


def header(plan: Plan, fingerprint: str, now: Plan | None = None) -> dict[str, Any]:
    """What must be the same for a sweep to be resumed: the space, every fixed value, the data.

    The number of trials is a total that may grow, and where and how trials run or are recorded may change.
    now: the plan that says which names it uses; None: `plan` itself, which may name what is gone since.
    """
    arms, users = {}, (now or plan).arms
    for index, arm in enumerate(plan.arms):
        fixed = arm.composed.essential
        sweep = fixed.pop("sweep")
        for group in fixed.values():
            if isinstance(group, dict):
                group.pop("search", None)
        space = {key.replace(".", "/"): str(dist) for key, dist in arm.space.items()}
        maps = _used(users[index], arm.composed.record)
        arms[arm.describe().replace(".", "/") or str(index)] = {"space": space, **maps, "config": fixed}
    last = plan.stages[-1]
    strategy = {k: sweep[k] for k in ("sampler", "points", "keep", "margin", "metric", "direction")}
    if sweep["halving"] and sweep["halving"]["min_epochs"]:
        strategy["halving"] = {k: v for k, v in sweep["halving"].items() if k != "brackets" or v}
    if sweep.get("max_parameters"):
        strategy["max_parameters"] = sweep.get("max_parameters")
    if plan.evolves:  # whole from the beginning: its number of trials can't grow
        strategy["population"] = {**sweep["population"], "n_trials": last.n_trials}
    for size in {stage.generation for stage in plan.stages if stage.generation}:
        strategy["generation"] = size  # what a sampler is told before it asks for more
    return {
        "data": fingerprint,
        "strategy": strategy,
        "stages": {
            s.name: {
                "epochs": s.epochs,
                **({} if s is last or s.rungs is not None else {"n_trials": s.n_trials}),  # brackets may all grow
                **({} if s.refine else {"refine": False}),
                **({} if s.tiers is None else {"tiers": s.tiers}),
            }
            for s in plan.stages
        },
        **({"repeat": plan.config.repeat} if plan.config.repeat else {}),
        "arms": arms,
        "order": list(arms),  # a trial knows its arm by its place
    }


def _idle(plan: Plan) -> list[str]:
    """What a header has of the strategy and changes nothing: earlier versions let it be typed."""
    return [key for key in ("points", "keep", "margin") if not plan.single and unused(f"sweep.{key}", plan)]


def _used(arm: Arm, record: Mapping[str, Any]) -> Mapping[str, Mapping[str, str]]:
    """The entries of a record's maps that an arm uses; others may come and go."""
    names = {
        "heads": [arm.config.model.head],
        "metrics": [metric.name for metric in head_of(arm.config).metrics],
        "scales": [dist.scale.name for dist in arm.space.values() if isinstance(dist, Interval)],
    }
    return {kind: {key: record[kind][key] for key in keys if key in record[kind]} for kind, keys in names.items()}
