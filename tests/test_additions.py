"""What a user adds from a folder of their own, outside the repository, in as few files as the map says.

Each addition is its code, and a line on the command line or a YAML file; `--config-dir FOLDER/conf` names the folder.
"""

import csv
import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.__main__ import main
from pipeline.checks import naming
from tests.conftest import ROOT, TINY, caviar, here

ALLOWED = "allowed_targets=[pipeline.,keras.optimizers.,mine.]"
QUICK = ("executor=inline", "executor.xla=never", "tracking=none")

SAMPLER = '''
"""Points that begin in the middle and follow the best."""
from pipeline.search.samplers.sampler import Point, Sampler


class Follow(Sampler):
    generation = 2

    def __init__(self, search, *, step):
        super().__init__(search)
        self.step, self.best = step, None

    def ask(self, n):
        points = []
        for i in range(n):
            at = {}
            for key, dist in self.search.spaces[0].items():
                low, high = dist.ends()
                middle = (low + high) / 2 if self.best is None else self.best[key]
                at[key] = min(max(middle + (i - 0.5) * self.step * (high - low), low), high)
            points.append(Point(0, at))
        return points

    def tell(self, outcomes):
        scored = [o for o in outcomes if o.score is not None]
        if scored:
            self.best = max(scored, key=lambda o: o.score).coordinates
'''

METRIC = '''
"""How sure the model is of what is right."""
from pipeline.heads.metric import Metric


class Confidence(Metric):
    direction, axis = "maximize", "mean probability of the true class"

    def suits(self, head):
        return head.classifies

    def sums(self, targets, outputs, head):
        import tensorflow as tf

        chosen = tf.gather(tf.nn.softmax(tf.cast(outputs, tf.float32)), targets, batch_dims=1)
        return {"sure": tf.reduce_sum(chosen)}

    def value(self, sums):
        return sums["sure"] / sums["examples"]
'''

HEAD = '''
"""One logit a class, each for itself."""
from pipeline.heads.labels import LabelHead, smoothed


class OneVersusRest(LabelHead):
    outputs = "a logit for each class"

    def n_outputs(self, n_classes):
        self.check_classes(n_classes)
        return n_classes

    def losses(self, targets, outputs, label_smoothing=0.0):
        import tensorflow as tf

        outputs = tf.cast(outputs, tf.float32)
        wanted = smoothed(tf.one_hot(targets, outputs.shape[-1]), label_smoothing, 2)
        return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(wanted, outputs), -1)

    def classes(self, outputs):
        import tensorflow as tf

        return tf.argmax(outputs, -1, output_type=tf.int32)

    def final_layer(self):
        import keras

        return keras.layers.Softmax(dtype="float32", name="probabilities")
'''

CALLBACK = '''
"""Records how large the weights are, and leaves a file at the end."""
from pathlib import Path

import numpy as np

from pipeline.training.callbacks import Callback, Observation


class Norm(Callback):
    def __init__(self, *, folder):
        self.folder = Path(folder)

    def after_epoch(self, moment):
        return Observation({"weight_norm": float(np.sqrt(sum((w**2).sum() for w in moment.weights())))})

    def at_end(self, moment, status):
        (self.folder / f"{moment.number}.txt").write_text(f"{status} after {moment.epoch} epochs")
'''

MODEL = """
import keras


def wide(inputs, n_logits, *, units):
    x = keras.layers.Flatten()(inputs)
    return keras.layers.Dense(n_logits)(keras.layers.Dense(units, activation="relu")(x))
"""

DATASET = """
import numpy as np

from pipeline.data.splits import stratified


def noise(*, n, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    inputs = rng.normal(size=(n, 4)) + labels[:, None]
    return stratified(inputs, labels, ("no", "yes"), validation_fraction=0.2, test_fraction=0.2, seed=seed)
"""

FORMAT = '''
"""Lines of text: the label, then two numbers."""
from pathlib import Path

import numpy as np

from pipeline.data.examples import Examples
from pipeline.data.formats.reader import reader


@reader(".rows")
def read(path: Path) -> Examples:
    rows = np.loadtxt(path)
    return Examples(str(path), rows[:, 1:].astype(np.float32), rows[:, 0].astype(int))
'''

SCALE = '''
"""Uniform in the square root."""
from pipeline.search.scales import Scale

SQRT = Scale(lambda v: v**0.5, lambda c: c**2, "at least 0", lambda v: v >= 0)
'''


@pytest.fixture
def folder(tmp_path_factory):
    """A folder of the user's own, with conf/ and the package `mine`."""
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "conf").mkdir()
    (folder / "mine").mkdir()
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        del sys.modules[name]
    sys.path[:] = [path for path in sys.path if path != str(folder)]


