"""Text for a terminal: broken between words, and never within one."""

import pytest

from pipeline.layout import fitted, folded, shortened, split_same, total_width, wrapped


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
    columns = [
        ("trial", ["1", "2"]),
        ("model.hidden_units", ["[64,64,64,64,64,64,64]", "[8]"]),
        ("seconds", ["1.0", "2.0"]),
    ]
    table = fitted(columns, 36, 9)
    assert [name for name, _ in table] == ["trial", "model.\nhidden_\nunits", "seconds"]
    assert table[1][1] == ["[64,64,64,64,64,\n64,64]", "[8]"]
    assert total_width(table) == 34


def test_what_is_the_same_in_all_rows_is_no_column():
    columns = [("a", ["1", "1"]), ("b", ["1", "2"]), ("c", ["1", "1"])]
    shown, same = split_same(columns, kept=["c"])
    assert ([name for name, _ in shown], same) == (["b", "c"], {"a": "1"})
    assert split_same([*columns, columns[1]], kept=[])[1] == {}  # which of two it is, its neighbours say
    assert split_same([("a", ["1"])], kept=[])[1] == {}


def test_keys_lose_their_group_where_that_is_clear():
    assert shortened(["optimizer.momentum", "model.units", "data.units", "seed"]) == [
        "momentum",
        "model.units",
        "data.units",
        "seed",
    ]
