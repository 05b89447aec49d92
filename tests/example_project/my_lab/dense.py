"""A network that sees all positions at once."""

import torch
from torch import Tensor, nn

from seqexp.ranges import Size
from seqexp.spec import Carry, TaskSpec


class Dense(nn.Module):
    """Learned vectors of all tokens, one hidden layer.

    Args:
        spec: the task, given by seqexp.
        hidden_size: units of the hidden layer.
    """

    causal = False

    def __init__(self, spec: TaskSpec, hidden_size: Size = 32) -> None:
        super().__init__()
        if spec.length is None:
            raise ValueError("Dense needs sequences of one length")
        self.embedding = nn.Embedding(len(spec.vocabulary), 8)
        self.hidden = nn.Linear(spec.length * 8, hidden_size)
        self.output = nn.Linear(hidden_size, spec.num_outputs)

    def forward(self, tokens: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """Logits (batch, 1, outputs), and nothing to carry on."""
        vectors = self.embedding(tokens).flatten(1)  # (batch, time * 8)
        return self.output(torch.relu(self.hidden(vectors)))[:, None], ()
