"""One output for two classes is the same likelihood as two whose logits differ by it."""

import pytest
import torch

from seqexp.data import Sequences
from seqexp.spec import IGNORE, Output, TaskSpec, Vocabulary
from seqexp.task.cross_entropy import cross_entropy_sum
from seqexp.task.kinds import of
from seqexp.task.sequence_class import count_correct, probabilities
from seqexp.trainer.score import evaluate

LOGITS = torch.tensor([[[2.0]], [[-1.0]], [[0.5]], [[300.0]], [[0.0]]], dtype=torch.float64)
TARGETS = torch.tensor([[1], [1], [IGNORE], [0], [0]])
TWO = torch.cat([torch.zeros_like(LOGITS), LOGITS], dim=-1)


def test_one_logit_has_the_loss_and_gradient_of_two() -> None:
    one, two = LOGITS.clone().requires_grad_(), TWO.clone().requires_grad_()
    losses = [cross_entropy_sum(logits, TARGETS) for logits in (one, two)]
    torch.testing.assert_close(*losses)
    for loss in losses:
        loss.backward()
    assert one.grad is not None and two.grad is not None
    torch.testing.assert_close(one.grad[..., 0], two.grad[..., 1])
    assert one.grad[2] == 0  # not scored


def test_the_sign_of_one_logit_predicts_the_class() -> None:
    assert int(count_correct(LOGITS, TARGETS)) == 2  # the first, and 0 for class 0
    assert int(count_correct(TWO, TARGETS)) == 2


def test_one_logit_gives_two_probabilities() -> None:
    torch.testing.assert_close(probabilities(LOGITS), torch.softmax(TWO, dim=-1))
    far = probabilities(torch.tensor([60.0]))
    assert 0 < far[0] < 1e-25  # and is not rounded off
    assert probabilities(torch.zeros(3, 4)).shape == (3, 4)


def test_the_score_counts_what_is_scored() -> None:
    class Constant(torch.nn.Module):
        causal = True

        def forward(self, tokens: torch.Tensor, carry: object = None) -> object:
            return torch.full((len(tokens), 1, 1), 1.0), ()

    data = Sequences(torch.ones(4, 3, dtype=torch.int16), torch.tensor([[1], [1], [0], [IGNORE]]))
    spec = TaskSpec(Vocabulary(("A",)), 1, Output.SEQUENCE_CLASS, ("no", "yes"))
    score = evaluate(Constant(), of(spec), data.batches(2))  # type: ignore[arg-type]
    assert (score.extras, score.count) == ((2,), 3)
    positive, negative = 0.31326168751822286, 1.3132616875182228  # log(1 + e^-1), log(1 + e)
    assert score.nats == pytest.approx(2 * positive + negative)
