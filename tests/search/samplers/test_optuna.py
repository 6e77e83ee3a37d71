"""Samplers that learn: what all have in common, and that they do."""

import importlib.util
import math
import statistics

import pytest

from pipeline.errors import InputError
from pipeline.schema import Target
from pipeline.search.samplers.sampler import Outcome, Search, make_sampler
from pipeline.search.scales import LOG, ONE_MINUS_LOG
from pipeline.search.space import Choice, Interval, coordinates_of, params_at

RATE, BETA, UNITS, DEPTH, KIND, FIXED = "rate", "beta", "units", "depth", "kind", "fixed"
SPACE = {
    RATE: Interval(1e-4, 1, LOG),
    BETA: Interval(0.9, 0.999, ONE_MINUS_LOG),
    UNITS: Interval(16, 256, LOG, integer=True),
    DEPTH: Interval(1, 4, integer=True),
    KIND: Choice(("a", None, [1, 2])),
    FIXED: Interval(0.1, 0.1),
}
OURS = {
    "quasi_random": "quasi_random.QuasiRandom",
    "random": "random.Random",
    "tpe": "tpe.Tpe",
    "cma_es": "cma_es.CmaEs",
    "gp": "gp.Gp",
}
TARGETS = {name: f"pipeline.search.samplers.{target}" for name, target in OURS.items()}
TARGETS |= {name: f"optuna.samplers.{name}" for name in ("TPESampler", "NSGAIISampler", "QMCSampler", "RandomSampler")}
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra gp")
ALL = [pytest.param(name, marks=needs_torch if name == "gp" else ()) for name in TARGETS]
LEARNING = [p for p in ALL if p.values[0] not in ("random", "quasi_random")]


def sampler_of(name, spaces=(SPACE,), seeds=None, **more):
    search = Search(tuple(spaces), tuple(seeds or [0] * len(spaces)), more.pop("stage", 0), 100, **more)
    return make_sampler(Target(TARGETS[name]), search)


def loss(params):
    """The best is a rate of 0.01, a beta of 0.99, many units and a."""
    far = (math.log10(params[RATE]) + 2) ** 2 + (math.log10(1 - params[BETA]) + 2) ** 2
    return far + math.log2(256 / params[UNITS]) / 10 + 0.3 * (params.get(KIND, "a") != "a")


def outcome(point, space, score=loss):
    """How a trial ends: some in each way that there is."""
    params = params_at(space, point.coordinates)
    at, value = coordinates_of(space, params), -score(params)
    kind = sum(map(ord, repr(params))) % 8
    if kind == 0:
        return Outcome(point.arm, at, "failed", None, ())
    if kind == 1:
        return Outcome(point.arm, at, "diverged", None, (value, -math.inf))
    return Outcome(point.arm, at, "pruned" if kind == 2 else "completed", value, (value - 1, value))


def generations(sampler, n, spaces=(SPACE,), end=outcome):
    """The parameters of `n` generations, each told of before the next."""
    result = []
    for _ in range(n):
        points = sampler.ask(sampler.generation or 8)
        sampler.tell([end(point, spaces[point.arm]) for point in points])
        result.append([(point.arm, params_at(spaces[point.arm], point.coordinates)) for point in points])
    return result


@pytest.mark.parametrize("name", ALL)
def test_every_point_lies_in_the_space_and_is_a_new_one(name):
    sampler = sampler_of(name, generation=8)
    for _ in range(5):
        points = sampler.ask(8)
        assert len(points) == 8
        for point in points:
            assert point.arm == 0 and list(point.coordinates) == list(SPACE)
            for key, dist in SPACE.items():
                low, high = dist.ends()
                assert low <= point.coordinates[key] <= high
                assert dist.contains(dist.value(point.coordinates[key]))
        sampler.tell([outcome(point, SPACE) for point in points])


@pytest.mark.parametrize("name", ALL)
def test_asked_and_told_again_it_gives_the_same_points(name):
    arms = [SPACE, {key: SPACE[key] for key in (RATE, UNITS, BETA)}]
    first = generations(sampler_of(name, arms, generation=6), 6, arms)
    assert first == generations(sampler_of(name, arms, generation=6), 6, arms)
    assert first != generations(sampler_of(name, arms, [1, 1], generation=6), 6, arms)
    if name != "QMCSampler":  # which is not shifted unless it is asked to be
        assert first != generations(sampler_of(name, arms, generation=6, stage=1), 6, arms)
    assert all([arm for arm, _ in generation] == [0, 1] * 3 for generation in first if len(generation) == 6)


