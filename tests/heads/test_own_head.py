"""A user's own head and metrics: their code and a line of the config each; nothing of the program changes for them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.checks import check
from pipeline.config import Composed
from pipeline.errors import InputError
from pipeline.eventlog import events_of
from pipeline.records import CohortPlanned, Conditions, Ended, EpochEnded, TrainJob
from pipeline.training.cohort import run_trials
from tests.conftest import PATIENCE, ROOT, TINY, command, composed, here
from tests.workers.jobs import task

CODE = '''
from pipeline.heads.head import Head
from pipeline.heads.labels import LabelHead
from pipeline.heads.metric import Metric
from pipeline.heads.softmax import Softmax


class Focal(Softmax):
    """Counts less what is nearly right (Lin et al. 2017)."""

    loss_axis = "focal loss"

    def losses(self, targets, outputs, label_smoothing=0.0):
        import tensorflow as tf

        cross_entropy = super().losses(targets, outputs, label_smoothing)
        return (1 - tf.exp(-cross_entropy)) ** 2 * cross_entropy


class Squared(Head):
    """The label as a number."""

    outputs = "a number"
    prediction = "number"
    own_metrics = ("distance",)

    def n_outputs(self, n_classes):
        return 1

    def losses(self, targets, outputs, label_smoothing=0.0):
        import tensorflow as tf

        return (tf.cast(outputs, tf.float32)[:, 0] - tf.cast(targets, tf.float32)) ** 2


class Distance(Metric):
    direction = "minimize"
    axis = "mean distance"

    def suits(self, head):
        return not head.classifies

    def sums(self, targets, outputs, head):
        import tensorflow as tf

        return {"sum": tf.reduce_sum(tf.abs(tf.cast(outputs, tf.float32)[:, 0] - tf.cast(targets, tf.float32)))}

    def value(self, sums):
        return sums["sum"] / sums["examples"]


class Recall(Metric):
    """The mean over classes of the share of their examples that are told so; a sum for each class."""

    direction = "maximize"
    axis = "mean recall"

    def suits(self, head):
        return isinstance(head, LabelHead)

    def sums(self, targets, outputs, head):
        import tensorflow as tf

        right = tf.cast(head.classes(outputs) == targets, tf.float32)
        of_class = tf.one_hot(targets, outputs.shape[-1])
        return {"right": tf.reduce_sum(of_class * right[:, None], 0), "all": tf.reduce_sum(of_class, 0)}

    def value(self, sums):
        return (sums["right"] / sums["all"]).mean()


class Unfinished(Head):
    outputs = "a number"


class Aimless(Recall):
    direction = "up"
'''
ADDED = ("+heads.focal=own_for_tests.Focal", "+heads.squared=own_for_tests.Squared")
ADDED += ("+metrics.distance=own_for_tests.Distance", "+metrics.recall=own_for_tests.Recall")
ADDED += ("allowed_targets=[pipeline.,keras.optimizers.,own_for_tests.]",)
RECALL = ("model.head=focal", "sweep.metric=val_recall")
DISTANCE = ("model.head=squared", "sweep.metric=val_distance", "sweep.direction=minimize")


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory):
    """A module of the user's, where Python finds it: in this process and those that it starts."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_for_tests.py").write_text(CODE)
    (folder / "eager_for_tests.py").write_text(f"import keras.losses\n{CODE}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
        yield
    sys.modules.pop("own_for_tests", None)


def with_own(*lines) -> Composed:
    return composed(*TINY, *ADDED, "device=cpu", *lines)


def train(folder: Path, configs, **conditions):
    """The epochs of each, and the modes in which cohorts trained."""
    for config in configs:
        check(config)
    tasks = tuple(task(folder, number, config) for number, config in enumerate(configs))
    reports = []
    job = TrainJob(0, tasks, len(tasks), export=True, conditions=Conditions(**conditions))
    run_trials(job, reports.append, lambda: False)
    events = [list(events_of(Path(each.folder))) for each in tasks]
    assert [isinstance(own[-1], Ended) and own[-1].status for own in events] == ["completed"] * len(tasks), events
    modes = [report.summary.mode for report in reports if isinstance(report, CohortPlanned)]
    return [[event for event in own if isinstance(event, EpochEnded)] for own in events], modes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "metrics", "xla"),
    [
        (RECALL, ("loss", "accuracy", "recall"), "always"),
        (DISTANCE, ("loss", "distance"), "never"),
    ],
    ids=["of classes", "of numbers"],
)
def test_fused_trials_have_the_numbers_of_each_alone(tmp_path, lines, metrics, xla):
    configs = [with_own(*lines, f"optimizer.learning_rate={rate}").config for rate in (0.001, 0.05)]
    alone = [train(tmp_path / f"alone {i}", [config], fuse="never")[0][0] for i, config in enumerate(configs)]
    fused, modes = train(tmp_path / "fused", configs, fuse="always", xla=xla)
    assert len(modes) == 1 and modes[0].startswith("fused")
    for ours, own in zip(fused, alone, strict=True):
        assert ours[0].value("loss") == pytest.approx(own[0].value("loss"), rel=1e-6)
        for epoch, expected in zip(ours, own, strict=True):
            for name in (*metrics, *(f"val_{name}" for name in metrics)):
                # One example may fall on the other side, of 60 of a class.
                assert epoch.value(name) == pytest.approx(
                    expected.value(name), rel=1e-5, abs=0.006 * ("re" in name or "acc" in name)
                )
    assert {name for name in alone[0][0].metrics if name.startswith("val_")} == {f"val_{name}" for name in metrics}


