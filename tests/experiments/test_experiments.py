"""Each experiment by its command, small: the sweep it says, its figure and its finding."""

import re
from types import SimpleNamespace

import matplotlib.image
import pytest
import yaml

from pipeline.errors import InputError
from pipeline.experiments.coarse_to_fine import Factors
from pipeline.records import Trial
from pipeline.schema import Experiment, Target
from pipeline.study.figure import draw_figure
from pipeline.targets import locate
from pipeline.tracking.recorder import Recorder
from tests.conftest import ROOT, here

FILES = sorted((ROOT / "conf/experiment").glob("*.yaml"))
NAMES = [path.stem for path in FILES]
# In this process, where TensorFlow is imported once; and no program is used long enough to be worth XLA.
INLINE = ("executor=inline", "executor.xla=never", "tracking=none")
ONE_MODEL = "sweep.keep_models=1"  # to write the others takes a fifth of the time
SHALLOW = "model.hidden_layers=1"  # of the default's two: to trace layers is what takes long
# What makes each of them short.
SMALL = {
    "bn_depth": ["sweep.points=2", "train.epochs=1", "model.hidden_layers=1,2", "seed=0,3"],
    "softmax_boundaries": ["train.epochs=2", "dataset.n_classes=3,4", "seed=0,3"],
    "bn_learning_rate": ["sweep.points=3", "train.epochs=2", "seed=0,3", SHALLOW],
    "covariate_shift": ["train.epochs=2", "seed=0,1", "model.hidden_layers=2"],
    "bn_batch_size": ["train.epochs=2", "seed=0,1", "train.batch_size=32,128", SHALLOW],
    "decay": ["sweep.points=2", "train.epochs=2", "seed=0,3", SHALLOW],
    "batch_size": ["train.epochs=6", "train.batch_size=128,512", "seed=0,1", SHALLOW],
    "log_vs_linear": ["sweep.n_trials=6", "train.epochs=2", "seed=0,3", SHALLOW],
    "one_minus_log": ["sweep.n_trials=6", "train.epochs=2", "seed=0,3", SHALLOW],
    "coarse_to_fine": [
        "seed=0,6",
        "sweep.sampler.widths=[2,4]",
        "sweep.sampler.budgets=[4,8]",
        "sweep.sampler.coarse_epochs=1",
        "train.epochs=2",
    ],
    "quadratic": ["sweep.points=3", "optimizer=sgd,lion", "train.epochs=20"],
    "random_vs_grid": ["seed=0,6", "sweep.sampler.sides=[2,2]", "train.epochs=1"],
}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_file_begins_with_its_command_and_names_its_figure(path):
    lines = path.read_text().splitlines()
    assert lines[:2] == ["# @package _global_", f"# python run.py -m experiment={path.stem}"]
    assert lines[2].startswith("# ")
    experiment = yaml.safe_load(path.read_text())["experiment"]
    judged = set() if path.stem == "quadratic" else {"rule", "above", "seeds", "confirm_seeds"}
    assert set(experiment) == {"title", "ranges", "figure"} | judged  # nothing of quadratic is drawn
    assert not set(experiment.get("seeds", ())) & set(experiment.get("confirm_seeds", ()))
    assert locate(experiment["figure"]["_target_"]).__doc__


