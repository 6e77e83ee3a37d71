"""Finalists that train again with other seeds, on made-up trials: who was lucky does not win."""

import json
import random
from statistics import fmean, stdev

import pytest

from pipeline.errors import InputError
from pipeline.objective import Objective
from pipeline.study.replicates import seeds, to_come
from pipeline.study.standing import lead, of_winner, standings
from tests.study.stubbed import plan_of, run, trials

RATE = "optimizer.learning_rate"
LINE = ["sweep.n_trials=10", "sweep.max_tier=1", "executor.fuse=never", "train.epochs=2"]
STAGED = ["sweep=coarse_to_fine", "sweep.stop_seeds=null"]
STAGED += [f"sweep.stages.{stage}.epochs=null" for stage in ("coarse", "medium", "fine")]
REPLICATED = [*LINE, "sweep.replicates=3", "sweep.finalists=4"]


def lucky(config, epoch):
    """With the sweep's own seed the smallest rate seems best; in truth the larger one is, but for a little chance."""
    rate = config.optimizer.learning_rate
    chance = random.Random(f"{config.seed}").uniform(0, 1e-3) + random.Random(f"{config.seed}/{rate}").uniform(0, 1e-4)
    return 0.5 + (rate if config.seed else -rate) + chance


@pytest.fixture(scope="module")
def replicated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicated") / "s"
    return folder, *run(folder, lucky, *REPLICATED)


def replicates_of(study):
    return [trial for trial in study.ledger.trials.values() if trial.replicate_of is not None]


@pytest.mark.parametrize(("seed", "n"), [(0, 3), (0, 50), (7, 3)])
def test_the_seeds_follow_from_that_of_the_sweep(seed, n):
    chosen = seeds(seed, n)
    assert len(set(chosen)) == n
    assert chosen == seeds(seed, n + 5)[:n]
    assert chosen != seeds(seed + 1, n)
    assert all(0 <= s < 2**31 for s in chosen)


def test_the_best_trials_train_again_as_one_cohort_with_the_same_seeds(replicated):
    _, study, _ = replicated
    best = sorted(study.ledger.sampled, key=lambda trial: -trial.metrics["val_accuracy"])[:4]
    assert [(trial.replicate_of, trial.params["seed"]) for trial in replicates_of(study)] == [
        (trial.number, seed) for trial in best for seed in seeds(0, 3)
    ]
    for trial in replicates_of(study):
        origin = study.ledger.trials[trial.replicate_of]
        assert {**trial.params, "seed": 0} == {**origin.params, "seed": 0}
        assert (trial.stage, trial.arm) == (origin.stage, origin.arm)
    fused, _ = run(replicated[0].parent / "fused", lucky, *REPLICATED, "executor.fuse=auto")
    assert trials(fused) == trials(study)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["seed=0,1,2", f"{RATE}=choice(0.1,0.01)", "sweep.n_trials=6"], 2),  # crossed
        (["seed=int(interval(0,9))", "sweep.n_trials=4"], 1),  # searched
        ([*STAGED, f"{RATE}=choice(0.1,0.01)", "sweep.n_trials=6"], 2),  # one point in all stages
    ],
)
def test_trials_that_differ_by_their_seed_alone_are_one_finalist(tmp_path, lines, expected):
    study, _ = run(tmp_path / "s", lucky, *LINE, "sweep.max_tier=0", *lines, "sweep.replicates=2", "sweep.finalists=3")
    rates = [study.ledger.trials[number].params.get(RATE) for number in study.ledger.finalists]
    assert len(rates) == len(set(rates)) == expected
    assert len(replicates_of(study)) == 2 * expected
    best = max(study.ledger.sampled, key=lambda trial: trial.metrics["val_accuracy"])
    assert study.ledger.finalists[0] == best.number


def test_as_one_cohort(tmp_path):
    _, cohorts = run(tmp_path / "s", lucky, *REPLICATED, "executor.fuse=auto")
    assert cohorts == [list(range(10)), list(range(10, 22))]


def test_the_best_mean_wins_and_the_finalists_come_first(replicated):
    _, study, _ = replicated
    plain = sorted(study.ledger.sampled, key=lambda trial: -trial.metrics["val_accuracy"])
    order = [trial.number for trial in study.ranked()]
    assert order[:4] == [trial.number for trial in sorted(plain[:4], key=lambda trial: -trial.params[RATE])]
    assert order[4:] == [trial.number for trial in plain[4:]]
    first = standings(study.ledger, study.objective)[0]
    values = [t.metrics["val_accuracy"] for t in replicates_of(study) if t.replicate_of == order[0]]
    assert (first.mean, first.sd) == pytest.approx((fmean(values), stdev(values)))
    assert sorted(first.values) == sorted(seeds(0, 3))


def test_pairs_of_one_seed_tell_more_than_the_spread(replicated):
    """The seeds make more than the trials differ by; but each has the same ones."""
    _, study, _ = replicated
    first, second = (standings(study.ledger, study.objective))[:2]
    difference = lead([first, second])
    assert difference.tells
    assert difference.mean == pytest.approx(first.mean - second.mean)
    assert difference.high - difference.low < 6 * first.sd
    said = list(of_winner([first, second], "val_accuracy"))
    assert said[0].startswith(f"seeds:    trial {first.trial.number}: mean val_accuracy {first.mean:.4f}, sd ")
    assert said[1].startswith(f"          it is ahead of trial {second.trial.number}: +")


