"""Attention: which of the positions that were read before matter now."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from seqexp.spec import Carry

AttentionName = Literal["none", "additive", "dot"]


MAX_SUMS = 2**25
"""Sums of a query and a key, in numbers, that are held at a time."""


class Attention(nn.Module):
    """Joins to each state s_t what was read, weighted by how well its positions fit the state.

    Scores e_tj of the state s_t and the position h_j: `additive` is v^T tanh(W_s s_t + W_h h_j)
    (Bahdanau et al. 2015, A.1.2), `dot` is s_t^T W_h h_j (Luong et al. 2015, eq. 8, `general`).
    Weights a_tj are their softmax over j, padding left out, and c_t = sum_j a_tj h_j. What comes
    out is tanh(W_c (c_t; s_t)) (Luong et al. 2015, eq. 5). It is not fed back into the recurrence
    (no input feeding), so that states of all positions are computed before it.

    Args:
        kind: of the scores.
        state_size: of s_t, and of what comes out.
        read_size: of h_j.
    """

    num_carried = 3
    """Tensors in the carry: what was read, its keys W_h h_j, and which of it is no padding."""

    def __init__(self, kind: Literal["additive", "dot"], state_size: int, read_size: int) -> None:
        super().__init__()
        self.kind = kind
        self.key = nn.Linear(read_size, state_size, bias=False)
        if kind == "additive":
            self.query = nn.Linear(state_size, state_size)
            self.score = nn.Linear(state_size, 1, bias=False)
        self.join = nn.Linear(read_size + state_size, state_size)

    def keep(
        self, read: Float[Tensor, "batch context read"], is_real: Bool[Tensor, "batch context"]
    ) -> Carry:
        """What is carried of a context, so that its keys are computed once."""
        return (read, self.key(read).to(read.dtype), is_real)

    def weights(
        self, states: Float[Tensor, "batch positions state"], kept: Carry
    ) -> Float[Tensor, "batch positions context"]:
        """What each position of the context counts; 0 for padding."""
        _, keys, is_real = kept
        if self.kind == "additive":
            scores = self._additive(self.query(states), keys)
        else:
            scores = states @ keys.transpose(1, 2)
        padding = ~is_real[:, None]
        scores = scores.masked_fill(padding, torch.finfo(scores.dtype).min)
        return torch.softmax(scores, dim=2).masked_fill(padding, 0)  # of nothing but padding: 0

    def _additive(
        self,
        queries: Float[Tensor, "batch positions state"],
        keys: Float[Tensor, "batch context state"],
    ) -> Float[Tensor, "batch positions context"]:
        """Scores, for as many positions at a time as memory is for."""
        together = max(1, MAX_SUMS // max(1, keys.numel()))
        scores = [
            # (batch, positions, context, state)
            self.score(torch.tanh(some[:, :, None] + keys[:, None]))[..., 0]
            for some in torch.split(queries, together, dim=1)
        ]
        return scores[0] if len(scores) == 1 else torch.cat(scores, dim=1)

    def forward(
        self, states: Float[Tensor, "batch positions state"], kept: Carry
    ) -> Float[Tensor, "batch positions state"]:
        """States joined with what they attend to."""
        weights = self.weights(states, kept)
        attended = weights @ kept[0].to(weights.dtype)
        return torch.tanh(self.join(torch.cat([attended.to(states.dtype), states], dim=2)))
