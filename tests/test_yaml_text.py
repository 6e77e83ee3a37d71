"""Files of config that would take endless time, memory or levels: a line, at once."""

import time

import pytest
import yaml

from pipeline.errors import InputError
from pipeline.yaml_text import MOST_DIGITS, MOST_LEVELS, MOST_VALUES, check_text
from tests.conftest import here

LIMIT = 20.0  # seconds, of which they take a tenth of one, and what never ends would take hours
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{p: *a{i - 1}, q: *a{i - 1}}}\n" for i in range(1, 40))
REFUSED = [
    (BOMB, "f, line 6: more than 100000 values, aliases (*name) written out."),
    (MERGES, "more than 100000 values, aliases"),
    ("a: &a [1, *a]", "f, line 1: *a stands within what it names."),
    ("a: &a {b: {c: *a}}", "f, line 1: *a stands within what it names."),
    ("a: " + "[" * 400 + "]" * 400, "f, line 1: more than 50 sections or lists within each other."),
    ("a: " + "{b: " * 3000 + "1" + "}" * 3000, "more than 50 sections or lists"),
    ("\n".join(" " * i + "a:" for i in range(400)), "more than 50 sections or lists"),
    ("seed: " + "1" * 5000, "f, line 1: a number of 5000 digits; 1000 are the most."),
    ("seed: -0x" + "1" * 5000, "a number of 500"),
    ("a: [" + "1, " * MOST_VALUES + "1]", "more than 100000 values"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[message[-40:] for _, message in REFUSED])
def test_what_would_never_be_built_is_refused_at_once(text, message):
    begun = time.process_time()
    with pytest.raises(InputError) as raised:
        check_text(text, "f")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert time.process_time() - begun < LIMIT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: &a {b: 1}\nc: *a\nd: {<<: *a}",
        "a: " + "[" * (MOST_LEVELS - 1) + "]" * (MOST_LEVELS - 1),
        "a: " + "1" * (MOST_DIGITS - 1),
        "a: '" + "1" * 5000 + "'",  # text
        "a: key" + "1" * 5000,
    ],
)
def test_what_can_be_built_passes(text):
    check_text(text, "f")
    yaml.safe_load(text)


@pytest.mark.parametrize("name", ["dataset/odd", "experiment/odd"])
@pytest.mark.parametrize("text", [BOMB, "a: " + "[" * 3000, "seed: " + "1" * 5000])
def test_a_run_with_such_a_file_ends_at_once(name, text, tmp_path):
    path = tmp_path / f"conf/{name}.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    begun = time.process_time()
    result = here(f"--config-dir={tmp_path}/conf", name.replace("/", "="), cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith(f"{path}, line ")
    assert len(result.stderr.splitlines()) == 1
    assert time.process_time() - begun < LIMIT
