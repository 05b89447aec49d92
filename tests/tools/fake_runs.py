"""The command with runs that train nothing: searches are tried in seconds.

A run's value is a parabola of optimizer.lr. `FAKE_SECONDS` is how long it takes; where lr is above
`FAKE_FAILS`, it fails as a diverging run does. Each run adds a line to the file `FAKE_LOG`.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from seqexp.cli import main as cli
from seqexp.config.check import check
from seqexp.errors import NonFiniteError


def job(config: DictConfig) -> float:
    plain: dict[str, Any] = check(config)
    lr = plain["optimizer"]["lr"]
    told = {"lr": lr, "model": HydraConfig.get().runtime.choices.model}
    told |= {"trial": plain["sweeper"]["trial"], "model_keys": plain["model"]}
    with Path(os.environ["FAKE_LOG"]).open("a") as file:
        file.write(json.dumps(told) + "\n")
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
    if lr > float(os.environ.get("FAKE_FAILS", "inf")):
        raise NonFiniteError("gradient of w is inf at epoch 1, batch 1")
    return float((lr - 0.03) ** 2)


if __name__ == "__main__":
    cli.job = job
    cli.main()
