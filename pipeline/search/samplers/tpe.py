"""Tree-structured Parzen estimators: points that are likely among good trials and unlikely among others (Bergstra et
al. 2011), all parameters of a point together."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.search.samplers.optuna import OptunaSampler

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial


class Tpe(OptunaSampler):
    startup = 10
    most = 300  # of which Optuna takes the best 25 to be good; so a point costs no more, however long the sweep

    def make(self, seed: int, known: "Sequence[FrozenTrial]") -> "BaseSampler":
        from optuna.samplers import TPESampler

        return TPESampler(seed=seed, n_startup_trials=self.startup)