@pytest.mark.slow
def test_a_run_shows_and_a_sweep_ranks_by_them(tmp_path):
    own = ("train.metrics=[recall]", "train.epochs=1", "executor=inline", "tracking=none")
    done = here(*TINY, *ADDED, *own, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    columns = ["loss", "accuracy", "recall", "val_loss", "val_accuracy", "val_recall"]
    assert next(line for line in done.stdout.splitlines() if line.startswith("epoch")).split()[1:7] == columns
    swept = here("-m", *TINY, *ADDED, *RECALL, "sweep.n_trials=2", *own[1:], cwd=tmp_path)
    assert swept.returncode == 0, swept.stdout + swept.stderr
    assert "best: trial" in swept.stdout and ", val_recall " in swept.stdout
    assert "test: recall " in swept.stdout
    again, nearly = (
        next(line for line in swept.stdout.splitlines() if line.startswith(label)) for label in ("again:", "nearly:")
    )
    assert all(line.split("=")[0] in nearly for line in ADDED)  # it runs as it is printed
    assert "allowed_targets=" in again  # which no trial's own folder may say; names stand in its config


def test_code_that_imports_keras_at_once_is_refused(tmp_path):
    line = [*TINY, *ADDED, "heads.softmax=eager_for_tests.Focal", "allowed_targets=[pipeline.,keras.,eager,own]"]
    done = subprocess.run(command(*line), cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert "heads.softmax=eager_for_tests.Focal imports keras: import it inside the functions" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["model.head=focl"],
            "model.head=focl is not known. Allowed: softmax, sigmoid, cost, focal, squared. Did you ",
        ),
        (["heads.cost=os.system"], "heads.cost=os.system is not allowed: it must begin with one of pipeline."),
        (["metrics.loss=os.system"], "metrics.loss=os.system is not allowed: it must begin with one of pipeline."),
        (
            ["heads.softmax=own_for_tests.Fcal"],
            "heads.softmax=own_for_tests.Fcal: own_for_tests has no callable 'Fcal'",
        ),
        (
            ["heads.softmax=own_for_tests.Recall"],
            "heads.softmax=own_for_tests.Recall is not derived from pipeline.heads",
        ),
        (["heads.softmax=own_for_tests.Unfinished"], "heads.softmax=own_for_tests.Unfinished: Can't instantiate"),
        (["+metrics.up=own_for_tests.Aimless", "sweep.metric=val_up"], "it needs a direction, maximize or minimize"),
        (["+metrics.time=own_for_tests.Recall", "train.metrics=[time]"], "metrics.time: a name is letters, digits"),
        (["+metrics.metrics=own_for_tests.Recall", "train.metrics=[metrics]"], "metrics.metrics: a name is letters,"),
        (["~metrics.accuracy"], "metrics.accuracy is missing: model.head=softmax records it."),
        (["train.metrics=[recal]"], "train.metrics=recal is not known. Allowed: loss, accuracy, distance, recall. Did"),
        (["train.metrics=[distance]"], "train.metrics=distance: with model.head=softmax there is none."),
        (["sweep.metric=val_recal"], "Allowed: val_loss, val_accuracy, val_recall. Did you mean 'val_recall'?"),
        (["sweep.metric=val_distance"], "sweep.metric=val_distance: with model.head=softmax there is none."),
        (
            ["sweep.metric=val_recall", "sweep.direction=minimize"],
            "sweep.direction=minimize: val_recall is to be maximized.",
        ),
        (["model.head=squared", "sweep.metric=val_distance", "sweep.direction=maximize"], "is to be minimized. Leave"),
        (["model.head=squared", "train.label_smoothing=0.1", *DISTANCE[1:]], "there are no labels to smooth"),
    ],
)
def test_a_mistake_is_refused_in_a_line(lines, message):
    with pytest.raises(InputError) as raised:
        check(with_own(*lines).config)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("lines", "aim"),
    [
        ([], ("val_accuracy", "maximize")),
        (["model.head=sigmoid", "dataset=spirals"], ("val_accuracy", "maximize")),
        (["model.head=cost"], ("val_loss", "minimize")),
        (["sweep.metric=val_loss"], ("val_loss", "minimize")),
        (["sweep.metric=val_recall"], ("val_recall", "maximize")),
        (["model.head=squared"], ("val_distance", "minimize")),
    ],
)
def test_a_sweep_aims_at_what_its_head_says(lines, aim):
    node = with_own(*lines)
    for what in (node.config.plain(), node.record, yaml.safe_load(node.yaml)):
        assert (what["sweep"]["metric"], what["sweep"]["direction"]) == aim


def test_a_sweep_of_a_forbidden_head_imports_nothing():
    lines = ["+heads.mine=os.path.join", "model.head=mine"]
    assert with_own(*lines).config.sweep.metric == "auto"
    with pytest.raises(InputError, match=r"heads.mine=os.path.join is not allowed"):
        check(with_own(*lines).config)
