"""A report without a peer: what it would win to time a few steps in each mode before a cohort trains.

Both sides train cohorts on the digits, each model and width in a process of its own (see mode_cells.py).
"""

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.stopwatch import run

WIDTHS = {"mlp": (16, 64, 256), "cnn": (16, 64), "softmax_regression": (0,), "layer_norm": (64,)}
NAMES = {"fused_xla": "fused, XLA", "fused": "fused", "solo": "one by one"}


def modes(folder: Path, options: Namespace) -> Iterator[str]:
    """How cohorts train by Caviar's rule, or a probe of each mode; seconds of 20 epochs, the probe's too."""
    yield "model               width batch trials  by rule        seconds  by probe       seconds"
    cells: list[tuple[bool, list[float], list[float]]] = []
    for model, widths in WIDTHS.items():
        for width in widths:
            lines = [_cells(folder, model, width, how) for how in ("rule", "probe")]
            for rule, probe in zip(*lines, strict=True):
                batch_size, size, mode, *taken = rule
                yield (
                    f"{model:18} {width or '':>6} {batch_size:5} {size:6}  {NAMES[mode]:12} {taken[0]:9.1f}  "
                    f"{NAMES[probe[2]]:12} {probe[3]:9.1f}"
                )
                cells.append((mode != probe[2], taken, probe[3:]))
    differing = [cell for cell in cells if cell[0]]
    yield f"the probe takes another mode in {len(differing)} of {len(cells)} cohorts"
    for name, group in (("there", differing), ("in all", cells)):
        by_rule, by_probe = ([sum(cell[side][i] for cell in group) for i in (0, 1)] for side in (1, 2))
        yield (
            f"{name}: {by_rule[0]:.0f} s by the rule ({by_rule[1]:.0f} CPU s), "
            f"{by_probe[0]:.0f} s with the probe ({by_probe[1]:.0f} CPU s)"
        )


def _cells(folder: Path, model: str, width: int, how: str) -> list[list]:
    command = [sys.executable, "-m", "tests.benchmarks.mode_cells", model, f"{width}", how]
    return [json.loads(line) for line in run(how, command, folder).printed.splitlines() if line.startswith("[")]


REPORTS = {"modes": modes}
