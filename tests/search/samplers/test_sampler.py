"""A sampler and a scale of a user's own, from a package outside the repository."""

import json
import re

import pytest

from pipeline.errors import InputError
from pipeline.schema import Target
from pipeline.search.samplers.random import Random
from pipeline.search.samplers.sampler import Search, make_sampler
from pipeline.search.space import Interval
from tests.conftest import TINY, here

SPACE = {"rate": Interval(0, 1)}
OWN = '''
import math

from pipeline.search.samplers.sampler import Point, Sampler
from pipeline.search.scales import Scale

SQRT = Scale(math.sqrt, lambda c: c * c, "at least 0", lambda v: 0 <= v < math.inf)


class Bisecting(Sampler):
    """Tries the middle of what is left, and keeps the upper half if that was worse than what came before."""

    def __init__(self, search, *, size=2):
        super().__init__(search)
        self.generation_size, self.left, self.last = size, [0.0, 1.0], None

    @property
    def generation(self):
        return self.generation_size

    def ask(self, n):
        middle = sum(self.left) / 2
        return [
            Point(0, {key: dist.place(middle + 0.01 * i) for key, dist in self.search.spaces[0].items()})
            for i in range(n)
        ]

    def tell(self, outcomes):
        score = max(o.score for o in outcomes if o.score is not None)
        self.left[0 if self.last is None or score < self.last else 1] = sum(self.left) / 2
        self.last = score


def not_one(search):
    return search
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "package").mkdir()
    (tmp_path / "package/own_search.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path / "package")
    return "own_search"


def test_a_node_of_the_config_names_a_sampler_and_its_arguments(own):
    search = Search((SPACE,), (0,), 0, 5)
    sampler = make_sampler(Target(f"{own}.Bisecting", {"size": 3}), search)
    assert (sampler.generation, sampler.total(), sampler.staged) == (3, 5, True)
    assert sampler.search == search
    assert Random(search).generation is None  # all at once


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("own_search.not_one", "sweep.sampler: own_search.not_one is no Sampler of pipeline.search.samplers.sampler."),
        ("own_search.Bisectign", "own_search has no callable 'Bisectign'. Did you mean 'Bisecting'?"),
        ("no_such_package.Bisecting", "_target_=no_such_package.Bisecting can't be imported"),
    ],
)
def test_what_is_no_sampler_is_refused(own, target, message):
    with pytest.raises(InputError, match=re.escape(message)):
        make_sampler(Target(target), Search((SPACE,), (0,), 0, 5))


@pytest.mark.slow
def test_a_sweep_with_both_learns_and_is_resumed_amid_a_generation(own, tmp_path):
    line = [
        "-m", "sweep.name=s", *TINY, "tracking=none", "executor=inline", "executor.fuse=always", "executor.xla=never",
        f"allowed_targets=[pipeline.,keras.optimizers.,{own}.]", f"sweep.sampler._target_={own}.Bisecting",
        f"+scales.sqrt={own}.SQRT", "sweep.max_tier=0", "optimizer.beta_1=tag(sqrt, interval(0, 0.81))",
        "sweep.n_trials=6", "sweep.keep_models=1",
    ]  # fmt: skip
    result = here(*line, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    ledger = tmp_path / "outputs/sweeps/s/ledger"
    lines = ledger.read_text().splitlines(keepends=True)
    records = [json.loads(text) for text in lines]
    asked = [r["params"]["optimizer.beta_1"] for r in records if r["record"] == "asked"]
    assert asked[:2] == pytest.approx([0.2025, 0.210681])  # half of the range in the square root: 0.45^2
    kinds = [r["record"] for r in records if r["record"] in ("asked", "ended")]
    assert kinds == ["asked", "asked", "ended", "ended"] * 3
    assert records[0]["header"]["arms"]["0"]["space"] == {"optimizer/beta_1": "tag(sqrt, interval(0, 0.81))"}
    fourth = [place for place, r in enumerate(records) if r["record"] == "asked"][3]
    ledger.write_text("".join(lines[: fourth - 1]))  # killed before the fourth trial was asked
    again = here(*line, cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    records = [json.loads(text) for text in ledger.read_text().splitlines()]
    assert [r["params"]["optimizer.beta_1"] for r in records if r["record"] == "asked"] == asked
    assert "2 trials of up to 2 epochs, 2 already ended" in again.stdout
