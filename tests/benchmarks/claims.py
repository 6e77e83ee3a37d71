"""Two of the course's claims on the tables of curves: searches of trained trials, replayed more often than trained."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from pipeline.experiments.evidence import estimate, lower_by
from pipeline.experiments.random_vs_grid import grid_places
from pipeline.search.refine import refine
from pipeline.search.space import Choice, params_at
from tests.benchmarks.curves import EPOCHS, TASKS, Curves, curves, curves_file

FIRST, OTHERS = range(200), range(200, 400)  # seeds of the draws: that find, and that confirm
BUDGETS = (8, 16, 32, 64)  # trials of all epochs
KEEP, MARGIN = 0.25, 0.1  # as in conf/sweep/coarse_to_fine.yaml


def claims(folder: Path, options: Namespace) -> Iterator[str]:
    """Coarse to fine and a grid against random search, replayed on five tables of curves.

    By which share the lowest loss is lower, mean and 95 % interval of 200 searches, and of 200 others.
    """
    yield f"{'':14} {'':38} first searches             other searches"
    for task in TASKS:
        table = curves(curves_file(task, folder, lambda line: print(f"  {line}", flush=True)))
        for budget in BUDGETS:
            what = f"coarse to fine below random, {budget:2} trials"
            yield row(task, what, {seed: coarse_to_fine(table, budget, seed) for seed in (*FIRST, *OTHERS)})
        ranges = sum(not isinstance(dist, Choice) for dist in table.space.values())
        for side in (2, 3):
            what = f"random below a grid, {side} values of {ranges}"
            yield row(task, what, {seed: random_over_grid(table, side, seed) for seed in (*FIRST, *OTHERS)})


def row(task: str, what: str, gains: Mapping[int, float]) -> str:
    first, others = (estimate(gains[seed] for seed in seeds) for seeds in (FIRST, OTHERS))
    return f"{task:14} {what:38} {first.text('{:.1%}'):26} {others.text('{:.1%}')}"


def coarse_to_fine(table: Curves, budget: int, seed: int) -> float:
    """Of as many short trials as random search has long ones, and half as many long ones around the best of them."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(table.losses), budget, replace=False)
    short, whole = table.lowest[:, (EPOCHS - 1) // 2 - 1], table.lowest[:, -1]  # 13 of 27 epochs
    places = table.coordinates[drawn[np.argsort(short[drawn])]]
    ranked = [params_at(table.space, dict(zip(table.space, at, strict=True))) for at in places.tolist()]
    region = refine(table.space, ranked, table.space, KEEP, MARGIN)
    free = np.ones(len(table.losses), bool)
    free[drawn] = False
    fine = []
    for _ in range(budget // 2):
        values = {key: dist.at(u) for (key, dist), u in zip(region.items(), rng.random(len(region)), strict=True)}
        asked = np.array([dist.coordinate(values[key]) for key, dist in table.space.items()])
        fine.append(table.taken(asked, free))
    return lower_by(min(short[drawn].min(), whole[fine].min()), whole[drawn].min())


def random_over_grid(table: Curves, side: int, seed: int) -> float:
    """Of a grid over all ranges, put down anywhere, with any values of the choices, and as many random trials."""
    rng = np.random.default_rng(seed)
    ranges = [place for place, dist in enumerate(table.space.values()) if not isinstance(dist, Choice)]
    places = grid_places(side, rng.random(len(ranges)))
    asked = np.array([[dist.place(u) for dist in table.space.values()] for u in rng.random(len(places))])
    for column, key in enumerate(ranges):
        dist = list(table.space.values())[key]
        asked[:, key] = [dist.place(u) for u in places[:, column]]
    free, whole = np.ones(len(table.losses), bool), table.lowest[:, -1]
    grid = [table.taken(at, free) for at in asked]
    return lower_by(whole[rng.choice(len(whole), len(places), replace=False)].min(), whole[grid].min())


REPORTS = {"claims": claims}
