"""A search that stops where the next stage can't gain more than other seeds do, on made-up trials."""

import json
import random

import pytest

from tests.study.stubbed import run, trials

RATE = "optimizer.learning_rate"
LINE = ["sweep=coarse_to_fine", "sweep.n_trials=24", "sweep.max_tier=1", "executor.fuse=never",
    "sweep.stages.coarse.epochs=4", "sweep.stages.medium.epochs=4", "sweep.stages.fine.epochs=4"]  # fmt: skip


def made_up(noise, slope=0.0):
    """Best near a learning rate of 0.01; seeds add up to `noise`, and each epoch `slope`."""

    def score(config, epoch):
        chance = random.Random(f"{config.seed}/{config.optimizer.learning_rate}").random()
        return 0.5 - abs(config.optimizer.learning_rate - 0.01) + noise * chance + slope * epoch

    return score


def records(folder, kind):
    lines = map(json.loads, (folder / "ledger").read_text().splitlines())
    return [line for line in lines if line["record"] == kind]


def stages(study):
    return [stage.name for stage in study.plan.stages if study.ledger.of_stage(stage.name)]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """All is chance after the first stage."""
    folder = tmp_path_factory.mktemp("noisy") / "s"
    return folder, *run(folder, made_up(0.1), *LINE)


def test_it_stops_where_seeds_alone_make_as_much(noisy):
    folder, study, _ = noisy
    assert stages(study) == ["coarse"]
    (decision,) = records(folder, "decision")
    assert (decision["stage"], decision["stops"]) == ("coarse", True)
    assert 0 <= decision["gain"] <= decision["noise"] < 0.1
    best = max(study.ledger.sampled, key=lambda trial: trial.metrics["val_accuracy"])
    replicates = [study.ledger.trials[number] for number in decision["replicates"]]
    assert decision["trial"] == best.number
    assert [trial.replicate_of for trial in replicates] == [best.number] * 3
    assert len({trial.params["seed"] for trial in replicates} | {0}) == 4
    assert all({**trial.params, "seed": 0} == {**best.params, "seed": 0} for trial in replicates)
    assert len(study.ranked()) == 8  # replicates are no trials of the search
    assert study.ranked()[0].number == best.number


def test_a_stopped_search_says_why_again_and_asks_nothing_more(noisy, tmp_path, capsys):
    folder, study, _ = noisy
    again, cohorts = run(folder, made_up(0.1), *LINE)
    assert cohorts == []
    assert trials(again) == trials(study)
    gain, noise = (records(folder, "decision")[0][key] for key in ("gain", "noise"))
    assert capsys.readouterr().out == (
        f"stopped: stage medium may gain {gain:.4f} of val_accuracy, seeds alone make {noise:.4f} (sd of 3);\n"
        "  sweep.stop_seeds=null goes on\n"
    )


def test_without_stop_seeds_a_stopped_search_goes_on(tmp_path):
    run(tmp_path / "s", made_up(0.1), *LINE)
    study, _ = run(tmp_path / "s", made_up(0.1), *LINE, "sweep.stop_seeds=null")
    assert stages(study) == ["coarse", "medium", "fine"]
    assert len(study.ledger.trials) == 24 + 3


def test_it_goes_on_while_there_is_more_to_gain(tmp_path, capsys):
    study, _ = run(tmp_path / "s", made_up(1e-6), *LINE, "sweep.stages.fine.n_trials=4")
    assert stages(study) == ["coarse", "medium", "fine"]
    assert [record["stops"] for record in records(tmp_path / "s", "decision")] == [False, False]
    assert capsys.readouterr().out.count(" (sd of 3): it follows") == 2


def test_longer_epochs_are_a_gain_of_their_own(tmp_path):
    """The same noise that stopped it: but each epoch adds more."""
    longer = ["sweep.stages.medium.epochs=8", "sweep.stages.fine.epochs=8"]
    study, _ = run(tmp_path / "s", made_up(0.1, 0.05), *LINE, *longer)
    first, second = (study.ledger.decisions[name] for name in ("coarse", "medium"))
    assert (first.stops, second.stops) == (False, True)
    assert first.gain >= 2 * 0.05 - 1e-9  # of the epochs from 2 to 4
    replicates = [study.ledger.trials[number] for number in (*first.replicates, *second.replicates)]
    assert [len(study._epochs_of(trial)) for trial in replicates] == [4] * 3 + [8] * 3
    assert stages(study) == ["coarse", "medium"]


def test_arms_are_looked_at_together_and_a_control_is_tried_all_the_same(tmp_path):
    line = [*LINE, "optimizer=adam,sgd", "sweep.stages.fine.refine=false"]
    study, _ = run(tmp_path / "s", made_up(0.1), *line)
    assert stages(study) == ["coarse", "fine"]
    assert list(study.ledger.decisions) == ["coarse"]
    crossed = [t for t in study.ledger.trials.values() if t.replicate_of is not None]
    assert len({trial.params["optimizer"] for trial in crossed}) == 1


def test_crossed_seeds_are_replaced(tmp_path):
    study, _ = run(tmp_path / "s", made_up(0.1), *LINE, "seed=0,1")
    replicates = [t for t in study.ledger.trials.values() if t.replicate_of is not None]
    assert len(replicates) >= 3
    for trial in replicates:
        assert study.plan.composed(trial).config.seed == trial.params["seed"] > 1
        assert [word for word in study.plan.overrides(trial) if word.startswith("seed=")] == [
            f"seed={trial.params['seed']}"
        ]


def test_a_best_that_diverges_with_other_seeds_stops_nothing(tmp_path, capsys):
    def score(config, epoch):
        return made_up(0.1)(config, epoch) if config.seed == 0 else float("nan")

    study, _ = run(tmp_path / "s", score, *LINE)
    assert stages(study) == ["coarse", "medium", "fine"]
    assert "stage medium follows: fewer than two replicates completed" in capsys.readouterr().out


@pytest.mark.parametrize("most", [1, 7, 8, 9, 10, 11])
def test_a_killed_search_stops_where_an_undisturbed_one_does(tmp_path, noisy, most):
    run(tmp_path / "s", made_up(0.1), *LINE, most=most)
    study, _ = run(tmp_path / "s", made_up(0.1), *LINE)
    assert trials(study) == trials(noisy[1])
    assert study.ledger.decisions == noisy[1].ledger.decisions


@pytest.mark.parametrize("most", [5, 8, 10, 11, 15, 19, 22, 25])
def test_a_killed_search_that_goes_on_asks_the_same_trials(tmp_path, most):
    whole, _ = run(tmp_path / "whole", made_up(1e-6), *LINE)
    run(tmp_path / "s", made_up(1e-6), *LINE, most=most)
    assert trials(run(tmp_path / "s", made_up(1e-6), *LINE)[0]) == trials(whole)


def test_a_stage_that_an_earlier_version_began_is_gone_on_with(tmp_path):
    """It asked for no replicates, and widened no region."""
    run(tmp_path / "s", made_up(0.1), *LINE, "sweep.stop_seeds=null", most=12)
    ledger = tmp_path / "s/ledger"
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    for line in lines:
        line.pop("widened", None)
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    again, _ = run(tmp_path / "s", made_up(0.1), *LINE)
    assert len(again.ledger.of_stage("medium")) == 8
    assert list(again.ledger.decisions) == ["medium"]
    assert again.ledger.widened.keys() <= {"medium"}
