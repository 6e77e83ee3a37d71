"""A worker stays warm for hundreds of trials: what one leaves behind must not add up, or be taken for another's."""

import gc
import json
import shutil

from pipeline.training.cohort import run_trials
from tests.launch.jobs import config_of, job


def trained(folder, number, change=lambda config: None):
    one = job(folder, number, epochs=2)
    change(config_of(one))
    events = []
    run_trials(one, lambda message: events.append(message["event"]), lambda: False)
    assert events[-1]["status"] == "completed", events[-1]
    return events


def test_a_trial_leaves_no_graph_behind(tmp_path):
    def graphs():
        gc.collect()
        return sum(type(item).__name__ == "FuncGraph" for item in gc.get_objects())

    trained(tmp_path, 0)
    before = graphs()
    for number in range(1, 4):
        trained(tmp_path, number)
    # The last one's may still be held until the next clear_session().
    assert graphs() <= before + 2


def test_another_trials_state_is_not_taken_for_this_ones(tmp_path):
    trained(tmp_path, 0)
    (tmp_path / "1").mkdir()
    shutil.copy(tmp_path / "0/state.h5", tmp_path / "1/state.h5")

    def slower(config):
        config["optimizer"]["learning_rate"] = 1e-6

    events = trained(tmp_path, 1, slower)
    assert [event["event"] for event in events] == ["started", "epoch", "epoch", "ended"]
    # its own state, though, is gone on from: all epochs are done
    again = trained(tmp_path, 1, slower)
    assert [event["event"] for event in again] == ["started", "ended"]
    assert again[0]["resumed_after"] == 2
    assert json.loads((tmp_path / "1/events.jsonl").read_text().splitlines()[0])["resumed_after"] == 0
