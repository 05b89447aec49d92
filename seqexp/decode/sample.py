"""Continue a prompt, token by token, by chance or by the most probable token."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Len
from jaxtyping import Float, Int
from torch import Tensor

from seqexp.decode.base import ByNetwork, Writing
from seqexp.ranges import Count, CountOrZero, Seed, Temperature
from seqexp.spec import PAD, Carry, Model


@dataclass(frozen=True)
class Sample:
    """How to continue a prompt.

    Where each sequence has a context, its target is written instead, always by the most probable
    symbol: of these arguments, `length` is then the most symbols, and prompt, temperatures, top_k
    and seed have no meaning.

    Args:
        prompt: text to begin with; empty begins with the first symbol of the training text.
        length: tokens to add.
        temperatures: one continuation for each; logits are divided by it, so that below 1 the
            probable become more probable. 0 takes the most probable token always (greedy).
        top_k: draw among so many of the most probable tokens; None among all.
        every_epochs: write this often while training; None at the end only.
        seed: selects the draws.
        num_valid: of a dataset with a context, write so many targets of validation after epochs.
    """

    prompt: str = ""
    length: Count = 300
    temperatures: Annotated[Sequence[Temperature], Len(1, 20)] = (0.5, 0.8, 1.0)
    top_k: Count | None = None
    every_epochs: Count | None = 1
    seed: Seed = 0
    num_valid: CountOrZero = 100

    def targets(self) -> Writing:
        """The way to write the targets of contexts: greedily."""
        return Writing(max_length=self.length)

    def reads(self) -> ByNetwork:
        """The way to decode reads: greedily, to the end symbol."""
        return ByNetwork()

    def write(
        self, model: Model, prompt: Sequence[int], device: torch.device
    ) -> Iterator[tuple[str, list[int]]]:
        """Continuations of a prompt, each with what it is."""
        for temperature in self.temperatures:
            written = continue_prompt(
                model, prompt, self.length, temperature, self.top_k, self.seed, device
            )
            yield f"temperature {temperature:g}", written


@torch.no_grad()
def continue_prompt(
    model: Model,
    prompt: Sequence[int],
    length: int,
    temperature: float,
    top_k: int | None,
    seed: int,
    device: torch.device,
) -> list[int]:
    """Token ids that follow a prompt of at least one, each drawn given all before it.

    Padding is never drawn. The state is carried on, so that each token costs one step.
    """
    model.eval()
    generator = torch.Generator().manual_seed(seed)  # on the CPU: the same text on any device
    tokens: Int[Tensor, "1 time"] = torch.tensor([list(prompt)], device=device)
    carry: Carry | None = None
    written = []
    for _ in range(length):
        logits, carry = model(tokens, carry)
        index = draw(logits[0, -1].double().cpu(), temperature, top_k, generator)
        written.append(index)
        tokens = torch.tensor([[index]], device=device)
    return written


def draw(
    logits: Float[Tensor, " outputs"],
    temperature: float,
    top_k: int | None,
    generator: torch.Generator,
) -> int:
    """One token id from its logits."""
    logits = logits.clone()
    logits[PAD] = -torch.inf
    if temperature == 0:
        return int(logits.argmax())
    if top_k is not None and top_k < len(logits):
        smallest = logits.topk(top_k).values[-1]
        logits[logits < smallest] = -torch.inf
    probabilities = torch.softmax(logits / temperature, dim=0)
    return int(torch.multinomial(probabilities, 1, generator=generator))
