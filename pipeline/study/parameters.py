"""How many parameters models have, for sweep.max_parameters: workers count, for the parent builds no model."""

import json
from collections.abc import Sequence

from pipeline.errors import InputError
from pipeline.layout import counted
from pipeline.records import CountJob, Failure
from pipeline.schema import Config, leaves
from pipeline.tracking.display import print_line
from pipeline.workers.executor import Executor, ask

MOST_TRIES = 500  # points left out one after the other, of a space in which nothing is small enough


class ModelSizes:
    """Says which models are too large. Each structure is counted once."""

    def __init__(self, most: int, executor: Executor) -> None:
        self.most, self._executor = most, executor
        self._counts: dict[str, int | None] = {}  # None: it can't be built, which its trial says
        self._told: dict[str, int] = {}  # by stage: how many points it was said that it leaves out
        self._left_out: list[int] = []  # parameters of models left out since one was not

    def allowed(self, configs: Sequence[Config]) -> list[bool]:
        """Of each, whether its model is small enough. Raises InputError where that has long been so of none."""
        keys = [_structure(config) for config in configs]
        missing = {key: config for key, config in zip(keys, configs, strict=True) if key not in self._counts}
        if missing:
            answer = ask(self._executor, CountJob(0, tuple(missing.values())))
            if isinstance(answer, Failure):
                raise InputError(f"sweep.max_parameters: models can't be counted, {answer.reason}.")
            assert isinstance(answer, list)
            self._counts |= dict(zip(missing, answer, strict=True))
        counts = [self._counts[key] for key in keys]
        result = [count is None or count <= self.most for count in counts]
        self._left_out += [count for count in counts if count is not None and count > self.most]
        if any(result):
            self._left_out.clear()
        elif len(self._left_out) >= MOST_TRIES:
            self.refuse()
        return result

    def refuse(self) -> None:
        """Raises InputError: nothing is small enough, or nothing any more."""
        n, least, largest = len(self._left_out), min(self._left_out), max(self._left_out)
        some = any(count is not None and count <= self.most for count in self._counts.values())
        which = f"the last {n} points all have larger models" if some else "all models of this space are larger"
        span = counted(largest, "parameter")
        larger = f"from {least:,} to {span}" if least < largest else f"with {span}"
        raise InputError(f"sweep.max_parameters={self.most}: {which}, {larger}. Raise it, or narrow the space.")

    def tell(self, stage: str, n: int, then: str) -> None:
        """Says how many points a stage has left out so far, and what of it."""
        new = n - self._told.get(stage, 0)
        if new <= 0:  # the first generation is looked at twice
            return
        more, self._told[stage] = "more " * bool(self._told), n
        points = f"{counted(new, f'{more}point')} with larger models {'are' if new > 1 else 'is'} left out"
        total = f", {sum(self._told.values()):,} in all" if more else ""
        print_line(f"sweep.max_parameters={self.most:,}: {points}{total}{then}")

    def tell_given(self, n: int, of: int) -> None:
        """Says how many of the configurations that were to be tried first are left out."""
        have = f"{n} of the {of} configurations to be tried first"
        print_line(f"sweep.max_parameters={self.most:,}: {have} {'have' if n > 1 else 'has'} larger models: left out")


OWN = "pipeline.models."  # whose fractions, of dropout say, change no number of parameters; another's may


def _structure(config: Config) -> str:
    """Equal where models have as many parameters."""
    own = config.model.target.startswith(OWN)
    model = {k: v for k, v in leaves(config.model.plain()) if not (own and isinstance(v, float))}
    return json.dumps([config.dataset.plain(), model, config.heads[config.model.head]], sort_keys=True, default=str)
