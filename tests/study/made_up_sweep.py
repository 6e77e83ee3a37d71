"""A sweep's folder as one leaves it, without training: two arms, two stages, halving, failures, curves by formula."""

import itertools
import json
import math
import random
from pathlib import Path

ARMS = {
    "adam": {
        "optimizer.learning_rate": "tag(log, interval(0.0001, 0.1))",
        "optimizer.beta_1": "tag(one_minus_log, interval(0.5, 0.999))",
        "train.batch_size": "choice(16, 32, 64)",
    },
    "momentum": {
        "optimizer.learning_rate": "tag(log, interval(0.001, 1))",
        "optimizer.momentum": "tag(one_minus_log, interval(0.5, 0.999))",
        "train.batch_size": "choice(16, 32, 64)",
    },
}
REGION = [  # of the second stage
    {"optimizer.learning_rate": "tag(log, interval(0.001, 0.01))", "train.batch_size": "choice(16, 32)"},
    {"optimizer.learning_rate": "tag(log, interval(0.01, 0.1))", "train.batch_size": "choice(16, 32)"},
]
SCALES = {name: f"pipeline.search.scales.{name.upper()}" for name in ("linear", "log", "one_minus_log")}
BEGUN = 1.7e9
DESCRIPTION = "made up: 100 examples"


def draw(key: str, u: float, arm: str, refined: bool) -> float:
    if key == "train.batch_size":
        return [16, 32, 64][int(u * (2 if refined else 3))]
    if not key.endswith("learning_rate"):
        return round(1 - 10 ** (math.log10(0.5) + u * (-3 - math.log10(0.5))), 9)
    low, width = (-3.0, 1.0) if refined else (-4.0, 3.0)
    return float(f"{10 ** (low + width * u + (arm == 'momentum')):.6g}")


