"""`python run.py -m sweep=population`: what it says and leaves, and the command that gives its winner again."""

import json
import shlex

import pytest
import yaml

from pipeline.eventlog import epochs_of, exploits_of
from pipeline.jsonl import read
from tests.conftest import here

SWEEP = (
    "sweep=population", "sweep.name=s", "sweep.n_trials=6", "sweep.max_tier=1", "sweep.population.every=2",
    "sweep.stages.population.epochs=6", "dataset=spirals", "model.hidden_layers=1", "model.hidden_units=8",
    "model.dropout_rate=interval(0.0,0.3)", "train.batch_size=64", "sweep.keep_models=1",
    "executor=inline", "executor.xla=never", "tracking=none",
)  # fmt: skip


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    base = tmp_path_factory.mktemp("population")
    result = here("-m", *SWEEP, cwd=base)
    assert result.returncode == 0, result.stdout + result.stderr
    return base, base / "outputs/sweeps/s", result.stdout


def test_it_says_who_copies_whom(sweep):
    _, folder, said = sweep
    for epoch in (2, 4):
        line = next(line for line in said.splitlines() if line.startswith(f"  epoch   {epoch}  trial "))
        words = line.split()
        target, source = int(words[3]), int(words[5])
        assert (epoch, source) in {(event.epoch, event.source) for event in exploits_of(folder / str(target))}
    assert "train.early_stopping does not apply to a population" in said


def test_the_schedule_of_the_winner_is_in_best_yaml_and_in_the_ledger(sweep):
    _, folder, said = sweep
    best = yaml.safe_load((folder / "best.yaml").read_text())
    periods = best["schedule"]
    assert [record["periods"] for record in read(folder / "ledger") if record["record"] == "schedule"] == [periods]
    assert periods[-1]["trial"] == best["trial"]
    assert "overrides" not in best  # those are of how it began
    winner = epochs_of(folder / str(best["trial"]))
    assert winner[best["best_epoch"] - 1].hyperparameters == periods[-1]["params"]
    lines = said[said.index("schedule:") :].splitlines()[1 : 1 + len(periods)]
    assert [int(line.split()[2]) for line in lines] == [period["from_epoch"] for period in periods]


def test_the_printed_command_gives_the_winner_again_to_the_bit(sweep):
    base, folder, said = sweep
    line = next(line for line in said.splitlines() if line.startswith("again:"))
    result = here(*shlex.split(line)[3:], cwd=base)
    assert result.returncode == 0, result.stderr
    assert "its 6 epochs are equal to the bit" in result.stdout
    (run,) = (base / "outputs/runs").iterdir()
    first = folder / str(yaml.safe_load((folder / "best.yaml").read_text())["trial"])
    assert [e.hyperparameters for e in epochs_of(run)] == [e.hyperparameters for e in epochs_of(first)]
    assert {"model.h5", "state.h5", "events.jsonl"} <= {path.name for path in run.iterdir()}
    assert not (run / "population.h5").exists()


def test_it_is_whole_from_its_beginning(sweep):
    """More trials would have been copied, and have copied, from the first epochs on."""
    base, _, _ = sweep
    result = here("-m", *SWEEP, "sweep.n_trials=8", cwd=base)
    assert result.returncode == 2
    assert "sweep.name=s was begun otherwise (strategy.population.n_trials: was 6, is 8)" in result.stderr
    assert json.dumps(result.stderr).count("\\n") <= 2
