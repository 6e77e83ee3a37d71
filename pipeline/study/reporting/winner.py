"""The winner of a sweep: how to train it again, and what its value does not say by itself."""

import contextlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.objective import Objective
from pipeline.records import DataFacts, TestResult, Trial
from pipeline.search.linter import at_edge
from pipeline.search.space import Space
from pipeline.secret import masked, note_names
from pipeline.study import folders
from pipeline.study.cautions import cautions
from pipeline.study.repeating import UNKNOWN, applies, groups_of
from pipeline.study.reporting.trials import TrialHistory
from pipeline.study.standing import Standing, of_winner
from pipeline.tracking.report.data import Winner


def describe_winner(
    folder: Path,
    winner: Trial,
    order: Sequence[Trial],
    objective: Objective,
    data: DataFacts,
    histories: Mapping[int, TrialHistory],
    tested: Mapping[int, TestResult],
    spaces: Sequence[Space],
    finalists: Sequence[Standing],
) -> Winner:
    """order: all that ended, best first; data: the winner's; spaces: of each arm."""
    epochs = len(histories[winner.number].epochs)
    doubts = list(of_winner(finalists, objective.metric)) if finalists else []
    doubts += cautions(order, objective.metric, data, epochs, replicated=bool(finalists))
    if not histories[winner.number].exploits:  # or the values are those that it began with
        doubts += at_edge(spaces, winner, order)
    lines = [" ".join(line.split()) for line in doubts]
    again, nearly = _commands(folder, winner.number)
    return Winner(winner.number, masked(again), masked(nearly), lines, tested.get(winner.number))


def _commands(folder: Path, number: int) -> tuple[str, str]:
    """What trains a trial again, to the bit, and what trains its values by themselves; with the folder as it is called
    now. Empty where the trial's folder does not say."""
    best = _plain(folder / "best.yaml")
    if isinstance(best, dict) and best.get("trial") == number:
        again, nearly = str(best.get("command", "")), str(best.get("overrides", best.get("command", "")))
    else:  # of a sweep that was killed: --config-dir is not known
        overrides = _plain(folders.config_file(folder / str(number)).with_name("overrides.yaml"))
        if not isinstance(overrides, list):
            return "", ""
        nearly = shlex.join(["python", "run.py", *map(str, overrides)])
        again = shlex.join(["python", "run.py", "repeat=", *filter(applies, map(str, overrides))])
        if any(group.trials == UNKNOWN for group in groups_of(folder / str(number))):
            again = nearly
    words = [f"repeat={folder / str(number)}" if w.startswith("repeat=") else w for w in shlex.split(again)]
    return shlex.join(words), nearly


def tiers_of(folder: Path, trials: Sequence[Trial]) -> dict[str, int]:
    """The tier of each key for which a config of the sweep declares a range, by one trial of each arm; what these
    configs take from the environment is noted as secret."""
    tiers: dict[str, int] = {}
    for arm in dict.fromkeys(trial.arm for trial in trials):
        begun = (t for t in trials if t.arm == arm and folders.config_file(folder / str(t.number)).is_file())
        path = folders.config_file(folder / str(first.number)) if (first := next(begun, None)) else None
        config = _plain(path) if path else {}
        note_names(str(config))
        for group, section in config.items() if isinstance(config, dict) else ():
            search = section.get("search") if isinstance(section, dict) else None
            for key, entry in search.items() if isinstance(search, dict) else ():
                with contextlib.suppress(TypeError, KeyError, ValueError):
                    tiers[f"{group}.{key}"] = int(entry["tier"])
    return tiers


def _plain(path: Path) -> Any:
    """What a YAML file says; None if it is not there, or is no YAML."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