def test_the_readme_lists_every_experiment():
    section = re.search(r"^## Experiments\n(.+?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert sorted(re.findall(r"^\| `(\w+)` \| ", section[1], re.MULTILINE)) == NAMES
    for name, measured in re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", section[1], re.MULTILINE):
        assert name == "quadratic" or re.search(r"\(-?[\d.]+ to [\d.-]+\)", measured), name
        assert name == "quadratic" or measured.endswith(("confirmed", "can't be told")), name


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_draws_its_figure_and_says_what_it_found(name, tmp_path):
    small = SMALL.get(name, ["sweep.points=3", "train.epochs=2", "seed=0,3", SHALLOW])
    line = ["-m", f"experiment={name}", "sweep.name=s", *small]
    result = here(*line, *INLINE, ONE_MODEL, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    (found,) = re.findall(r"^found:    (.+)$", result.stdout, re.MULTILINE)
    assert re.search(r"\d", found)
    assert "figure:   outputs/sweeps/s/figure.png" in result.stdout
    picture = matplotlib.image.imread(tmp_path / "outputs/sweeps/s/figure.png")
    assert min(picture.shape[:2]) > 300
    assert picture[..., :3].std() > 0.01  # something is on it


def test_coarse_to_fine_gives_both_searches_the_same_epochs():
    of = yaml.safe_load((ROOT / "conf/experiment/coarse_to_fine.yaml").read_text())
    sampler, epochs = of["sweep"]["sampler"], of["train"]["epochs"]
    for (_, budget), draws, fine in Factors(sampler["widths"], sampler["budgets"]).searches():
        coarse = (draws.stop - draws.start) * sampler["coarse_epochs"]
        assert coarse + (fine.stop - fine.start) * epochs == budget * epochs


def dry(*arguments, cwd):
    return here("-m", "sweep.dry_run=true", *INLINE, *arguments, cwd=cwd)


def test_what_is_typed_goes_before_what_the_experiment_says(tmp_path):
    shown = dry(
        "experiment=bn_learning_rate", "model.norm_placement=none", "sweep.points=3", "seed=0", cwd=tmp_path
    ).stdout
    assert "stage grid: 3 trials of up to 10 epochs" in shown
    assert "arm all:" in shown
    assert "optimizer.learning_rate  tag(log, interval(0.0001, 100))" in shown


def test_an_experiments_trial_is_trained_alone_by_the_printed_command(tmp_path):
    line = "experiment=bn_learning_rate model.norm_placement=none optimizer.learning_rate=0.1 train.epochs=1"
    result = here(*line.split(), *INLINE, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment=bn_lerning_rate"], "bn_learning_rate"),
        (["experiment=bn_depth", "experiment.ranges=a,b"], "experiment sets up the sweep"),
        (["experiment=bn_depth", "experiment.confirm_seeds=[5,2]"], "[5, 2]: 2 is in experiment.seeds, too."),
        (["experiment=momentum", "experiment.seeds=[]", "experiment.confirm_seeds=[3,4]"], "[3, 4] confirm what those"),
        (["experiment=bn_depth", "~experiment.figure._target_"], "experiment.figure._target_ is missing"),
        (
            ["experiment=bn_depth", "experiment.figure._target_=pipeline.experiments.bn_depth.figur"],
            "has no callable 'figur'. Did you mean 'figure'?",
        ),
        (
            ["experiment=bn_depth", "experiment.figure._target_=pipeline.experiments.bn_depht.figure"],
            "can't be imported",
        ),
    ],
)
def test_a_mistake_gets_a_line_that_helps(arguments, message, tmp_path):
    result = dry(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_figure_that_fails_costs_a_line_and_not_the_sweep(tmp_path):
    """That of another experiment looks for a key that no trial of this one has."""
    other = "experiment.figure._target_=pipeline.experiments.coarse_to_fine.figure"
    small = [*SMALL["decay"], "schedule=constant,cosine", "sweep.name=s"]
    result = here("-m", "experiment=decay", other, *small, *INLINE, ONE_MODEL, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "figure: not drawn, KeyError: " in result.stdout
    assert "best: trial" in result.stdout and "Traceback" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("seed"), "KeyError: 'seed'"),
        (StopIteration(), "StopIteration: "),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        (InputError("train.epochs=1\nis too few"), "train.epochs=1 is too few"),
    ],
)
def test_whatever_keeps_a_figure_from_being_drawn_is_one_line(error, said, tmp_path, capsys):
    trials = {0: Trial(0, "grid", 0, {}, status="completed")}
    (tmp_path / "0").mkdir()
    experiment = Experiment("a title", figure=Target("tests.experiments.made_up.failing_figure", {"error": error}))
    study = SimpleNamespace(
        config=SimpleNamespace(experiment=experiment),
        folder=tmp_path,
        ledger=SimpleNamespace(sampled=[*trials.values()]),
        plan=SimpleNamespace(arms=[SimpleNamespace(space={})]),
        trial_folder=lambda trial: tmp_path / str(trial.number),
    )
    draw_figure(study, None, Recorder())
    assert capsys.readouterr().out.strip() == f"figure: not drawn, {said}".strip()