def lines(path: Path, records: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def make_sweep(folder: Path, n: int = 20, epochs: int = 8, seed: int = 0, arms: int = 2, seeds: int = 0) -> Path:
    """Trials alternate between the arms, at the same u; half of them in each stage. Every ninth fails, every seventh
    diverges, and of the others those of an odd point stop at epoch 2. The first two that completed are trained again
    with so many other `seeds`; with them the later one is better."""
    rng = random.Random(seed)
    names = list(ARMS)[:arms]
    header = {
        "data": "f00d",
        "strategy": {
            "sampler": {"_target_": "pipeline.search.samplers.random.Random"},
            "metric": "val_accuracy",
            "direction": "maximize",
            "keep": 0.25,
            "margin": 0.1,
            "points": None,
            "halving": {"min_epochs": 2, "factor": 2},
        },
        "stages": {"coarse": {"epochs": None, "n_trials": n // 2}, "fine": {"epochs": None}},
        "arms": {
            f"optimizer={name}": {
                "space": {key.replace(".", "/"): text for key, text in ARMS[name].items()},
                "scales": SCALES,
                "config": {"seed": 0, "model": {"activation": "relu"}},
            }
            for name in names
        },
        "order": [f"optimizer={name}" for name in names],
    }
    facts = {"fingerprint": "f00d", "description": DESCRIPTION, "validation_counts": [10, 10]}
    ledger: list[dict] = [
        {"record": "study", "header": header},
        {"record": "data", "arms": [facts] * arms, "versions": {"numpy": "2.0"}},
    ]
    draws: list[float] = []
    for number in range(n):
        refined, arm = number >= n // 2, number % arms
        if refined and not any(record["record"] == "region" for record in ledger):
            ledger.append({"record": "region", "stage": "coarse", "arms": REGION[:arms]})
        draws = [rng.random() for _ in range(3)] if arm == 0 else draws
        params: dict = {"optimizer": names[arm]}
        params |= {key: draw(key, u, names[arm], refined) for key, u in zip(ARMS[names[arm]], draws)}
        ledger.append({"record": "asked", "trial": number, "stage": "fine" if refined else "coarse", "arm": arm,
                       "params": params})  # fmt: skip
        ledger.append({"record": "started", "trial": number})
        end, events = _train(number, params, number // arms % 2 == 1, epochs, rng)
        ledger.append({"record": "ended", "trial": number, **end})
        lines(folder / str(number) / "events.jsonl", events)
        hydra = folder / str(number) / ".hydra"
        hydra.mkdir(exist_ok=True)
        (hydra / "overrides.yaml").write_text("".join(f"- {key}={value}\n" for key, value in params.items()))
        (hydra / "config.yaml").write_text(
            "optimizer:\n  search:\n    learning_rate: {tier: 1, range: x}\n    momentum: {tier: 2, range: x}\n"
        )
    finalists = (
        [r["trial"] for r in ledger if r["record"] == "ended" and r["status"] == "completed"][:2] if seeds else []
    )
    for number, (finalist, of_seed) in enumerate(itertools.product(finalists, range(1, seeds + 1)), start=n):
        asked = next(r for r in ledger if r["record"] == "asked" and r["trial"] == finalist)
        params = {**asked["params"], "seed": of_seed}
        ledger.append({**asked, "trial": number, "params": params, "replicate_of": finalist})
        ledger.append({"record": "started", "trial": number})
        time = BEGUN + 10 * n
        value = (0.96 if finalist == finalists[1] else 0.92) + 0.01 * of_seed
        metrics = {"val_accuracy": value, "val_loss": 1 - value}
        end = {"status": "completed", "reason": None, "best_epoch": 2, "metrics": metrics}
        ledger.append({"record": "ended", "trial": number, **end})
        lines(folder / str(number) / "events.jsonl", [
            {"time": time, "event": "started", "pid": 1, "parameters": 100, "cohort": 4},
            *({"time": time + epoch, "event": "epoch", "epoch": epoch, **metrics, "seconds": 0.5, "learning_rate": 0.01}
              for epoch in (1, 2)),
            {"time": time + 3, "event": "ended", "epochs": 2, **end},
        ])  # fmt: skip
    if seeds:
        ledger.append({"record": "finalists", "trials": finalists, "seeds": list(range(1, seeds + 1))})
    ledger.append({"record": "spent", "seconds": 61.0})  # which every sweep has, with a budget or without
    lines(folder / "ledger", ledger)
    return folder


def _train(number: int, params: dict, odd: bool, epochs: int, rng: random.Random) -> tuple[dict, list[dict]]:
    status = "failed" if number % 9 == 8 else "diverged" if number % 7 == 6 else "pruned" if odd else "completed"
    reasons = {"failed": "out of memory", "diverged": "val_loss is not finite", "pruned": "pruned after 2 epochs"}
    last = {"failed": 1, "diverged": 3, "pruned": 2}.get(status, epochs)
    quality = 1 - 0.1 * abs(math.log10(params["optimizer.learning_rate"]) + 2)
    time = BEGUN + 10 * (number // 4)
    events = [{"time": time, "event": "started", "pid": 1, "parameters": 100, "cohort": 4}]
    together = list(range(number // 4 * 4, number // 4 * 4 + 4))
    events.append({"time": time, "event": "grouped", "epoch": 0, "trials": together, "mode": "fused"})
    best = (0, {})
    for epoch in range(1, last + 1):
        time += 0.5
        value = quality * (1 - math.exp(-epoch / 3)) + 0.01 * rng.random()
        metrics = {"loss": 1 - value, "accuracy": value, "val_loss": 1.1 - value, "val_accuracy": value}
        best = max(best, (epoch, metrics), key=lambda pair: pair[1].get("val_accuracy", -1))
        shown = {**metrics, "val_loss": None} if status == "diverged" and epoch == last else metrics
        events.append({"time": time, "event": "epoch", "epoch": epoch, **shown, "seconds": 0.25, "learning_rate": 0.01})
        if epoch == 2 and status in ("completed", "pruned"):
            events.append({"time": time, "event": "paused", "epochs": 2, "best_epoch": best[0], "metrics": best[1]})
    end = {"status": status, "reason": reasons.get(status), "best_epoch": best[0], "metrics": best[1]}
    events.append({"time": time + 60, "event": "ended", "epochs": last, **end})
    return end, events
