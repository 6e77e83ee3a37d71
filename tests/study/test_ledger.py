import json
import subprocess
import sys

import pytest

from pipeline.errors import InputError
from pipeline.jsonl import read
from pipeline.records import DataFacts, Ended, EpochEnded, Interrupted, Paused, TestResult, Trial
from pipeline.study.ledger import History, Ledger
from tests.conftest import PATIENCE

HEADER = {"data": "abc", "arms": {"0": {"space": {"optimizer/learning_rate": "interval(0, 1)"}, "config": {}}}}
BEST = {"val_accuracy": 0.9, "val_loss": 0.3}


def trial(number, **changes):
    return Trial(number, "coarse", number % 2, {"train.batch_size": 16, "model.hidden_units": [8, number]}, **changes)


def facts(ledger):
    return ledger.header, ledger.identity, ledger.parent_run, ledger.regions, ledger.trials, ledger.tested


STEPS = [
    lambda ledger: ledger.begin(HEADER),
    lambda ledger: ledger.identify("this sweep"),
    lambda ledger: ledger.note_parent_run("parent"),
    lambda ledger: ledger.ask([trial(0), trial(1)]),
    lambda ledger: ledger.hand_out([0]),
    lambda ledger: ledger.on(trial(0), Paused(1.0, 2, 1, {"val_loss": 0.4})),
    lambda ledger: ledger.on(trial(0), Ended(2.0, "completed", None, 5, 3, BEST)),
    lambda ledger: ledger.note_recorded({0: "r0"}),
    lambda ledger: ledger.hand_out([1]),
    lambda ledger: ledger.on(trial(1), Ended(3.0, "failed", "why")),
    lambda ledger: ledger.note_region("coarse", [{"a": "interval(0, 1)"}, {}], [[], []]),
    lambda ledger: ledger.ask([trial(2)]),
    lambda ledger: ledger.hand_out([2]),
    lambda ledger: ledger.on(trial(2), Ended(4.0, "failed", "full", lacked="disk")),
    lambda ledger: ledger.note_recorded({2: "r2"}),
    lambda ledger: ledger.start_again([2]),
    lambda ledger: ledger.on(trial(2), Paused(5.0, 2, 1, {"val_loss": 0.4})),
    lambda ledger: ledger.note_tested(0, TestResult({"accuracy": 0.8}, 90)),
]
# What they leave on disk, which every later version reads.
RECORDS = [
    {"record": "study", "header": HEADER},
    {"record": "identity", "id": "this sweep"},
    {"record": "tracking", "run_id": "parent"},
    {"record": "asked", "trial": 0, "stage": "coarse", "arm": 0, "params": trial(0).params},
    {"record": "asked", "trial": 1, "stage": "coarse", "arm": 1, "params": trial(1).params},
    {"record": "started", "trial": 0},
    {"record": "reached", "trial": 0, "epoch": 2, "best_epoch": 1, "metrics": {"val_loss": 0.4}},
    {"record": "ended", "trial": 0, "status": "completed", "reason": None, "best_epoch": 3, "metrics": BEST},
    {"record": "recorded", "trial": 0, "run_id": "r0"},
    {"record": "started", "trial": 1},
    {"record": "ended", "trial": 1, "status": "failed", "reason": "why", "best_epoch": 0, "metrics": {}},
    {"record": "region", "stage": "coarse", "arms": [{"a": "interval(0, 1)"}, {}], "widened": [[], []]},
    {"record": "asked", "trial": 2, "stage": "coarse", "arm": 0, "params": trial(2).params},
    {"record": "started", "trial": 2},
    {"record": "ended", "trial": 2, "status": "failed", "reason": "full", "best_epoch": 0, "metrics": {}}
    | {"lacked": "disk"},
    {"record": "recorded", "trial": 2, "run_id": "r2"},
    {"record": "again", "trial": 2},
    {"record": "reached", "trial": 2, "epoch": 2, "best_epoch": 1, "metrics": {"val_loss": 0.4}},
    {"record": "tested", "trial": 0, "metrics": {"accuracy": 0.8}, "n": 90},
]


