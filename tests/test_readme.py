"""The README tells the truth: its commands run, its examples work as they stand, its output is the program's."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.conftest import PATIENCE, ROOT

pytestmark = pytest.mark.slow
TEXT = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^\| `(python .+?)` \|", TEXT, re.MULTILINE)
FRACTIONS = ("validation_fraction", "test_fraction")  # of nearly every data set, told of under the table
SWEEP = "python run.py -m"  # what `make sweep` runs, in full
# Enough to see that a command works; its full length is a matter of minutes.
SHORTER = {"python run.py": ["train.epochs=1"], SWEEP: ["train.epochs=1", "sweep.n_trials=2"]}
# One process that runs a command for each line it is given, as the program does it, with TensorFlow imported once.
SERVES = """
import contextlib, io, json, sys
from pipeline.__main__ import main
from tests.conftest import ROOT, here

for line in sys.stdin:
    words = json.loads(line)
    if words[0] == "run.py":
        done = here(*words[1:], cwd=ROOT)
        answer = [done.returncode, done.stdout, done.stderr]
    else:  # -m pipeline
        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(ROOT), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            answer = [main(words[2:]), out.getvalue(), err.getvalue()]
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of what git has, with the files that the README tells a user to write."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for kind, suffix in (("models", ".py"), ("data", ".py")):
        name = re.search(rf"`pipeline/{kind}/(\w+)\.py`:", TEXT)[1]
        group = {"models": "model", "data": "dataset"}[kind]
        source = re.search(rf"`pipeline/{kind}/{name}\.py`:\n\n```python\n(.+?)```", TEXT, re.DOTALL)[1]
        config = re.search(rf"`conf/{group}/{name}\.yaml`.*?:\n\n```yaml\n(.+?)```", TEXT, re.DOTALL)[1]
        (folder / f"pipeline/{kind}/{name}{suffix}").write_text(source)
        (folder / f"conf/{group}/{name}.yaml").write_text(config)
    return folder


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = shlex.split(line)
    assert words[0] == "python"
    return subprocess.run([sys.executable, *words[1:]], cwd=folder, capture_output=True, text=True, timeout=PATIENCE)


