"""Tensors of arrays that are mapped from files."""

import warnings

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor


def as_tensor(values: Shaped[np.ndarray, "..."]) -> Shaped[Tensor, "..."]:
    """The same memory, or the same file."""
    with warnings.catch_warnings():
        # a mapped file cannot be written to, and nobody does
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(values)
