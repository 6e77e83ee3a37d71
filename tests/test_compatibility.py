"""What an earlier version wrote is read with the keys that came since, and compares without them."""

from omegaconf import OmegaConf

from pipeline import compatibility
from pipeline.building import built
from pipeline.checks import check
from tests.conftest import MAPS, ROOT

FIRST = OmegaConf.to_container(OmegaConf.load(ROOT / "tests/fixtures/begun_earlier/run/.hydra/config.yaml"))


def test_the_first_version_s_config_is_completed():
    config = compatibility.completed(FIRST)
    assert config["train"]["metrics"] == []
    check(built({**config, "allowed_targets": ["pipeline.", "keras.optimizers."]}))
    assert compatibility.reduced(config) == compatibility.current(FIRST)


def test_every_name_that_comes_with_caviar_is_known_as_added():
    """Or sweeps that were begun before there was such a name could not be resumed."""
    assert {kind: compatibility.ADDED[kind] for kind in MAPS} == MAPS


def test_what_is_used_of_the_new_stays():
    config = {"train": {"metrics": ["recall"]}, "heads": {"mine": "my.Head", "cost": "my.Cost"}, "metrics": {}}
    assert compatibility.reduced({**config, "seed": 0}) == {
        "train": {"metrics": ["recall"]},
        "heads": {"mine": "my.Head", "cost": "my.Cost"},
        "seed": 0,
    }


def test_keys_of_data_that_came_later_change_no_identity_unless_they_are_used():
    before = {"dataset": {"_target_": "pipeline.data.formats.tables.csv", "file": "t.csv"}}
    plain = {"heading": "auto", "decimal": ".", "thousands": None, "missing_values": [], "bits": None}
    plain["normalize"] = True
    assert compatibility.reduced({"dataset": {**before["dataset"], **plain}}) == before
    assert compatibility.reduced({"dataset": {**before["dataset"], **plain, "decimal": ","}}) != before
