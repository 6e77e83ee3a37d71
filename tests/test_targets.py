import sys

import pytest

from pipeline.errors import InputError
from pipeline.schema import Model, Target
from pipeline.targets import call, locate

MODULE = '''
VALUE = 3

def area(side, *, height, unit="cm"):
    """Asked for by the tests."""
    if height < 0:
        raise ValueError(f"height={height} is negative\\nand this line is for developers")
    if height == 13:
        return None + 1
    if height == 14:
        raise ValueError
    if height == 99:
        raise RuntimeError("nobody expects it")
    return side, height, unit

class Box:
    def __init__(self, width):
        self.width = width
'''


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    (tmp_path / "shapes_for_tests.py").write_text(MODULE)
    (tmp_path / "broken_for_tests.py").write_text("import no_such_module_anywhere")
    monkeypatch.syspath_prepend(tmp_path)
    yield "shapes_for_tests"
    sys.modules.pop("shapes_for_tests", None)


def test_locate_imports_a_callable(shapes):
    assert locate(f"{shapes}.area")(1, height=2) == (1, 2, "cm")
    assert locate(f"{shapes}.Box")(5).width == 5


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("shapes_for_tests.aera", "shapes_for_tests has no callable 'aera'. Did you mean 'area'?"),
        ("shapes_for_tests.VALUE", "has no callable 'VALUE'"),
        ("no_such_package_anywhere.area", "_target_=no_such_package_anywhere.area can't be imported: No module"),
        ("broken_for_tests.area", "can't be imported: No module named 'no_such_module_anywhere'"),
        ("pipeline.models.mlp.dense_block", "pipeline.models.mlp has no callable 'dense_block'"),  # only imported there
        ("pipeline.data.sets.planar.np", "pipeline.data.sets.planar has no callable 'np'"),
        ("area", "_target_=area can't be imported"),
        ("", "_target_= can't be imported"),
    ],
)
def test_locate_refuses(shapes, target, message):
    with pytest.raises(InputError) as raised:
        locate(target)
    assert message in str(raised.value)


def test_call_passes_config_and_given_arguments(shapes):
    model = Model(f"{shapes}.area", {"height": 2}, head="softmax", widths=["height"])
    assert call("model", model, 7) == (7, 2, "cm")
    assert call("model", model, 7, unit="m") == (7, 2, "m")
    assert call("model", Target(f"{shapes}.Box"), width=1).width == 1


def test_given_arguments_win_over_the_config(shapes):
    assert call("dataset", Target(f"{shapes}.area", {"height": 2, "unit": "m"}), 1, unit="km")[2] == "km"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heigth": 2}, "Did you mean 'height'?"),
        ({"height": 2, "zebra": 1}, "unexpected keyword argument 'zebra'."),
        ({}, "missing a required"),
        ({"side": 1, "height": 2}, "multiple values for argument 'side'"),
        ({"height": -1}, "dataset: shapes_for_tests.area: height=-1 is negative"),
        ({"height": 13}, "unsupported operand"),
        ({"height": 14}, "dataset: shapes_for_tests.area: ValueError"),
    ],
)
def test_call_refuses_on_one_line(shapes, arguments, message):
    with pytest.raises(InputError) as raised:
        call("dataset", Target(f"{shapes}.area", arguments), 7)
    assert message in str(raised.value)
    assert str(raised.value).startswith("dataset: shapes_for_tests.area")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("height", "message"),
    [
        (-1, "height=-1 is negative ({}, line 7)"),
        (13, "unsupported operand type(s) for +: 'NoneType' and 'int' ({}, line 9)"),
        (99, "RuntimeError: nobody expects it ({}, line 13)"),
    ],
)
def test_call_says_where_the_user_s_own_code_fails(shapes, tmp_path, height, message):
    with pytest.raises(InputError) as raised:
        call("dataset", Target(f"{shapes}.area", {"height": height}), 7)
    assert str(raised.value) == f"dataset: {shapes}.area: " + message.format(tmp_path / f"{shapes}.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ndef area(:\n", "SyntaxError: invalid syntax (faulty_for_tests.py, line 2)"),
        ("x = 1\ny = {}['height']\n", "KeyError: 'height' ({}, line 2)"),
        ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere' ({}, line 1)"),
    ],
)
def test_a_module_that_can_t_be_imported_is_named_with_the_line(tmp_path, monkeypatch, text, message):
    path = tmp_path / "faulty_for_tests.py"
    path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError) as raised:
        locate("faulty_for_tests.area", "metrics.area")
    told = message.replace("({},", f"({path},")
    assert str(raised.value) == f"metrics.area=faulty_for_tests.area can't be imported: {told}."


def test_a_fault_of_ours_is_no_mistake_of_the_user_s(monkeypatch):
    def fault(*args, **keywords):
        raise RuntimeError("not the user's fault")

    monkeypatch.setattr("pipeline.models.mlp.mlp", fault)
    fault.__module__ = "pipeline.models.mlp"
    with pytest.raises(RuntimeError, match="not the user's fault"):
        call("model", Target("pipeline.models.mlp.mlp"))
