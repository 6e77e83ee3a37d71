"""Values as Hydra's overrides write them."""

import re
from typing import Any


def to_text(value: Any) -> str:
    """A value as the right-hand side of a Hydra override, such that Hydra reads the same value back."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return "[" + ",".join(map(to_text, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{to_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str) and not _bare(value):
        return "'" + value.replace("'", "\\'") + "'"
    return str(value)


def _bare(text: str) -> bool:
    """Whether Hydra reads the text back as this very string without quotes around it."""
    return re.fullmatch(r"[A-Za-z_][\w./-]*", text, re.ASCII) is not None and text.lower() not in _WORDS


_WORDS = ("true", "false", "null", "nan", "inf")
