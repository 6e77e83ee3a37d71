"""`python run.py` trains one model, `python run.py -m` runs a sweep; `python run.py --help` says more."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from pipeline import entry, hydra_schema

hydra_schema.register()
sys.path.append(str(Path(__file__).parent / "pipeline/plugins"))


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    entry.train_one(cfg)


if __name__ == "__main__":
    entry.guarded(main)
