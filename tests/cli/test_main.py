"""`python -m pipeline` itself: help, unknown words, exit statuses, speed."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.__main__ import commands
from tests.conftest import PATIENCE, ROOT


def python(
    *arguments: object, check_imports: bool = False, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    options = ["-X", "importtime"] if check_imports else []
    words = [sys.executable, *options, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["-h"], ["predict", "--help"], ["evaluate", "--help"], ["inspect", "--help"], ["convert", "--help"]],
)
def test_help_is_quick(arguments):
    result = python(*arguments, check_imports=True)
    assert (result.returncode, "usage: python -m pipeline" in result.stdout) == (0, True)
    imported = {line.split("|")[-1].strip() for line in result.stderr.splitlines()}
    assert not imported & {"tensorflow", "keras", "mlflow", "sklearn"}


def test_program_help_lists_every_command(run):
    out = run("--help").out
    assert {"predict", "evaluate", "inspect"} <= set(commands())
    assert all(f"\n  {name} " in out for name in commands())
    assert all(line.endswith(".") for line in out.splitlines() if line.startswith("  "))  # whole sentences


@pytest.mark.parametrize(
    ("command", "first", "argument"),
    [
        ("predict", "what a model predicts of each example: its class and how probable", "a file or a part of a data"),
        ("evaluate", "the loss and the metrics of its head.", "examples with labels, and KEY=VALUE, as above"),
    ],
)
def test_help_is_true_of_every_head(run, command, first, argument):
    out = run(command, "--help").out
    assert first in out.split("\n\n")[1]
    assert argument in " ".join(out.split())


@pytest.mark.parametrize("command", ["predict", "evaluate", "export"])
def test_help_says_how_code_of_ones_own_is_found(run, command):
    out = run(command, "--help").out
    assert all(word in out for word in ("--config-dir", "+heads", "+metrics", "allowed_targets=[...]"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "COMMAND is missing"),
        (["evalute", "x.h5"], "COMMAND=evalute is not known. Allowed: convert, evaluate"),
        (["evalute", "x.h5"], "Did you mean 'evaluate'?"),
        (["sources"], "COMMAND=sources is not known"),  # a folder beside the commands
        (["predict"], "the following arguments are required: MODEL, INPUT"),
        (["predict", "a.h5", "b.npy", "--jsno"], "Did you mean '--json'?"),
        (["predict", "a.h5", "b.npy", "--top", "two"], "argument --top: invalid int value: 'two'"),
        (["predict", "a.h5", "b.npy", "--top", "0"], "--top=0 must be at least 1"),
        (["predict", "a.h5", "b.npy", "--proba", "p.txt"], "must end in .csv or .npy"),
        (["predict", "a.h5", "b.npy", "--proba", "no/such/p.csv"], "there is no folder no/such"),
        (["inspect", 300 * "a" + ".h5"], "this is too long for the name of a file: aaa"),
        (["inspect", "a.h5", "b.h5"], "one FILE, or dataset=NAME with its keys; received a.h5, b.h5"),
    ],
)
def test_wrong_arguments(run, arguments, expected):
    done = run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert expected in done.err
    assert len(done.err.splitlines()) <= 2


def test_process_predicts_and_says_nothing_else(model: Path):
    result = python("predict", model, "blobs:test[5]")
    assert (result.returncode, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == 1


def test_process_reports_wrong_input_without_traceback():
    result = python("inspect", "no/such.h5")
    assert (result.returncode, result.stdout, result.stderr) == (2, "", "no/such.h5: there is no such file.\n")


def test_closed_pipe_is_quiet(run_folder: Path):
    command = f"{sys.executable} -m pipeline inspect {run_folder / 'model.h5'} | head -n 1"
    result = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert (result.stderr, len(result.stdout.splitlines())) == ("", 1)
