"""The page of the MLflow UI on which a sweep's trials compare, one click from the terminal.

Left alone, the UI shows a sweep as one row: its child runs are folded away, charts leave them out, and the columns
are those of every run that the experiment ever had. A saved view says otherwise. MLflow keeps one as a tag of the
experiment, in a format that is documented nowhere: what is written here was read from the UI of the release that
pyproject.toml pins. A UI that does not understand it falls back to its own defaults.
"""

import base64
import json
import time
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from pipeline.sweep.study import Study
    from pipeline.tracking.recorder import Recorder

TAG = "mlflow.sharedViewState."
# CHART: the charts, with the list of runs beside them. Without the workflow the UI opens in its mode for agents.
PAGE = "#/experiments/{experiment}/runs?viewStateShareKey={key}&compareRunsMode=CHART&workflowType=machine_learning"


def publish(study: "Study", recorder: "Recorder") -> str | None:
    """Stores the sweep's view and returns its address; None without a tracking store.

    If the view can't be stored, it is the address of the plain table of the sweep's child runs.
    """
    experiment, parent = recorder.experiment_id(), recorder.run_id(None)
    if experiment is None or parent is None:
        return None
    ui, name = study.config["tracking"]["ui"], f"sweep {study.folder.name}"
    # The parent's id is the key: a sweep that is resumed replaces its view, and its address stays.
    page = PAGE.format(experiment=experiment, key=parent)
    note = f"[Compare the trials of this sweep]({page})"
    if recorder.view(TAG + parent, pack(name, state(study, parent)), note):
        return f"{ui}/{page}"
    return f"{ui}/#/experiments/{experiment}/runs?searchFilter={quote(children(parent))}"


def children(parent: str) -> str:
    return f"tags.`mlflow.parentRunId` = '{parent}'"


def pack(name: str, view: dict[str, Any]) -> str:
    """The tag's value. Compressed: MLflow refuses more than 20,000 characters, and before 3.15 more than 5,000."""
    text = json.dumps(view, separators=(",", ":")).encode()
    packed = "deflate;" + base64.b64encode(zlib.compress(text, 9)).decode()
    return json.dumps({"name": name, "createdAt": int(time.time() * 1000), "state": packed})


def state(study: "Study", parent: str) -> dict[str, Any]:
    """What the page shows: which runs in which order, which columns, which charts."""
    metric, best = study.objective.metric, f"best_{study.objective.metric}"
    several_stages = len(study.plan.stages) > 1
    return {
        "searchFilter": children(parent),
        "orderByKey": f"metrics.`{best}`",
        "orderByAsc": study.objective.direction == "minimize",
        "runsHiddenMode": "SHOW_ALL",  # otherwise charts draw the first ten
        "selectedColumns": [
            *(f"metrics.`{name}`" for name in dict.fromkeys((best, "best_val_loss", "best_epoch"))),
            *(f"params.`{key}`" for key in study.plan.columns()),
            *(f"tags.`{name}`" for name in (*(["stage"] if several_stages else []), "status")),
        ],
        "compareRunSections": [
            _section("params", "Parameters", columns=1),
            _section("epochs", "Best and by epoch", columns=2),
            # The UI adds a chart of every metric that has none. They go here, folded.
            _section("other", "Model metrics", columns=3, display=False),
        ],
        "isAccordionReordered": True,  # sections stay in this order instead of the alphabet's
        "compareRunCharts": _cards(study, metric, best),
    }


def _section(uuid: str, name: str, columns: int, display: bool = True) -> dict[str, Any]:
    fixed = {"isReordered": True, "deleted": False, "isGenerated": False}
    return {"uuid": uuid, "name": name, "columns": columns, "cardHeight": 360, "display": display, **fixed}


def _cards(study: "Study", metric: str, best: str) -> list[dict[str, Any]]:
    axes = [list(dict.fromkeys(key for key in _axes(study, arm))) for arm in range(len(study.plan.arms))]
    common = [key for key in axes[0] if all(key in other for other in axes)]
    cards = [_card("params", "PARALLEL", f"every trial: {best}", selectedParams=common, selectedMetrics=[best], showAllRuns=True)]
    for own in axes:
        extra = [key for key in own if key not in common]
        if extra:
            cards.append(_card("params", "PARALLEL", f"trials with {', '.join(extra)}", selectedParams=own, selectedMetrics=[best], showAllRuns=True))
    rate = next((key for key in common if key.endswith("learning_rate")), common[0])
    cards.append(_card("epochs", "SCATTER", f"{best} against {rate}", xaxis={"key": rate, "type": "PARAM"}, yaxis={"key": best, "type": "METRIC", "dataAccessKey": best}, runsCountToCompare=1000))
    cards.append(_card("epochs", "LINE", f"{metric} by epoch", metricKey=metric, selectedMetricKeys=[metric], scaleType="linear", xAxisKey="step", useGlobalXaxisKey=True))
    return cards

def _axes(study, arm):
    from pipeline.sweep.study import coordinate_name
    a = study.plan.arms[arm]
    keys = list(a.crossed)
    for key, dist in a.space.items():
        scale = getattr(dist, "scale", "linear")
        keys.append(key if scale == "linear" else coordinate_name(key, scale))
    return keys

def _card(section: str, kind: str, title: str, **rest: Any) -> dict[str, Any]:
    return {"uuid": title, "type": kind, "displayName": title, "metricSectionId": section, "deleted": False, "isGenerated": False, **rest}
