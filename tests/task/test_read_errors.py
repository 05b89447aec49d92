"""The kind of clusters of reads: nats a read, from the log-likelihood that the model gives."""

import math

import torch

from seqexp.dataset.reads.views import cluster_task
from seqexp.spec import IGNORE
from seqexp.task.kinds import of


def test_the_loss_is_minus_the_log_likelihood_of_scored_reads() -> None:
    task = of(cluster_task())
    logits = torch.tensor([[[-3.0]], [[-5.0]], [[-100.0]]])
    targets = torch.tensor([[0], [0], [IGNORE]])
    assert float(task.nats(logits, targets)) == 8.0
    assert task.means(8.0, 2, []) == {"loss_nats": 4.0}
    assert task.extras(logits, targets).shape == (0,)
    assert task.ignorance([targets]) == math.inf


def test_a_read_is_a_row_of_predictions() -> None:
    task = of(cluster_task())
    assert task.predictions(torch.tensor([[[-3.0]], [[-5.0]]])) == [[-3.0], [-5.0]]
    assert len(task.columns()) == 1
