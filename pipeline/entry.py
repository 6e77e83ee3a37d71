"""Between the command line and Hydra: exit statuses, and errors that a person can act on."""

import gc
import os
import sys
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pipeline.errors import InputError
from pipeline.user_folder import adopt


def train_one(config: DictConfig) -> None:
    """The task of a run without -m. Raises SystemExit with a status other than 0."""
    from hydra.core.hydra_config import HydraConfig

    from pipeline.config import Composed
    from pipeline.search.plan import Plan
    from pipeline.study.start import run

    overrides = [str(line) for line in HydraConfig.get().overrides.task]
    OmegaConf.set_readonly(config, True)
    try:
        for line in overrides:
            key = line.split("=")[0].lstrip("+~")
            if (key == "sweep" or key.startswith("sweep.")) and key not in ("sweep.metric", "sweep.direction"):
                raise InputError(f"{line} is for a sweep: python run.py -m {line} … (-m runs many trials).")
        status = run(Plan.of_one(Composed(config), overrides))
    except InputError as error:  # handled here: Hydra would print a line of its own above it
        print(error, file=sys.stderr)
        status = 2
    if status:
        raise SystemExit(status)


def guarded(main: Callable[[], Any]) -> None:
    """Runs Hydra's main; a user's mistake becomes a line or two on stderr and exit status 2.

    CAVIAR_TRACEBACK=1 shows where the error came from.
    """
    if "HYDRA_FULL_ERROR" not in os.environ:
        os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and exiting with 1
    # Hydra takes overrides on one side of -m only.
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word not in ("-m", "--multirun"))
    try:
        if any(
            word.split("=")[0] == "--experimental-rerun" for word in sys.argv[1:]
        ):  # it would run what a pickle says
            raise InputError("--experimental-rerun is not offered: `python run.py resume=FOLDER` goes on with a run.")
        adopt(sys.argv[1:])
        main()
    except KeyboardInterrupt:
        sys.stdout.flush()
        os._exit(130)  # the second Ctrl-C: not even libraries' own exit handlers are waited for
    except Exception as error:
        from pipeline.explain import explain

        message = None if os.environ.get("CAVIAR_TRACEBACK") == "1" else explain(error, sys.argv[1:])
        if message is None:
            raise
        print(message, file=sys.stderr)
        sys.exit(2)
    finally:
        gc.freeze()  # or the interpreter, on its way out, spends a second on what MLflow's import left