@pytest.mark.parametrize("name", LEARNING)
@pytest.mark.parametrize(
    ("n_arms", "size", "expected"), [(1, 5, 5), (2, 5, 6), (3, 2, 3), (3, None, 18), (1, None, 16)]
)
def test_a_generation_has_as_many_trials_of_each_arm(name, n_arms, size, expected):
    assert sampler_of(name, [SPACE] * n_arms, generation=size).generation == expected


@pytest.mark.parametrize("name", ALL)
def test_half_of_what_one_minus_log_draws_is_above_0_99(name):
    space = {BETA: SPACE[BETA], RATE: SPACE[RATE]}
    sampler = sampler_of(name, [space], generation=200)
    betas = [params_at(space, point.coordinates)[BETA] for point in sampler.ask(200)]
    assert 0.4 <= sum(beta > 0.99 for beta in betas) / len(betas) <= 0.6


@pytest.mark.parametrize("name", ["tpe", "cma_es", pytest.param("gp", marks=needs_torch)])
def test_arms_of_one_seed_begin_with_the_same_points(name):
    sampler = sampler_of(name, [SPACE, SPACE, SPACE], [3, 3, 4], generation=24)
    points = [(p.arm, p.coordinates) for p in sampler.ask(24)]
    first, second, other = ([at for arm, at in points if arm == i] for i in range(3))
    assert first == second != other


@pytest.mark.parametrize("name", LEARNING)
@pytest.mark.parametrize(
    ("space", "size"),
    [({DEPTH: SPACE[DEPTH], KIND: SPACE[KIND]}, 12), ({DEPTH: SPACE[DEPTH]}, 4), ({FIXED: SPACE[FIXED]}, 1), ({}, 1)],
    ids=["two", "one", "fixed", "none"],
)
def test_a_small_space_is_tried_whole_and_once(name, space, size):
    spaces = [space, {RATE: SPACE[RATE]}]
    sampler = sampler_of(name, spaces, generation=8)
    tried = [
        trial
        for generation in generations(
            sampler, 6, spaces, lambda p, s: Outcome(p.arm, p.coordinates, "completed", 0.5, (0.5,))
        )
        for trial in generation
    ]
    assert len({repr(trial) for trial in tried}) == len(tried)
    assert sum(arm == 0 for arm, _ in tried) == min(size, 24)
    assert len(tried) == 48  # what one arm has not, the other gets


def test_where_nothing_is_new_there_are_no_more_points():
    sampler = sampler_of("tpe", [{KIND: SPACE[KIND]}], generation=8)
    assert [len(generation) for generation in generations(sampler, 2, [{KIND: SPACE[KIND]}], failed)] == [3, 0]


def failed(point, space):
    return Outcome(point.arm, point.coordinates, "failed", None, ())


def diverged(point, space):
    return Outcome(point.arm, point.coordinates, "diverged", None, (-math.inf,))


@pytest.mark.parametrize("name", LEARNING)
@pytest.mark.parametrize("end", [failed, diverged])
def test_a_sweep_of_which_no_trial_has_a_score_goes_on(name, end):
    assert [len(generation) for generation in generations(sampler_of(name, generation=8), 4, end=end)] == [8] * 4


