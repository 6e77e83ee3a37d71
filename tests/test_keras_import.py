import subprocess
import sys

import pytest

from pipeline.keras_import import OPTIONAL
from tests.conftest import PATIENCE, ROOT

SCRIPT = f"""
import gc, sys
from pipeline.keras_import import import_keras, import_quietly
import_quietly()
assert gc.isenabled()
print(*sys.modules.keys() & {{*{OPTIONAL!r}, "keras", "tensorflow"}})
import matplotlib.figure, pandas, sklearn.datasets
import keras
import_keras()
model = keras.Sequential([keras.Input((2,)), keras.layers.Normalization(), keras.layers.Dense(3)])
model.compile(loss="mse")
model.fit(sklearn.datasets.load_iris().data[:, :2], pandas.DataFrame({{"a": range(150)}}).to_numpy(), verbose=0)
model.save(sys.argv[1])
print("seen", file=sys.stderr)
"""


@pytest.mark.slow
def test_keras_is_imported_without_what_it_does_not_need_nor_what_it_says_and_others_find_that(tmp_path):
    line = [sys.executable, "-c", SCRIPT, str(tmp_path / "model.h5")]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert set(done.stdout.split()) == {"keras", "tensorflow"}, done.stderr
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "seen"
    assert not [line for line in done.stderr.splitlines() if "absl" in line or "oneDNN" in line or "cuda" in line]


@pytest.mark.slow
def test_what_is_already_there_stays():
    script = "from pipeline.keras_import import import_keras\nimport_keras()\nassert sys.modules['pandas'] is pandas"
    line = [sys.executable, "-c", f"import pandas, sys\n{script}"]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE)
