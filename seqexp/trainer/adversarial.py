"""Adversarial noise on learned vectors: each update reads its batch a second time.

The second pass adds to the vectors of each sequence the direction in which its loss grows fastest,
and the loss of an update is the mean of both passes. The vectors are those that the layers above
them read: where n-grams are added to those of tokens, their sums.

Source: Miyato, Dai & Goodfellow (2017), eq. 3 and 4, with a length that follows the vectors'.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from seqexp.spec import is_real


class AdversarialNoise:
    """What is added to vectors in the second pass.

    Args:
        inputs: modules whose first argument is tokens, and whose output learned vectors of them,
            (batch, time, channels).
        size: length of the noise on a sequence, as a share of the length of all its vectors as one:
            of the root mean square of their lengths times the root of their number.
    """

    def __init__(self, inputs: Sequence[nn.Module], size: float) -> None:
        self.inputs, self.size = inputs, size
        self._vectors: list[Tensor] = []
        self._real: list[Tensor] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Keep the vectors that are read, so that they get gradients."""
        self._vectors, self._real = [], []

        def keep(module: nn.Module, given: Any, vectors: Tensor) -> Tensor:
            if not vectors.requires_grad:  # of a table that is frozen
                vectors = vectors.detach().requires_grad_()
            vectors.retain_grad()
            self._vectors.append(vectors)
            self._real.append(is_real(given[0])[..., None])
            return vectors

        with self._hooked(keep):
            yield

    @contextmanager
    def added(self) -> Iterator[None]:
        """Add the noise to the vectors, which are read once more in the same order."""
        noise = iter(self._noise())
        with self._hooked(lambda module, given, vectors: vectors + next(noise)):
            yield
        self._vectors, self._real = [], []

    @contextmanager
    def _hooked(self, hook: Any) -> Iterator[None]:
        handles = [module.register_forward_hook(hook) for module in self.inputs]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def _noise(self) -> list[Tensor]:
        """Of each of the vectors: their gradients, of the length that a sequence's are to have."""
        gradients = [
            torch.zeros_like(vectors) if vectors.grad is None else vectors.grad * real
            for vectors, real in zip(self._vectors, self._real, strict=True)
        ]
        lengths = self.size * _lengths(self._vectors)  # of padding they are zero
        # a gradient is never longer than this, so that no product overflows
        steepness = _lengths(gradients).clamp(min=torch.finfo(torch.float32).tiny)
        return [
            gradient / steepness[:, None, None] * lengths[:, None, None] for gradient in gradients
        ]


def _lengths(parts: Sequence[Tensor]) -> Tensor:
    """Of each sequence the L2 norm of all numbers of its parts: (batch,)."""
    norms = [
        # in float64, where squares of small gradients do not vanish
        torch.linalg.vector_norm(part.flatten(1), dim=1, dtype=torch.float64)
        for part in parts
    ]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    return norm.to(parts[0].dtype)
