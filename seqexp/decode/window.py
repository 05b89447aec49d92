"""Continue a text with a model that sees a window and names what follows it."""

from collections.abc import Sequence

import torch

from seqexp.spec import Model


@torch.no_grad()
def slide(
    model: Model,
    window: Sequence[int],
    end: int,
    max_length: int,
    device: torch.device,
) -> list[int]:
    """Token ids that follow a window, each the most probable one; the window moves on by each.

    Stops before the id `end`, or after `max_length` tokens. Output k of the model stands for the
    token id k + 1, since no window is followed by padding.
    """
    model.eval()
    seen = list(window)
    written: list[int] = []
    while len(written) < max_length:
        logits, _ = model(torch.tensor([seen], device=device))
        token = int(logits[0, 0].argmax()) + 1
        if token == end:
            break
        written.append(token)
        seen = [*seen[1:], token]
    return written
