"""Names that configs compute: paths, folders of runs, cores. Importing it registers them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from seqexp.config.typed import choices
from seqexp.tracking import check as tracking_rules  # noqa: F401  (its resolver)

_HERE = Path(__file__).resolve().parent.parent  # the package


NUM_PROCESSES, RANK = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
"""Processes that `torchrun` has started to train one model, and which of them this is."""


def run_name(_root_: DictConfig) -> str:
    """Name of a single run's folder: what it is, its seed, its identity; the same every time.

    Raises:
        ConfigError: if the composition is wrong; no folder was made then.
    """
    from seqexp.config.check import check
    from seqexp.config.experiments import for_others
    from seqexp.sweep.job import settled

    plain = OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])
    config = settled(check(plain, others=for_others(_root_.hydra)))
    return folder_name(choices(_root_.hydra.runtime.choices), config)


def folder_name(chosen: Mapping[str, str], config: Mapping[str, Any]) -> str:
    """Name of the folder of a single run."""
    from seqexp.checkpoint.identity import identity_of_training

    together = f"-{NUM_PROCESSES}processes" if NUM_PROCESSES > 1 else ""
    name = f"{chosen.get('model')}-{chosen.get('dataset')}-seed{config['seed']}{together}"
    # options in folders have slashes; a file name has at most 255 bytes
    name = re.sub(r"[^\w.-]+", "-", name).encode()[:200].decode(errors="ignore")
    return f"{name}-{identity_of_training(dict(config))[:10]}"


def cores() -> int:
    """Cores that this process may use."""
    from seqexp.utils.workers import cores

    return cores()


def unless(said: Any, value: Any) -> Any:
    """A value that only counts where something else is null."""
    return value if said is None else None


# here and not in main: worker processes of a launcher only import this module
OmegaConf.register_new_resolver("absolute", lambda path: str(Path(path).absolute()), replace=True)
OmegaConf.register_new_resolver("cores", cores, replace=True)
OmegaConf.register_new_resolver("unless", unless, replace=True)
OmegaConf.register_new_resolver("run_name", run_name, replace=True)
