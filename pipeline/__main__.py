"""`python -m pipeline COMMAND`: work with trained models; `python -m pipeline --help` lists the commands."""

import argparse
import importlib
import os
import pkgutil
import re
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from pipeline import cli, crash
from pipeline.command_line import at_home, print_anywhere, reader_gone
from pipeline.errors import InputError, lacked, nearest, one_of
from pipeline.user_folder import adopt


class Parser(argparse.ArgumentParser):
    """argparse, with a wrong argument as InputError: a line or two, and the nearest option."""

    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: (\S+)", message)
        options = [name for action in self._actions for name in action.option_strings]
        hint = nearest(unknown[1], options) if unknown else ""
        raise InputError(f"{message}.{hint}\n`{self.prog} --help` shows what it takes.")


def commands() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(cli.__path__) if not module.ispkg)


def command(name: str) -> ModuleType:
    return importlib.import_module(f"{cli.__name__}.{name}")


def main(arguments: Sequence[str]) -> int:
    """Runs a command; returns the exit status: 0 done, 1 failed, 2 the input was wrong, 130 interrupted.

    CAVIAR_TRACEBACK=1 shows where an error came from.
    """
    # Both are read when TensorFlow and Keras are imported, which only a command that needs them does.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # A model for use needs little of a GPU, and a sweep may be running on it.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    print_anywhere()
    try:
        return _dispatch(list(map(at_home, arguments)))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return reader_gone()
    except Exception as error:
        from pipeline.explain import explain

        message = None if os.environ.get("CAVIAR_TRACEBACK") == "1" else explain(error, arguments)
        if message is None:
            raise
        from pipeline.cli.views.text import print_error

        print_error(message)
        return 1 if lacked(error) else 2


def _dispatch(arguments: list[str]) -> int:
    names = commands()
    if not arguments:
        raise InputError(f"COMMAND is missing: {', '.join(names)}.\n`python -m pipeline --help` says what each does.")
    name, *rest = arguments
    if name in ("-h", "--help"):
        print("usage: python -m pipeline COMMAND [...]\n")
        for known in names:
            print(f"  {known:<10} {(command(known).__doc__ or '').splitlines()[0]}")
        print("\n`python -m pipeline COMMAND --help` says more about one.")
        return 0
    if name not in names:
        raise one_of("COMMAND", name, names)
    module = command(name)
    parser = Parser(
        prog=f"python -m pipeline {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.arguments(parser)
    parser.add_argument("--config-dir", metavar="FOLDER", help="a conf/ of your own, with modules beside it")
    try:
        options = parser.parse_intermixed_args(rest)
    except SystemExit as done:  # --help has been printed
        return int(done.code or 0)
    adopt([f"--config-dir={options.config_dir}"] if options.config_dir else [])
    status: int = module.run(options)
    return status


def in_child(arguments: Sequence[str]) -> int:
    """main() in a process of its own, whose end on a damaged file is a line like any other mistake's."""
    note = tempfile.TemporaryFile()  # noqa: SIM115 - the end of this process closes it
    child = os.fork()
    if not child:
        crash.make_disposable(note.fileno())
        try:
            status = main(arguments)
            sys.stdout.flush()
        except BrokenPipeError:
            status = 1
        except SystemExit as ended:  # of a library that found the reader gone
            status = int(ended.code or 0)
        except BaseException:
            traceback.print_exc()
            status = 1
        os._exit(status)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    while True:
        try:
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            break
        except KeyboardInterrupt:
            continue  # the child has it, too
    if code >= 0:
        return code
    from pipeline.cli.views.text import clean

    if verdict := crash.verdict(note, -code):
        print(clean(verdict), file=sys.stderr)
        return 2
    print(f"{clean(' '.join(arguments))}: {crash.killed_by(-code)}", file=sys.stderr)
    return 128 - code


if __name__ == "__main__":
    sys.exit(in_child(sys.argv[1:]))
