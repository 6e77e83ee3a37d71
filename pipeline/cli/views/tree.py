"""What any HDF5 file holds, a training state's too: its datasets and attributes."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py

from pipeline import crash, hdf5_contents
from pipeline.cli.views.text import brief, in_words, print_fact, show, size

Attributes = Mapping[str, Any]

UNREADABLE = "(unreadable)"  # a type that NumPy has not


@dataclass(frozen=True)
class Item:
    """A dataset, or a group that has attributes or is empty: the others show in the names."""

    name: str  # that of a group ends with /
    shape: tuple[int, ...] | None  # None of a group, and of a dataset without a value
    dtype: str | None
    attributes: Attributes
    reference: bool = False  # a link to another file, or a dataset of which the values lie in one


@dataclass(frozen=True)
class Tree:
    attributes: Attributes
    items: list[Item]
    progress: Mapping[str, Any] | None = None  # of a state.h5: how far its training is

    @classmethod
    def of(cls, file: h5py.File) -> "Tree":
        attributes, items = _attributes(file), []
        for name, item in hdf5_contents.members(file):
            if item is None:
                items.append(Item(name, None, None, {}, reference=True))
                continue
            own = _attributes(item)
            if isinstance(item, h5py.Dataset):
                items.append(Item(name, item.shape, _dtype(item), own, hdf5_contents.is_foreign(item)))
            elif own or not isinstance(item, h5py.Group) or not len(item):
                items.append(Item(f"{name}/", None, None, own))
        state = any(item.name.split("/")[0] == "model" for item in items)
        return cls(attributes, items, _progress(attributes) if state else None)

    @property
    def kind(self) -> str:
        return "hdf5" if self.progress is None else "state"

    def show(self) -> None:
        if self.progress is None:
            for key, value in self.attributes.items():
                print_fact(key, brief(value))
        else:
            for key in ("epoch", "best_epoch"):
                print_fact(key.replace("_", " "), self.progress.get(key, "?"))
            for key, value in self.progress.items():
                if key not in ("epoch", "best_epoch"):
                    print_fact(key.replace("_", " "), in_words(value))
        rows = []
        for item in self.items:
            attributes = ", ".join(f"{key}={brief(value)}" for key, value in item.attributes.items())
            rows.append(
                (
                    item.name,
                    "" if item.shape is None else size(item.shape),
                    item.dtype or ("in another file" if item.reference else ""),
                    attributes,
                )
            )
        sizes = [math.prod(item.shape) for item in self.items if item.shape is not None]
        what = "datasets" if self.progress is None else "variables"
        headings = ("name", "shape", "dtype", "attributes" if any(row[3] for row in rows) else "")
        print()
        show(headings, rows, title=f"{len(sizes)} {what}, {sum(sizes):,} values", words=4)


def _dtype(dataset: h5py.Dataset) -> str:
    try:
        return str(dataset.dtype)
    except TypeError:  # times, and whatever else NumPy has not
        return UNREADABLE


def _attributes(item: h5py.HLObject) -> Attributes:
    """The attributes of a group or dataset; one of a type that h5py can't read is said to be so."""
    values = {}
    for key in item.attrs:
        crash.reading()
        try:
            values[key] = item.attrs[key]
        except (OSError, TypeError, ValueError):
            values[key] = UNREADABLE
    return values


def _progress(attributes: Attributes) -> Mapping[str, Any] | None:
    try:
        progress = json.loads(attributes.get("progress", ""))
    except (TypeError, ValueError):
        return None
    return progress if isinstance(progress, dict) else None
