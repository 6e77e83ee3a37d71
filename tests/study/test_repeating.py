"""`python run.py repeat=FOLDER` gives a trial of a sweep again, to the bit, at learning rates that amplify rounding."""

import json
import shlex
import shutil

import pytest
import yaml

from pipeline.errors import InputError
from pipeline.eventlog import append_event, events_of
from pipeline.events import Grouped, Started
from pipeline.study.repeating import ALONE, UNKNOWN, groups_of, plan_of
from tests.conftest import composed, here

LINE = ("dataset=blobs", "model.hidden_layers=1", "train.epochs=4", "tracking=none", "executor=inline")
SWEEP = (
    "model.hidden_units=tag(log,int(interval(4,64)))",
    "optimizer.learning_rate=tag(log,interval(0.02,0.1))",
    "train.batch_size=32",
    "sweep.max_tier=0",
    "sweep.n_trials=6",
    "sweep.halving.min_epochs=1",
    "sweep.name=s",
    "executor.fuse=always",
    "executor.xla=never",
)


def curve(folder):
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    names = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    return [[line[name] for name in names] for line in lines if line["event"] == "epoch"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    base = tmp_path_factory.mktemp("repeating")
    result = here("-m", *LINE, *SWEEP, cwd=base)
    assert result.returncode == 0, result.stdout + result.stderr
    return base, base / "outputs/sweeps/s", result.stdout


@pytest.fixture(scope="module")
def again(sweep):
    """What the printed command gives."""
    base, _, said = sweep
    line = next(line for line in said.splitlines() if line.startswith("again:"))
    result = here(*shlex.split(line)[3:], "executor=inline", cwd=base)
    assert result.returncode == 0, result.stderr
    return result.stdout, next((base / "outputs/runs").iterdir())


def test_the_printed_command_gives_the_winner_again_to_the_bit(sweep, again):
    _, folder, _ = sweep
    best = yaml.safe_load((folder / "best.yaml").read_text())
    winner = folder / str(best["trial"])
    assert best["command"] == f"python run.py repeat=outputs/sweeps/s/{best['trial']} tracking=none executor=inline"
    assert len(groups_of(winner)) > 1  # survivors of a rung form cohorts of other sizes
    assert curve(again[1]) == curve(winner)
    assert f"repeats outputs/sweeps/s/{best['trial']}: its 4 epochs are equal to the bit" in again[0]


def test_the_overrides_stand_beside_it_as_nearly_the_same(sweep):
    _, folder, said = sweep
    line = next(line for line in said.splitlines() if line.startswith("nearly:"))
    assert shlex.split(line.split("   (")[0])[1:] == shlex.split(
        yaml.safe_load((folder / "best.yaml").read_text())["overrides"]
    )


def test_what_repeats_a_trial_is_repeated_as_that_trial(sweep, again, monkeypatch):
    monkeypatch.chdir(sweep[0])
    plan = plan_of(composed(f"repeat={again[1]}"), [])
    begun = next(event for event in events_of(again[1]) if isinstance(event, Started))
    assert plan.repeat.threads == begun.threads is not None
    assert plan.repeat.folder.endswith(f"sweeps/s/{yaml.safe_load((sweep[1] / 'best.yaml').read_text())['trial']}")


def test_a_difference_is_said(sweep, tmp_path):
    """Of other bits than there were, as another machine may give them."""
    _, folder, _ = sweep
    shutil.copytree(folder, tmp_path / "s")
    number = yaml.safe_load((folder / "best.yaml").read_text())["trial"]
    log = tmp_path / f"s/{number}/events.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    third = next(line for line in lines if line["event"] == "epoch" and line["epoch"] == 3)
    third["loss"] += 1e-7
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = here(f"repeat={tmp_path}/s/{number}", "executor=inline", "tracking=none", cwd=tmp_path)
    assert result.returncode == 0
    assert "but differs from epoch 3 on" in result.stdout


REFUSED = {
    "another key": ("repeat={folder}/0 train.epochs=3", "train.epochs=3 does not apply"),
    "no trial": ("repeat={folder}/99", "99/.hydra/config.yaml is missing"),
    "a sweep's folder": ("repeat={folder}", "s/.hydra/config.yaml is missing"),
    "a sweep": ("-m repeat={folder}/0", "is for one trial, python run.py repeat="),
    "a sweep of resumed trials": ("-m resume={folder}/0", "is for one trial, python run.py resume="),
    "other data": ("repeat={changed}/0", "the data has changed since"),
    "a renamed folder": ("repeat={renamed}", "the folder was renamed"),
}


@pytest.mark.parametrize(("words", "message"), REFUSED.values(), ids=REFUSED)
def test_what_can_t_be_repeated_is_refused(sweep, tmp_path, words, message):
    _, folder, _ = sweep
    shutil.copytree(folder, tmp_path / "changed")
    shutil.copytree(folder / "0", tmp_path / "renamed")
    log = tmp_path / "changed/0/events.jsonl"
    log.write_text(log.read_text().replace('"data_fingerprint": "', '"data_fingerprint": "x'))
    places = {"folder": folder, "changed": tmp_path / "changed", "renamed": tmp_path / "renamed"}
    result = here(*words.format(**places).split(), "tracking=none", "executor=inline", cwd=tmp_path)
    assert (result.returncode, message in result.stderr) == (2, True), result.stderr
    assert not (tmp_path / "outputs").exists()


def test_a_run_by_itself_that_was_fused_is_repeated(sweep, again):
    """As the repeated winner is, whose folder is called by its time."""
    folder = again[1].parent / "by itself"
    shutil.copytree(sweep[1] / "0", folder)
    log = folder / "events.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps(line | ({"trials": [0]} if "trials" in line else {})) + "\n" for line in lines))
    assert plan_of(composed(f"repeat={folder}"), []).repeat.cohorts[0].place == 0


def start(epoch, cohort):
    return Started(0.0, 1, 10, epoch, "data", {}, cohort)


def group(epoch, trials, mode="fused_xla"):
    return Grouped(0.0, epoch, trials, mode)


GROUPS = {
    "alone": ([start(0, 1)], [(0, ALONE, "solo")]),
    "a cohort": ([start(0, 3), group(0, [0, 1, 2])], [(0, [0, 1, 2], "fused_xla")]),
    "compacted": (
        [start(0, 3), group(0, [0, 1, 2]), group(5, [0], mode=None)],
        [(0, [0, 1, 2], "fused_xla"), (5, [0], "fused_xla")],
    ),
    "restarted from epoch 3": (
        [start(0, 3), group(0, [0, 1, 2]), group(5, [0], mode=None), start(3, 2), group(3, [0, 1], "fused")],
        [(0, [0, 1, 2], "fused_xla"), (3, [0, 1], "fused")],
    ),
    "failed fused, went on alone": ([start(0, 3), group(0, [0, 1, 2]), start(0, 1)], [(0, ALONE, "solo")]),
    "an earlier version": ([start(0, 3)], [(0, UNKNOWN, "fused")]),
}


@pytest.mark.parametrize(("events", "expected"), GROUPS.values(), ids=GROUPS)
def test_groups_are_read_from_the_events(tmp_path, events, expected):
    for event in events:
        append_event(tmp_path, event)
    assert [(g.epoch, g.trials, g.mode) for g in groups_of(tmp_path)] == expected


def test_a_trial_of_an_earlier_version_is_refused(sweep, tmp_path):
    shutil.copytree(sweep[1] / "0", tmp_path / "0")
    log = tmp_path / "0/events.jsonl"
    log.write_text("".join(line for line in log.read_text().splitlines(True) if '"grouped"' not in line))
    with pytest.raises(InputError, match="an earlier version wrote it"):
        plan_of(composed(f"repeat={tmp_path}/0"), [])
