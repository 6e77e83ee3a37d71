"""Why a worker died, from what it leaves: the status that the system gives, and what it wrote to stderr."""

import resource
import signal
from types import SimpleNamespace

import pytest

from pipeline import memory
from pipeline.workers.death import Death, death_of, reason_in

NOISE = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795877065.598772   13200 port.cc:153] oneDNN custom operations are on. You may see different results.
2026-11-01 10:00:00.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized.
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with the compiler flags.
2026-11-01 10:00:00.123456: E external/xla/cuda_driver.cc:152] failed call to cuInit: INTERNAL: CUDA error
E0000 00:00:1795877125.186501   13200 cuda_platform.cc:52] failed call to cuInit: INTERNAL: UNKNOWN ERROR (303)
W0000 00:00:1795877125.186501   13200 gpu_device.cc:2341] Cannot dlopen some GPU libraries.
WARNING:tensorflow:5 out of the last 5 calls triggered tf.function retracing.
/home/me/my_model.py:12: UserWarning: Do not pass an argument.
  super().__init__(**kwargs)
"""
TRACEBACK = """\
Traceback (most recent call last):
  File "my_model.py", line 3, in net
KeyError: 'a'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "my_model.py", line 5, in net
    raise ValueError("bad")
ValueError: the first line
and the second
"""
WRITTEN = [
    ("", None),
    (NOISE, None),
    (TRACEBACK, "ValueError: the first line"),
    (TRACEBACK + NOISE, "ValueError: the first line"),
    ("no such file: x.csv\n" + NOISE, "no such file: x.csv"),
    (
        "2026-11-01 10:00:00.123456: F external/xla/pjrt.cc:9] Check failed: ok\n" + NOISE,
        "Check failed: ok",
    ),
    (
        NOISE + "F0000 00:00:1795877125.186501   13200 tsl.cc:52] Check failed: buffer\n    @ 0x7f\n",
        "Check failed: buffer",
    ),
    (
        NOISE + "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n",
        "terminate called after throwing an instance of 'std::bad_alloc'",
    ),
]


@pytest.mark.parametrize(("written", "reason"), WRITTEN)
def test_the_line_that_is_a_reason(written, reason):
    assert reason_in(written) == reason


KILLS = memory.oom_kills() or 0
ADVICE = "try fewer executor.workers, or a smaller train.batch_size or model"
# status, written, processes that the kernel had killed before, the child's memory -> why, and whether of memory
DEATHS = [
    (0, NOISE, KILLS, 0, "exited with status 0: it wrote no reason, as code that calls exit() does", False),
    (1, TRACEBACK, KILLS, 0, "exited with status 1: ValueError: the first line", False),
    (1, "Traceback (most recent call last):\n  x\nMemoryError\n", KILLS, 0, "exited with status 1: MemoryError", True),
    (-signal.SIGSEGV, NOISE, KILLS, 0, "was killed by SIGSEGV", False),
    (-signal.SIGABRT, "free(): invalid pointer", KILLS, 0, "was killed by SIGABRT: free(): invalid pointer", False),
    (-signal.SIGABRT, "of 'std::bad_alloc'", KILLS, 0, "was killed by SIGABRT: of 'std::bad_alloc'", True),
    (-signal.SIGKILL, TRACEBACK, KILLS, 0, "was killed by SIGKILL (the system reports no lack of memory)", False),
    (-signal.SIGKILL, "", KILLS - 1, 0, f"was killed by SIGKILL (the system ran out of memory; {ADVICE})", True),
    (
        -signal.SIGKILL,
        "",
        KILLS,
        0.75,
        f"was killed by SIGKILL (probably for want of memory: a worker had 6.0 of 8.0 GiB; {ADVICE})",
        True,
    ),
]


@pytest.mark.skipif(memory.oom_kills() is None, reason="this system does not count them")
@pytest.mark.parametrize(("code", "written", "kills", "share", "why", "of_memory"), DEATHS)
def test_why_a_worker_died(code, written, kills, share, why, of_memory, monkeypatch):
    limit = 8 * 2**30
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limit, limit))
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=int(share * limit / 1024)))
    assert death_of(code, written, kills) == Death(f"its worker process {why}", of_memory)
