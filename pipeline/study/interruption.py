"""Ctrl-C and SIGTERM: once, running trials save their state; twice, all ends at once."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from pipeline.tracking.display import print_line
from pipeline.workers.executor import Executor


class Stop:
    """Whether the user wants out."""

    def __init__(self) -> None:
        self.requested = False


@contextlib.contextmanager
def stopping(executor: Executor) -> Iterator[Stop]:
    stop = Stop()

    def handle(signum: int, frame: FrameType | None) -> None:
        if stop.requested:
            executor.kill()
            raise KeyboardInterrupt
        stop.requested = True
        print_line("stopping: running trials save their state (Ctrl-C again ends at once)", "yellow")
        executor.stop()

    before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
