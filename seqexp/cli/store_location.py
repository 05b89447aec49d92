"""Finds the store of runs from the same configuration as `python -m seqexp`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from seqexp.cli import resolvers  # noqa: F401  (what its import adds to OmegaConf)
from seqexp.config.groups import CONF
from seqexp.errors import InputError
from seqexp.tracking.store.address import fault, is_served

KEYS: dict[str, Any] = {"tracking.uri": str, "paths.outputs": str, "paths.data": str}
"""Keys that may be given, as for `python -m seqexp`."""


@dataclass(frozen=True)
class Place:
    """Folders, and the store of runs.

    Args:
        outputs: below which runs leave files.
        data: of downloads.
        tracking: the config of a tracker on the store.
        is_named: whether the store was named by its address, and may be another's.
    """

    outputs: Path
    data: Path
    tracking: Mapping[str, Any]
    is_named: bool = False

    @property
    def uri(self) -> str:
        """Address of the store."""
        return str(self.tracking["uri"])


def place(given: Mapping[str, str]) -> Place:
    """The place that these keys name, and the configuration where they say nothing.

    Raises:
        InputError: if the address of the store is none.
    """
    uri = given.get("tracking.uri")
    wrong = fault(uri) if uri is not None else None
    if wrong is not None:
        raise InputError(wrong)
    option = "server" if uri is not None and is_served(uri) else "mlflow"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [f"tracking={option}"])
    for key, value in given.items():
        OmegaConf.update(config, key, value)
    tracking = OmegaConf.to_container(config.tracking, resolve=True)
    assert isinstance(tracking, dict)
    return Place(
        Path(config.paths.outputs).absolute(),
        Path(config.paths.data).absolute(),
        {str(key): value for key, value in tracking.items()},
        is_named="tracking.uri" in given,
    )
