"""What a file of a stranger says of Hydra itself, or of allowed_targets, is refused before anything is called."""

import pytest
from omegaconf import OmegaConf

from pipeline.errors import InputError
from pipeline.hydra_loading import DEFAULTS
from pipeline.hydra_schema import register
from pipeline.search.ranges import distribution, parse
from pipeline.user_folder import OURS
from tests.conftest import composed, files, here

# What Hydra would call or follow, were it let: (lines below `hydra:` in a file of conf/experiment, what is said)
SETTINGS = [
    ("callbacks: {x: {_target_: builtins.open, file: MARK, mode: w}}", "hydra.callbacks={'x': {'_target_': 'builtins"),
    ("callbacks: {x: {_target_: joblib.load, filename: MARK}}", "hydra.callbacks="),
    ("callbacks: {x: {_target_: shutil.copyfile, src: conf/experiment/odd.yaml, dst: MARK}}", "hydra.callbacks="),
    ("callbacks: {x: '${dataset}'}", "hydra.callbacks="),
    (
        "job_logging: {version: 1, root: {handlers: [f]}, handlers: {f: {(): builtins.open, file: MARK, mode: w}}}",
        "job_l",
    ),
    ("job_logging: {handlers: {f: {class: logging.FileHandler, filename: MARK}}}", "hydra.job_logging="),
    (
        "hydra_logging: {root: {handlers: [f]}, handlers: {f: {class: logging.FileHandler, filename: MARK}}}",
        "hydra_logging",
    ),
    ("sweeper: {_target_: builtins.open, file: MARK, mode: w}", "hydra.sweeper="),
    ("launcher: {_target_: builtins.open}", "hydra/launcher does not apply: trials run where"),
    ("job: {env_set: {PYTHONPATH: MARK}}", "hydra.job.env_set={'PYTHONPATH': 'MARK'} does not apply"),
    ("job: {chdir: true}", "hydra.job.chdir=True does not apply"),
    ("run: {dir: MARK}", "hydra.run={'dir': 'MARK'} does not apply: Results go where output_dir and sweep.name say."),
    ("output_subdir: MARK", "hydra.output_subdir=MARK does not apply"),
]


def user_folder(folder, experiment):
    path = folder / "conf/experiment/odd.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"# @package _global_\n{experiment}\n")
    return f"--config-dir={folder}/conf"


@pytest.mark.parametrize(
    ("mode", "setting", "message"), [*(([], *row) for row in SETTINGS), *((["-m"], *row) for row in SETTINGS[::4])]
)
def test_a_file_may_not_change_what_hydra_itself_does(mode, setting, message, tmp_path):
    option = user_folder(tmp_path, f"hydra: {{{setting}}}")
    result = here(*mode, option, "experiment=odd", "executor=inline", cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert files(tmp_path) == ["conf/experiment/odd.yaml"]


@pytest.mark.parametrize(
    "text",
    [
        "allowed_targets: [os.]",
        "allowed_targets: ['']",
        "allowed_targets: [pipeline., '${oc.env:HOME}']",
        "defaults: [/odd_base@_global_]",
    ],
)
@pytest.mark.parametrize("mode", [[], ["-m"]], ids=["run", "sweep"])
def test_a_file_of_a_group_may_not_say_what_is_allowed(text, mode, tmp_path):
    option = user_folder(tmp_path, f"{text}\ndataset: {{_target_: os.system, command: touch MARK}}")
    (tmp_path / "conf/odd_base.yaml").write_text("allowed_targets: [os.]\n")
    result = here(*mode, option, "experiment=odd", "executor=inline", cwd=tmp_path)
    assert result.returncode == 2
    first, second = result.stderr.splitlines()
    assert first.startswith("allowed_targets=[") and "only conf/config.yaml and the command line may say" in first
    assert second.endswith("add 'allowed_targets=[…]' to the command.")
    assert not (tmp_path / "MARK").exists()


def test_an_arm_may_not_say_what_is_allowed(tmp_path):
    path = tmp_path / "conf/dataset/odd.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(
        "# @package _global_\nallowed_targets: [os.]\ndataset: {_target_: os.system, command: touch MARK}\n"
    )
    result = here("-m", f"--config-dir={tmp_path}/conf", "dataset=digits,odd", "executor=inline", cwd=tmp_path)
    assert result.returncode == 2
    assert "allowed_targets=['os.']: only conf/config.yaml and the command line may say that" in result.stderr
    assert not (tmp_path / "MARK").exists()


def test_the_command_line_and_the_primary_config_say_what_is_allowed(tmp_path):
    assert composed("allowed_targets=[mine.]").record["allowed_targets"] == ["mine."]
    assert composed().record["allowed_targets"] == OmegaConf.load(OURS / "config.yaml").allowed_targets
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/own.yaml").write_text("defaults: [config, _self_]\nallowed_targets: [own.]\n")
    line = [f"--config-dir={tmp_path}/conf", "--config-name=own", "executor=inline"]
    result = here(*line, cwd=tmp_path)
    assert result.returncode == 2
    assert "is not allowed: it must begin with one of own. (allowed_targets" in result.stderr
    result = here(*line, "allowed_targets=[other.]", cwd=tmp_path)
    assert "is not allowed: it must begin with one of other. (allowed_targets" in result.stderr


def test_the_file_that_hydra_could_rerun_is_not_opened(tmp_path):
    (tmp_path / "config.pickle").write_bytes(b"cos\nsystem\n(S'touch MARK'\ntR.")
    result = here("--experimental-rerun=config.pickle", cwd=tmp_path)
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)
    assert "resume=FOLDER" in result.stderr
    assert not (tmp_path / "MARK").exists()


def test_every_setting_of_hydra_that_does_something_is_held():
    from hydra.conf import HydraConf

    free = {"mode", "searchpath", "help", "hydra_help", "overrides", "runtime", "defaults"}
    held = {key.split(".")[0] for key in DEFAULTS}
    assert held == set(HydraConf.__dataclass_fields__) - free | {"env"}


@pytest.mark.parametrize("line", ["hydra.sweep.dir=x", "hydra.run.dir=x", "hydra.verbose=true", "+hydra.callbacks.x=1"])
def test_a_setting_of_hydra_that_is_not_honoured_is_refused(line):
    with pytest.raises(InputError, match=r"does not apply: \w"):
        composed(line)


def test_settings_of_hydra_that_are_honoured_pass(tmp_path):
    assert composed(f"hydra.searchpath=[file://{tmp_path}]", "hydra.help.header=x").record["seed"] == 0


def test_a_choice_may_have_null():
    register()
    (override,) = parse(["optimizer.clipnorm=choice(null, 1.0)"])
    assert distribution(override, {}).values == (None, 1.0)
    assert str(distribution(override, {})) == "choice(null, 1.0)"


def test_a_number_of_the_environment(monkeypatch):
    monkeypatch.setenv("CAVIAR_NUMBER", "0.25")
    line = 'dataset.test_fraction="${oc.decode:${oc.env:CAVIAR_NUMBER}}"'
    assert composed(line).config.dataset.arguments["test_fraction"] == 0.25
