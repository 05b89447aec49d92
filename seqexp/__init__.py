"""Config-driven experiments on sequence models in plain PyTorch.

`seqexp.train` and `seqexp.load` are for notebooks and scripts (`seqexp/cli/api.py`).
"""

from typing import Any

from seqexp.utils import old_names

__version__ = "0.1.0"

__all__ = ["__version__", "load", "train"]

old_names.install()


def __getattr__(name: str) -> Any:
    """`train` and `load`, which need PyTorch and MLflow: imported when they are first asked for."""
    if name not in ("train", "load"):
        raise AttributeError(f"module 'seqexp' has no attribute {name!r}")
    from seqexp.cli import api

    return getattr(api, name)
