"""Between the command line and Hydra: exit statuses, and errors that a person can act on."""

import gc
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

from omegaconf import DictConfig, OmegaConf

from pipeline import clock
from pipeline.command_line import at_home, print_anywhere, reader_gone
from pipeline.errors import InputError, lacked
from pipeline.user_folder import adopt
from pipeline.yaml_text import MOST_DIGITS, MOST_LEVELS


def train_one(config: DictConfig) -> None:
    """The task of a run without -m. Raises SystemExit with a status other than 0."""
    from hydra.core.hydra_config import HydraConfig

    from pipeline.config import Composed, chosen
    from pipeline.study.repeating import plan_of
    from pipeline.study.start import run

    # Not resolved: what comes from the environment may be a secret, and overrides are written down.
    overrides = cast(list[str], OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False))
    OmegaConf.set_readonly(config, True)
    try:
        for line in overrides:
            key = line.split("=")[0].lstrip("+~")
            if (key == "sweep" or key.startswith("sweep.")) and key not in ("sweep.metric", "sweep.direction"):
                raise InputError(f"{line} is for a sweep: python run.py -m {line} … (-m runs many trials).")
        choices = chosen(HydraConfig.get().runtime.choices, overrides)
        status = run(plan_of(Composed(config, choices), overrides))
    except Exception as error:  # handled here: Hydra would print a line of its own above it
        _refuse(error)
    if status:
        raise SystemExit(status)


def guarded(main: Callable[[], Any]) -> None:
    """Runs Hydra's main; a user's mistake becomes a line or two on stderr and exit status 2.

    CAVIAR_TRACEBACK=1 shows where the error came from.
    """
    clock.begin()
    if "HYDRA_FULL_ERROR" not in os.environ:
        os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and exiting with 1
    # Hydra takes overrides on one side of -m only.
    sys.argv[1:] = sorted(map(at_home, sys.argv[1:]), key=lambda word: word not in ("-m", "--multirun"))
    print_anywhere()
    try:
        _check_words(sys.argv[1:])
        adopt(sys.argv[1:])
        if _begins_sweep(sys.argv[1:]):  # what follows imports, and composes an arm after the other
            print("composing the sweep", flush=True)
        main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stdout.flush()
        os._exit(130)  # the second Ctrl-C: not even libraries' own exit handlers are waited for
    except BrokenPipeError:
        sys.exit(reader_gone())
    except Exception as error:
        _refuse(error)
    finally:
        gc.freeze()  # or the interpreter, on its way out, spends a second on what MLflow's import left


def _refuse(error: Exception) -> NoReturn:
    """Ends with a line, and with status 2 if the error is the user's mistake, 1 if the disk is full; raises others."""
    from pipeline.cli.views.text import print_error
    from pipeline.explain import explain

    message = None if os.environ.get("CAVIAR_TRACEBACK") == "1" else explain(error, sys.argv[1:])
    if message is None:
        raise error
    print_error(message)  # it may quote a file from elsewhere
    sys.exit(1 if lacked(error) else 2)


def _begins_sweep(words: Sequence[str]) -> bool:
    """Whether they ask for a sweep, and for nothing that prints something else instead."""
    options = {word for word in words if word.startswith("-")}
    return bool(options) and options <= {"-m", "--multirun"}


def _check_words(words: Sequence[str]) -> None:
    """Refuses what Hydra's parser would take minutes for, or end in a traceback of its own, and what runs a pickle."""
    shown = next((word for word in words if word.split("=")[0] in ("--cfg", "-c", "--info", "-i")), None)
    if shown and words[0] in ("-m", "--multirun"):
        raise InputError(f"{shown} shows one config: leave {words[0]} out. sweep.dry_run=true shows a sweep's plan.")
    for word in words:
        if word.split("=")[0] == "--experimental-rerun":
            raise InputError("--experimental-rerun is not offered: `python run.py resume=FOLDER` goes on with a run.")
        depth = deepest = 0
        for letter in word:
            depth += (letter in "([{") - (letter in ")]}")
            deepest = max(deepest, depth)
        start = word if len(word) < 40 else f"{word[:40]}…"
        if deepest > MOST_LEVELS:
            raise InputError(f"{start}: more than {MOST_LEVELS} brackets within each other.")
        if digits := re.search(rf"\d{{{MOST_DIGITS},}}", word):
            raise InputError(f"{start}: a number of {len(digits[0])} digits; {MOST_DIGITS} are the most.")
