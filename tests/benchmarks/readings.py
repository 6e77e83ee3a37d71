"""From what a process left behind to what the table says of it."""

import json
import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.stopwatch import Contender, Process, Run


def epoch_events(output: Path) -> Iterator[dict[str, Any]]:
    """Every epoch of every trial that Caviar trained into a folder."""
    for path in sorted(output.rglob("events.jsonl")):
        yield from (event for event in map(json.loads, path.read_text().splitlines()) if event["event"] == "epoch")


def caviar(process: Process) -> Run:
    """Whole-process seconds of Caviar."""
    epochs = list(epoch_events(process.output))
    best = max(event["val_accuracy"] for event in epochs)
    return Run(process.seconds, process.cpu_seconds, best, len(epochs))


def caviar_epoch(process: Process) -> Run:
    """Seconds of an epoch of a single trial, the median of those after the first."""
    seconds = [event["seconds"] for event in epoch_events(process.output)]
    whole = caviar(process)
    return Run(statistics.median(seconds[1:]), None, whole.val_accuracy, whole.epochs)


def peer_epoch(process: Process) -> Run:
    """The same of a peer that noted its epochs."""
    result = _result(process)
    return Run(statistics.median(result["seconds"][1:]), None, result["val_accuracy"], result["epochs"])


def peer(process: Process) -> Run:
    """Whole-process seconds of a peer."""
    result = _result(process)
    return Run(process.seconds, process.cpu_seconds, result["val_accuracy"], result["epochs"])


def extrapolated(process: Process, *, trials: int, jobs: int) -> Run:
    """Whole-process seconds that a peer which ran fewer trials, `jobs` at a time, would take for `trials`.

    Startup and a constant time a trial. A trial's time is that between the first finished and the last; what the
    first of each job takes longer than the others, because it traces and compiles, counts as startup so.
    """
    at = sorted(float(time) for time in re.findall(r"^finished trial \d+ at ([\d.]+)", process.printed, re.MULTILINE))
    if len(at) >= trials:
        return peer(process)
    a_trial = (at[-1] - at[jobs - 1]) / (len(at) - jobs)
    startup = process.seconds - len(at) * a_trial
    note = f"extrapolated from {len(at)} trials: {startup:.1f} s + {trials} x {a_trial:.3g} s"
    result = _result(process)
    return Run(startup + trials * a_trial, None, result["val_accuracy"], result["epochs"], note)


def _result(process: Process) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((process.output / "result.json").read_text())
    return result


def table(contenders: list[Contender], runs: list[list[Run]]) -> str:
    """Seconds of each contender, times the first one's, and the target for that."""
    width = max(len(contender.name) for contender in contenders)
    header = f"{'':{width}} {'median':>8} {'min':>8} {'max':>8} {'ratio':>7}  {'target':13} {'cpu s':>7}"
    lines = [f"{header}  val_accuracy  epochs"]
    for contender, own in zip(contenders, runs, strict=True):
        seconds = [run.seconds for run in own]
        ratio = statistics.median(run.seconds / base.seconds for run, base in zip(own, runs[0], strict=True))
        cpu = [run.cpu_seconds for run in own if run.cpu_seconds is not None]
        accuracy = max(run.val_accuracy for run in own)
        epochs = "/".join(dict.fromkeys(str(run.epochs) for run in own))
        lines.append(
            f"{contender.name:{width}} {statistics.median(seconds):8.4g} {min(seconds):8.4g} {max(seconds):8.4g} "
            f"{ratio:7.2f}  {_verdict(contender, ratio):13} {f'{statistics.median(cpu):.1f}' if cpu else '':>7}  "
            f"{accuracy:12.4f} {epochs:>7}  {own[-1].note}".rstrip()
        )
    return "\n".join(lines)


def _verdict(contender: Contender, ratio: float) -> str:
    if contender.target is None:
        return ""
    if not contender.binding:
        return f"({contender.target:.3g})"
    return f"{contender.target:.3g} {'met' if ratio >= contender.target else 'missed'}"
