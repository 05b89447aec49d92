"""Tiny runs for the tests of commands, trained in this process."""

import hashlib
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from seqexp.checkpoint.result import Result, Start
from seqexp.cli import resolvers  # noqa: F401  (what its import adds to OmegaConf)
from seqexp.config.check import check
from seqexp.config.groups import CONF
from seqexp.run import run


def composed(outputs: Path, *overrides: str) -> Any:
    """The composition of a command line, with `trainer=smoke`."""
    quick = ["trainer=smoke", "interpret=none", f"paths.outputs={outputs}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [*quick, *overrides])


def train(outputs: Path, *overrides: str, parent: str | None = None) -> Result:
    """What `python -m seqexp` does with these overrides."""
    config = check(composed(outputs, *overrides))
    given = dict(item.split("=", 1) for item in overrides)
    groups = {"model": "cnn1d", "dataset": "motif", "trainer": "smoke"}
    start = Start(
        choices={group: given.get(group, option) for group, option in groups.items()},
        overrides=overrides,
        folder=outputs / "runs" / hashlib.sha256(repr(overrides).encode()).hexdigest()[:10],
        parent=parent,
    )
    return run(config, start)
