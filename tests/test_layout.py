"""Text for a terminal: broken between words, and never within one."""

import pytest

from pipeline.layout import fitted, folded, same_in_all, shortened, total_width, wrapped


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("optimizer.learning_rate", ["optimizer.", "learning_", "rate"]),
        ("[128,64,32,16,8]", ["[128,64,", "32,16,8]"]),
        ("0.0024310", ["0.0024310"]),
        ("-1.25e-05", ["-1.25e-05"]),
        ("tag(log, interval(1e-4, 0.1))", ["tag(log,", "interval(1e-4,", "0.1))"]),
        ("unbreakable", ["unbreakable"]),
        ("__", ["__"]),
        ("", [""]),
    ],
)
def test_names_and_lists_are_broken_behind_what_divides_them(text, lines):
    assert folded(text, 9).split("\n") == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short", ["short"]),
        ("  trial 1  a=0.5  b=0.25", ["  trial 1  a=0.5", "      b=0.25"]),
        ("to /a/path/that/is/longer/than/it", ["to", "    /a/path/that/is/longer/than/it"]),
        ("two\n  lines", ["two", "  lines"]),
    ],
)
def test_a_line_is_broken_between_words(text, lines):
    assert wrapped(text, 20).split("\n") == lines


def test_long_cells_are_folded_first():
    columns = {"trial": ["1", "2"], "model.hidden_units": ["[64,64,64,64,64,64,64]", "[8]"], "seconds": ["1.0", "2.0"]}
    table = fitted(columns, 36, 9)
    assert list(table) == ["trial", "model.\nhidden_\nunits", "seconds"]
    assert table["model.\nhidden_\nunits"] == ["[64,64,64,64,64,\n64,64]", "[8]"]
    assert total_width(table) == 34


def test_what_is_the_same_in_all_rows():
    assert same_in_all({"a": ["1", "1"], "b": ["1", "2"]}) == {"a": "1"}
    assert same_in_all({"a": ["1"]}) == {}


def test_keys_lose_their_group_where_that_is_clear():
    assert shortened(["optimizer.momentum", "model.units", "data.units", "seed"]) == [
        "momentum",
        "model.units",
        "data.units",
        "seed",
    ]