def opened(folder):
    return Ledger(folder, what=f"sweep.name={folder.name}", otherwise="Use another name.")


def filled(folder, n=None):
    """The facts of a ledger after its first n steps."""
    ledger = opened(folder)
    for step in STEPS[:n]:
        step(ledger)
    ledger.close()
    return facts(ledger)


def test_a_new_ledger_knows_nothing(tmp_path):
    assert filled(tmp_path, 0) == (None, None, None, {}, {}, {})
    assert (tmp_path / "ledger").read_bytes() == b""


def test_facts_are_true_once_added(tmp_path):
    done = {"metrics": BEST, "best_epoch": 3, "reached": 2, "run_id": "r0", "rungs": {2: {"val_loss": 0.4}}}
    assert filled(tmp_path) == (
        HEADER,
        "this sweep",
        "parent",
        {"coarse": [{"a": "interval(0, 1)"}, {}]},
        {
            0: trial(0, started=True, status="completed", **done),
            1: trial(1, started=True, status="failed", reason="why"),
            2: trial(
                2,
                started=True,
                metrics={"val_loss": 0.4},
                best_epoch=1,
                reached=2,
                paused=True,
                rungs={2: {"val_loss": 0.4}},
            ),
        },
        {0: TestResult({"accuracy": 0.8}, 90)},
    )
    assert list(read(tmp_path / "ledger")) == RECORDS


def test_a_new_parent_run_has_no_runs_of_trials_yet(tmp_path):
    """The store of the first was deleted, and a kill may come before all is forwarded to the new one."""
    filled(tmp_path)
    for parent, run_id in (("parent", "r0"), ("another", None)):
        ledger = opened(tmp_path)
        ledger.note_parent_run(parent)
        ledger.close()
        again = opened(tmp_path)
        assert (ledger.trials[0].run_id, again.trials[0].run_id) == (run_id, run_id)
        again.close()


def test_what_neither_ends_nor_pauses_a_trial_is_no_fact(tmp_path):
    ledger = opened(tmp_path)
    ledger.ask([trial(0)])
    before = (tmp_path / "ledger").read_bytes()
    for event in (EpochEnded(0.0, 1, {}), Interrupted(0.0)):
        ledger.on(trial(0), event)
    ledger.on(None, Ended(0.0, "completed"))
    ledger.close()
    assert (tmp_path / "ledger").read_bytes() == before


def test_a_record_of_no_kind_that_is_known_changes_nothing_and_one_without_its_keys_is_named(tmp_path):
    filled(tmp_path)
    whole = (tmp_path / "ledger").read_bytes()
    (tmp_path / "ledger").write_bytes(whole + b'{"record": "of a later version", "x": 1}\n')
    ledger = opened(tmp_path)
    assert list(ledger.trials) == [0, 1, 2]
    ledger.close()
    (tmp_path / "ledger").write_bytes(whole + b'{"record": "asked", "trial": 3}\n')
    with pytest.raises(InputError, match=rf"ledger: record {len(RECORDS) + 1} is none of a ledger's"):
        opened(tmp_path)
    (tmp_path / "ledger").write_bytes(whole)
    opened(tmp_path).close()  # the one refused has let go of the lock


@pytest.mark.parametrize(
    ("steps", "status", "lacked"),
    [(7, "completed", None), (9, "interrupted", None), (14, "failed", "disk"), (16, "interrupted", None)],
)
def test_what_a_trial_is_after_some_steps(steps, status, lacked, tmp_path):
    *_, trials, _ = filled(tmp_path, steps)
    last = trials[max(n for n, trial in trials.items() if trial.started)]
    assert (last.shown_status, last.lacked) == (status, lacked)


def test_who_lacked_disk_starts_again_unless_a_region_has_followed_from_it(tmp_path):
    ledger = opened(tmp_path)
    ledger.ask([trial(0)])
    ledger.on(trial(0), Ended(4.0, "failed", "full", lacked="disk"))
    assert [t.number for t in ledger.lacking()] == [0]
    ledger.note_region(trial(0).stage, [{}], [[]])
    assert ledger.lacking() == []
    ledger.close()


