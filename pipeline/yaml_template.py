"""The YAML of configs that differ in a few values: all but these is written once, for it takes 25 ms."""

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import getitem
from typing import Any

import yaml
from omegaconf._utils import get_omega_conf_dumper

_PLACE = re.compile(r"^( *)(.*): __value_(\d+)__\n", re.MULTILINE)


class YamlTemplate:
    """A config as plain values, with places for those of some dotted keys."""

    def __init__(self, values: Mapping[str, Any], keys: Iterable[str]) -> None:
        marked = copy.deepcopy(dict(values))
        for i, key in enumerate(keys):
            *path, last = key.split(".")
            reduce(getitem, path, marked)[last] = f"__value_{i}__"
        self._pieces = _PLACE.split(_dumped(marked))  # text, indentation, name and number of a key, text …

    def filled(self, values: Sequence[Any]) -> str:
        """The text with these values in the places of the keys, as OmegaConf writes it."""
        result = [self._pieces[0]]
        for indentation, name, number, text in zip(*(self._pieces[i::4] for i in range(1, 5)), strict=True):
            lines = _dumped({"_": values[int(number)]}).removeprefix("_").splitlines()
            result += [f"{indentation}{name}{lines[0]}\n", *(f"{indentation}{line}\n" for line in lines[1:]), text]
        return "".join(result)


def _dumped(values: Mapping[str, Any]) -> str:
    dumper = get_omega_conf_dumper()
    text: str = yaml.dump(values, Dumper=dumper, default_flow_style=False, allow_unicode=True, sort_keys=False)
    return text
