"""What the target of a group takes, read from its source: importing a model would import Keras, for which nobody waits
only to be told of a misspelt key."""

import ast
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path

from pipeline.errors import InputError, first_of, nearest
from pipeline.schema import OpenGroup, Target

# What the runner gives of itself: how many arguments by their place, and which by name.
_GIVEN = {"model": 2, "schedule": 2, "sweep.sampler": 1, "experiment.figure": 1}
_NAMED = {"dataset": ("seed", "formats")}
_LISTED = ("train.callbacks", "tracking.subscribers")  # of several targets, whose keys are no keys of the config
MOST_REEXPORTS = 8  # modules from which a name may be imported, one from the other
# Keras' optimizers hand on what they don't name to this one, which refuses what it doesn't know.
_OPTIMIZERS, _OPTIMIZER = "keras.src.optimizers.", ("keras.src.optimizers.base_optimizer", "BaseOptimizer")


@dataclass(frozen=True)
class Accepted:
    """Arguments that a config may give to a target."""

    names: list[str]
    required: frozenset[str]
    more: bool  # whether it takes others, whatever their names


def check_arguments(key: str, target: Target) -> None:
    """Refuses an argument that the target does not take, and the lack of one that it needs, where its source says so;
    what that does not say is found when it is called. key: of the target in the config."""
    accepted = accepted_by(key, target.target)
    if accepted is None:
        return
    dotted = "" if key in _LISTED else f"{key}."
    where = f"{key}: " if key in _LISTED else dotted
    own = target.own_keys() if isinstance(target, OpenGroup) else []
    for name in target.arguments:
        if name in _NAMED.get(key, ()):
            raise InputError(f"{where}{name} is what the runner itself gives to {target.target}: leave it out.")
        if name in own and name not in accepted.names:
            raise InputError(f"{where}{name}={target.arguments[name]} must be true or false.")
        if not accepted.more and name not in accepted.names:
            hint = nearest(f"{dotted}{name}", [f"{dotted}{other}" for other in (*accepted.names, *own)])
            takes = f"it takes {first_of(accepted.names)}" if accepted.names else "it takes no key"
            raise InputError(f"{where}{name} is no argument of {target.target}: {takes}.{hint}")
    # What the runner reads itself it gives to a target that takes it, too.
    present = {*target.arguments, *(name for name in own if getattr(target, name) is not None)}
    for name in accepted.names:
        if name in accepted.required and name not in present:
            add = f" Add +{key}.{name}=VALUE." if dotted else ""
            raise InputError(f"{where}{name} is missing: {target.target} needs it.{add}")


def accepted_by(key: str, target: str) -> Accepted | None:
    """What the target under `key` takes of a config; None where its source does not say."""
    module, _, name = target.rpartition(".")
    if (definition := _definition(module, name)) is None:
        return None
    module, node = definition
    while isinstance(node, ast.ClassDef) and not _last(node.body, "__init__"):  # its base's, of which there is one
        base_class = node.bases[0] if len(node.bases) == 1 else None
        definition = _definition(module, base_class.id) if isinstance(base_class, ast.Name) else None
        if node.decorator_list or node.keywords or definition is None:
            return None
        module, node = definition
    if (arguments := _arguments(node)) is None:
        return None
    by_place = [*arguments.posonlyargs, *arguments.args][isinstance(node, ast.ClassDef) :]
    needed = by_place[: len(by_place) - len(arguments.defaults)]
    required = [*needed, *(a for a, value in zip(arguments.kwonlyargs, arguments.kw_defaults) if value is None)]
    listed = [a for a in by_place[_GIVEN.get(key, 0) :] if a not in arguments.posonlyargs] + arguments.kwonlyargs
    names, more = [a.arg for a in listed if a.arg not in _NAMED.get(key, ())], arguments.kwarg is not None
    if module.startswith(_OPTIMIZERS) and (module, node.name) != _OPTIMIZER:
        base = accepted_by(key, ".".join(_OPTIMIZER))
        names, more = list(dict.fromkeys([*names, *(base.names if base else [])])), base is None
    elif (module, node.name) == _OPTIMIZER:
        more = False
    return Accepted(names, frozenset(a.arg for a in required), more)


def _arguments(node: ast.FunctionDef | ast.ClassDef) -> ast.arguments | None:
    """Those by which it is called. None if a decorator or a base class may have changed them."""
    function: ast.stmt | None = node
    if isinstance(node, ast.ClassDef):
        exported = all("keras" in ast.unparse(decorator) for decorator in node.decorator_list)
        function = _last(node.body, "__init__") if exported and not node.keywords else None
    plain = isinstance(function, ast.FunctionDef) and not function.decorator_list
    return function.args if plain else None  # type: ignore[union-attr]


def _definition(
    module: str, name: str, left: int = MOST_REEXPORTS
) -> tuple[str, ast.FunctionDef | ast.ClassDef] | None:
    """The function or class of a name in a module, and the module that has it."""
    path = _source(module)
    node = _last(_statements(path, path.stat().st_mtime_ns), name) if path else None
    if isinstance(node, ast.ImportFrom) and not node.level and node.module and left:
        original = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
        return _definition(node.module, original, left - 1)
    return (module, node) if isinstance(node, ast.FunctionDef | ast.ClassDef) else None


def _last(statements: Iterable[ast.stmt], name: str) -> ast.stmt | None:
    """The last statement that gives something a name."""
    return next((node for node in reversed(list(statements)) if name in _names(node)), None)


def _names(node: ast.stmt) -> set[str]:
    """What a statement gives names to."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    names = set()
    for part in ast.walk(node):
        match part:
            case ast.Name(id=name, ctx=ast.Store()) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.alias(name=name, asname=asname):
                names.add(asname or name)
    return names


@lru_cache(maxsize=64)
def _statements(path: Path, changed: int) -> list[ast.stmt]:
    """changed: when the file was; of one that is not Python there are none."""
    try:
        return ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError, RecursionError, OSError):
        return []


def _source(module: str) -> Path | None:
    """The file of a module that is not imported for it."""
    first, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
        for place, _ in enumerate(rest, start=2):
            folders = spec.submodule_search_locations if spec else None
            spec = PathFinder.find_spec(".".join([first, *rest][:place]), folders) if folders else None
    except (ImportError, ValueError):  # no name of a module
        return None
    return Path(spec.origin) if spec and spec.has_location and spec.origin and spec.origin.endswith(".py") else None
