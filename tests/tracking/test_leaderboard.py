"""The table of a sweep, on disk and in a terminal of 80 letters."""

import csv
import io

import pytest
from rich.console import Console

from pipeline.records import Trial
from pipeline.tracking.leaderboard import Row, table, write

RATE, UNITS, RATE_OF_DROPOUT = "optimizer.learning_rate", "model.hidden_units", "model.dropout_rate"


def row(number, accuracy=0.9, status="completed", epochs=5, seconds=1.23456, **params):
    trial = Trial(number, "random", 0, {RATE: 0.001 * (number + 1), **params}, started=True, status=status)
    return Row(
        trial, {} if accuracy is None else {"val_accuracy": accuracy, "val_loss": 0.25 + number}, epochs, seconds
    )


def shown(rows, keys, width=80, metric="val_accuracy"):
    """The lines of the table as a terminal shows them, under its title."""
    title, result = table(rows, metric, keys, width)
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(result)
    return title, console.file.getvalue().splitlines()


def test_columns_that_came_later_stand_at_the_end(tmp_path):
    params = {"train.batch_size": None, UNITS: [64, 32], "model.bias": True}
    rows = [row(1, **params), row(0, None, "failed", 0, 0.0), row(2, 0.5, None)]
    write(tmp_path / "t.csv", rows, "val_accuracy", [RATE, *params])
    lines = list(csv.reader((tmp_path / "t.csv").open()))
    assert lines == [
        ["trial", "status", "stage", "val_accuracy", RATE, *params, "val_loss", "epochs", "seconds"],
        ["1", "completed", "random", "0.9", "0.002", "null", "[64,32]", "true", "1.25", "5", "1.235"],
        ["0", "failed", "random", "", "0.001", "", "", "", "", "0", "0.0"],
        ["2", "interrupted", "random", "0.5", "0.003", "", "", "", "2.25", "5", "1.235"],  # of its epochs so far
    ]


def test_the_loss_is_no_column_twice(tmp_path):
    write(tmp_path / "t.csv", [row(0)], "val_loss", [])
    assert (tmp_path / "t.csv").read_text().splitlines()[0] == "trial,status,stage,val_loss,epochs,seconds"


def test_what_is_the_same_in_all_rows_is_said_once():
    title, lines = shown(
        [row(n, 1.0, **{UNITS: 16 * n, RATE_OF_DROPOUT: 0.5}) for n in range(12)], [RATE, UNITS, RATE_OF_DROPOUT]
    )
    assert title == (
        "the best 10 of 12 trials, all with status completed, stage random, dropout_rate 0.5, epochs 5, seconds 1.2"
    )
    heading = [" ".join(pair).split() for pair in zip(lines[0].split("┃"), lines[1].split("┃"), strict=True)]
    # a tie of all is worth a column
    assert heading == [["trial"], ["val_", "accuracy"], ["learning_", "rate"], ["hidden_", "units"], ["val_loss"]]
    assert lines[3].split() == ["0", "│", "1.0000", "│", "0.001", "│", "0", "│", "0.25"]


@pytest.mark.parametrize("n_keys", [1, 3, 7, 20])
@pytest.mark.parametrize("width", [80, 60])
def test_no_line_is_wider_than_the_terminal_and_no_heading_is_cut(n_keys, width):
    keys = [f"model.quite_a_long_name_{n}" for n in range(n_keys)]
    rows = [row(n, n / 7, "completed" if n % 2 else "pruned", n, n, **dict.fromkeys(keys, n / 3)) for n in range(1, 5)]
    title, lines = shown(rows, [RATE, *keys], width)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    headings = [
        "".join(part) for part in zip(*(line.replace("│", "┃").split("┃") for line in lines[:4] if "┃" in line))
    ]
    left_out = title.partition("; leaderboard.csv also has ")[2]
    named = {name.replace(" ", "") for name in headings if name.strip()}
    last = {"learning_rate", *(key.split(".")[1] for key in keys), "val_loss", "epochs", "seconds"}
    assert {name for name in last if name in named} | set(filter(None, left_out.split(", "))) == last


def test_values_are_no_markup_and_read_as_they_are_typed():
    rows = [row(0, **{UNITS: "[bold]"}), row(1, **{UNITS: None}), row(2, **{UNITS: True}), row(3, **{UNITS: [8, 8]})]
    _, lines = shown(rows, [UNITS])
    cells = [line.split("│")[2].strip() for line in lines if "│" in line]
    assert cells == ["[bold]", "null", "true", "[8,8]"]
