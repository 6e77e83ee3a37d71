"""The saved view of a sweep, as an MLflow store has it: what the page compares, and what happens without a view.

How the UI draws it was looked at in a browser; here is that the store holds what was looked at.
"""

import base64
import json
import zlib
from typing import Any
from urllib.parse import parse_qs

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from mlflow.tracking import MlflowClient

from pipeline.records import DataFacts, Ended, EpochEnded, HandedOut
from pipeline.search.planning import make_plan
from pipeline.search.scales import ONE_MINUS_LOG
from pipeline.search.space import Interval
from pipeline.study import compare
from pipeline.study.ledger import Ledger
from pipeline.study.sampling import Sampling
from pipeline.study.study import Study
from pipeline.study.tracked import TrackedRuns
from pipeline.tracking.earlier import EarlierStart
from pipeline.tracking.mlflow_writer import MlflowWriter
from pipeline.tracking.recorder import MlflowRecorder, Recorder
from tests.conftest import composed

METRICS = {"val_accuracy": 0.9, "val_loss": 0.3}
ENDED = Ended(1002.0, "completed", None, 3, 2, METRICS, seconds=7.0)


@pytest.fixture
def make_study(tmp_path):
    """A study of command-line overrides, with its trials asked and ended but never trained."""
    ledgers = []

    def values(override):
        return [getattr(value, "text", value) for value in override.sweep_iterator()]

    def make(*lines: str) -> Study:
        overrides = OverridesParser.create().parse_overrides([f"output_dir={tmp_path}", *lines])
        folder = tmp_path / "sweeps" / str(len(ledgers))
        folder.mkdir(parents=True)
        ledgers.append(Ledger(folder, what="this sweep"))
        study = Study(make_plan(overrides, lambda lines: composed(*lines), values), folder, ledgers[-1])
        for index in range(len(study.plan.stages)):
            sampling = Sampling(study.plan, index, study.plan.spaces)
            for trials in sampling.generations(study.ledger, study.objective, lambda trial: []):
                for trial in trials:
                    study.ledger.on(trial, ENDED)
        return study

    yield make
    for ledger in ledgers:
        ledger.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One for all tests: making MLflow's tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


def runs_of(study: Study) -> TrackedRuns:
    return TrackedRuns(study.plan, study.folder, [DataFacts("data", "", {}, {})] * len(study.plan.arms))


def params_of(study: Study) -> list[dict[str, object]]:
    """What is recorded as the parameters of each trial."""
    return [dict(runs_of(study).trial(trial).params) for trial in study.ledger.trials.values()]


def published(study: Study, store: str, **options: Any) -> tuple[str, MlflowClient, str, str]:
    """The address, and the store with its experiment's and the sweep's ids. options: of publish()."""
    runs = runs_of(study)
    recorder = MlflowRecorder(MlflowWriter(store, "caviar", study.folder / "artifacts"), runs.trial)
    recorder.open(runs.parent(study.folder.name))
    for trial in study.ledger.trials.values():
        for event in (HandedOut(999.0), EpochEnded(1000.0, 1, {"val_accuracy": 0.9}, seconds=5.0), ENDED):
            recorder.on(trial, event)
    address = compare.publish(study, runs, recorder, **options)
    experiment, parent = recorder.experiment_id(), recorder.run_id(None)
    assert recorder.close() is None
    return address, MlflowClient(store), experiment, parent


def view(client: MlflowClient, experiment: str, key: str) -> tuple[dict, dict]:
    """The envelope of a saved view, and its state decoded as the UI does."""
    envelope = json.loads(client.get_experiment(experiment).tags[f"mlflow.sharedViewState.{key}"])
    packed = envelope["state"].removeprefix("deflate;")
    return envelope, json.loads(zlib.decompress(base64.b64decode(packed)))


def state_of(study: Study) -> dict:
    return compare.state(study, runs_of(study), "0" * 32)


