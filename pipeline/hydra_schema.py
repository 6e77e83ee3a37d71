"""The schema as Hydra and OmegaConf take it: types of everything that the runner reads itself."""

import types
from collections.abc import Mapping
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import field, fields, is_dataclass, make_dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from hydra.core.config_store import ConfigStore

from pipeline import hydra_loading, secret
from pipeline.schema import Config, Plain, Target


def register() -> None:
    """Makes the schema known to Hydra under the name that conf/config.yaml starts its defaults with, and Hydra check
    what it loads."""
    hydra_loading.install()
    secret.install()
    ConfigStore.instance().store(name="schema", node=_node_type(Config))


@cache
def _node_type(kind: type) -> type:
    """A dataclass with the fields of a frozen one that OmegaConf lets overrides change: nodes of frozen ones it makes
    read-only. What is open to any key is a plain mapping."""
    if issubclass(kind, Target):
        return Plain
    nodes = []
    for f in fields(kind):  # type: ignore[arg-type]
        default: Any = f.default
        if isinstance(default, Target):
            default = field(default_factory=dict)
        elif default is NO_DEFAULT:
            factory: Any = dict if f.default_factory is NO_DEFAULT else f.default_factory
            default = field(default_factory=_node_type(factory) if factory not in (dict, list) else factory)
        nodes.append((f.name, _node_hint(get_type_hints(kind)[f.name]), default))
    return make_dataclass(kind.__name__, nodes)


def _node_hint(hint: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is types.UnionType:
        return _node_hint(arguments[0]) | None
    if is_dataclass(hint):
        return _node_type(hint)  # type: ignore[arg-type]
    if origin is dict:
        return dict[str, _node_hint(arguments[1])]  # type: ignore[misc]
    if origin is list:
        return list[_node_hint(arguments[0])]  # type: ignore[misc]
    return Plain if origin is Mapping else hint