def best_of(name, n, seed, **more):
    spaces = ({key: SPACE[key] for key in (RATE, BETA, UNITS, DEPTH)},)
    sampler = sampler_of(name, spaces, [seed], **more)
    whole = generations(sampler, n // (sampler.generation or 8), spaces, completed)
    return min(loss(params) for generation in whole for _, params in generation)


def completed(point, space):
    params = params_at(space, point.coordinates)
    return Outcome(point.arm, coordinates_of(space, params), "completed", -loss(params), (-loss(params),))


@pytest.mark.parametrize("name", ["tpe", "cma_es", pytest.param("gp", marks=needs_torch)])
def test_what_learns_is_better_than_random(name):
    seeds = range(3) if name == "gp" else range(7)
    learned = statistics.median(best_of(name, 64, seed, generation=8) for seed in seeds)
    assert learned < 0.5 * statistics.median(best_of("random", 64, seed) for seed in range(15))


@pytest.mark.parametrize("name", ["tpe", "cma_es", pytest.param("gp", marks=needs_torch)])
@pytest.mark.parametrize("status", ["completed", "pruned"])
def test_it_begins_with_what_an_earlier_stage_has_learned(name, status):
    spaces = ({key: SPACE[key] for key in (RATE, BETA, UNITS, DEPTH)},)
    points = sampler_of("quasi_random", spaces).ask(48)
    history = tuple(
        Outcome(0, p.coordinates, status, -loss(params_at(spaces[0], p.coordinates)), (-1.0,)) for p in points
    )
    means = {}
    for known in ((), history):
        firsts = [
            loss(params)
            for seed in range(3)
            for _, params in generations(
                sampler_of(name, spaces, [seed], stage=1, generation=8, history=known), 1, spaces, completed
            )[0]
        ]
        means[bool(known)] = statistics.mean(firsts)
    assert means[True] < 0.7 * means[False]


def test_many_trials_make_a_point_no_dearer():
    """The study keeps the best and a share of the others."""
    spaces = ({RATE: SPACE[RATE], BETA: SPACE[BETA], UNITS: SPACE[UNITS]},)
    points = sampler_of("random", spaces).ask(1500)
    told = [completed(point, spaces[0]) for point in points]
    sampler = sampler_of("tpe", spaces, generation=16)
    for place in range(0, 1500, 100):
        sampler.tell(told[place : place + 100])
    (arm,) = sampler._arms
    sampler.ask(1)
    sampler.tell(told[:1])
    kept = {trial.value for trial in arm._study.get_trials(deepcopy=False)}
    assert len(kept) <= sampler.most
    best = sorted((o.score for o in told), reverse=True)[:25]
    assert set(best) <= kept


def test_what_is_told_are_the_values_that_were_tried():
    spaces = ({DEPTH: SPACE[DEPTH], UNITS: SPACE[UNITS]},)
    sampler = sampler_of("TPESampler", spaces, generation=4)
    points = sampler.ask(4)
    told = [completed_as(point, spaces[0]) for point in points]
    sampler.tell(told)
    trials = sampler._arms[0]._study.get_trials(deepcopy=False)
    assert [trial.params for trial in trials] == [o.coordinates for o in told] != [p.coordinates for p in points]


def completed_as(point, space):
    params = params_at(space, point.coordinates)
    return Outcome(0, coordinates_of(space, params), "completed", 0.5, (0.5,))


def test_cma_es_says_which_choices_it_draws_at_random():
    assert sampler_of("cma_es").notes() == ["sweep=cma_es learns of ranges only: kind is drawn at random"]
    assert not sampler_of("cma_es", [{RATE: SPACE[RATE]}]).notes()
    with pytest.raises(InputError, match=r"nothing but choices is searched \(kind\)"):
        sampler_of("cma_es", [{KIND: SPACE[KIND]}])


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="the extra gp is installed")
@pytest.mark.parametrize("target", ["pipeline.search.samplers.gp.Gp", "optuna.samplers.GPSampler"])
def test_a_gaussian_process_without_torch_says_what_to_install(target):
    with pytest.raises(InputError, match=r"needs PyTorch, the extra `gp`: pip install -e '\.\[gp\]'"):
        make_sampler(Target(target), Search((SPACE,), (0,), 0, 10))


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        ("TPESampelr", {}, r"no callable 'TPESampelr'. Did you mean 'TPESampler'\?"),
        ("TPESampler", {"n_startup": 3}, r"unexpected keyword argument 'n_startup'. Did you mean 'n_startup_trials'\?"),
        ("CmaEsSampler", {"lr_adapt": True, "with_margin": True}, "It is prohibited to pass"),
        ("GridSampler", {}, "missing a required argument: 'search_space'"),
        ("nsgaii.UniformCrossover", {}, "optuna.samplers.nsgaii.UniformCrossover is no sampler of Optuna's"),
    ],
)
def test_what_optuna_has_not_or_does_not_take_is_refused(target, arguments, message):
    with pytest.raises(InputError, match=message):
        make_sampler(Target(f"optuna.samplers.{target}", arguments), Search((SPACE,), (0,), 0, 10))


def test_an_argument_reaches_optuna_s_sampler():
    search = Search(({RATE: SPACE[RATE]},), (0,), 0, 10, 4)
    seeded = [make_sampler(Target("optuna.samplers.RandomSampler", {"seed": s}), search).ask(4) for s in (1, 1, 2)]
    assert seeded[0] == seeded[1] != seeded[2]
