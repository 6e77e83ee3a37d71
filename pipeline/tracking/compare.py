"""The address at which the MLflow UI compares a sweep's trials."""

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pipeline.sweep.study import Study
    from pipeline.tracking.recorder import Recorder


def publish(study: "Study", recorder: "Recorder") -> str | None:
    """The compare page of the sweep's child runs; None without a tracking store."""
    experiment, parent = recorder.experiment_id(), recorder.run_id(None)
    if experiment is None or parent is None:
        return None
    search = quote(f"tags.mlflow.parentRunId = '{parent}'")
    return f"{study.config['tracking']['ui']}/#/experiments/{experiment}/runs?searchFilter={search}"
