"""`python run.py repeat=FOLDER`: a trial once more, with the bits it had: in cohorts like those it trained in.

A sum that is split otherwise rounds otherwise, and training makes the difference grow: at a learning rate of 0.04 a
trial that trains alone may end a percent away from itself in a cohort. What decides how sums are split is the mode of
the computation, the number of its trials, the widest layers among them and the number of threads; events.jsonl has
these, the trials by number.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.checks import check
from pipeline.config import Composed
from pipeline.errors import InputError
from pipeline.eventlog import epochs_of, events_of
from pipeline.events import Grouped, Started
from pipeline.evolution import Evolution
from pipeline.records import FormerCohort, Repeat
from pipeline.search.plan import Plan
from pipeline.study import folders, lineage

ALONE: list[int] = []  # in the place of a cohort's trials: there was no cohort
UNKNOWN: list[int] = [-1]  # there was one, and an earlier version did not write down which
# What a command may say besides: where and how the trial runs and is recorded.
_FREE = ("repeat", "resume", "output_dir", "allowed_targets", "executor", "executor.max_restarts", "tracking")


def plan_of(now: Composed, overrides: Sequence[str]) -> Plan:
    """The plan of what `python run.py` composed and was told: of one trial, or of an earlier one again.

    Raises InputError for overrides that a repeated trial can't honour, and for a folder without such a trial.
    """
    if now.config.repeat is None:
        return Plan.of_one(now, list(overrides))
    folder = Path(now.config.repeat)
    for line in overrides:
        if not applies(line):
            raise InputError(
                f"{line} does not apply: repeat={folder} trains what {folders.config_file(folder)} says.\n"
                f"To change it, take the overrides in {folders.config_file(folder).with_name('overrides.yaml')}."
            )
    recorded = _recorded(folder, now)
    if first := recorded.config.repeat:  # it repeats another one itself
        return plan_of(now.with_values({"repeat": first}), overrides)
    composed = _as_now(recorded, now)
    groups = groups_of(folder)
    if not groups:
        raise InputError(f"repeat={folder}: this trial never began.")
    if any(group.trials == UNKNOWN for group in groups):
        raise InputError(
            f"repeat={folder}: its events.jsonl does not say with which trials it trained; an earlier version wrote it."
            f"\nNearly the same is what {folders.config_file(folder).with_name('overrides.yaml')} says."
        )
    population = _population(folder, groups[0])
    # Whoever went on after a restart did so among the same trials, at the same places.
    cohorts = tuple(_cohort(folder, group, now) for group in (groups[:1] if population else groups))
    begun = next(event for event in events_of(folder) if isinstance(event, Started))
    repeat = Repeat(str(folder), begun.data_fingerprint, begun.threads, cohorts, population)
    return Plan.of_one(composed, list(overrides), repeat)


def applies(override: str) -> bool:
    """Whether an override changes nothing of what a repeated trial computes."""
    key = override.lstrip("+~").partition("=")[0]
    return key in _FREE or key.startswith("tracking.")


def groups_of(folder: Path) -> list[Grouped]:
    """With which trials the trial of a folder trained, each time for the epochs until the next; a restart repeats what
    followed its checkpoint."""
    groups: list[Grouped] = []
    for event in events_of(folder):
        match event:
            case Started(time=time, resumed_after=epoch, cohort=n):
                group = Grouped(time, epoch, ALONE if n == 1 else UNKNOWN, "solo" if n == 1 else "fused")
            case Grouped(mode=mode):
                group = replace(event, mode=mode or groups[-1].mode)
            case _:
                continue
        groups = [*(earlier for earlier in groups if earlier.epoch < group.epoch), group]
    return groups


def check_same_data(repeat: Repeat, fingerprint: str) -> None:
    if repeat.fingerprint and fingerprint != repeat.fingerprint:
        raise InputError(
            f"repeat={repeat.folder}: the data has changed since (its fingerprint was {repeat.fingerprint}, is "
            f"{fingerprint}).\nBring back the data as it was."
        )


def comparison(folder: Path, repeat: Repeat) -> tuple[str, bool]:
    """A line that says whether the trial in `folder` was the one that it repeats, to the bit; and whether it was."""
    now, before = epochs_of(folder), epochs_of(Path(repeat.folder))
    differing = [epoch.epoch for epoch, first in zip(now, before) if epoch.metrics != first.metrics]
    if differing:
        cause = "other versions, another machine or other settings of one round otherwise"
        return f"repeats {repeat.folder}, but differs from epoch {differing[0]} on: {cause}", False
    if len(now) != len(before):
        return f"repeats {repeat.folder} so far: {len(now)} of its {len(before)} epochs, equal to the bit", False
    return f"repeats {repeat.folder}: its {len(now)} epochs are equal to the bit", True


def _cohort(folder: Path, group: Grouped, now: Composed) -> FormerCohort:
    if group.trials == ALONE:
        return FormerCohort(group.epoch, (), 0, str(group.mode))
    own = int(folder.name) if folder.name.isdigit() else -1
    if len(group.trials) == 1 and not (folder.parent / "ledger").exists():
        own = group.trials[0]  # a run by itself, whose folder is called by its time
    if own not in group.trials:
        raise InputError(f"repeat={folder}: the folder was renamed; in its sweep it is called by its trial's number.")
    paths = {number: folder if number == own else folder.parent / str(number) for number in group.trials}
    configs = {number: _as_now(_recorded(path, now), now).config for number, path in paths.items()}
    places = tuple(configs[number] for number in group.trials)
    return FormerCohort(group.epoch, places, group.trials.index(own), str(group.mode))


def _population(folder: Path, group: Grouped) -> Evolution | None:
    """What made a population of the trials of a group, if it was one."""
    own = int(folder.name) if folder.name.isdigit() else -1
    return lineage.recorded(folder.parent, group.trials, own) if own in group.trials else None


def _recorded(folder: Path, now: Composed) -> Composed:
    path = folders.config_file(folder)
    if not path.is_file():
        raise InputError(
            f"repeat={now.config.repeat}: {path} is missing. Give the folder of a trial, outputs/sweeps/NAME/N, "
            "beside those of the trials that it trained with."
        )
    return Composed.from_file(path)


def _as_now(recorded: Composed, now: Composed) -> Composed:
    composed = recorded.with_settings_of(now)
    check(composed.config)
    return composed