def test_who_can_not_be_told_apart_is_said(tmp_path):
    def chance(config, epoch):
        return random.Random(f"{config.seed}/{config.optimizer.learning_rate}").random()

    study, _ = run(tmp_path / "s", chance, *REPLICATED)
    result = standings(study.ledger, study.objective)
    assert "it can't be told from trial" in list(of_winner(result, "val_accuracy"))[1]


def test_one_that_diverges_with_a_seed_ranks_behind(tmp_path):
    bad = seeds(0, 3)[1]

    def score(config, epoch):
        best = config.optimizer.learning_rate > 0.042
        return float("nan") if best and config.seed == bad else config.optimizer.learning_rate

    study, _ = run(tmp_path / "s", score, *REPLICATED)
    result = standings(study.ledger, study.objective)
    lost = sum(standing.trial.params[RATE] > 0.042 for standing in result)
    assert 0 < lost < 4
    assert [len(standing.values) for standing in result] == [3] * (4 - lost) + [2] * lost
    means = [standing.mean for standing in result]
    assert means == sorted(means[: 4 - lost], reverse=True) + sorted(means[4 - lost :], reverse=True)
    assert f"{lost} of 12 replicates diverged or failed" in "".join(of_winner(result, "val_accuracy"))


def test_a_metric_to_be_minimized(tmp_path):
    line = [*REPLICATED, "sweep.metric=val_loss", "sweep.direction=minimize"]
    study, _ = run(tmp_path / "s", lambda config, epoch: 1 - lucky(config, epoch), *line)
    assert study.objective == Objective("val_loss", "minimize")
    result = standings(study.ledger, study.objective)
    assert [standing.mean for standing in result] == sorted(standing.mean for standing in result)


@pytest.mark.parametrize("most", [3, 10, 11, 16, 21])
def test_a_killed_sweep_ends_with_the_same_finalists(tmp_path, replicated, most):
    killed, _ = run(tmp_path / "s", lucky, *REPLICATED, most=most)
    assert standings(killed.ledger, killed.objective) == []  # they are compared once all have ended
    assert len(killed.ranked()) == min(most, 10)
    study, _ = run(tmp_path / "s", lucky, *REPLICATED)
    assert trials(study) == trials(replicated[1])
    assert [t.number for t in study.ranked()] == [t.number for t in replicated[1].ranked()]


def test_more_seeds_and_fewer_and_none(tmp_path, replicated):
    folder = tmp_path / "s"
    run(folder, lucky, *LINE)
    two, _ = run(folder, lucky, *LINE, "sweep.replicates=2", "sweep.finalists=4")
    assert [t.number for t in replicates_of(two)] == list(range(10, 18))
    three, cohorts = run(folder, lucky, *REPLICATED)
    assert len(replicates_of(three)) == 12
    assert len(cohorts) == 4  # of one trial each, for they do not fuse
    assert [t.number for t in three.ranked()] == [t.number for t in replicated[1].ranked()]
    none, cohorts = run(folder, lucky, *LINE)
    assert cohorts == []
    assert [t.metrics["val_accuracy"] for t in none.ranked()] == sorted(
        (t.metrics["val_accuracy"] for t in none.ranked()), reverse=True
    )


def test_replicates_that_said_what_is_chance_count_again(tmp_path):
    line = ["sweep=coarse_to_fine", "sweep.n_trials=12", "sweep.max_tier=1", "executor.fuse=never"]
    study, _ = run(tmp_path / "s", lucky, *line, "sweep.replicates=3", "sweep.finalists=2")
    keys = [(t.replicate_of, t.params["seed"]) for t in replicates_of(study)]
    assert len(set(keys)) == len(keys)
    assert len(standings(study.ledger, study.objective)) == 2
    epochs = {stage.name: stage.epochs for stage in study.plan.stages}
    for trial in replicates_of(study):  # as long as the trial itself
        assert len(study._epochs_of(trial)) == epochs[study.ledger.trials[trial.replicate_of].stage]


def test_the_ledger_says_whose_replicate_a_trial_is(replicated):
    lines = [json.loads(line) for line in (replicated[0] / "ledger").read_text().splitlines()]
    asked = [line for line in lines if line["record"] == "asked"]
    assert [line.get("replicate_of") is None for line in asked] == [True] * 10 + [False] * 12
    assert next(line for line in lines if line["record"] == "finalists")["seeds"] == seeds(0, 3)


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        (["sweep.n_trials=3"], []),
        (["sweep.n_trials=3", "sweep.replicates=4", "train.epochs=7"], [(12, 7)]),  # of all three trials
        (["sweep=coarse_to_fine"], [(3, 5), (3, 10)]),
        (["sweep=coarse_to_fine", "sweep.stop_seeds=null", "sweep.replicates=2"], [(10, 20)]),
        (["sweep=coarse_to_fine", "sweep.stages.fine.refine=false"], [(3, 5)]),
        (["sweep=tiered", "sweep.stop_seeds=3"], []),  # each stage frees what was not searched
    ],
)
def test_the_plan_counts_replicates(lines, rows):
    assert [row[1:] for row in to_come(plan_of(*lines))] == rows


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["sweep.replicates=1"], "sweep.replicates=1 must be a whole number at least 2"),
        (["sweep.finalists=0"], "sweep.finalists=0 must be a whole number at least 1"),
        (["sweep.stop_seeds=1"], "sweep.stop_seeds=1 must be a whole number at least 2"),
        (["sweep.replicates=3", "sweep.n_trials=null", "sweep.budget=10min"], "leaves no time for it; say how many"),
    ],
)
def test_what_makes_no_sense_is_refused(lines, message):
    with pytest.raises(InputError, match=message):
        plan_of(*lines)
