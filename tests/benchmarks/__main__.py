"""`python -m tests.benchmarks [sweep|single] [--repeats N] [--trials N] [--epochs N] [--plain]`: both without a name.

Needs the `bench` extra (optuna, keras-tuner). Seconds are wall time of whole processes: compare them on a machine
that does nothing else.
"""

import argparse
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks import contests
from tests.benchmarks.stopwatch import Failed, ready_store, table, timed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("contest", nargs="?", choices=sorted(contests.CONTESTS), help="default: all")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contender (3)")
    parser.add_argument("--trials", type=int, default=24, help="trials of a sweep (24)")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of a trial (20)")
    parser.add_argument(
        "--plain",
        action="store_true",
        help="the peers' Keras as most scripts have it (arrays into fit, a call a step), not as fast as it can be",
    )
    options = parser.parse_args()
    libraries = ("tensorflow", "keras", "mlflow", "optuna", "keras-tuner")
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(", ".join(f"{name} {version(name)}" for name in libraries))
    try:
        with tempfile.TemporaryDirectory(prefix="caviar-bench-") as folder:
            store = ready_store(Path(folder))
            for name in [options.contest] if options.contest else sorted(contests.CONTESTS):
                title, contenders = contests.CONTESTS[name](Path(folder), options)
                print(f"\n{title}", flush=True)
                print(table(timed(contenders, Path(folder) / name, store, options.repeats)))
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
