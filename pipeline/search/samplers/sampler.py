"""What a sampler is asked, and what it is told. A new one is a subclass in a file of its own, named by its YAML."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.errors import InputError
from pipeline.schema import Target
from pipeline.search.space import Space
from pipeline.targets import call, problem

MOST_TRIALS = 100_000  # beyond this a sweep is a slip of the pen, and its list alone fills memory
OF_OPTUNA = "pipeline.search.samplers.optuna.Named"  # what asks a sampler of Optuna's, by its name


@dataclass(frozen=True)
class Search:
    """What a sampler is to search: one stage of a sweep."""

    spaces: tuple[Space, ...]  # of each arm
    seeds: tuple[int, ...]  # of each arm; arms of one seed are tried on the same points, to compare in pairs
    stage: int  # its place among the sweep's; the same seed draws other points in another stage
    n_trials: int | None  # over all arms; None: as many as the sampler has
    generation: int | None = None  # how many trials a sampler that learns is to ask for at once; None: its own default
    # What earlier stages have tried in these spaces, in their order. Trials of a stage with fewer epochs than this one
    # count as pruned after theirs.
    history: "tuple[Outcome, ...]" = ()


@dataclass(frozen=True)
class Point:
    """A trial to be made."""

    arm: int
    coordinates: dict[str, float]  # of each key of the arm's space: on its scale; of a choice the value's place
    exact: bool = False  # whether values keep all their digits, or the six or so that matter
    # The same in all arms that are tried on this very point, which compare in pairs; None: it is of one arm alone.
    pair: int | None = None


@dataclass(frozen=True)
class Outcome:
    """How a trial ended."""

    arm: int
    coordinates: dict[str, float]  # of the values that were tried: rounded, and whole where the range is
    status: str  # completed, pruned, failed or diverged
    score: float | None  # sweep.metric of the best epoch, negative if it is minimized; None if failed or diverged
    curve: tuple[float, ...]  # the same of each epoch; minus infinity where it was not a number


class Sampler(ABC):
    """Chooses the points of one stage.

    What it does follows from `search`, its own arguments and what it is told, and from nothing else: when a sweep is
    resumed it is built, asked and told again, from the first generation on, and must give the same points.
    """

    repeats = True  # whether an arm may be given the same values twice
    staged = True  # whether a sweep may have it in several stages, each in the region that the one before left

    def __init__(self, search: Search) -> None:
        self.search = search

    @property
    def generation(self) -> int | None:
        """How many trials it wants at once, before it is told of them; None: all, and it is told of none."""
        return None

    def total(self) -> int:
        """How many trials the stage has, without running any. Raises InputError if it can't have what is asked for."""
        if self.search.n_trials is None:
            raise InputError(
                f"sweep.n_trials is null: {type(self).__name__.lower()} search needs the number of trials, such as "
                "sweep.n_trials=24."
            )
        return self.search.n_trials

    def notes(self) -> Sequence[str]:
        """What the user is told of the search before it begins, a line each."""
        return ()

    @abstractmethod
    def ask(self, n: int) -> Sequence[Point]:
        """The next `n` points; fewer where there are no more.

        A total may grow: those of a larger n begin with those of a smaller one.
        """

    def tell(self, outcomes: Sequence[Outcome]) -> None:  # noqa: B027
        """Takes in how the trials of the generation asked for last have ended, in the order of its points."""


class SamplerError(InputError):
    """The sampler can't go on; what its trials have come to stays."""


@contextlib.contextmanager
def blamed(sampler: Target) -> Iterator[None]:
    """What a sampler raises, which may be the user's own, says in one line that it is the sampler's."""
    try:
        yield
    except InputError as error:
        raise SamplerError(str(error)) from error
    except Exception as error:
        raise SamplerError(f"sweep.sampler: {sampler.target}: {problem(error)}") from error


def called(target: str) -> str:
    """What a sampler is called, as in sweep=tpe; somebody's own by the name of its class."""
    room, _, name = target.rpartition(".")
    return room.rpartition(".")[2] if room.startswith(f"{__package__}.") else name


def make_sampler(target: Target, search: Search) -> Sampler:
    """The sampler that sweep.sampler names, which may be one of Optuna's. Raises InputError if it names something
    else."""
    if target.target.startswith("optuna."):
        named = Target(OF_OPTUNA, {"target": target.target, "arguments": target.arguments})
        sampler = call("sampler", named, search)
    else:
        sampler = call("sampler", target, search)
    if not isinstance(sampler, Sampler):
        raise InputError(f"sweep.sampler: {target.target} is no Sampler of pipeline.search.samplers.sampler.")
    return sampler
