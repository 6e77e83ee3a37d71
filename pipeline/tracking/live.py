"""What the terminal shows while trials run: lines of them, under a bar."""

import threading
import time
from collections.abc import Callable, Sequence

from rich.console import RenderableType
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline import layout, records
from pipeline.records import CohortPlanned, Ended, EpochEnded, Trial
from pipeline.tracking.display import (
    LONGEST_HEADING,
    SPINNER,
    clock,
    cohort_line,
    console,
    duration,
    number,
    print_line,
    short,
)
from pipeline.tracking.pace import Pace, SweepProgress
from pipeline.tracking.subscriber import Occurrence, StageBegan

SHORTEST_EPOCH = 0.1  # seconds of one whose waiting for data is worth a look
NARROWEST_BAR = 8  # letters
SPACED = 4  # letters: what moves before a bar, and blanks
SOONEST, LATEST = 10.0, 60.0  # seconds between two lines of progress where there is no terminal to show a bar


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


class _Moving(ProgressColumn):
    """Part of a bar, made anew whenever the bar is drawn."""

    def __init__(self, make: Callable[[], RenderableType]) -> None:
        super().__init__()
        self._make = make

    def render(self, task: Task) -> RenderableType:
        return self._make()


class _Display:
    """Lines under a progress bar, which only a terminal shows."""

    def __init__(self) -> None:
        self._notes = Notes()
        self._bar: Progress | None = None

    def _begin(self, *columns: ProgressColumn) -> None:
        self.close()
        columns = (SpinnerColumn(SPINNER), *columns)
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._bar.start()
        self._bar.add_task("", total=None)

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
        headings = ["epoch", *self._columns, "learning_rate", "data_wait", "left"]
        longest = LONGEST_HEADING if console.is_terminal else console.width
        self._headings = [layout.folded(name, longest).split("\n") for name in headings]
        least = [5, *(7 for _ in self._columns), 8, 4, 4]  # for a loss of two digits, and a learning rate of four
        self._widths = [max(n, *map(len, lines)) for n, lines in zip(least, self._headings, strict=True)]
        self._epoch = 0
        bar = _Moving(lambda: ProgressBar(self._epochs, self._epoch, pulse=not self._epoch))
        self._begin(
            bar,
            _Moving(
                lambda: Text(f"{self._epoch:,}/{layout.counted(self._epochs, 'epoch')}" if self._epoch else "preparing")
            ),
        )

    def on(self, trial: Trial | None, event: Occurrence) -> None:
        match event:
            case records.Started():
                again = f", going on after epoch {event.resumed_after}" if event.resumed_after else ""
                print_line(f"{layout.counted(event.parameters, 'parameter')}{again}")
                self._notes.on(event)
                for i in range(max(map(len, self._headings))):
                    self._print_row([name[i] if i < len(name) else "" for name in self._headings])
            case EpochEnded():
                self._epoch = event.epoch
                left = duration((self._epochs - event.epoch) * event.seconds)
                values = [number(event.metrics.get(name)) for name in self._columns]
                self._print_row([str(event.epoch), *values, f"{event.learning_rate:.4g}", _waited(event), left])
                self._notes.on(event)
            case records.Undiagnosed():
                self._notes.on(event)
            case records.Restarting():
                print_line(f"starting again: {event.reason}", "yellow")

    def _print_row(self, cells: Sequence[str]) -> None:
        print_line("  ".join(f"{cell:>{width}}" for cell, width in zip(cells, self._widths, strict=True)).rstrip())


