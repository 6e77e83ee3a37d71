"""How things are said in the terminal: lines, numbers, times, and what data are."""

import contextlib
import sys
from typing import Any

from rich.console import Console

from pipeline import layout
from pipeline.overrides import to_text
from pipeline.records import CohortPlanned, DataFacts

MOST_COLUMNS = 40  # of a table
LONGEST_HEADING = 9  # letters in a line of a table's heading
SPINNER = "line"  # of letters that every terminal has

# Piped output keeps its lines whole; rich would wrap them, and squeeze tables, at 80 columns.
console = Console() if sys.stdout.isatty() else Console(soft_wrap=True, width=160)


def print_line(text: str, style: str | None = None) -> None:
    """A line as it is, with no markup read into it; a terminal gets it broken between words."""
    print_whole(layout.wrapped(text, console.width) if console.is_terminal else text, style)


def print_whole(text: str, style: str | None = None) -> None:
    """A line that is not broken, so that the path, address or command in it can be copied."""
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


def clock(seconds: float) -> str:
    """The same in few letters: 0:12, 1:02:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def cohort_line(cohort: CohortPlanned) -> str:
    """How a cohort trains, in how much memory, and why."""
    trials, summary = cohort.trials, cohort.summary
    which = f"trial {trials[0]}" if len(trials) == 1 else f"{len(trials)} trials, {trials[0]} to {trials[-1]}"
    mode = {"fused_xla": "fused with XLA", "fused": "fused", "solo": "one by one"}[summary.mode]
    at_once = 1 if summary.mode == "solo" else min(summary.at_once, len(trials))
    memory = f"{at_once * summary.bytes_a_trial / 2**20:.0f} MiB of {summary.memory / 2**30:.1f} GiB"
    return f"  {which}: {mode}, {summary.reason} ({memory})"
