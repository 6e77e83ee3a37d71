"""Whether sweeps end when their budget does: whole processes, with budgets from 15 s to 3 min."""

import json
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.benchmarks.stopwatch import Failed, run

BUDGETS = 20
SHORTEST, LONGEST = 15.0, 180.0  # seconds


def seconds_of_budgets(n: int) -> list[int]:
    """`n` budgets, evenly spaced in the exponent."""
    return [round(SHORTEST * (LONGEST / SHORTEST) ** (i / max(1, n - 1))) for i in range(n)]


def budgets(folder: Path, options: Namespace) -> Iterator[str]:
    """20 budgets that a sweep of trials without a number fills: overshoot, and the share of the time in training.

    Training is from the first epoch's beginning, its compiling included, until the last trial ended or paused; in it,
    the share of the time in which at least one cohort had an epoch. `--trials` measures fewer budgets.
    """
    chosen = seconds_of_budgets(options.trials or BUDGETS)
    yield f"{'budget':>8}{'took':>8}{'over':>8}{'epoch':>8}{'training':>10}{'trials':>8}{'paused':>8}"
    overs, shares, kept = [], [], 0
    for i, seconds in enumerate(chosen):
        output = folder / str(i)
        output.mkdir(parents=True)
        line = ["-m", "sweep.name=b", "sweep.n_trials=null", f"sweep.budget={seconds}s", f"output_dir={output}"]
        began = time.time()
        try:
            done = run("Caviar", [sys.executable, "run.py", *line, *options.set], output)
        except Failed as failure:  # too short for an epoch on this machine, mostly
            yield f"{seconds:>7}s{time.time() - began:>8.1f}  {str(failure).splitlines()[-1]}"
            continue
        over = done.seconds - seconds
        epochs, share, trials, paused = _training(output / "sweeps/b", began)
        longest = max(epochs, default=0.0)
        overs.append(over)
        shares.append(share)
        kept += over <= max(3.0, longest) and share >= 0.9
        yield f"{seconds:>7}s{done.seconds:>8.1f}{over:>+8.1f}{longest:>8.2f}{share:>10.0%}{trials:>8}{paused:>8}"
    if not overs:
        return
    yield f"median: {median(overs):+.1f} s over, {median(shares):.0%} in training after the first epoch began"
    yield f"{kept} of {len(chosen)} ended within 3 s or an epoch of their budget, with 90 % of the time in training"


def _training(folder: Path, began: float) -> tuple[list[float], float, int, int]:
    """Seconds of epochs after the first, the share of the time in training, how many trials there are, and paused."""
    spans, epochs, ends, paused = set(), [], [began], 0
    logs = list(folder.glob("*/events.jsonl"))
    for log in logs:
        events = [json.loads(line) for line in log.read_text().splitlines()]
        of_epochs = [event for event in events if event["event"] == "epoch"]
        for place, event in enumerate(of_epochs):
            seconds = event.get("cohort_seconds") or event["seconds"]
            spans.add((round(event["time"] - seconds, 1), round(event["time"], 1)))
            epochs += [seconds] if place else []
        paused += events[-1]["event"] == "paused"
        ends.append(events[-1]["time"])
    covered, last = 0.0, min((start for start, _ in spans), default=began)
    first = last
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, last))
        last = max(last, end)
    return epochs, covered / max(1e-9, max(ends) - first), len(logs), paused


REPORTS = {"budgets": budgets}
