"""Calling what a config names: a target is imported, and called with the config's arguments."""

import importlib
import inspect
import sysconfig
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from pipeline.errors import InputError, first_line, in_one_line, nearest, one_of, out_of_memory
from pipeline.schema import Target

Kind = TypeVar("Kind")
# What says by itself that an argument is wrong. Keras checks most arguments so, and says why on the first line.
_COMPLAINTS = (ImportError, TypeError, ValueError, MemoryError, OverflowError)
# Whose lines are no place to look for a mistake of the user's.
_NOT_THEIRS = (str(Path(__file__).parent), sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), "<")


def locate(target: str, key: str = "_target_") -> Callable[..., Any]:
    """The callable at a dotted path, which `key` names. Raises InputError with the nearest name if there is none."""
    module_name, _, name = target.rpartition(".")
    module = _module(module_name, f"{key}={target}")
    item = getattr(module, name, None)
    # What a module of ours only imports (numpy, this function) is not what its prefix allows.
    borrowed = module_name.startswith("pipeline.") and getattr(item, "__module__", None) != module_name
    if not callable(item) or borrowed:
        public = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
        raise InputError(f"{key}={target}: {module_name} has no callable '{name}'.{nearest(name, public)}")
    function: Callable[..., Any] = item
    return function


def entry(what: str, name: str, names: Mapping[str, str], kind: type[Kind]) -> Kind:
    """The object that a map of the config, such as `scales`, calls `name`. what: what asks for it, for the error.

    names: name -> dotted path. Raises InputError for a name that is not there, and for a path to nothing of `kind`.
    """
    if name not in names:
        raise one_of(what, name, names)
    module_name, _, last = names[name].rpartition(".")
    module = _module(module_name, f"{what}={name}: {names[name]}")
    value = getattr(module, last, None)
    if not isinstance(value, kind):
        alike = [n for n, item in vars(module).items() if isinstance(item, kind)]
        raise InputError(f"{what}={name}: {module_name} has no {kind.__name__} '{last}'.{nearest(last, alike)}")
    return value


def _module(name: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        if name.startswith("pipeline.") and not isinstance(error, ImportError | ValueError):
            raise
        raise InputError(f"{what} can't be imported: {problem(error)}.") from None


def problem(error: Exception) -> str:
    """What is wrong with code that a config names, in one line: with the file and the line if it is the user's."""
    text = first_line(error) if isinstance(error, _COMPLAINTS) else in_one_line(error)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_NOT_THEIRS)]
    if not frames or isinstance(error, SyntaxError):  # which says where it is
        return text
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})"


def takes(target: Target, name: str) -> bool:
    """Whether what a config names has an argument of this name."""
    return name in inspect.signature(locate(target.target)).parameters


def call(group: str, target: Target, *positional: Any, **keywords: Any) -> Any:
    """Calls a target with the config's arguments and those that the runner gives.

    group: what messages call it. Raises InputError if a key is not an argument of the target or a required one is
    missing, and for what the target itself raises, unless it is one of ours that has a fault.
    """
    function = locate(target.target)
    keywords = {**target.arguments, **keywords}
    try:
        inspect.signature(function).bind(*positional, **keywords)
    except TypeError as error:
        names = [p.name for p in inspect.signature(function).parameters.values() if p.kind != p.VAR_KEYWORD]
        extra = [key for key in keywords if key not in names]
        hint = nearest(extra[0], names) if extra else ""
        raise InputError(f"{group}: {target.target} does not take this config: {error}.{hint}") from None
    try:
        return function(*positional, **keywords)
    except Exception as error:
        fault = target.target.startswith("pipeline.") or out_of_memory(error)
        if isinstance(error, InputError) or (fault and not isinstance(error, _COMPLAINTS)):
            raise
        raise InputError(f"{group}: {target.target}: {problem(error)}") from error