def cards(state: dict, kind: str) -> list[dict]:
    return [card for card in state["compareRunCharts"] if card["type"] == kind]


def test_two_arms_compare_on_one_page(make_study, store):
    study = make_study("optimizer=adam,momentum", "sweep.n_trials=12", "schedule=exponential")
    address, client, experiment, parent = published(study, store)

    assert address == (
        f"http://127.0.0.1:5000/#/experiments/{experiment}/runs"
        f"?viewStateShareKey={parent}&compareRunsMode=CHART&workflowType=machine_learning"
    )
    link = address.removeprefix("http://127.0.0.1:5000/")
    assert f"]({link})" in client.get_run(parent).data.tags["mlflow.note.content"]

    envelope, state = view(client, experiment, parent)
    assert envelope["name"] == f"sweep {study.folder.name}"
    assert isinstance(envelope["createdAt"], int)
    assert state["searchFilter"] == f"tags.`mlflow.parentRunId` = '{parent}'"
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`rank`", True)
    assert state["runsHiddenMode"] == "SHOW_ALL"
    assert state["selectedColumns"] == state["columnOrder"]
    assert state["selectedColumns"] == [
        "metrics.`rank`",
        "metrics.`best_val_accuracy`",
        "metrics.`best_val_loss`",
        "metrics.`best_epoch`",
        "params.`optimizer`",
        "params.`model.hidden_units`",
        "params.`optimizer.learning_rate`",
        "params.`train.batch_size`",
        "params.`optimizer.momentum`",
        "tags.`status`",
    ]
    everyone, momentum = cards(state, "PARALLEL")
    assert everyone["showAllRuns"] is momentum["showAllRuns"] is True
    assert everyone["selectedMetrics"] == momentum["selectedMetrics"] == ["best_val_accuracy"]
    shared = ["log10 hidden_units", "log10 learning_rate", "train.batch_size"]
    assert everyone["selectedParams"] == [*shared, "optimizer"]
    assert set(momentum["selectedParams"]) == {*shared, "log10 1-momentum"}
    (scatter,), (line,) = cards(state, "SCATTER"), cards(state, "LINE")
    assert scatter["xaxis"] == {"key": "log10 learning_rate", "type": "PARAM"}
    assert scatter["yaxis"]["key"] == "best_val_accuracy"
    assert (line["metricKey"], line["lineSmoothness"]) == ("val_accuracy", 0)
    # The UI files its own charts under this name, and cards by their section's id.
    assert [s["name"] for s in state["compareRunSections"] if not s["display"]] == ["Model metrics"]
    assert {c["metricSectionId"] for c in state["compareRunCharts"]} <= {s["uuid"] for s in state["compareRunSections"]}
    assert len({c["uuid"] for c in state["compareRunCharts"]}) == 4


def test_every_run_has_what_the_view_asks_for(make_study, store):
    study = make_study(
        "optimizer=adam,momentum", "optimizer.learning_rate=tag(log,interval(1e-6,1e-5))", "sweep.n_trials=4"
    )
    _, client, experiment, parent = published(study, store)
    _, state = view(client, experiment, parent)
    order = f"{state['orderByKey']} {'ASC' if state['orderByAsc'] else 'DESC'}"
    runs = client.search_runs([experiment], state["searchFilter"], order_by=[order])
    assert sorted(run.data.tags["trial"] for run in runs) == ["0", "1", "2", "3"]
    everyone, momentum = cards(state, "PARALLEL")
    for run in runs:
        assert set(everyone["selectedParams"]) <= set(run.data.params)
        assert (set(momentum["selectedParams"]) <= set(run.data.params)) == (run.data.params["optimizer"] == "momentum")
        assert set(everyone["selectedMetrics"]) <= set(run.data.metrics)
        rate = run.data.params["optimizer.learning_rate"]
        assert "e" not in rate  # MLflow sorts it as text
        trial = study.ledger.trials[int(run.data.tags["trial"])]
        assert float(rate) == trial.params["optimizer.learning_rate"]
        assert run.data.tags["mlflow.runName"] == f"trial 00{run.data.tags['trial']} {run.data.params['optimizer']}"
        assert (run.info.start_time, run.info.end_time) == (995_000, 1_002_000)


