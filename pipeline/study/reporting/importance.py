"""How much each hyperparameter mattered, as the end of the sweep measured it."""

import csv
from pathlib import Path

from pipeline.errors import InputError
from pipeline.study.importance import Importance, disagreements
from pipeline.tracking.report.data import Mattered


def how_much_mattered(folder: Path) -> tuple[list[Mattered], list[str]]:
    """The most important first, and where they disagree with the tiers; nothing of a sweep that wrote none."""
    path = folder / "importance.csv"
    rows = _read(path) if path.is_file() else []
    lines = [line.removeprefix("importance: ") for line in disagreements(rows)]
    return [Mattered(**vars(row)) for row in rows], lines


def _read(path: Path) -> list[Importance]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                Importance(row["key"], int(row["tier"]) if row["tier"] else None, *map(float, values))
                for row in csv.DictReader(file)
                if (values := [row[name] for name in ("importance", "low", "high")])
            ]
    except (KeyError, ValueError, TypeError):
        raise InputError(f"{path} is not understood: restore it, or delete it.") from None
