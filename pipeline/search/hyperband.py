"""Hyperband: halving in several brackets, from many trials that stop soon to few that train long (Li et al. 2018).

Nobody knows beforehand how early a bad trial shows. With R epochs at most, r at least and the factor η, there are
s_max + 1 brackets, s_max = floor(log_η(R / r)); bracket s, from s_max down to 0, has

    n_s = ceil((s_max + 1) / (s + 1) · η^s) trials    and compares them after    R · η^(i-s) epochs, i = 0 … s - 1,

so that each costs about (s_max + 1) · R epochs. A sweep of another number of trials has them in this proportion, and
one that grows keeps those it has. A sampler that learns has then been told of other earlier brackets: its new trials
are not those of a sweep that had as many from the start.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import InputError
from pipeline.schema import StageSettings, Sweep


@dataclass(frozen=True)
class Bracket:
    n_trials: int
    rungs: tuple[int, ...]  # epochs at which its trials are compared

    @property
    def name(self) -> str:
        return f"bracket_{len(self.rungs)}"


def brackets(epochs: int, least: int, factor: int, n_trials: int | None) -> list[Bracket]:
    """From the one that stops trials soonest to the one that stops none. n_trials: in all; None: the paper's numbers.

    Raises InputError for fewer trials than brackets."""
    s_max = 0
    while least * factor ** (s_max + 1) <= epochs:
        s_max += 1
    sizes = {s: -(-(s_max + 1) * factor**s // (s + 1)) for s in range(s_max, -1, -1)}
    if n_trials is not None:
        if n_trials < len(sizes):
            raise InputError(
                f"sweep.n_trials={n_trials} must be at least {len(sizes)}: hyperband has as many brackets, with up to "
                f"{epochs} epochs and sweep.halving.min_epochs={least}."
            )
        sizes = _shared(sizes, n_trials)
    return [Bracket(n, tuple(round(epochs * factor ** (i - s)) for i in range(s))) for s, n in sizes.items()]


def _shared(sizes: dict[int, int], n_trials: int) -> dict[int, int]:
    """As many in all, in the proportion of `sizes`, at least one each. One after the other goes to the one that is
    furthest below its share (Sainte-Laguë): of a larger number none gets fewer, so that a sweep can grow."""
    shares = dict.fromkeys(sizes, 1)
    for _ in range(n_trials - len(sizes)):
        shares[max(sizes, key=lambda s: (sizes[s] / (2 * shares[s] + 1), s))] += 1
    return shares


def of_sweep(sweep: Sweep, settings: Mapping[str, StageSettings], epochs: int) -> list[Bracket]:
    """The brackets of a sweep that has them; settings: of its stages, epochs: of a stage that does not say. Raises
    InputError if they can't be made."""
    if not (halving := sweep.halving) or not halving.brackets:
        return []
    if halving.min_epochs is None:
        raise InputError("sweep.halving.brackets=true needs sweep.halving.min_epochs, after how many the first stop.")
    if len(settings) > 1:
        raise InputError(f"sweep.halving.brackets=true makes brackets of one stage, not of {', '.join(settings)}.")
    (stage,) = settings.values()
    return brackets(stage.epochs or epochs, halving.min_epochs, halving.factor, sweep.n_trials)
