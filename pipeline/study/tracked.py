"""What the tracking store is told of a study: its runs, their parameters and tags."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from pipeline.config import Composed
from pipeline.overrides import to_text
from pipeline.records import DataFacts, Status, Trial
from pipeline.schema import OpenGroup, leaves
from pipeline.search.plan import Plan
from pipeline.search.samplers.sampler import called
from pipeline.search.scales import LINEAR, Scale
from pipeline.search.space import Interval, averaging_steps
from pipeline.study.folders import config_file
from pipeline.tracking.tracked_run import Summary, TrackedRun, best_values
from pipeline.versions import library_versions

LONGEST_TAG = 500  # letters


class TrackedRuns:
    """The runs of a plan's trials in `folder`. data: of each arm."""

    def __init__(self, plan: Plan, folder: Path, data: Sequence[DataFacts]) -> None:
        self._plan, self._folder, self._data = plan, folder, data

    def parent(self, identity: str) -> TrackedRun:
        """The run of a sweep as a whole. identity: tells it from a sweep of the same name that was there before."""
        tags = {"kind": "sweep", "folder": str(self._folder), "sweep_id": identity, **self._about(0)}
        tags |= {"sampler": called(self._plan.sampler.target)}
        stages = self._plan.stages
        tags["n_trials"] = "null" if any(s.fills for s in stages) else str(sum(s.n_trials for s in stages))
        return TrackedRun(f"sweep {self._folder.name}", {}, tags)

    def summary(self, status: Status, winner: Trial | None, checked: Mapping[str, float]) -> Summary:
        """What the run of a sweep says in the end: of its winner what a run by itself says of its trial. checked: its
        metrics with other seeds and on the test split."""
        if winner is None:
            return Summary(status)
        metrics = {**best_values(winner.metrics, winner.best_epoch), **checked}
        params = _config_params(self._plan.composed(winner))
        return Summary(status, metrics, params, self._about(winner.arm), f"trial {winner.number}")

    def trial(self, trial: Trial) -> TrackedRun:
        return self._single(trial) if self._plan.single else self._of_sweep(trial)

    def _single(self, trial: Trial) -> TrackedRun:
        params = _config_params(self._plan.arms[0].composed)
        tags = {"kind": "run", "folder": str(self._folder.resolve()), **self._about(0)}
        name, has_ended = f"run {self._folder.name}", trial.status is not None
        return TrackedRun(name, params, tags, number=trial.number, folder=self._folder, has_ended=has_ended)

    def _of_sweep(self, trial: Trial) -> TrackedRun:
        """Only what was searched or crossed, with its coordinate where its scale is not linear, and the window in steps
        of what is the weight of an average."""
        arm, folder = self._plan.arms[trial.arm], self._folder / str(trial.number)
        params: dict[str, object] = {}
        for key, value in trial.params.items():
            params[key] = sortable(value)
            if (scale := self._scale(trial.arm, key)) != LINEAR:
                params[self.axis(trial.arm, key)] = round(scale.even_axis.place(value), 4)
        params |= {
            f"window {self._short(key)}": sortable(steps) for key, steps in averaging_steps(trial.params).items()
        }
        tags = {"kind": "trial", "trial": str(trial.number), "stage": trial.stage, "arm": arm.describe() or "all"}
        tags |= {"sweep": self._folder.name, "folder": str(folder)}
        name = f"trial {trial.number:03d}"
        name += f" {trial.stage}" if len(self._plan.stages) > 1 else ""
        if trial.replicate_of is not None:
            tags |= {"kind": "replicate", "replicate_of": str(trial.replicate_of)}
            name += f" replicate of {trial.replicate_of}"
        for key, value in arm.crossed.items():  # a choice speaks for itself, a value needs its key
            name += f" {key.rsplit('.', 1)[-1]}={to_text(value)}" if "." in key else f" {value}"
        has_ended = trial.status is not None
        files = (config_file(folder),)
        return TrackedRun(name, params, tags, number=trial.number, folder=folder, files=files, has_ended=has_ended)

    def axis(self, arm: int, key: str) -> str:
        """The parameter of an arm's runs over which `key` spreads evenly on a linear axis, the only kind that MLflow's
        parallel coordinates have: its coordinate, where its scale is not linear.
        """
        scale = self._scale(arm, key)
        return key if scale == LINEAR else scale.even_axis.label.format(self._short(key))

    def _short(self, key: str) -> str:
        """Without its group where no other key ends the same: charts have room for some twenty letters."""
        last = key.rsplit(".", 1)[-1]
        return last if [k.rsplit(".", 1)[-1] for k in self._plan.columns()].count(last) == 1 else key

    def _scale(self, arm: int, key: str) -> Scale:
        dist = self._plan.arms[arm].space.get(key)
        return dist.scale if isinstance(dist, Interval) else LINEAR

    def _about(self, arm: int) -> dict[str, str]:
        """What runs of the experiment are told apart by, whether of a sweep (of its winner's arm) or by themselves."""
        composed, data = self._plan.arms[arm].composed, self._data[arm]
        config = composed.config
        attributes = data.attributes.items()
        tags = {"data." + re.sub(r"[^\w.-]", "_", key): str(value)[:LONGEST_TAG] for key, value in attributes}
        tags |= {f"version.{name}": version for name, version in library_versions().items()}
        for name in ("dataset", "model", "optimizer"):
            tags[name] = _called(getattr(config, name), composed.choices.get(name))
        return {**tags, "data_fingerprint": data.fingerprint, "metric": config.sweep.metric}


def _config_params(composed: Composed) -> dict[str, object]:
    """All of a config, with the window in steps of what is the weight of an average."""
    params = {key: value for key, value in leaves(composed.record) if ".search" not in key}
    averages = averaging_steps(dict(leaves(composed.config.plain())))
    return params | {f"window {key}": steps for key, steps in averages.items()}


def _called(group: OpenGroup, choice: str | None) -> str:
    """A group by the name of the file of conf/ that was chosen, for momentum and sgd are of one class; where none is
    known, by its target's last name. Data that a file or folder holds by the name of that."""
    paths = (group.arguments.get(key) for key in ("file", "folder"))
    file = next((Path(path).name for path in paths if isinstance(path, str)), None)
    return file or choice or group.target.rpartition(".")[2]


def sortable(value: object) -> object:
    """A float without an exponent: MLflow sorts a column of parameters as text, and 9.5e-05 would come after 0.1.
    null as it is typed."""
    if value is None:
        return to_text(value)
    return f"{Decimal(str(value)):f}" if isinstance(value, float) else value