def add(folder: Path, code: dict[str, str], conf: dict[str, dict] | None = None) -> None:
    for name, text in code.items():
        (folder / "mine" / f"{name}.py").write_text(text)
    for name, values in (conf or {}).items():
        path = folder / "conf" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(values))


def run(folder: Path, cwd: Path, *line: str):
    sweep = ["sweep.keep_models=1"] if "-m" in line else []
    done = here("--config-dir", str(folder / "conf"), ALLOWED, *QUICK, *line, *sweep, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def epochs(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == "epoch"]


@pytest.mark.slow
def test_a_sampler_is_its_file_and_its_yaml(folder, tmp_path):
    defaults = yaml.safe_load((ROOT / "conf/sweep/random.yaml").read_text())
    own = {**defaults, "n_trials": 6, "sampler": {"_target_": "mine.follow.Follow", "step": 0.2}}
    add(folder, {"follow": SAMPLER}, {"sweep/follow": own})
    run(folder, tmp_path, "-m", *TINY, "sweep=follow", "sweep.max_tier=1", "sweep.name=s")
    rows = list(csv.DictReader((tmp_path / "outputs/sweeps/s/leaderboard.csv").open()))
    rates = {int(row["trial"]): np.log10(float(row["optimizer.learning_rate"])) for row in rows}
    assert len(rates) == 6
    assert sorted([rates[0], rates[1]]) == pytest.approx([-2.8, -2.2], abs=1e-4)  # around the middle of 1e-4 to 1e-1
    best = max((0, 1), key=lambda n: next(float(r["val_accuracy"]) for r in rows if r["trial"] == str(n)))
    assert (rates[2] + rates[3]) / 2 == pytest.approx(rates[best], abs=1e-4)  # and then around the better of them


@pytest.mark.slow
def test_a_metric_is_its_file_and_a_line(folder, tmp_path, capsys, monkeypatch):
    add(folder, {"confidence": METRIC})
    line = ["+metrics.confidence=mine.confidence.Confidence", "sweep.metric=val_confidence", "sweep.name=s"]
    run(folder, tmp_path, "-m", *TINY, *line, "sweep.max_tier=1", "sweep.n_trials=3", "executor.fuse=always")
    sweep = tmp_path / "outputs/sweeps/s"
    rows = list(csv.DictReader((sweep / "leaderboard.csv").open()))
    values = [float(row["val_confidence"]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert all(
        0 < e["val_confidence"] <= 1 and 0 < e["confidence"] <= 1 for n in range(3) for e in epochs(sweep / str(n))
    )
    best = yaml.safe_load((sweep / "best.yaml").read_text())
    assert best["metrics"]["test_confidence"] > 0
    again = here(*shlex.split(best["command"])[2:], "executor=inline", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    monkeypatch.chdir(tmp_path)
    (sweep / str(best["trial"]) / "model.h5").unlink()
    capsys.readouterr()
    assert main(["evaluate", f"outputs/sweeps/s/{best['trial']}/model.h5", *naming([ALLOWED, *line])]) == 2
    export = shlex.split(capsys.readouterr().err.split("Write it: python -m pipeline ")[1])
    assert main([*export, "--config-dir", str(folder / "conf")]) == 0


def test_a_head_is_its_file_and_a_line(folder, tmp_path, capsys, monkeypatch):
    add(folder, {"rest": HEAD})
    line = ["+heads.one_versus_rest=mine.rest.OneVersusRest", "model.head=one_versus_rest", "train.epochs=8"]
    printed = run(folder, tmp_path, *TINY, *line)
    (trial,) = (tmp_path / "outputs/runs").iterdir()
    losses = [epoch["val_loss"] for epoch in epochs(trial)]
    assert losses[-1] < losses[0]
    assert epochs(trial)[-1]["val_accuracy"] > 0.5
    words = next(shlex.split(text) for text in printed.splitlines() if text.startswith("next:"))
    assert words[1:5] == ["python", "-m", "pipeline", "evaluate"]
    monkeypatch.chdir(tmp_path)
    assert main([*words[4:], "blobs:validation", "--json"]) == 0
    measured, best = json.loads(capsys.readouterr().out), max(epochs(trial), key=lambda epoch: epoch["val_accuracy"])
    assert measured["loss"] == pytest.approx(best["val_loss"], rel=1e-5)  # the logits', not the probabilities'


@pytest.mark.slow
def test_a_callback_is_its_file_and_a_line(folder, tmp_path):
    add(folder, {"norm": CALLBACK})
    (tmp_path / "notes").mkdir()
    line = [f"train.callbacks=[{{_target_:mine.norm.Norm,folder:{tmp_path}/notes}}]", "sweep.name=s"]
    run(folder, tmp_path, "-m", *TINY, *line, "sweep.max_tier=1", "sweep.n_trials=3", "executor.fuse=always")
    for n in range(3):
        norms = [epoch["weight_norm"] for epoch in epochs(tmp_path / f"outputs/sweeps/s/{n}")]
        assert len(norms) == 2
        assert all(norm > 0 for norm in norms)
        assert (tmp_path / f"notes/{n}.txt").read_text() == "completed after 2 epochs"


@pytest.mark.slow
def test_a_model_is_its_function_and_its_yaml(folder, tmp_path):
    ranges = {"units": {"tier": 2, "range": "tag(log, int(interval(5, 50)))"}}
    conf = {"_target_": "mine.wide.wide", "units": 30, "widths": ["units"], "head": "softmax", "search": ranges}
    add(folder, {"wide": MODEL}, {"model/wide": conf})
    line = ["model=wide", "dataset=blobs", "train.epochs=1", "train.batch_size=128", "sweep.n_trials=3", "sweep.name=s"]
    printed = run(folder, tmp_path, "-m", *line, "executor.fuse=always")
    assert "3 trials, 0 to 2: fused" in printed
    assert "model.units" in (tmp_path / "outputs/sweeps/s/leaderboard.csv").read_text().splitlines()[0]


def test_a_data_set_is_its_function_and_its_yaml(folder, tmp_path):
    add(folder, {"noise": DATASET}, {"dataset/noise": {"_target_": "mine.noise.noise", "n": 200}})
    printed = run(folder, tmp_path, "dataset=noise", "train.epochs=2", "model.hidden_units=4")
    assert "120 + 40 + 40 examples (train, validation, test) of 4 float32, 2 classes" in printed


def test_a_file_format_is_its_file_and_a_line(folder, tmp_path):
    add(folder, {"rows": FORMAT})
    lines = [f"{i % 2} {i % 2 + i / 1000} {i % 7}" for i in range(100)]
    (tmp_path / "x.rows").write_text("\n".join(lines) + "\n")
    line = ["+formats.rows=mine.rows.read", "dataset=file", "dataset.file=x.rows", "model.hidden_units=4"]
    printed = run(folder, tmp_path, *line, "train.epochs=2", "train.batch_size=16")
    assert "80 + 10 + 10 examples (train, validation, test) of 2 float32, 2 classes" in printed


@pytest.mark.slow
def test_a_scale_is_its_file_and_a_line(folder, tmp_path):
    add(folder, {"roots": SCALE})
    line = ["+scales.sqrt=mine.roots.SQRT", "optimizer.momentum=tag(sqrt, interval(0, 0.81))", "optimizer=momentum"]
    line += ["sweep=grid", "sweep.points=4", "sweep.max_tier=0", "sweep.name=s"]
    run(folder, tmp_path, "-m", *TINY, *line)
    rows = list(csv.DictReader((tmp_path / "outputs/sweeps/s/leaderboard.csv").open()))
    tried = sorted(float(row["optimizer.momentum"]) for row in rows)
    assert tried == pytest.approx([0, 0.09, 0.36, 0.81])


@pytest.mark.slow
def test_workers_import_what_the_parent_does(folder, tmp_path):
    """In processes of their own, as without executor=inline: the one that reads the config has no TensorFlow, and
    neither has the code when that imports it."""
    conf = {"_target_": "mine.wide.wide", "units": 5, "head": "one_versus_rest", "search": {}}
    add(folder, {"wide": MODEL, "rest": HEAD, "confidence": METRIC}, {"model/wide": conf})
    line = ["--config-dir", str(folder / "conf"), ALLOWED, "model=wide", "dataset=blobs", "train.epochs=1"]
    line += ["+heads.one_versus_rest=mine.rest.OneVersusRest", "+metrics.confidence=mine.confidence.Confidence"]
    done = caviar(*line, "train.metrics=[confidence]", "tracking=none", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "val_confidence" in done.stdout


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["--config-dir", "nowhere"], "--config-dir=nowhere: there is no such folder."),
        (["--config-dir", "{}/conf", "model=wdie"], "Did you mean 'wide'?"),
        (["--config-dir", "{}/conf", "model=wide"], "model._target_=mine.wide.wide is not allowed"),
    ],
)
def test_mistakes_are_explained(folder, tmp_path, line, message):
    conf = {"_target_": "mine.wide.wide", "units": 5, "head": "softmax", "search": {}}
    add(folder, {"wide": MODEL}, {"model/wide": conf})
    done = here(*(word.format(folder) for word in line), *QUICK, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
