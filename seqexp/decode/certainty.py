"""How certain a model was of each token that it wrote."""

from collections.abc import Sequence

import torch

from seqexp.spec import Model


@torch.no_grad()
def certainties(
    model: Model, prompt: Sequence[int], written: Sequence[int], device: torch.device
) -> list[float]:
    """The probability that a model gives each written token, given the prompt and those before."""
    if not written:
        return []
    model.eval()
    tokens = torch.tensor([[*prompt, *written][:-1]], device=device)
    logits, _ = model(tokens, None)
    probabilities = torch.softmax(logits[0, len(prompt) - 1 :].double(), dim=1)
    chosen = torch.tensor(list(written), device=device)
    found: list[float] = probabilities.gather(1, chosen[:, None])[:, 0].tolist()
    return found