def test_a_smaller_loss_is_better(make_study):
    state = state_of(make_study("sweep.metric=val_loss", "sweep.direction=minimize"))
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`rank`", True)
    assert state["selectedColumns"][1:3] == ["metrics.`best_val_loss`", "metrics.`best_epoch`"]
    assert cards(state, "LINE")[0]["metricKey"] == "val_loss"


def test_a_sweep_of_several_stages_has_their_column_and_names(make_study):
    study = make_study("sweep=coarse_to_fine")
    assert state_of(study)["selectedColumns"][-2:] == ["tags.`stage`", "tags.`status`"]
    assert runs_of(study).trial(study.ledger.trials[0]).name == "trial 000 coarse"


def test_numbers_and_lists_share_no_axis(make_study):
    study = make_study("model.hidden_units=choice(64,[64,32])", "sweep.n_trials=20")
    (card,) = cards(state_of(study), "PARALLEL")
    assert card["selectedParams"] == ["log10 learning_rate", "train.batch_size"]


def test_what_does_not_vary_has_no_chart(make_study):
    state = state_of(make_study("sweep.max_tier=0", "sweep.n_trials=1"))
    assert [card["type"] for card in state["compareRunCharts"]] == ["LINE"]


def test_axes_whose_keys_end_the_same_keep_their_groups(make_study):
    study = make_study("sweep.n_trials=1")
    space = study.plan.arms[0].space
    space["model.rate"] = space["optimizer.rate"] = Interval(0.1, 0.9, ONE_MINUS_LOG)
    runs = runs_of(study)
    axes = [
        runs.axis(0, key) for key in ("model.rate", "optimizer.rate", "optimizer.learning_rate", "train.batch_size")
    ]
    assert axes == ["log10 1-model.rate", "log10 1-optimizer.rate", "log10 learning_rate", "train.batch_size"]


def test_a_scale_of_ones_own_has_an_axis_and_is_recorded_on_it(make_study, tmp_path, monkeypatch):
    (tmp_path / "own_scale.py").write_text(
        "import math\nfrom pipeline.search.scales import Scale\n"
        "SQRT = Scale(math.sqrt, lambda c: c * c, 'at least 0', lambda v: 0 <= v < math.inf)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    study = make_study(
        "optimizer=momentum", "sweep.max_tier=0", "sweep=grid", "sweep.points=3", "+scales.sqrt=own_scale.SQRT",
        "allowed_targets=[pipeline.,keras.optimizers.,own_scale.]", "optimizer.momentum=tag(sqrt, interval(0, 0.25))",
    )  # fmt: skip
    assert [float(params["optimizer.momentum"]) for params in params_of(study)] == [0, 0.0625, 0.25]
    assert [params["sqrt momentum"] for params in params_of(study)] == [0, 0.25, 0.5]
    (card,) = cards(state_of(study), "PARALLEL")
    assert card["selectedParams"] == ["sqrt momentum"]


@pytest.mark.parametrize(
    ("line", "windows"),
    [
        ("optimizer.momentum=0.0,0.9,0.99", [1, 10, 100]),
        ("optimizer.momentum=choice(0.98)", [50]),
        ("optimizer.momentum=tag(one_minus_log, interval(0.999, 0.999))", [1000]),
    ],
)
def test_a_momentum_is_recorded_with_its_window(make_study, line, windows):
    study = make_study("optimizer=momentum", "sweep.max_tier=0", "sweep.n_trials=3", line)
    assert [float(params["window momentum"]) for params in params_of(study)] == windows
    assert all("optimizer.momentum" in params for params in params_of(study))


