"""`python run.py -m`: from Hydra's hand-over to the printed result."""

from dataclasses import replace
from typing import Any, cast

from hydra.core.override_parser.types import Override
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf

from pipeline.config import Composed, chosen
from pipeline.errors import InputError
from pipeline.overrides import to_text
from pipeline.search.planning import make_plan
from pipeline.search.ranges import parse
from pipeline.search.unused import check_typed, without_effect
from pipeline.study.start import run


class CaviarSweeper(Sweeper):
    """Hydra's sweeper interface: composes, plans, then runs the study. Trials go to `executor`, never to a Hydra
    launcher, which could not resume, stream results or keep workers warm."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.loader = hydra_context.config_loader
        self.hydra = config.hydra
        self.composed: dict[tuple[str, ...], Composed] = {}  # by its overrides: composing takes a tenth of a second

    def sweep(self, arguments: list[str]) -> int:
        """Runs the sweep; raises SystemExit with its status if that is not 0."""
        overrides = parse(arguments, self.loader)
        plan = make_plan([*overrides, *self._of_experiment(overrides)], self._compose, self._arm_values)
        check_typed(overrides, plan)
        status = run(replace(plan, notes=(*plan.notes, *without_effect(plan))))
        if status:
            raise SystemExit(status)
        return status

    def _of_experiment(self, typed: list[Override]) -> list[Override]:
        """The ranges of the experiment, as if they had been typed, but for keys that were."""
        composed = self._compose([str(o.input_line) for o in typed if not o.is_sweep_override()])
        ranges = composed.config.experiment.searched if composed.config.experiment else {}
        keys = {o.key_or_group for o in typed}
        return parse((f"{key}={text}" for key, text in ranges.items() if key not in keys), self.loader)

    def _compose(self, overrides: list[str]) -> Composed:
        if (key := tuple(overrides)) not in self.composed:
            self.composed[key] = self._load(overrides)
        return self.composed[key]

    def _load(self, overrides: list[str]) -> Composed:
        hydra = cast(list[str], OmegaConf.to_container(self.hydra.overrides.hydra, resolve=False))
        name = self.hydra.job.config_name
        config = self.loader.load_configuration(name, [*hydra, *overrides], run_mode=RunMode.RUN)
        choices = chosen(config.hydra.runtime.choices, overrides)
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        OmegaConf.set_struct(config, True)
        return Composed(config, choices)

    def _arm_values(self, override: Override) -> list[Any]:
        values = [getattr(value, "text", value) for value in override.sweep_iterator()]  # without its quotes
        if not values:
            raise InputError(f"{override.input_line} matches nothing, so there is nothing to compare.")
        return list({to_text(value): value for value in values}.values())  # a value named twice is one arm
