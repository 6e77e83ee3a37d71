import subprocess
import sys

import pytest

from pipeline.errors import InputError
from pipeline.study.ledger import Ledger, Trial

HEADER = {"data": "abc", "arms": {"0": {"space": {"optimizer/learning_rate": "interval(0, 1)"}, "config": {}}}}
COMPLETED = {
    "record": "ended",
    "status": "completed",
    "reason": None,
    "best_epoch": 3,
    "metrics": {"val_accuracy": 0.9, "val_loss": 0.3},
}
FAILED = {"record": "ended", "status": "failed", "reason": "why", "best_epoch": 0, "metrics": {}}


def trial(number, **changes):
    return Trial(number, "coarse", number % 2, {"train.batch_size": 16, "model.hidden_units": [8, number]}, **changes)


def facts(ledger):
    return ledger.header, ledger.parent_run, ledger.regions, ledger.trials


STEPS = [
    lambda ledger: ledger.add({"record": "study", "header": HEADER}),
    lambda ledger: ledger.add({"record": "tracking", "run_id": "parent"}),
    lambda ledger: ledger.ask([trial(0), trial(1)]),
    lambda ledger: ledger.add({"record": "started", "trial": 0}),
    lambda ledger: ledger.add({**COMPLETED, "trial": 0}),
    lambda ledger: ledger.add({"record": "recorded", "trial": 0, "run_id": "r0"}),
    lambda ledger: ledger.add({"record": "started", "trial": 1}),
    lambda ledger: ledger.add({**FAILED, "trial": 1}),
    lambda ledger: ledger.add({"record": "region", "stage": "coarse", "arms": [{"a": "interval(0, 1)"}, {}]}),
    lambda ledger: ledger.ask([trial(2)]),
]


def filled(folder, n=None):
    """The facts of a ledger after its first n steps."""
    ledger = Ledger(folder)
    for step in STEPS[:n]:
        step(ledger)
    ledger.close()
    return facts(ledger)


def test_a_new_ledger_knows_nothing(tmp_path):
    assert filled(tmp_path, 0) == (None, None, {}, {})
    assert (tmp_path / "ledger").read_bytes() == b""


def test_facts_are_true_once_added(tmp_path):
    done = {"metrics": {"val_accuracy": 0.9, "val_loss": 0.3}, "best_epoch": 3, "run_id": "r0"}
    assert filled(tmp_path) == (
        HEADER,
        "parent",
        {"coarse": [{"a": "interval(0, 1)"}, {}]},
        {
            0: trial(0, started=True, status="completed", **done),
            1: trial(1, started=True, status="failed", reason="why"),
            2: trial(2),
        },
    )


@pytest.mark.parametrize("n", range(len(STEPS) + 1))
def test_replay_equals_what_was_added_and_goes_on(tmp_path, n):
    known = filled(tmp_path, n)
    replayed = Ledger(tmp_path)
    assert facts(replayed) == known
    for step in STEPS[n:]:
        step(replayed)
    replayed.close()
    (tmp_path / "other").mkdir()
    assert facts(replayed) == filled(tmp_path / "other")
    assert (tmp_path / "ledger").read_bytes() == (tmp_path / "other/ledger").read_bytes()


def test_a_ledger_torn_at_any_byte_keeps_its_whole_records(tmp_path):
    filled(tmp_path)
    whole = (tmp_path / "ledger").read_bytes()
    # What is known after each line; ask([...]) wrote one line a trial.
    known = []
    for end in [0, *(i + 1 for i, byte in enumerate(whole) if byte == ord("\n"))]:
        (tmp_path / "ledger").write_bytes(whole[:end])
        ledger = Ledger(tmp_path)
        known.append(facts(ledger))
        ledger.close()
    assert len(known) == len(STEPS) + 2
    for size in range(0, len(whole) + 1, 3):
        (tmp_path / "ledger").write_bytes(whole[:size])
        ledger = Ledger(tmp_path)
        lines = whole[:size].count(b"\n")
        assert facts(ledger) == known[lines], size
        ledger.add({"record": "tracking", "run_id": "after the crash"})
        ledger.close()
        again = Ledger(tmp_path)
        assert facts(again) == (known[lines][0], "after the crash", *known[lines][2:]), size
        again.close()


def test_a_second_opener_is_refused(tmp_path):
    folder = tmp_path / "first"
    folder.mkdir()
    ledger = Ledger(folder)
    ledger.add({"record": "study", "header": HEADER})
    before = (folder / "ledger").read_bytes()
    with pytest.raises(InputError, match=r"sweep\.name=first is running in another process\. Use another name\."):
        Ledger(folder)
    assert (folder / "ledger").read_bytes() == before
    ledger.add({"record": "tracking", "run_id": "still mine"})
    ledger.close()
    again = Ledger(folder)
    assert again.parent_run == "still mine"
    again.close()


def test_another_process_is_refused_until_this_one_closes(tmp_path):
    code = "import sys; from pathlib import Path; from pipeline.study.ledger import Ledger; Ledger(Path(sys.argv[1]))"

    def opens():
        return subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)

    ledger = Ledger(tmp_path)
    refused = opens()
    assert refused.returncode == 1
    assert "is running in another process" in refused.stderr
    ledger.close()
    assert opens().returncode == 0


def test_a_killed_holder_leaves_no_lock_behind(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from pipeline.study.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1])); ledger.add({'record': 'tracking', 'run_id': 'r'}); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60).returncode == -9
    ledger = Ledger(tmp_path)
    assert ledger.parent_run == "r"
    ledger.close()
