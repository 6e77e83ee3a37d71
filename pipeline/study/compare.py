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
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode

from pipeline.study.study import Study
from pipeline.study.tracked import TrackedRuns
from pipeline.tracking import store
from pipeline.tracking.earlier import RANK
from pipeline.tracking.names import stored_name
from pipeline.tracking.recorder import Recorder

TAG = "mlflow.sharedViewState."
# The workflow: without it the UI opens in its mode for agents. CHART: charts, with the list of runs beside them.
PAGE = "#/experiments/{experiment}/runs?{query}&workflowType=machine_learning"
VIEW = "viewStateShareKey={key}&compareRunsMode=CHART"
RUNS_OF_A_PAGE = 100  # that the UI loads at once
View = Mapping[str, object]  # MLflow's JSON, or a part of it


def pack(name: str, view: View) -> str:
    """The view as the tag's value, compressed: MLflow takes 20,000 characters, its older servers 5,000."""
    text = json.dumps(view, separators=(",", ":")).encode()
    packed = "deflate;" + base64.b64encode(zlib.compress(text, 9)).decode()
    return json.dumps({"name": name, "createdAt": int(time.time() * 1000), "state": packed})


def publish(study: Study, runs: TrackedRuns, recorder: Recorder, pack: Callable[[str, View], str] = pack) -> str | None:
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
    if (trials := len(study.ledger.sampled)) > RUNS_OF_A_PAGE:
        note += (
            f"\n\nThe page draws the {RUNS_OF_A_PAGE} best of the {trials} trials, though a chart says “Showing all "
            "runs”: its axes span what is best. “Load more”, below the list of runs, adds others; leaderboard.csv, "
            "among the artifacts, has all."
        )
    if not recorder.view(TAG + parent, pack(f"sweep {study.folder.name}", state(study, runs, parent)), note):
        # In the order of creation, which is the default, the UI would fold the trials under their parent.
        order = {key: value if isinstance(value, str) else json.dumps(value) for key, value in _order().items()}
        query = urlencode({"searchFilter": _children(study, parent), **order}, quote_via=quote)
        page = PAGE.format(experiment=experiment, query=query)
    return f"{store.ui(study.config.tracking)}/{page}"


def _children(study: Study, parent: str) -> str:
    """The trials to compare; replicates, which differ in their seeds alone, are not among them."""
    replicated = len(study.ledger.sampled) < len(study.ledger.trials)
    return f"tags.`mlflow.parentRunId` = '{parent}'" + " AND tags.kind = 'trial'" * replicated


def _best(study: Study) -> str:
    return stored_name(f"best_{study.objective.metric}")


def _order() -> dict[str, str | bool]:
    """That of leaderboard.csv, where the lower loss decides between equals: MLflow sorts by one metric alone."""
    return {"orderByKey": f"metrics.`{RANK}`", "orderByAsc": True}


def state(study: Study, runs: TrackedRuns, parent: str) -> View:
    """What the page shows: which runs in which order, which columns, which charts."""
    names = {
        "metrics": list(dict.fromkeys((RANK, _best(study), "best_val_loss", "best_epoch"))),
        "params": list(map(stored_name, study.plan.columns())),
        "tags": ["stage", "status"] if len(study.plan.stages) > 1 else ["status"],
    }
    columns = {f"{kind}.`{name}`": name for kind, group in names.items() for name in group}
    layout = _layout(study, runs)
    return {
        "searchFilter": _children(study, parent),
        **_order(),
        "runsHiddenMode": "SHOW_ALL",  # by default charts draw the first ten
        "selectedColumns": list(columns),
        "columnOrder": list(columns),
        "columnWidths": {column: max(100, 8 * len(name) + 24) for column, name in columns.items()},
        "compareRunSections": [
            {"uuid": title, "name": title, "columns": n, "cardHeight": 360, "display": bool(cards), "isReordered": True}
            for title, n, cards in layout
        ],
        "isAccordionReordered": True,  # sections stay in this order rather than the alphabet's
        "compareRunCharts": [
            {**card, "uuid": f"{title} {i}", "metricSectionId": title}
            for title, _, cards in layout
            for i, card in enumerate(cards)
        ],
    }


def _layout(study: Study, runs: TrackedRuns) -> list[tuple[str, int, list[View]]]:
    """The page's sections in order: title, number of columns, cards."""
    metric, best = study.objective.metric, _best(study)
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
    return [*layout, ("Model metrics", 3, [])]


def _card(kind: str, **settings: object) -> View:
    return {"type": kind, "deleted": False, "isGenerated": False, **settings}


def _parallel_axes(study: Study, runs: TrackedRuns) -> list[tuple[str, list[str]]]:
    """Title and axes of each chart with parallel coordinates.

    The UI leaves out a run that lacks one of a chart's axes. So the first chart has the axes that all trials share, and
    trials with parameters of their own, as optimizer=adam,momentum makes them, are drawn once more with those.
    """
    arms = study.plan.arms
    axes_of = [
        [stored_name(runs.axis(i, key)) for key in arm.space if _drawn(study, key)] for i, arm in enumerate(arms)
    ]
    shared = [axis for axis in axes_of[0] if all(axis in axes for axes in axes_of)]
    crossed = [key for key in arms[0].crossed if _drawn(study, key)]
    charts = [("All trials", shared + list(map(stored_name, crossed)))]
    for axes in dict.fromkeys(map(tuple, axes_of)):
        if own := [axis for axis in axes if axis not in shared]:
            alike = [arm for arm, its in zip(arms, axes_of) if set(axes) <= set(its)]
            varied = [key for key in crossed if len({str(arm.crossed[key]) for arm in alike}) > 1]
            charts.append((f"Trials with {', '.join(own)}", [*axes, *map(stored_name, varied)]))
    return charts


def _drawn(study: Study, key: str) -> bool:
    """Whether a key makes an axis: it varies, and its values are all numbers or none is, for of a mixture the UI
    leaves out the smaller part."""
    values = [t.params[key] for t in study.ledger.sampled if key in t.params]
    kinds = {isinstance(value, int | float) and not isinstance(value, bool) for value in values}
    return len(set(map(str, values))) > 1 and len(kinds) == 1
