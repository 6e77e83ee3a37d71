"""What comes from the environment may be a secret: it is used, and neither shown nor written."""

import os
import re

from omegaconf import OmegaConf
from omegaconf.resolvers.oc import env

SHORTEST = 4  # letters of a secret: less would be found in any text
_values: dict[str, str] = {}  # value -> the variable that it was taken from


def install() -> None:
    """Makes OmegaConf's `${oc.env:NAME}` note what it gives."""
    OmegaConf.register_new_resolver("oc.env", _noted, replace=True)


def note_names(text: str) -> None:
    """Notes what the variables hold that a config's text takes from the environment: of one that is read, and not
    resolved."""
    for name in re.findall(r"\$\{oc\.env:\s*(\w+)", text):
        if len(value := os.environ.get(name, "")) >= SHORTEST:
            _values[value] = name


def _noted(*words: str) -> str | None:
    value = env(*words)
    if isinstance(value, str) and len(value) >= SHORTEST:
        _values[value] = words[0]
    return value


def masked(text: str) -> str:
    """A message about an address, without what came from the environment and without a password in the address."""
    for value in sorted(_values, key=len, reverse=True):
        text = text.replace(value, f"${{oc.env:{_values[value]}}}")
    return re.sub(r"://[^/@\s]+@", "://…@", text)
