"""The user's mistakes, and the line that helps them."""

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """The user's input is wrong. The message is one or two lines: received, allowed, nearest.

    `run.py` and `python -m pipeline` print it without a traceback and exit with status 2.
    """


def nearest(word: str, allowed: Iterable[str]) -> str:
    """` Did you mean 'adam'?`, or an empty string when nothing allowed is close to `word`.

    A dotted key is also compared by its last part, so that `learning_rate` finds `optimizer.learning_rate`.
    """
    names = list(allowed)
    lowered = {name.lower(): name for name in names}
    found = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    if not found:
        tails = {name.rsplit(".", 1)[-1].lower(): name for name in names}
        tail = difflib.get_close_matches(word.rsplit(".", 1)[-1].lower(), tails, n=1, cutoff=0.75)
        return f" Did you mean '{tails[tail[0]]}'?" if tail else ""
    return f" Did you mean '{lowered[found[0]]}'?"


def one_of(what: str, got: object, allowed: Iterable[object]) -> InputError:
    """The error for a name that is not among `allowed`."""
    names = [str(name) for name in allowed]
    return InputError(f"{what}={got} is not known. Allowed: {', '.join(names)}.{nearest(str(got), names)}")
