"""The page of the MLflow UI on which a sweep's trials compare, one click from the terminal.

Left alone, the UI shows a sweep as one row: child runs are folded away, charts leave them out, and there is a column
for all that any run of the experiment ever recorded. A saved view says otherwise. MLflow keeps one as a tag of the
experiment, in a format that it documents nowhere: this one was read from the UI of the release that pyproject.toml
pins, and looked at in a browser there.
"""

import base64
import json
import time
import zlib
from typing import Any
from urllib.parse import quote, urlencode

from pipeline.study.study import Study
from pipeline.study.tracked import TrackedRuns
from pipeline.tracking import store
from pipeline.tracking.recorder import Recorder

TAG = "mlflow.sharedViewState."
# The workflow: without it the UI opens in its mode for agents. CHART: charts, with the list of runs beside them.
PAGE = "#/experiments/{experiment}/runs?{query}&workflowType=machine_learning"
VIEW = "viewStateShareKey={key}&compareRunsMode=CHART"


def publish(study: Study, runs: TrackedRuns, recorder: Recorder) -> str | None:
    """Stores the sweep's view and returns its address; None without a tracking store.

    If the view can't be stored, it is the address of the plain table of the sweep's child runs, best first.
    """
    experiment, parent = recorder.experiment_id(), recorder.run_id(None)
    if experiment is None or parent is None:
        return None
    # The parent's id is the key, so a sweep that is resumed replaces its view and keeps its address.
    page = PAGE.format(experiment=experiment, query=VIEW.format(key=parent))
    # The note's link has no host: it holds wherever the UI is served.
    note = f"[Compare the trials of this sweep]({page})"
    view = state(study, runs, parent)
    if not recorder.view(TAG + parent, pack(f"sweep {study.folder.name}", view), note):
        # In the order of creation, which is the default, the UI would fold the trials under their parent.
        order = {"orderByKey": view["orderByKey"], "orderByAsc": json.dumps(view["orderByAsc"])}
        query = urlencode({"searchFilter": view["searchFilter"], **order}, quote_via=quote)
        page = PAGE.format(experiment=experiment, query=query)
    return f"{store.ui(study.config.tracking)}/{page}"


def _children(parent: str) -> str:
    return f"tags.`mlflow.parentRunId` = '{parent}'"


def pack(name: str, view: dict[str, Any]) -> str:
    """The view as the tag's value, compressed: MLflow takes 20,000 characters, its older servers 5,000."""
    text = json.dumps(view, separators=(",", ":")).encode()
    packed = "deflate;" + base64.b64encode(zlib.compress(text, 9)).decode()
    return json.dumps({"name": name, "createdAt": int(time.time() * 1000), "state": packed})


def state(study: Study, runs: TrackedRuns, parent: str) -> dict[str, Any]:
    """What the page shows: which runs in which order, which columns, which charts."""
    best = f"best_{study.objective.metric}"
    metrics = list(dict.fromkeys((best, "best_val_loss", "best_epoch")))
    tags = ["stage", "status"] if len(study.plan.stages) > 1 else ["status"]
    names = {"metrics": metrics, "params": study.plan.columns(), "tags": tags}
    columns = {f"{kind}.`{name}`": name for kind, group in names.items() for name in group}
    sections, cards = _charts(study, runs, best)
    return {
        "searchFilter": _children(parent),
        "orderByKey": f"metrics.`{best}`",
        "orderByAsc": study.objective.direction == "minimize",
        "runsHiddenMode": "SHOW_ALL",  # by default charts draw the first ten
        "selectedColumns": list(columns),
        "columnOrder": list(columns),
        "columnWidths": {column: max(100, 8 * len(name) + 24) for column, name in columns.items()},
        "compareRunSections": sections,
        "isAccordionReordered": True,  # sections stay in this order rather than the alphabet's
        "compareRunCharts": cards,
    }


def _charts(study: Study, runs: TrackedRuns, best: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The page's sections and the cards in them, in order."""
    metric = study.objective.metric
    parallel = _parallel_axes(study, runs)
    shared = parallel[0][1]
    # The learning rate matters most, where it is searched.
    x = next((axis for axis in shared if axis.endswith("learning_rate")), shared[0] if shared else None)
    y = {"key": best, "type": "METRIC", "dataAccessKey": best}
    by = [_card("SCATTER", xaxis={"key": x, "type": "PARAM"}, yaxis=y)] if x else []
    by.append(_card("LINE", metricKey=metric, selectedMetricKeys=[metric], xAxisKey="step", lineSmoothness=0))
    layout = [
        (title, 1, [_card("PARALLEL", selectedParams=axes, selectedMetrics=[best], showAllRuns=True)])
        for title, axes in parallel
        if axes
    ]
    layout.insert(1, ("By parameter, by epoch", 2, by))
    # The UI adds a chart of every metric that has none, to the section of this name: folded, they stay at hand.
    layout.append(("Model metrics", 3, []))
    sections = [
        {"uuid": name, "name": name, "columns": columns, "cardHeight": 360, "display": bool(cards), "isReordered": True}
        for name, columns, cards in layout
    ]
    placed = [
        card | {"uuid": f"{name} {i}", "metricSectionId": name} for name, _, cs in layout for i, card in enumerate(cs)
    ]
    return sections, placed


def _card(kind: str, **settings: Any) -> dict[str, Any]:
    return {"type": kind, "deleted": False, "isGenerated": False, **settings}


def _parallel_axes(study: Study, runs: TrackedRuns) -> list[tuple[str, list[str]]]:
    """Title and axes of each chart with parallel coordinates.

    The UI leaves out a run that lacks one of a chart's axes. So the first chart has the axes that all trials share, and
    trials with parameters of their own, as optimizer=adam,momentum makes them, are drawn once more with those.
    """
    arms = study.plan.arms
    axes_of = [[runs.axis(i, key) for key in arm.space if _drawn(study, key)] for i, arm in enumerate(arms)]
    shared = [axis for axis in axes_of[0] if all(axis in axes for axes in axes_of)]
    crossed = [key for key in arms[0].crossed if _drawn(study, key)]
    charts = [("All trials", shared + crossed)]
    for axes in dict.fromkeys(map(tuple, axes_of)):
        if own := [axis for axis in axes if axis not in shared]:
            alike = [arm for arm, its in zip(arms, axes_of) if set(axes) <= set(its)]
            varied = [key for key in crossed if len({str(arm.crossed[key]) for arm in alike}) > 1]
            charts.append((f"Trials with {', '.join(own)}", [*axes, *varied]))
    return charts


def _drawn(study: Study, key: str) -> bool:
    """Whether a key makes an axis: it varies, and its values are all numbers or none is, for of a mixture the UI
    leaves out the smaller part."""
    values = [t.params[key] for t in study.ledger.trials.values() if key in t.params]
    kinds = {isinstance(value, int | float) and not isinstance(value, bool) for value in values}
    return len(set(map(str, values))) > 1 and len(kinds) == 1
