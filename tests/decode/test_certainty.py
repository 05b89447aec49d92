"""How certain a model was of what it wrote."""

import pytest
import torch

from seqexp.decode.certainty import certainties
from seqexp.model.rnn import RNN
from seqexp.spec import TaskSpec


def test_the_certainties_multiply_to_the_probability_of_the_text(next_token_spec: TaskSpec) -> None:
    torch.manual_seed(0)
    model = RNN(next_token_spec, init="torch").double()
    found = certainties(model, [1, 2], [3, 4, 1], torch.device("cpu"))
    logits, _ = model(torch.tensor([[1, 2, 3, 4]]))
    steps = torch.log_softmax(logits[0].detach(), dim=1)
    expected = [steps[1, 3].exp(), steps[2, 4].exp(), steps[3, 1].exp()]
    assert found == pytest.approx([float(value) for value in expected])
    assert certainties(model, [1], [], torch.device("cpu")) == []