def test_a_status_of_no_kind_is_none_of_a_ledgers(tmp_path):
    filled(tmp_path)
    with (tmp_path / "ledger").open("a") as file:
        file.write(json.dumps(RECORDS[7] | {"status": "complete"}) + "\n")
    with pytest.raises(InputError, match="is none of a ledger's"):
        opened(tmp_path)


def test_a_trial_by_itself_has_its_lock_and_no_file(tmp_path):
    ledger = Ledger(tmp_path, what="resume=x", otherwise="Wait for it, or end it.", file=None)
    ledger.ask([trial(0)])
    ledger.on(trial(0), Ended(0.0, "completed"))
    assert ledger.trials[0].status == "completed"
    assert not (tmp_path / "ledger").exists()
    with pytest.raises(InputError, match=r"^resume=y is running in another process\. Wait for it, or end it\.$"):
        Ledger(tmp_path, what="resume=y", otherwise="Wait for it, or end it.", file=None)
    ledger.close()


@pytest.mark.parametrize("n", range(len(STEPS) + 1))
def test_replay_equals_what_was_added_and_goes_on(tmp_path, n):
    known = filled(tmp_path, n)
    replayed = opened(tmp_path)
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
        ledger = opened(tmp_path)
        known.append(facts(ledger))
        ledger.close()
    assert len(known) == len(STEPS) + 2
    for size in range(0, len(whole) + 1, 3):
        (tmp_path / "ledger").write_bytes(whole[:size])
        ledger = opened(tmp_path)
        lines = whole[:size].count(b"\n")
        assert facts(ledger) == known[lines], size
        ledger.identify("after the crash")
        ledger.close()
        again = opened(tmp_path)
        assert facts(again) == (known[lines][0], "after the crash", *known[lines][2:]), size
        again.close()


def test_a_second_opener_is_refused(tmp_path):
    folder = tmp_path / "first"
    folder.mkdir()
    ledger = opened(folder)
    ledger.begin(HEADER)
    before = (folder / "ledger").read_bytes()
    with pytest.raises(InputError, match=r"sweep\.name=first is running in another process\. Use another name\."):
        opened(folder)
    assert (folder / "ledger").read_bytes() == before
    ledger.note_parent_run("still mine")
    ledger.close()
    again = opened(folder)
    assert again.parent_run == "still mine"
    again.close()


OPEN = "import os, sys; from pathlib import Path; from pipeline.study.ledger import Ledger"


def test_another_process_is_refused_until_this_one_closes(tmp_path):
    code = f"{OPEN}; Ledger(Path(sys.argv[1]), what='x')"

    def opens():
        return subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=PATIENCE
        )

    ledger = opened(tmp_path)
    refused = opens()
    assert refused.returncode == 1
    assert "is running in another process" in refused.stderr
    ledger.close()
    assert opens().returncode == 0


def test_a_killed_holder_leaves_no_lock_behind(tmp_path):
    code = f"{OPEN}\nledger = Ledger(Path(sys.argv[1]), what='x'); ledger.note_parent_run('r'); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=PATIENCE).returncode == -9
    ledger = opened(tmp_path)
    assert ledger.parent_run == "r"
    ledger.close()


def test_a_reader_needs_no_lock_and_sees_what_was_noted(tmp_path):
    ledger = Ledger(tmp_path, what="s")
    facts = DataFacts("f", "1 row", {"a": "number"}, {"b": 1}, (), (3, 4))
    for _ in range(2):
        ledger.note_data([facts], {"numpy": "2"})  # once
    ledger.ask([Trial(0, "all", 0, {"x": 1})])
    history = History(tmp_path / "ledger")
    assert history.data == [DataFacts("f", "1 row", {}, {}, (), (3, 4))]
    assert history.versions == {"numpy": "2"}
    assert history.trials == ledger.trials
    assert (tmp_path / "ledger").read_text().count('"data"') == 1
    ledger.close()