@pytest.fixture(scope="module")
def serve(clone):
    """run() in that one process, for commands that train, or use a model; without XLA, which would only cost, and
    `make sweep` has."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", SERVES], cwd=clone, text=True, **pipes) as process:

        def ask(line: str) -> subprocess.CompletedProcess[str]:
            words = shlex.split(line)[1:]
            extra = ["executor=inline", *(["executor.xla=never"] if "repeat=" not in line else [])]
            words += extra if words[0] == "run.py" else []
            process.stdin.write(json.dumps(words) + "\n")
            process.stdin.flush()
            return subprocess.CompletedProcess(words, *json.loads(process.stdout.readline()))

        yield ask
        process.stdin.close()


def test_the_table_has_the_commands_worth_knowing():
    assert len(COMMANDS) == 18
    assert SWEEP in COMMANDS


@pytest.mark.parametrize(
    "line", [*(c for c in COMMANDS if c != SWEEP), "python run.py model=wide", "python run.py dataset=noise"]
)
def test_a_command_works(line, clone, serve):
    of_data = line.startswith("python -m pipeline") and "outputs/digits.h5" in line  # TensorFlow is not imported
    if "<name>" in line:
        line = line.replace("<name>/<trial>", "first/0").replace("<name>", "first")
    elif "<time>" in line:
        line = line.replace("<time>", max((clone / "outputs/runs").iterdir()).name)
    elif line.startswith("python run.py"):
        mode = SWEEP if " -m " in line else "python run.py"
        extra = [] if "dry_run" in line else [*SHORTER[mode]]
        if "coarse_to_fine" in line or "halving" in line:  # their stages have epochs of their own
            extra = ["sweep.n_trials=3"]
        extra += [] if "dry_run" in line or "model=" in line else ["model.hidden_layers=1"]
        line = " ".join([line, *extra])
    result = run(line, clone) if of_data else serve(line)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout


def test_make_sweep_shows_what_the_readme_shows(clone):
    """The command that a newcomer types first, and by it `python run.py -m`, but for the installing, which is what
    made this test run."""
    venv = clone / "venv"
    venv.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    (venv / ".installed").touch()
    result = subprocess.run(
        ["make", "sweep", f"VENV={venv}"], cwd=clone, capture_output=True, text=True, timeout=PATIENCE
    )
    assert result.returncode == 0, result.stdout + result.stderr
    excerpt = re.search(r"```\n(composing .+?)```", TEXT, re.DOTALL)[1]

    def shape(text: str) -> list[str]:
        """Lines with digits and ids left out, in an order that does not depend on which worker was faster."""
        kept = [line for line in text.splitlines() if not line.startswith(("make", "compare", "model", "sweep "))]
        numberless = (re.sub(r"[0-9.]+(e-?\d+)?", "#", line).strip() for line in kept if "…" not in line)
        return sorted(re.sub(" +", " ", line) for line in numberless)

    printed = set(shape(result.stdout))
    missing = [line for line in shape(excerpt) if line and line not in printed]
    assert not missing
    sweep = next(p for p in (clone / "outputs/sweeps").iterdir() if p.name != "first" and (p / "23").exists())
    assert (sweep / "best.yaml").exists()


def test_the_table_of_data_sets_has_all_of_them_and_their_keys():
    table = re.search(r"^\| NAME \| examples \| keys \|\n(.+?)\n\n", TEXT, re.MULTILINE | re.DOTALL)[1]
    rows = {name: row for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    files = {path.stem: path.read_text() for path in (ROOT / "conf/dataset").glob("*.yaml")}
    assert set(rows) == set(files)
    for name, text in files.items():
        keys = set(re.findall(r"^(\w+):", text, re.MULTILINE)) - {"_target_", "memory", "normalize", *FRACTIONS}
        assert [key for key in keys if f"`{key}" not in rows[name]] == [], name


def test_every_make_command_named_is_a_target():
    named = set(re.findall(r"`make (\w+)`", TEXT)) | set(re.findall(r"^make (\w+)", TEXT, re.MULTILINE))
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"sweep", "test", "check", "ui", "help"} <= named <= targets


def test_the_cuda_extra_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert "'.[cuda]'" in TEXT
    assert extras["cuda"][0].startswith("tensorflow[and-cuda]")


def test_no_registry_address_is_pinned():
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[A-Za-z0-9_.\-+]+", line) for line in pins)


def test_the_map_of_folders_is_complete():
    listed = set(
        re.findall(r"^(\w+(?:\.py)?)/?  +", re.search(r"## The folders\n\n```\n(.+?)```", TEXT, re.DOTALL)[1], re.M)
    )
    assert listed == {"run.py", "conf", "pipeline", "tests", "outputs"}


def test_the_range_that_a_user_is_told_to_add_is_searched(serve, clone):
    line = re.search(r"```yaml\nsearch:\n(  .+?)\n```", TEXT)[1]
    path = clone / "conf/model/mlp.yaml"
    before = path.read_text()
    path.write_text(before.replace("search:\n", f"search:\n{line}\n"))
    plan = serve("python run.py -m sweep.dry_run=true")
    path.write_text(before)
    assert plan.returncode == 0, plan.stderr
    assert re.search(r"model\.norm_momentum +tag\(one_minus_log, interval\(0\.5, 0\.99\)\)", plan.stdout)


def test_the_line_that_allows_code_of_one_s_own_still_allows_ours():
    """On the command line the list takes the place of that in config.yaml."""
    (listed,) = re.findall(r"'allowed_targets=\[(.+?)\]'", TEXT)
    own = OmegaConf.load(ROOT / "conf/config.yaml").allowed_targets
    assert [prefix for prefix in own if not prefix.startswith(tuple(listed.split(",")))] == []
    assert "my_package." in listed.split(",")
