"""Calling what a config names: `_target_` is imported, the other keys are its keyword arguments."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from pipeline.errors import InputError, nearest

# Keys of a group that the runner itself reads; everything else goes to the target.
RUNNER_KEYS = {
    "dataset": {"_target_", "search"},
    "model": {"_target_", "search", "head", "widths"},
    "optimizer": {"_target_", "search"},
    "schedule": {"_target_", "search", "warmup_epochs"},
    "figure": {"_target_"},
}


def locate(target: str) -> Callable[..., Any]:
    """The callable at a dotted path. Raises InputError with the nearest name if there is none."""
    module_name, _, name = target.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise InputError(f"_target_={target} can't be imported: {error}.") from None
    found = getattr(module, name, None)
    # What a module of ours only imports (numpy, this function) is not what its prefix allows.
    borrowed = module_name.startswith("pipeline.") and getattr(found, "__module__", None) != module_name
    if not callable(found) or borrowed:
        public = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
        raise InputError(f"_target_={target}: {module_name} has no callable '{name}'.{nearest(name, public)}")
    return found


def arguments(group: str, node: dict[str, Any]) -> dict[str, Any]:
    """What of a group's config goes to its target."""
    return {key: value for key, value in node.items() if key not in RUNNER_KEYS[group]}


def call(group: str, node: dict[str, Any], *positional: Any, **given: Any) -> Any:
    """Calls the group's target with the config's arguments and those that the runner gives.

    Raises InputError if a key is not an argument of the target or a required one is missing.
    """
    function = locate(node["_target_"])
    keywords = {**arguments(group, node), **given}
    try:
        inspect.signature(function).bind(*positional, **keywords)
    except TypeError as error:
        names = [p.name for p in inspect.signature(function).parameters.values() if p.kind != p.VAR_KEYWORD]
        extra = [key for key in keywords if key not in names]
        hint = nearest(extra[0], names) if extra else ""
        raise InputError(f"{group}: {node['_target_']} does not take this config: {error}.{hint}") from None
    try:
        return function(*positional, **keywords)
    # Keras checks most arguments itself, and says so on its first line.
    except (TypeError, ValueError, MemoryError, OverflowError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{group}: {node['_target_']}: {reason}") from error
