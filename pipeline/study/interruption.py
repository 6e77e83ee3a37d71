"""Ctrl-C, SIGTERM and SIGHUP: once, running trials save their state; twice, or when that takes too long, all ends."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from pipeline.tracking.display import print_line
from pipeline.workers.executor import Executor

WITHIN = float(os.environ.get("CAVIAR_STOP_SECONDS", 9))  # seconds after the first signal, whatever hangs
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Whether the user wants out."""

    def __init__(self) -> None:
        self.requested = False


@contextlib.contextmanager
def signals_handled(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Within it `handler` takes the signals that ask to end, but for those that nohup has this process ignore."""
    ignored = [s for s in SIGNALS[1:] if signal.getsignal(s) is signal.SIG_IGN]
    before = {s: signal.signal(s, handler) for s in SIGNALS if s not in ignored}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextlib.contextmanager
def stopping(executor: Executor) -> Iterator[Stop]:
    stop = Stop()
    terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def handle(signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGHUP:  # the terminal is gone: to print there would raise
            for descriptor in terminals:
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        if stop.requested:
            executor.kill()
            raise KeyboardInterrupt
        stop.requested = True
        print_line("stopping: running trials save their state (Ctrl-C again ends at once)", "yellow")
        executor.stop()

    reader, writer = socket.socketpair()
    writer.setblocking(False)
    with signals_handled(handle), reader, writer:
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        if not watched_by_a_person():
            threading.Thread(target=_end_in_time, args=(reader.dup(), executor), daemon=True).start()
        try:
            yield stop
        finally:
            signal.set_wakeup_fd(before)


def watched_by_a_person() -> bool:
    """Whether this process is a debugger's or a notebook's, which is not to be ended under it."""
    return sys.gettrace() is not None or hasattr(sys, "ps1") or "ipykernel" in sys.modules


def _end_in_time(signals: socket.socket, executor: Executor) -> None:
    """Ends the process WITHIN seconds after the first of `signals`, or a second after another one, unless their socket
    is closed by then: the main thread may hang in a trial, a store or a picture, and never come to handle() even."""
    deadline: float | None = None
    with signals, contextlib.suppress(TimeoutError):
        while received := signals.recv(1):
            if received[0] in SIGNALS:
                last = WITHIN if deadline is None else min(1.0, deadline - time.monotonic())
                deadline = time.monotonic() + last
            if deadline is not None:
                signals.settimeout(max(0.01, deadline - time.monotonic()))
        return
    executor.kill()
    os.write(2, b"ended without waiting any longer; the same command goes on from the last checkpoints\n")
    os._exit(130)
