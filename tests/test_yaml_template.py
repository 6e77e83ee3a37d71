"""A template gives the very text that OmegaConf writes, whatever stands in its places."""

import pytest
from omegaconf import OmegaConf

from pipeline.yaml_template import YamlTemplate

CONFIG = {"a": {"b": 1, "on": {"c": None, "d": [1, 2]}}, "e": "${a.b}", "f": "ä: b", "g": {}}
KEYS = ("a.b", "a.on.c", "e", "a.on.d")
VALUES = [
    0,
    1e-05,
    0.1,
    True,
    None,
    "on",
    "1e3",
    "null",
    "",
    "a: b",
    "é",
    "#",
    [],
    [64, 32],
    ["a", None, 0.5],
    "x y " * 40,
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("key", KEYS)
def test_the_text_is_omegaconf_s(key, value):
    expected = OmegaConf.create(CONFIG)
    OmegaConf.update(expected, key, value, merge=False)
    text = YamlTemplate(CONFIG, [key]).filled([value])
    assert OmegaConf.create(text) == expected
    if not (isinstance(value, str) and len(value) > 80):  # which is folded at another column
        assert text == OmegaConf.to_yaml(expected)


def test_several_places_are_filled_in_the_order_of_their_keys():
    template = YamlTemplate(CONFIG, KEYS)
    for values in ([[1, 2], "x", 3, 4], [4, 3, "x", [1, 2]]):
        expected = OmegaConf.create(CONFIG)
        for key, value in zip(KEYS, values, strict=True):
            OmegaConf.update(expected, key, value, merge=False)
        assert template.filled(values) == OmegaConf.to_yaml(expected)


def test_without_places_it_is_the_config():
    assert YamlTemplate(CONFIG, ()).filled(()) == OmegaConf.to_yaml(OmegaConf.create(CONFIG))
