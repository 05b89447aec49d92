"""What of the logits is explained: an output of each sequence, against the strongest other."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor
from torch.nn import functional

from seqexp.spec import Model, Output, TaskSpec

KINDS = (Output.SEQUENCE_CLASS, Output.MULTI_LABEL, Output.REGRESSION)
"""With one prediction a sequence."""

Margins = Callable[[Num[Tensor, "rows time ..."], Int[Tensor, " rows"]], Float[Tensor, " rows"]]
"""What is explained, of sequences that differ from those of a batch, by their numbers in it."""


@dataclass(frozen=True, eq=False)
class Question:
    """An output of each sequence of a batch.

    Args:
        outputs: index of the output.
        against: index of the strongest other output, of the sequence as it is; None where outputs
            stand for themselves, as labels and numbers do.
    """

    outputs: Int[Tensor, " batch"]
    against: Int[Tensor, " batch"] | None

    def of(
        self, logits: Float[Tensor, "rows outputs"], numbers: Int[Tensor, " rows"]
    ) -> Float[Tensor, " rows"]:
        """The output's logit, less that of the other one, of sequences by their numbers."""
        logits = two_at_least(logits) if self.against is not None else logits
        found = logits.gather(1, self.outputs[numbers, None])[:, 0]
        if self.against is None:
            return found
        return found - logits.gather(1, self.against[numbers, None])[:, 0]

    def margins(self, model: Model) -> Margins:
        """The function from sequences to what is explained of them."""
        return lambda tokens, numbers: self.of(model(tokens)[0][:, -1], numbers)


def asked(
    spec: TaskSpec, logits: Float[Tensor, "batch outputs"], target: int | None = None
) -> Question:
    """Ask about an output: None is the predicted one of each sequence."""
    is_alone = spec.output is not Output.SEQUENCE_CLASS
    logits = logits if is_alone else two_at_least(logits)
    outputs = logits.argmax(dim=1) if target is None else torch.full((len(logits),), target)
    outputs = outputs.to(logits.device)
    if is_alone:
        return Question(outputs, None)
    others = logits.scatter(1, outputs[:, None], -torch.inf)
    return Question(outputs, others.argmax(dim=1))


def two_at_least(logits: Float[Tensor, "rows outputs"]) -> Float[Tensor, "rows more"]:
    """Logits; a single one of two classes is that of the second, against one of zero."""
    return functional.pad(logits, (1, 0)) if logits.shape[1] == 1 else logits
