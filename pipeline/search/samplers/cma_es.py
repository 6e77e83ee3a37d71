"""Covariance matrix adaptation: each generation is drawn from a normal distribution that the best of the one before
have moved and bent (Hansen & Ostermeier 2001). It begins around the best tenth of what is known (Nomura et al. 2021).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.search.samplers.optuna import OptunaSampler
from pipeline.search.samplers.sampler import Search
from pipeline.search.space import Choice

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial


class CmaEs(OptunaSampler):
    startup = 10  # the fewest of which there is a best tenth
    most = 600  # it looks through them all, for the last generation, in which Optuna keeps its state
    complete_only = True

    def __init__(self, search: Search) -> None:
        keys = {key: isinstance(dist, Choice) for space in search.spaces for key, dist in space.items()}
        self._choices = [key for key, is_choice in keys.items() if is_choice]
        if keys and len(self._choices) == len(keys):
            raise InputError(
                f"sweep=cma_es learns of ranges only, and nothing but choices is searched ({', '.join(keys)}). "
                "Use sweep=tpe."
            )
        super().__init__(search)

    def notes(self) -> Sequence[str]:
        drawn = ", ".join(self._choices)
        return [f"sweep=cma_es learns of ranges only: {drawn} is drawn at random"] if drawn else []

    def make(self, seed: int, known: "Sequence[FrozenTrial]") -> "BaseSampler":
        from optuna.distributions import FloatDistribution
        from optuna.samplers import CmaEsSampler
        from optuna.trial import create_trial

        source = []
        for trial in (trial for trial in known if trial.value is not None):
            ranges = {
                key: dist
                for key, dist in trial.distributions.items()
                if isinstance(dist, FloatDistribution) and not dist.single()
            }
            at = {key: trial.params[key] for key in ranges}
            source += [create_trial(value=trial.value, params=at, distributions={**ranges})] if ranges else []
        enough = len(source) >= self.startup
        return CmaEsSampler(seed=seed, popsize=max(2, self.of_each_arm), source_trials=source if enough else None)
