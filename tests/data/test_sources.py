"""What a user's own source returns, checked before anything trains on it."""

import sys
import types
from dataclasses import replace

import numpy as np
import pytest

from pipeline.data.sources import load_splits, make_splits
from pipeline.data.splits import Split, Splits
from pipeline.errors import InputError
from pipeline.schema import Dataset
from tests.conftest import files, here
from tests.workers.jobs import config

N = 30


def split(n=N):
    rng = np.random.default_rng(0)
    return Split(rng.normal(size=(n, 4)).astype(np.float32), np.arange(n, dtype=np.int32) % 3)


GOOD = Splits(split(), split(12), split(9), ("a", "b", "c"))


def train(**changes):
    return replace(GOOD, train=replace(GOOD.train, **changes))


def with_nan(part):
    inputs = part.inputs.load().copy()
    inputs[5, 1] = np.nan
    return replace(part, inputs=inputs)


INPUTS, LABELS = GOOD.train.inputs.load(), GOOD.train.labels
# what a source returns, what is said of it
WRONG = [
    ((INPUTS, LABELS), " returns a tuple; a data set is Splits, which pipeline.data.splits.stratified makes."),
    (None, " returns a NoneType; a data set is Splits"),
    (replace(GOOD, class_names="abc"), ": class_names='abc' must be a tuple of texts, a name for each class."),
    (replace(GOOD, class_names=(0, 1, 2)), ": class_names=(0, 1, 2) must be a tuple of texts"),
    (replace(GOOD, class_names=3), ": class_names=3 must be a tuple of texts"),
    (replace(GOOD, class_names=np.array(["a", "b", "c"])), ": class_names=array(['a', 'b', 'c'], dtype='<U1') must"),
    (replace(GOOD, class_names=("a", "b")), ": train: labels have 2; the 2 classes have the numbers 0 to 1."),
    (replace(GOOD, validation=(INPUTS, LABELS)), ": validation is a tuple, not a Split of inputs and labels."),
    (
        replace(GOOD, test=with_nan(GOOD.test)),
        ": test: inputs has values that are not finite as float32, first in row 5",
    ),
    (train(inputs=INPUTS.tolist()), ": train: inputs are a list, labels a ndarray; wanted are arrays of NumPy."),
    (train(labels=LABELS.tolist()), ": train: inputs are a ndarray, labels a list; wanted are arrays of NumPy."),
    (train(inputs=INPUTS[:, 0]), ": train: inputs are float32 of the shape (30,); wanted are numbers [n, ...]"),
    (
        train(inputs=INPUTS[:0], labels=LABELS[:0]),
        ": train: inputs are float32 of the shape (0, 4); wanted are numbers",
    ),
    (train(inputs=INPUTS.astype(str)), ": train: inputs are <U32 of the shape (30, 4); wanted are numbers"),
    (train(inputs=INPUTS[:, :3]), ": validation: examples are of (4,), those to train on of (3,); give them the same"),
    (train(labels=LABELS[1:]), ": train: labels have the shape (29,); wanted is one for each of the 30 inputs."),
    (train(labels=LABELS - 1), ": train: labels have -1; the 3 classes have the numbers 0 to 2."),
    (train(labels=LABELS / 1), ": train: labels are float64; wanted are the numbers of the classes, from 0, as int"),
    (train(inputs=INPUTS.astype(np.longdouble)), ": train: inputs are float128 of the shape (30, 4); wanted are"),
]


@pytest.fixture
def source(monkeypatch):
    """Makes a data set that returns something: its config."""

    def make(returned):
        module = types.ModuleType("own_source")
        module.own = lambda *, seed: returned
        monkeypatch.setitem(sys.modules, "own_source", module)
        return replace(config(), dataset=Dataset("own_source.own"))

    return make


@pytest.mark.parametrize(("returned", "message"), WRONG)
def test_what_can_not_be_trained_on_is_refused(source, returned, message):
    with pytest.raises(InputError) as raised:
        make_splits(source(returned))
    assert str(raised.value).startswith(f"own_source.own{message}")
    assert len(str(raised.value).splitlines()) == 1


GIVEN = [
    GOOD,
    replace(GOOD, class_names=("a", "b", "c", "d")),  # one of which nobody has seen an example
    train(labels=LABELS.astype(np.int64)),
    replace(train(labels=LABELS - 7), class_names=()),  # a cost does not look at them
]


@pytest.mark.parametrize("returned", GIVEN)
def test_what_can_be_trained_on_is_returned_as_it_is(source, returned):
    assert make_splits(source(returned)) is returned


def test_a_data_set_is_made_once(source):
    made = replace(source(GOOD), seed=12345)
    assert load_splits(made, check=True) is GOOD
    source(None)
    assert load_splits(made) is GOOD


OWN = """
import numpy as np
from pipeline.data.splits import stratified

def own(*, n, seed):
    inputs = np.random.default_rng(seed).normal(size=(n, 4))
    inputs[5, 1] = np.nan
    return stratified(inputs, np.arange(n) % 2, ("no", "yes"), validation_fraction=0.2, test_fraction=0.2, seed=seed)
"""


@pytest.mark.parametrize("words", [["executor=inline"], ["-m", "sweep.n_trials=2", "executor=inline"]])
def test_a_users_own_file_with_bad_data_is_refused_before_anything_is_written(tmp_path, monkeypatch, words):
    (tmp_path / "own_file.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    line = [
        "dataset=digits",
        "dataset._target_=own_file.own",
        "+dataset.n=100",
        "allowed_targets=[own_file.,keras.,pipeline.]",
    ]
    line += ["~dataset.validation_fraction", "~dataset.test_fraction", "tracking=none", *words]
    before = files(tmp_path)
    done = here(*line, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert not any(line.startswith("data: ") for line in done.stdout.splitlines())
    assert "own_file.own: " in done.stderr and "inputs has values that are not finite" in done.stderr
    assert [name for name in files(tmp_path) if "__pycache__" not in name] == before
