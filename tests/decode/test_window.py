"""Writing with a model that sees a window only."""

from typing import Any

import torch

from seqexp.decode.window import slide

CPU = torch.device("cpu")


class Sum(torch.nn.Module):
    """What follows is the sum of the window modulo 4, as a token id from 1 to 4."""

    causal = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[int]] = []

    def forward(self, tokens: torch.Tensor, carry: Any = None) -> tuple[torch.Tensor, Any]:
        self.seen.append(tokens[0].tolist())
        return torch.eye(4)[tokens.sum(dim=1) % 4][:, None], ()


def test_the_window_moves_on_by_each_letter_until_the_end() -> None:
    model = Sum()
    # 1 + 1 = 2: id 3; 1 + 3 = 4 = 0: id 1; 3 + 1 = 0: id 1; 1 + 1 = 2: id 3; ...
    assert slide(model, [1, 1], end=4, max_length=5, device=CPU) == [3, 1, 1, 3, 1]
    assert model.seen == [[1, 1], [1, 3], [3, 1], [1, 1], [1, 3]]
    assert slide(model, [1, 2], end=4, max_length=5, device=CPU) == []  # 3 is id 4, the end
