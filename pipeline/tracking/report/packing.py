"""What the page's scripts are given: short JSON, with the many numbers of curves as base64 of 32-bit floats."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.jsonl import finite
from pipeline.overrides import to_text
from pipeline.tracking.report.data import SweepReport, TrialReport

MOST_NUMBERS = 250_000  # of curves in a page: 1.3 MB
MOST_POINTS = 200  # of a curve


def to_json(sweeps: Sequence[SweepReport], made: str) -> str:
    """As it may stand within <script>: no `<` that could end it, and no line separator that is none of JSON's."""
    record = {"made": made, "sweeps": [_sweep(sweep, MOST_NUMBERS // len(sweeps)) for sweep in sweeps]}
    text = json.dumps(finite(record), separators=(",", ":"), ensure_ascii=False)
    for letter in "<>&\u2028\u2029\x7f":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text.encode("utf-8", "replace").decode()  # a lone surrogate, as in the name of a file


def _sweep(sweep: SweepReport, most: int) -> Mapping[str, Any]:
    shown = _with_curves(sweep, most)
    kept = [_thinned(trial) for trial in sweep.trials[:shown]]
    numbers = [
        trial.curves[name][place] if name in trial.curves else math.nan
        for trial, places in zip(sweep.trials, kept, strict=False)
        for name in sweep.metrics
        for place in places
    ]
    keys = [axis.key for axis in sweep.axes]
    return {
        "name": sweep.name,
        "folder": sweep.folder,
        "metric": sweep.metric,
        "maximize": sweep.direction == "maximize",
        "sampler": sweep.sampler,
        "metrics": sweep.metrics,
        "arms": sweep.arms,
        "axes": [
            {
                **{name: getattr(axis, name) for name in ("key", "name", "scale", "low", "high", "tier", "ranges")},
                "choices": axis.choices,
                "ticks": [[tick.at, tick.text, tick.note] for tick in axis.ticks],
            }
            for axis in sweep.axes
        ],
        "trials": {
            **_columns(sweep.trials, keys),
            "metrics": [[trial.metrics.get(name) for trial in sweep.trials] for name in sweep.metrics],
            "at": _packed([_or_nan(c) for trial in sweep.trials for c in trial.coordinates]),
        },
        "curves": {
            "shown": shown,
            "epochs": [_short_range([t.epochs[p] for p in places]) for t, places in zip(sweep.trials, kept)],
            "values": _packed(numbers),
        },
        "stages": [
            {
                "name": stage.name,
                "epochs": stage.epochs,
                "decision": stage.decision,
                "boxes": [[box.axis, box.arm, box.low, box.high, box.text] for box in stage.boxes],
            }
            for stage in sweep.stages
        ],
        "pairs": [{**vars(pair), "differences": [_round(d, 6) for d in pair.differences]} for pair in sweep.pairs],
        "progress": [[p.trial, p.epochs, round(p.seconds, 2), p.value] for p in sweep.progress],
        "winner": _winner(sweep),
        "importance": [vars(row) for row in sweep.importance],
        "disagreements": sweep.disagreements,
        "replicated": [vars(of) for of in sweep.replicated],
        "replicates": {"of": [t.trial.replicate_of for t in sweep.replicates], **_columns(sweep.replicates, [])},
        "copies": [[copy.trial, copy.epoch, copy.source] for copy in sweep.copies],
        "schedule": [vars(step) for step in sweep.schedule],
        "spent": sweep.spent,
        "budget": sweep.budget,
        "begun": sweep.begun,
        "data": sweep.data,
        "fixed": sweep.fixed,
        "versions": sweep.versions,
    }


def _winner(sweep: SweepReport) -> Mapping[str, Any] | None:
    if (winner := sweep.winner) is None:
        return None
    test = {"metrics": winner.test.metrics, "n": winner.test.n} if winner.test else None
    return {**vars(winner), "test": test}


def _columns(trials: Sequence[TrialReport], keys: Sequence[str]) -> Mapping[str, Any]:
    return {
        "number": [t.trial.number for t in trials],
        "status": [t.trial.shown_status for t in trials],
        "stage": [t.trial.stage for t in trials],
        "arm": [t.trial.arm for t in trials],
        "reason": [t.trial.reason for t in trials],
        "best_epoch": [t.trial.best_epoch for t in trials],
        "epochs": [len(t.epochs) for t in trials],
        "seconds": [round(t.seconds, 3) for t in trials],
        "begun": [None if t.begun is None else round(t.begun, 2) for t in trials],
        "ended": [None if t.ended is None else round(t.ended, 2) for t in trials],
        "parameters": [t.parameters for t in trials],
        "cohort": [t.cohort for t in trials],
        "rungs": [t.rungs for t in trials],
        # numbers and names as they are, anything else as Hydra writes it; null where a trial has no such key
        "params": [[_plain(t.trial.params[key]) if key in t.trial.params else None for t in trials] for key in keys],
    }


def _plain(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number or isinstance(value, str) else to_text(value)


def _with_curves(sweep: SweepReport, most: int) -> int:
    """Of how many trials, best first, there is room for the curves."""
    total = 0
    for place, trial in enumerate(sweep.trials):
        total += min(len(trial.epochs), MOST_POINTS) * len(sweep.metrics)
        if total > most:
            return place
    return len(sweep.trials)


def _thinned(trial: TrialReport) -> list[int]:
    """Places of the epochs that a curve keeps: the first, the last, the best, and others evenly between them."""
    n = len(trial.epochs)
    if n <= MOST_POINTS:
        return list(range(n))
    places = {round(i * (n - 1) / (MOST_POINTS - 1)) for i in range(MOST_POINTS)}
    return sorted(places | {p for p, epoch in enumerate(trial.epochs) if epoch == trial.trial.best_epoch})


def _short_range(epochs: Sequence[int]) -> int | Sequence[int]:
    """n for 1 to n."""
    return len(epochs) if list(epochs) == list(range(1, len(epochs) + 1)) else epochs


def _packed(numbers: Sequence[float]) -> str:
    with np.errstate(over="ignore"):
        return base64.b64encode(np.asarray(numbers, dtype="<f4").tobytes()).decode()


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _round(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")
