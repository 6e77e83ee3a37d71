"""What the terminal shows while trials run and when they are done."""

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from pipeline import records
from pipeline.overrides import to_text
from pipeline.records import CohortPlanned, DataFacts, Ended, EpochEnded, Trial
from pipeline.tracking.subscriber import Occurrence, StageBegan

MOST_COLUMNS = 40  # of a table
SPINNER = "line"  # of letters that every terminal has
SHORTEST_EPOCH = 0.1  # seconds of one whose waiting for data is worth a look

# Piped output keeps its lines whole; rich would wrap them, and squeeze tables, at 80 columns.
console = Console() if sys.stdout.isatty() else Console(soft_wrap=True, width=160)


def print_line(text: str, style: str | None = None) -> None:
    """A line as it is: no markup read into it, and not wrapped, so that a path or an address can be copied."""
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def waiting(what: str) -> contextlib.AbstractContextManager[object]:
    """Says on a terminal, while it lasts, what is waited for."""
    return console.status(what, spinner=SPINNER) if console.is_terminal else contextlib.nullcontext()


def print_data(facts: DataFacts) -> None:
    """Says what the data is and, of a table, how each column is understood."""
    print_line(f"data: {facts.description}")
    listed = list(facts.columns.items())[:MOST_COLUMNS]
    width = max((len(name) for name, _ in listed), default=0)
    for name, text in listed:
        print_line(f"  {name:<{width}}  {text}")
    if len(facts.columns) > len(listed):
        print_line(f"  and {len(facts.columns) - len(listed):,} more")
    for warning in facts.warnings:
        print_line(warning, "yellow")


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def short(value: Any) -> str:
    """A parameter value for reading; the leaderboard and the command line have all its digits."""
    if isinstance(value, bool) or value is None:
        return to_text(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace(" ", "")


def duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def cohort_line(cohort: CohortPlanned) -> str:
    """How a cohort trains, in how much memory, and why."""
    trials, summary = cohort.trials, cohort.summary
    which = f"trial {trials[0]}" if len(trials) == 1 else f"{len(trials)} trials, {trials[0]} to {trials[-1]}"
    mode = {"fused_xla": "fused with XLA", "fused": "fused", "solo": "one by one"}[summary.mode]
    at_once = 1 if summary.mode == "solo" else min(summary.at_once, len(trials))
    memory = f"{at_once * summary.bytes_a_trial / 2**20:.0f} MiB of {summary.memory / 2**30:.1f} GiB"
    return f"  {which}: {mode}, {summary.reason} ({memory})"


class Notes:
    """What is said once, of however many trials: that training waits for its data, that layers are not measured, or
    that one gets no tokens, for trials mostly share the layer."""

    def __init__(self) -> None:
        self._said: set[type[records.Event]] = set()

    def on(self, event: EpochEnded | records.Started | records.Undiagnosed) -> None:
        if type(event) in self._said:
            return
        match event:
            case records.Started(warning=str(warning)):
                text = warning
            case records.Undiagnosed(reason=reason):
                text = f"training goes on without train.diagnostics, which failed: {reason}"
            case EpochEnded() if self._waits(event):
                text = (
                    f"training waits for data for {event.data_wait:.0%} of an epoch. If they are streamed from a file: "
                    "hold them in memory (dataset.memory=always) where they fit, or store them less compressed; more "
                    "cores help anyway"
                )
            case _:
                return
        self._said.add(type(event))
        print_line(text, "yellow")

    def _waits(self, event: EpochEnded) -> bool:
        """For more than a third of an epoch; not of the first one, when nothing has been fetched ahead, nor of one
        shorter than a second: there is little to gain."""
        seconds = event.cohort_seconds or event.seconds
        return event.data_wait > 1 / 3 and event.epoch > 1 and seconds >= 1


def _waited(event: EpochEnded) -> str:
    """The share of an epoch in which training waited for data; of milliseconds it says nothing."""
    return f"{event.data_wait:.0%}" if event.seconds >= SHORTEST_EPOCH else "-"


def _width(name: str) -> int:
    """Of a column, for its heading and for a loss of two digits."""
    return max(len(name), 7)


class _Display:
    """Lines under a progress bar, which only a terminal shows."""

    def __init__(self) -> None:
        self._notes = Notes()
        self._bar: Progress | None = None

    def _begin(self, description: str, total: int | None, completed: int = 0) -> None:
        """total: None while it is not known how long it takes."""
        self.close()
        text = TextColumn("{task.description}")  # beside what moves, however long a graph compiles
        columns = (SpinnerColumn(SPINNER), text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._bar.start()
        self._bar.add_task(description, total=total, completed=completed)

    def _advance(self, completed: int) -> None:
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=completed)

    def close(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


class TrialDisplay(_Display):
    """A line an epoch: `metrics` in training and validation, learning rate, time left."""

    def __init__(self, epochs: int, metrics: Sequence[str]) -> None:
        super().__init__()
        self._epochs = epochs
        self._columns = [*metrics, *(f"val_{name}" for name in metrics)]
        self._begin("preparing", None)

    def on(self, trial: Trial | None, event: Occurrence) -> None:
        match event:
            case records.Started():
                again = f", going on after epoch {event.resumed_after}" if event.resumed_after else ""
                print_line(f"{event.parameters:,} parameters{again}")
                self._notes.on(event)
                names = "  ".join(f"{name:>{_width(name)}}" for name in self._columns)
                print_line(f"epoch  {names}  learning_rate  data_wait  left")
                self._begin("epochs", self._epochs)
            case EpochEnded():
                left = duration((self._epochs - event.epoch) * event.seconds)
                values = "  ".join(f"{number(event.metrics.get(name)):>{_width(name)}}" for name in self._columns)
                print_line(f"{event.epoch:>5}  {values}  {event.learning_rate:>13.4g}  {_waited(event):>9}  {left}")
                self._notes.on(event)
                self._advance(event.epoch)
            case records.Undiagnosed():
                self._notes.on(event)
            case records.Restarting():
                print_line(f"starting again: {event.reason}", "yellow")


class SweepDisplay(_Display):
    """A line a trial as it ends, with its reason if it failed, under a bar with the time left."""

    def __init__(self, metric: str) -> None:
        super().__init__()
        self._metric, self._ended = metric, 0

    def on(self, trial: Trial | None, event: Occurrence) -> None:
        match event:
            case StageBegan():
                print_line(event.title, "bold")
                self._ended = event.ended
                self._begin("trials", event.total, event.ended)
            case CohortPlanned():
                print_line(cohort_line(event), "dim")
            case EpochEnded() | records.Started() | records.Undiagnosed():
                self._notes.on(event)
            case records.Restarting() if trial:
                print_line(f"  trial {trial.number:>3}  starts again: {event.reason}", style="yellow")
            case records.Interrupted() if trial:
                print_line(f"  trial {trial.number:>3}  interrupted, to go on from its last checkpoint", style="yellow")
            case Ended() if trial:
                self._end(trial, event)

    def _end(self, trial: Trial, event: Ended) -> None:
        self._ended += 1
        style = {"pruned": "dim", "completed": None}.get(event.status, "red")
        text = f"{event.status}: {event.reason}"
        if event.status == "pruned":
            text = str(event.reason)
        elif event.status == "completed":
            text = f"{self._metric} {number(event.metrics.get(self._metric))}"
        params = "  ".join(f"{key}={short(value)}" for key, value in trial.params.items())
        print_line(f"  trial {trial.number:>3}  {text}  {params}", style)
        self._advance(self._ended)
