"""Fits a linear model of sparse features by L-BFGS, with the loss of the kind of task."""

from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from seqexp.task.base import Task

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MAX_STEPS = 200
"""Of a fit; few need as many."""

MEMORY = 6
"""Pairs of steps and gradients that the curvature is told from."""

TOLERANCE = 3e-6
"""Nats a sequence; a step that lowers the loss by less is the last."""

MAX_HALVED = 30
"""Times that a step is halved; a step so small changes nothing."""

ENOUGH = 1e-4
"""Share of the fall that the gradient promises, which a step has to have."""

TINY = 1e-300

AsLogits = Callable[[Float[Tensor, "rows width"]], Float[Tensor, "rows 1 outputs"]]


class Problem:
    """The loss of logits `features @ (ratios * weights) + bias`, with an L2 penalty on the weights.

    The penalty is that of the sum of losses.

    Args:
        features: a row a sequence.
        targets: in the order of these rows.
        task: whose loss it is.
        as_logits: from the columns of weights to outputs.
        width: columns of weights.
        ratios: what each n-gram counts; None is 1.
    """

    def __init__(
        self,
        features: "csr_matrix",
        targets: Num[Tensor, "rows labels"],
        task: Task,
        as_logits: AsLogits,
        width: int,
        ratios: Float[np.ndarray, "ngrams width"] | None = None,
    ) -> None:
        self.features, self.transposed = features, features.T
        self.targets, self.task, self.as_logits = targets, task, as_logits
        self.width, self.ratios = width, ratios
        self.size = features.shape[1] * width

    def fit(
        self, start: Float[np.ndarray, " values"], strength: float
    ) -> Float[np.ndarray, " values"]:
        """Weights and biases, in one row, of the lowest loss; from `start` on.

        Source: Liu & Nocedal (1989).
        """
        rows = max(1, self.features.shape[0])

        def mean_loss(values: Tensor) -> tuple[float, Tensor]:
            nats, slope = self.loss(values.numpy(), strength)
            return nats / rows, torch.from_numpy(slope) / rows

        found: np.ndarray = lowest(mean_loss, torch.from_numpy(start)).numpy()
        return found

    def loss(
        self, values: Float[np.ndarray, " values"], strength: float
    ) -> tuple[float, Float[np.ndarray, " values"]]:
        """Nats of all targets with the penalty, and its gradient."""
        weights = values[: self.size]
        outputs = torch.from_numpy(self.outputs(values)).requires_grad_()
        nats = self.task.nats(self.as_logits(outputs), self.targets)
        (gradient,) = torch.autograd.grad(nats, outputs)
        of_outputs = gradient.numpy()
        of_weights = self.transposed @ of_outputs  # (ngrams, width)
        if self.ratios is not None:
            of_weights = of_weights * self.ratios
        slope = np.empty_like(values)
        slope[: self.size] = of_weights.ravel()
        slope[: self.size] += strength * weights
        slope[self.size :] = of_outputs.sum(axis=0, dtype=np.float64)
        # of PyTorch: NumPy's would start threads of its own
        size = float(torch.from_numpy(weights).square().sum())
        return float(nats.detach()) + 0.5 * strength * size, slope

    def values(
        self, weights: Float[np.ndarray, "ngrams width"], bias: Float[np.ndarray, " width"]
    ) -> Float[np.ndarray, " values"]:
        """Where a fit starts, whose weights and biases are these."""
        if self.ratios is not None:
            nothing = np.zeros_like(weights)
            weights = np.divide(weights, self.ratios, out=nothing, where=self.ratios != 0)
        return np.concatenate([weights.ravel(), bias]).astype(np.float64)

    def weights(self, values: Float[np.ndarray, " values"]) -> Float[np.ndarray, "ngrams width"]:
        """What each n-gram adds to each column."""
        weights = values[: self.size].reshape(-1, self.width).astype(np.float32)
        return weights if self.ratios is None else weights * self.ratios

    def outputs(self, values: Float[np.ndarray, " values"]) -> Float[np.ndarray, "rows width"]:
        """The columns of each sequence."""
        found: np.ndarray = self.features @ self.weights(values)
        return found + values[self.size :].astype(np.float32)


Loss = Callable[[Tensor], tuple[float, Tensor]]
"""Of values: the loss, and its gradient."""


def lowest(loss: Loss, start: Float[Tensor, " values"]) -> Float[Tensor, " values"]:
    """Where a convex loss is lowest, by L-BFGS with steps halved until they lower it enough.

    Vectors are PyTorch's, which keeps to `trainer.num_threads`.

    Source: Nocedal & Wright (2006), algorithms 7.4 and 3.1.
    """
    values, (value, slope) = start, loss(start)
    pairs: deque[tuple[Tensor, Tensor]] = deque(maxlen=MEMORY)
    for _ in range(MAX_STEPS):
        direction = -_curved(slope, pairs)
        fall = float(slope @ direction)
        if fall >= 0:  # rounding
            break
        size = 1.0 if pairs else min(1.0, 1 / (float(slope.abs().sum()) + TINY))
        for _ in range(MAX_HALVED):
            new = values + size * direction
            new_value, new_slope = loss(new)
            if new_value <= value + ENOUGH * size * fall:
                break
            size /= 2
        else:
            break
        step, bend = new - values, new_slope - slope
        if float(step @ bend) > 0:
            pairs.append((step, bend))
        gain, values, value, slope = value - new_value, new, new_value, new_slope
        if gain < TOLERANCE and len(pairs) > 1:
            break
    return values


def _curved(
    slope: Float[Tensor, " values"], pairs: Collection[tuple[Tensor, Tensor]]
) -> Float[Tensor, " values"]:
    """The gradient times the inverse of the Hessian, as steps and gradients tell it."""
    product, shares = slope.clone(), []
    for step, bend in reversed(list(pairs)):
        shares.append(float(step @ product) / float(step @ bend))
        product -= shares[-1] * bend
    if pairs:
        step, bend = list(pairs)[-1]
        product *= float(step @ bend) / float(bend @ bend)
    for step, bend in pairs:
        product += (shares.pop() - float(bend @ product) / float(step @ bend)) * step
    return product
