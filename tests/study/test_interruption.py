"""Signals to a process that trains nothing: what hangs is a line of Python, or of C, to which no handler comes."""

import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import PATIENCE, ROOT

HANGS = """
import ctypes, sys, threading, time
from pipeline.study.interruption import stopping

class Executor:
    def stop(self): print("asked", flush=True)
    def kill(self): print("killed", flush=True)

def python():
    while True:
        time.sleep(1)

def c():
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):  # for ever the second time
        ctypes.CDLL(None).pthread_mutex_lock(mutex)

def until_asked():
    while not stop.requested:
        time.sleep(0.01)

with stopping(Executor()) as stop:
    threading.Timer(0.5, print, ["ready"], {"flush": True}).start()  # once it hangs
    locals()[sys.argv[1]]()
print("concluded", flush=True)
sys.exit(130)
"""
ASKED = "stopping: running trials save their state (Ctrl-C again ends at once)\nasked\n"
OUT_OF_TIME = "killed\nended without waiting any longer; the same command goes on from the last checkpoints\n"


def hanging(how: str, within: float, *, ignored: bool = False) -> subprocess.Popen[str]:
    """A process that hangs within stopping(), once it does. ignored: whether it is begun with nohup."""
    process = subprocess.Popen(
        [*(["nohup"] if ignored else []), sys.executable, "-c", HANGS, how],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CAVIAR_STOP_SECONDS": str(within)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    while process.stdout.readline() != "ready\n":
        assert process.poll() is None
    return process


# what hangs, signals, seconds allowed -> what is said
ENDS = [
    ("until_asked", [signal.SIGINT], 600, ASKED + "concluded\n"),
    ("until_asked", [signal.SIGTERM], 600, ASKED + "concluded\n"),
    ("until_asked", [signal.SIGHUP], 600, ASKED + "concluded\n"),
    ("python", [signal.SIGINT], 1, ASKED + OUT_OF_TIME),
    ("c", [signal.SIGTERM], 1, OUT_OF_TIME),
    ("c", [signal.SIGINT, signal.SIGINT], 600, OUT_OF_TIME),
]


@pytest.mark.parametrize(("how", "signals", "within", "said"), ENDS)
def test_a_signal_ends_the_process_in_time_whatever_hangs(how, signals, within, said):
    process = hanging(how, within)
    for number in signals:
        process.send_signal(number)
        signal.sigtimedwait([], 0.1)  # two that come at once are one
    assert process.communicate(timeout=PATIENCE)[0].endswith(said)
    assert process.returncode == 130


def test_the_second_ctrl_c_ends_at_once():
    process = hanging("python", 600)
    process.send_signal(signal.SIGINT)
    assert [process.stdout.readline() for _ in range(2)] == ASKED.splitlines(keepends=True)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=PATIENCE)[0]
    assert output.startswith("killed\n") and "KeyboardInterrupt" in output


def test_a_terminal_that_nohup_lets_go_ends_nothing():
    process = hanging("until_asked", 600, ignored=True)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=PATIENCE)[0] == ASKED + "concluded\n"


def test_the_terminal_is_gone_with_sighup():
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS, "until_asked"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    while b"ready" not in os.read(ours, 1000):
        pass
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.wait(PATIENCE) == 130
