"""`python -m tests.benchmarks NAME...` measures Caviar against its peers; `all` is the table of targets.

Needs the `bench` extra (keras-tuner, hydra-joblib-launcher). Compare seconds on a machine that does nothing
else. Peers come in two variants, both by default: plain, as most scripts are written, and tuned, as fast as a user can
make Keras. A target is meant for the plain variant; beside the tuned one it stands in brackets.
"""

import argparse
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks import (
    budgets,
    claims,
    cohorts,
    learning,
    modes,
    population,
    recording,
    samplers,
    scale,
    streaming,
)
from tests.benchmarks.epochs import EPOCHS, SINGLE
from tests.benchmarks.readings import table
from tests.benchmarks.rounding import rounding
from tests.benchmarks.stopwatch import Contest, Failed, ready_store, timed
from tests.benchmarks.sweeps import JOBS, SWEEPS

CONTESTS: dict[str, Contest] = {**SWEEPS, **EPOCHS, **SINGLE}
MODULES = (cohorts, learning, streaming, modes, population, recording, samplers, scale, claims, budgets)
REPORTS = {name: report for module in MODULES for name, report in module.REPORTS.items()}
REPORTS["rounding"] = rounding
TABLE = ["lr_beta64", "lr_beta256", "mixed64", "cnn64", "epoch_one", "large_one"]
LIBRARIES = ("tensorflow", "keras", "mlflow", "optuna", "keras-tuner", "hydra-core", "hydra-joblib-launcher")


def arguments() -> argparse.Namespace:
    nothing = argparse.Namespace(trials=None, epochs=None)
    lines = [f"  {name:11} {contest.title(nothing)}" for name, contest in CONTESTS.items()]
    lines += [f"  {name:11} {(report.__doc__ or '').splitlines()[0]}" for name, report in REPORTS.items()]
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        epilog="\n".join(["names:", *lines, f"  {'all':11} {' '.join(TABLE)}"]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choices = [*CONTESTS, *REPORTS, "all"]
    parser.add_argument("names", nargs="+", metavar="NAME", choices=choices, help="what to measure, see below")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contender (3)")
    parser.add_argument("--trials", type=int, help="trials of a sweep, or the most at once in a report")
    parser.add_argument("--peer-trials", type=int, help="run the peers on so many trials and extrapolate their time")
    parser.add_argument("--epochs", type=int, help="epochs of a trial")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of Caviar's side only")
    variants = parser.add_mutually_exclusive_group()
    for name, value in (("plain", (True,)), ("tuned", (False,)), ("both", (True, False))):
        variants.add_argument(f"--{name}", dest="variants", action="store_const", const=value, help="of the peers")
    parser.set_defaults(variants=(True, False))
    options = parser.parse_args()
    for name, least in (("repeats", 1), ("trials", 1), ("epochs", 2), ("peer_trials", 2 * JOBS)):
        value = getattr(options, name)
        if value is not None and value < least:
            parser.error(f"--{name.replace('_', '-')} must be at least {least}")
    if (options.peer_trials or 0) % JOBS:
        parser.error(f"--peer-trials must be a multiple of {JOBS}, as many as Hydra's jobs")
    return options


def main() -> int:
    options = arguments()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(", ".join(f"{name} {version(name)}" for name in LIBRARIES))
    names = list(dict.fromkeys(n for name in options.names for n in (TABLE if name == "all" else [name])))
    try:
        with tempfile.TemporaryDirectory(prefix="caviar-bench-") as temporary:
            os.environ["XDG_CACHE_HOME"] = f"{temporary}/cache"  # nothing is remembered, as on a new machine
            store = ready_store(Path(temporary))
            for name in names:
                measure(name, Path(temporary) / name, store, options)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


def measure(name: str, folder: Path, store: Path, options: argparse.Namespace) -> None:
    if report := REPORTS.get(name):
        print(f"\n{name}: {(report.__doc__ or '').splitlines()[0]}", flush=True)
        for line in report(folder, options):
            print(line, flush=True)
        return
    print(f"\n{name}: {CONTESTS[name].title(options)}", flush=True)
    contenders = CONTESTS[name].contenders(name, folder, options)
    print(table(contenders, timed(contenders, folder, store, options.repeats)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
