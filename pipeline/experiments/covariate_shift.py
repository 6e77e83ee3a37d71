"""While earlier layers learn, what enters a later one drifts: by how much, with batch norm and without (Ioffe & Szegedy
2015, section 4.1).

That this is why batch norm helps is disputed (Santurkar et al. 2018): drift is shown here, not its effect.
"""

import numpy as np

from pipeline.errors import InputError
from pipeline.experiments.batch_norm import PLACEMENT, STYLES, WITH, WITHOUT, layers_with
from pipeline.experiments.drawing import Drawing, drawing, panels
from pipeline.experiments.evidence import estimate, finding, verdict
from pipeline.study.finished import SEED, Results
from pipeline.tracking.curves import band, by_epoch, measure


def figure(results: Results) -> Drawing:
    """Pre-activations of the last hidden layer by epoch, one trial without and one with batch norm on the same axis;
    right, how far the means of its units have moved, a line a seed. Raises InputError if that was not recorded."""
    results.needs(PLACEMENT, STYLES)
    results.needs_diagnostics()
    canvas, (without, with_norm, right) = panels("AB;CC")
    with_norm.sharey(without)
    shifts: dict[str, dict[int, float]] = {}
    moves = []
    for axis, (placement, (text, color)) in zip((without, with_norm), STYLES.items(), strict=True):
        trials = [t for t in results.completed() if t.params[PLACEMENT] == placement]
        if not trials:
            raise InputError(f"{PLACEMENT}={placement}: no trial completed, so there is nothing to compare.")
        layer = layers_with("shift", trials[0], results)[-1]
        band(axis, trials[0].diagnoses, layer, color)
        axis.set_title(f"{layer}, {text}", size=10)
        for i, trial in enumerate(trials):
            label = None if i else f"{text}, a line a seed"
            right.plot(list(trial.diagnoses), measure(trial.diagnoses, layer, "shift"), color=color, label=label)
        shifts[placement] = {t.params.get(SEED, 0): measure(t.diagnoses, layer, "shift")[-1] for t in trials}
        moves.append(f"{estimate(finding(shifts[placement], results).values()).text()} {text}")
    without.set(ylabel="pre-activations: median,\n15th to 85th percentile")
    right.set(ylabel="shift since epoch 0\n(standard deviations)", ylim=(0, None))
    right.set_title(f"how far the mean of a unit of {layer}, the last hidden layer, has moved", size=10)
    for axis in (without, with_norm, right):
        axis.set(xlabel="epoch")
        by_epoch(axis)
    without.margins(y=0.15)
    epochs = max(len(trial.epochs) for trial in results.trials)
    text = f"In {epochs} epochs the mean of a unit of the last hidden layer moves by standard deviations:"
    fewer = {seed: far - shifts[WITH].get(seed, np.nan) for seed, far in shifts[WITHOUT].items()}
    return drawing(canvas, f"{text} {', '.join(moves)}. " + verdict("Batch norm takes away {}", fewer, results))
