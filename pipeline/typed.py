"""Dataclasses from plain values: what YAML, JSON or another program gave becomes a class at the door."""

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pipeline.errors import InputError, nearest

T = TypeVar("T")
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def build(kind: type[T], value: Any, key: str = "", *, strict: bool = False) -> T:
    """`value` as a `kind`: a dataclass from a mapping with its fields, of which absent ones have their defaults, and
    containers of them. What is one already stays as it is.

    key: what a message calls the value. strict: whether keys that are no fields are refused, rather than left out.
    Raises InputError for them, and for a value of another type.
    """
    built: T = _build(kind, value, key, strict)
    return built


def _build(kind: Any, value: Any, key: str, strict: bool) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        choices = [choice for choice in arguments if choice is not type(None)]
        return None if value is None and len(choices) < len(arguments) else _build(choices[0], value, key, strict)
    if is_dataclass(kind):
        if isinstance(value, kind):  # type: ignore[arg-type]
            return value
        if not isinstance(value, Mapping):
            raise InputError(f"{key}={value} must be a section with keys.")
        hints = _hints(kind)  # type: ignore[arg-type]
        if strict and (extra := [name for name in value if name not in hints]):
            full = f"{key}.{extra[0]}".lstrip(".")
            raise InputError(f"{full} is not a key that anything reads.{nearest(str(extra[0]), hints)}")
        names = [f.name for f in fields(kind) if f.init and f.name in value]
        return kind(**{name: _build(hints[name], value[name], f"{key}.{name}".lstrip("."), strict) for name in names})  # type: ignore[operator]
    if origin in (list, tuple):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise InputError(f"{key}={value} must be a list.")
        return origin(_build(arguments[0], item, key, strict) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise InputError(f"{key}={value} must be a section with keys.")
        return {name: _build(arguments[1], item, f"{key}.{name}".lstrip("."), strict) for name, item in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in KINDS and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise InputError(f"{key}={value} must be {KINDS[kind]}.")
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
