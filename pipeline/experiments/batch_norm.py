"""What the experiments with batch norm share: the key that places it, how a placement is named and
coloured, and what difference counts."""

from pipeline.errors import InputError
from pipeline.study.finished import FinishedTrial, Results

PLACEMENT = "model.norm_placement"
WITHOUT, WITH = "none", "before_activation"
NEAR = 0.05  # a difference in accuracy that counts: a rate is good if it comes so close to the best of all
LABELS = {
    WITHOUT: "without batch norm",
    WITH: "batch norm before the activation",
    "after_activation": "batch norm after the activation",
}
# Where it stands either before the activation or nowhere: (name, colour).
STYLES = {WITHOUT: ("without batch norm", "#ee6677"), WITH: ("with batch norm", "#4477aa")}


def layers_with(measure: str, trial: FinishedTrial, results: Results) -> list[str]:
    """The layers of which `measure` was recorded, from first to last. Raises InputError if there is none: it is taken
    before activations, and a linear one is no layer of its own."""
    layers = [name for name, of_layer in trial.diagnoses[0].items() if measure in of_layer]
    if not layers:
        model = results.config.model.arguments
        keys = " ".join(f"model.{key}={model.get(key)}" for key in ("hidden_layers", "activation"))
        raise InputError(f"{keys}: no layer has an activation, before which {measure} could be measured.")
    return layers
