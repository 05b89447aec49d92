"""Imports all that a job may need: of the process that jobs are forked from.

What a process does once is done too: it reads the default configuration and draws a figure. No
computation is begun, since a fork would miss its threads.
"""

import contextlib
import gc
import importlib
import os
from typing import Any

from seqexp.sweep.forked.processes import SERVER

NAMES = (
    *("torch", "seqexp.cli.main", "seqexp.run", "seqexp.config.check"),
    *("mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store", "seqexp.tracking.mlflow"),
    *("seqexp.tracking.store.client", "seqexp.interpret.filters.report", "PIL.Image"),
)
"""Modules; what they import comes with them. Another than ours may be absent."""


def _of(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _compose() -> None:
    """Parse what Hydra and the check parse once: grammars, and the signatures of constructors."""
    folder = str(_of("seqexp.config.groups", "CONF"))
    with _of("hydra", "initialize_config_dir")(folder, version_base="1.3"):
        config = _of("hydra", "compose")("config")
    _of("seqexp.config.check", "check")(config)


def _draw() -> None:
    """Find the fonts."""
    figure = _of("matplotlib.figure", "Figure")()
    _of("matplotlib.backends.backend_agg", "FigureCanvasAgg")(figure)
    figure.text(0.5, 0.5, "A")
    figure.canvas.draw()


def _look_through_packages() -> None:
    """Have MLflow map modules to packages: a second, in each process that keeps a model."""
    _of("mlflow.utils.requirements_utils", "_init_modules_to_packages_map")()
    _of("sqlalchemy.orm", "configure_mappers")()


def preload() -> None:
    """All of it, in a process that has done nothing else."""
    gc.disable()
    for name in NAMES:
        with contextlib.suppress(ImportError):  # a job that needs it says so
            importlib.import_module(name)
    for work in (_compose, _draw, _look_through_packages):
        with contextlib.suppress(Exception):  # then each job does it
            work()
    gc.freeze()  # pages that nobody writes to stay shared


if os.environ.get(SERVER):
    preload()