def test_the_window_of_what_is_pinned_is_not_recorded(make_study):
    study = make_study("sweep.max_tier=0", "sweep.n_trials=1", "optimizer.beta_1=0.9", "optimizer.beta_2=choice(0.999)")
    assert params_of(study) == [{"optimizer.beta_2": "0.999", "window beta_2": "1000.0"}]


def test_a_broad_sweep_fits_in_a_tag_of_older_servers(make_study):
    study = make_study(
        "optimizer=adam,adagrad,adamw,lion,momentum,nadam,nesterov,rmsprop,sgd",
        "schedule=exponential",
        "sweep.max_tier=4",
        "sweep.n_trials=27",
    )
    assert len(compare.pack("sweep " + "x" * 100, state_of(study))) < 5000


def test_resuming_replaces_the_view_and_keeps_a_changed_note(make_study, store, tmp_path):
    study = make_study("sweep.n_trials=2")
    address, client, experiment, parent = published(study, store)
    views = set(client.get_experiment(experiment).tags)
    client.set_tag(parent, "mlflow.note.content", "mine")
    runs = runs_of(study)
    earlier = EarlierStart(study.folder.name, parent)
    recorder = MlflowRecorder(MlflowWriter(store, "caviar", tmp_path, earlier=earlier), runs.trial)
    recorder.open(runs.parent(study.folder.name))
    assert compare.publish(study, runs, recorder) == address
    assert recorder.close() is None
    assert client.get_run(parent).data.tags["mlflow.note.content"] == "mine"
    assert set(client.get_experiment(experiment).tags) == views


def test_a_view_that_is_refused_leaves_the_plain_table(make_study, store):
    too_long = "x" * 30_000  # above MLflow's limit
    study = make_study("sweep.n_trials=2")
    address, client, experiment, parent = published(study, store, pack=lambda name, view: too_long)
    page, _, query = address.partition("?")
    assert page == f"http://127.0.0.1:5000/#/experiments/{experiment}/runs"
    asked = {key: value for key, (value,) in parse_qs(query).items()}
    assert len(client.search_runs([experiment], asked.pop("searchFilter"))) == 2
    # In order of creation the UI would fold the trials under their parent.
    assert asked == {
        "orderByKey": "metrics.`rank`",
        "orderByAsc": "true",
        "workflowType": "machine_learning",
    }
    assert "mlflow.note.content" not in client.get_run(parent).data.tags


def test_without_tracking_there_is_no_address(make_study):
    study = make_study("sweep.n_trials=2")
    assert compare.publish(study, runs_of(study), Recorder()) is None


class Noted(Recorder):
    """Keeps the note that the parent would get."""

    def experiment_id(self):
        return "1"

    def run_id(self, number):
        return "parent"

    def view(self, key, value, note):
        self.note = note
        return True


@pytest.mark.parametrize(("trials", "says"), [(100, False), (101, True)])
def test_the_note_says_that_the_page_draws_a_hundred_runs(make_study, trials, says):
    study, recorder = make_study(f"sweep.n_trials={trials}"), Noted()
    compare.publish(study, runs_of(study), recorder)
    assert ("draws the 100 best of the 101 trials" in recorder.note) == says


def test_nothing_is_recorded_and_typed_again_as_null(make_study):
    study = make_study("sweep.max_tier=0", "optimizer.clipnorm=choice(null,1.0)", "sweep.n_trials=2")
    assert sorted(str(params["optimizer.clipnorm"]) for params in params_of(study)) == ["1.0", "null"]
    (nothing,) = (t for t in study.ledger.trials.values() if t.params["optimizer.clipnorm"] is None)
    assert study.plan.overrides(nothing)[-1] == "optimizer.clipnorm=null"
    assert study.plan.composed(nothing).config.optimizer.arguments["clipnorm"] is None
