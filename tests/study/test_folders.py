import os

import pytest
import yaml

from pipeline.study.folders import config_file, write_config
from tests.conftest import composed, files

WHOLE = [".hydra/config.yaml", ".hydra/overrides.yaml"]


@pytest.fixture(scope="module")
def config():
    return composed("dataset=blobs")


@pytest.mark.parametrize("left", [[], [".hydra"], [".hydra/config.yaml"], [f"..hydra.{os.getpid()}/config.yaml"]])
def test_a_config_is_written_whole_whatever_a_kill_left_of_it(left, config, tmp_path):
    for name in left:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("half") if path.suffix == ".yaml" else path.mkdir()
    write_config(tmp_path, config, ["dataset=blobs"])
    assert files(tmp_path) == WHOLE
    assert config_file(tmp_path).read_text() == config.yaml
    assert yaml.safe_load((tmp_path / WHOLE[1]).read_text()) == ["dataset=blobs"]


def test_one_that_can_not_be_written_is_not_there_and_one_that_is_there_stays(config, tmp_path):
    with pytest.raises(yaml.YAMLError):
        write_config(tmp_path, config, [object()])  # behind config.yaml
    assert not config_file(tmp_path).exists()
    write_config(tmp_path, config, ["dataset=blobs"])
    write_config(tmp_path, config, ["dataset=digits"])
    assert "blobs" in (tmp_path / WHOLE[1]).read_text()
