"""`python run.py`: one trial, from the composed config to its folder and its MLflow run."""

import fcntl
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from omegaconf import DictConfig, OmegaConf

from pipeline import config as configs
from pipeline.errors import InputError
from pipeline.jsonl import read
from pipeline.models import heads
from pipeline.saving import library_versions
from pipeline.search.space import windows
from pipeline.study import folders, session
from pipeline.tracking import store
from pipeline.tracking.curves import learning_curve
from pipeline.tracking.diagnostics_picture import diagnostics_picture
from pipeline.tracking.display import TrialDisplay, number, say
from pipeline.tracking.mlflow_writer import TrackedRun
from pipeline.workers.executors import Message

_lock: TextIO | None = None


def run_single(config: DictConfig, overrides: list[str]) -> int:
    """Trains the config's model; returns the exit status: 0 done, 1 failed, 130 interrupted.

    Raises InputError, with nothing left behind, for a config that can't be trained.
    """
    plain = configs.plain(config)
    configs.check(plain)
    session.check_tracking(plain)
    executor = session.make_executor(plain, 1)
    try:
        return _run(config, plain, overrides, executor)
    finally:
        executor.close()


def _run(config: DictConfig, plain: dict[str, Any], overrides: list[str], executor: session.Executor) -> int:
    splits = session.load_data(plain)
    if plain["resume"]:
        folder = _resumable(Path(plain["resume"]), config, splits.fingerprint)
    else:
        folder = folders.new_folder(Path(plain["output_dir"]) / "runs")
        folders.write_config(folder, config, overrides)
    session.tell(splits)
    record = configs.recorded(config)
    recorder = session.make_recorder(plain, stale=f"tags.folder = '{folder.resolve()}'" if plain["resume"] else None)
    params = {key: value for key, value in configs.leaves(record) if ".search" not in key}
    averages = windows(dict(configs.leaves(plain)))
    params |= {f"window {key}": steps for key, steps in averages.items()}
    tags = {"kind": "run", "folder": str(folder.resolve()), "data_fingerprint": splits.fingerprint}
    tags |= session.tags(splits) | {f"version.{name}": version for name, version in library_versions().items()}
    recorder.open(TrackedRun(f"run {folder.name}", params, tags, number=0, folder=folder))
    if averages:
        say("averages: " + ", ".join(f"{key} over {steps:g} steps" for key, steps in averages.items()))
    metrics = heads.of(plain).metrics
    display = TrialDisplay(plain["train"]["epochs"], list(metrics))
    last: dict[str, Any] = {}

    def receive(message: Message) -> None:
        if "event" in message:
            event = session.stamped(folder, message["event"])
            last.update({"reason": None, "input_error": False} | event)
            display.event(event)
            if not last["input_error"]:
                recorder.event(0, event)

    trial = {"number": 0, "config": plain, "record": record, "folder": str(folder.absolute())}
    job = {"kind": "train", "number": 0, "trials": [trial], "export": True}
    try:
        with session.stopping(executor):
            executor.run([job], receive)
    finally:
        display.close()
    if last["input_error"] and not plain["resume"]:
        shutil.rmtree(folder)
        raise InputError(last["reason"])
    pictures = learning_curve(folder, folder.name, metrics), diagnostics_picture(folder, folder.name)
    for path in (*pictures, folder / ".hydra/config.yaml", folder / "model.h5"):
        if path is not None and path.exists():
            recorder.artifact(0, path)
    address = session.run_address(plain, recorder, 0)
    problem = recorder.close()
    _conclude(last, folder, plain, address, problem)
    return {"interrupted": 130}.get(last["event"], 0 if last.get("status") == "completed" else 1)


def _conclude(
    last: Mapping[str, Any], folder: Path, plain: dict[str, Any], address: str | None, problem: str | None
) -> None:
    if last["event"] == "interrupted":
        say(f"interrupted; go on with the same command and resume={folder}", "yellow")
    elif last["status"] != "completed":
        say(f"{last['status']}: {last['reason']}", "red")
    else:
        metric = plain["sweep"]["metric"]
        told = ", ".join(f"{name} {number(last['metrics'][name])}" for name in dict.fromkeys((metric, "val_loss")))
        reason = f" ({last['reason']})" if last["reason"] else ""
        say(f"best epoch {last['best_epoch']} of {last['epochs']}: {told}{reason}")
        say(f"model:    {folder / 'model.h5'}")
        say(f"next:     python -m pipeline evaluate {folder / 'model.h5'}")
    if address:
        say(f"compare:  {address}{store.ui_hint(plain['tracking'])}")
    if problem:
        say(f"tracking: not all was recorded, {problem}", "yellow")


def _resumable(folder: Path, config: DictConfig, fingerprint: str) -> Path:
    """The folder of a run to go on with. Raises InputError if there is none, it has ended, or the config differs."""
    path = folder / ".hydra/config.yaml"
    if not path.is_file():
        raise InputError(f"resume={folder}: no run was started there. Runs are folders in outputs/runs/.")
    global _lock
    _lock = path.open()  # held as long as the process: two at once would mix their events
    try:
        fcntl.flock(_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise InputError(f"resume={folder}: another process is going on with this run.") from None
    events = list(read(folder / "events.jsonl"))
    ended = [event for event in events if event["event"] == "ended"]
    if ended:
        raise InputError(f"resume={folder}: this run has ended ({ended[-1]['status']}); start a new one.")
    before = DictConfig(OmegaConf.load(path))
    changed = configs.differences(configs.essential(before), configs.essential(config))
    if changed:
        raise InputError(f"resume={folder}: the config is not the one this run began with ({'; '.join(changed[:5])}).")
    began = next((e["data_fingerprint"] for e in events if "data_fingerprint" in e), fingerprint)
    if began != fingerprint:
        raise InputError(
            f"resume={folder}: the data has changed since this run began (its fingerprint was {began}, is "
            f"{fingerprint}).\nBring back the data as it was, or start a new run, without resume."
        )
    return folder
