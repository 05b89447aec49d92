"""Config-driven experiments on sequence models in plain PyTorch."""

from seqexp.utils import old_names

__version__ = "0.1.0"

old_names.install()
