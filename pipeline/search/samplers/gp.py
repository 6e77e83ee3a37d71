"""Bayesian optimisation with a Gaussian process: few trials, each long (Snoek, Larochelle & Adams 2012)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.search.samplers.optuna import OptunaSampler, need_torch
from pipeline.search.samplers.sampler import Search

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial


class Gp(OptunaSampler):
    startup = 10
    most = 400
    complete_only = True

    def __init__(self, search: Search) -> None:
        need_torch("sweep=gp")
        super().__init__(search)

    def make(self, seed: int, known: "Sequence[FrozenTrial]") -> "BaseSampler":
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed, n_startup_trials=self.startup)
