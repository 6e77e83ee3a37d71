"""Dataclasses from plain values: what YAML, JSON or another program gave becomes a class at the door."""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pipeline.errors import InputError, nearest, one_of

T = TypeVar("T")
# A class that does not stand there as its fields -> the function that makes one of the class (or one derived from it),
# the value, and the key by which messages call it.
Readers = Mapping[type, Callable[[Any, Any, str], Any]]
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_hints = cache(get_type_hints)


def build(kind: type[T], value: Any, key: str = "", *, strict: bool = False, readers: Readers | None = None) -> T:
    """`value` as a `kind`: a dataclass from a mapping with its fields, of which absent ones have their defaults, and
    containers of them. What is one already stays as it is.

    key: what a message calls the value. strict: whether keys that are no fields are refused, rather than left out.
    Raises InputError for them, for a field without a default that is absent, and for a value of another type.
    """
    built: T = _Builder(strict, readers or {}).build(kind, value, key)
    return built


@dataclass(frozen=True)
class _Builder:
    strict: bool
    readers: Readers

    def build(self, kind: Any, value: Any, key: str) -> Any:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            choices = [choice for choice in arguments if choice is not type(None)]
            return None if value is None and len(choices) < len(arguments) else self.build(choices[0], value, key)
        if origin is Literal:
            if value not in arguments:
                raise one_of(key, value, arguments)
            return value
        if is_dataclass(kind):
            return value if isinstance(value, kind) else self._dataclass(kind, value, key)  # type: ignore[arg-type]
        if origin in (list, tuple):
            if not isinstance(value, Sequence) or isinstance(value, str):
                raise InputError(f"{key}={value} must be a list.")
            return origin(self.build(arguments[0], item, key) for item in value)
        if origin is not None and issubclass(origin, Mapping):
            return {name: self.build(arguments[1], item, _at(key, name)) for name, item in _section(value, key).items()}
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if kind in _WORDS and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise InputError(f"{key}={value} must be {_WORDS[kind]}.")
        return value

    def _dataclass(self, kind: Any, value: Any, key: str) -> Any:
        for base, read in self.readers.items():
            if issubclass(kind, base):
                return read(kind, value, key)
        section, hints = _section(value, key), _hints(kind)
        if self.strict and (extra := [name for name in section if name not in hints]):
            names = [_at(key, name) for name in hints]
            raise InputError(
                f"{_at(key, extra[0])} is not a key that anything reads.{nearest(_at(key, extra[0]), names)} "
                f"{'Those of ' + key if key else 'All'}: {', '.join(hints)}."
            )
        for f in fields(kind):
            if f.name not in section and f.default is MISSING and f.default_factory is MISSING:
                raise InputError(f"{_at(key, f.name)} is missing.")
        names = [f.name for f in fields(kind) if f.name in section]
        return kind(**{name: self.build(hints[name], section[name], _at(key, name)) for name in names})


def _section(value: Any, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{key}={value} must be a section with keys.")
    return value


def _at(key: str, name: str) -> str:
    return f"{key}.{name}".lstrip(".")
