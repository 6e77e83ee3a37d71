"""Data sets by config, kept in memory as long as they are small: trials mostly share them."""

import json
from collections import OrderedDict
from typing import Any

from pipeline.data.splits import Splits
from pipeline.targets import call

KEPT_BYTES = 2**30

_splits: OrderedDict[str, Splits] = OrderedDict()


def load_splits(config: dict[str, Any]) -> Splits:
    """The data set of a config, split by its seed; the same object for the same config."""
    key = json.dumps([config["dataset"], config["seed"]], sort_keys=True)
    if key not in _splits:
        splits = call("dataset", config["dataset"], seed=config["seed"])
        while _splits and sum(s.nbytes for s in _splits.values()) + splits.nbytes > KEPT_BYTES:
            _splits.popitem(last=False)
        _splits[key] = splits
    _splits.move_to_end(key)
    return _splits[key]
