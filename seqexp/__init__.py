"""Config-driven experiments on sequence models in plain PyTorch."""

__version__ = "0.1.0"