class SweepDisplay(_Display):
    """A line a trial as it ends, with its reason if it failed, under a bar over the epochs of all trials; a line now
    and then where there is no terminal.

    keys: of all parameters.
    """

    def __init__(self, metric: str, pace: Pace, keys: Sequence[str] = ()) -> None:
        super().__init__()
        self._metric, self._pace = metric, pace
        self._names = dict(zip(keys, layout.shortened(keys), strict=True))
        self._started = self._shown = time.time()
        self._tenth = 0  # of the epochs, that a line of progress last told of
        self._copies: list[tuple[int, records.Exploited]] = []  # of a population, not said yet
        self._lock = threading.Lock()  # the bar is drawn in a thread of its own

    def on(self, trial: Trial | None, event: Occurrence) -> None:
        if isinstance(event, EpochEnded | Ended) and not console.is_terminal:
            self._print_progress()  # before an event that may be the first of many alike, of a cohort
        with self._lock:
            self._pace.on(trial, event)
        if isinstance(event, records.Exploited) and trial:
            self._copies += [(trial.number, event)] if event.epoch else []
            return
        self._print_copies()
        match event:
            case StageBegan():
                print_line(event.title, "bold")
                if not self._bar:
                    self._begin(_Moving(self._drawn))
            case CohortPlanned():
                print_line(cohort_line(event), "dim")
            case EpochEnded() | records.Started() | records.Undiagnosed():
                self._notes.on(event)
            case records.Promoted() if trial:
                print_line(f"  trial {trial.number:>3}  goes on after epoch {event.epoch}, where it had stopped", "dim")
            case records.Restarting() if trial:
                print_line(f"  trial {trial.number:>3}  starts again: {event.reason}", style="yellow")
            case records.Interrupted() if trial:
                print_line(f"  trial {trial.number:>3}  interrupted, to go on from its last checkpoint", style="yellow")
            case Ended() if trial:
                self._end(trial, event)

    def _print_copies(self) -> None:
        """Who has copied whom in a population, in one line."""
        if self._copies:
            targets, sources = (", ".join(map(str, n)) for n in zip(*((t, e.source) for t, e in self._copies)))
            s = "s" * (len(self._copies) > 1)
            print_line(
                f"  epoch {self._copies[0][1].epoch:>3}  trial{s} {targets} {'copy' if s else 'copies'} {sources}",
                "dim",
            )
            self._copies = []

    def _end(self, trial: Trial, event: Ended) -> None:
        style = {"pruned": "dim", "completed": None}.get(event.status, "red")
        text = f"{event.status}: {event.reason}"
        if event.status == "pruned":
            text = str(event.reason)
        elif event.status == "completed":
            text = f"{self._metric} {number(event.metrics.get(self._metric))}"
        of = "" if trial.replicate_of is None else f", a replicate of trial {trial.replicate_of}"
        params = "  ".join(f"{self._names.get(key, key)}={short(value)}" for key, value in trial.params.items())
        print_line(f"  trial {trial.number:>3}{of}  {text}  {params}", style)

    def _progress(self) -> SweepProgress:
        with self._lock:
            return self._pace.progress(time.time())

    def _drawn(self) -> RenderableType:
        """The bar, and beside it as much as there is room for."""
        at = self._progress()
        parts = [f"{at.epochs:,}/{layout.counted(at.total, 'epoch')}", clock(at.time - self._started)]
        if at.seconds_left is not None:
            parts[-1] += f", {clock(at.seconds_left)} left"
        if at.best:
            parts.append(f"best {number(at.best[1])}, trial {at.best[0]}")
        room = console.width - NARROWEST_BAR - SPACED
        while len(parts) > 1 and len("  ".join(parts)) > room:
            parts.pop()
        text = Text("  ".join(parts), no_wrap=True)
        drawn = Table.grid(padding=(0, 1))
        bar = ProgressBar(at.total, at.epochs, console.width - SPACED - len(text), pulse=not at.epochs)
        drawn.add_row(bar, text)
        return drawn

    def _print_progress(self) -> None:
        """Now and then, so that a log says what a bar would: at every tenth of the epochs, not sooner than after
        SOONEST seconds, and after LATEST seconds in any case."""
        now = time.time()
        if now - self._shown < SOONEST:
            return
        at = self._progress()
        tenth = 10 * at.epochs // max(1, at.total)
        if not at.epochs:  # the first is about to be counted: there is more to say of those that follow
            self._shown = now
        if tenth <= self._tenth and now - self._shown < LATEST:
            return
        self._shown, self._tenth = now, tenth
        epochs, trials = layout.counted(at.total, "epoch"), layout.counted(at.trials, "trial")
        text = f"progress: {at.epochs:,} of {epochs}, {at.ended:,} of {trials} ended"
        text += f", {duration(now - self._started)}"
        if at.seconds_left is not None:
            text += f", about {duration(at.seconds_left)} left"
        print_line(text + (f"; best {self._metric} {number(at.best[1])}, trial {at.best[0]}" if at.best else ""))
