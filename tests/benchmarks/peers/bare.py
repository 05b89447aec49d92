"""A bare loop: PyTorch's layers, loss, backward, step, and the mean loss of an epoch."""

import torch
from torch import Tensor

from tests.benchmarks.gate import Gate
from tests.benchmarks.peers.network import Batches, Network, decay_of, loss_of, optimizer_of
from tests.benchmarks.work import Work


class Bare:
    """A network and what trains it; the state is carried where rows are streams."""

    def __init__(self, work: Work) -> None:
        torch.set_num_threads(work.threads)
        self.network, self.carries = Network(work), work.window is not None
        self.output = work.spec["output"]
        self.optimizer = optimizer_of(work, self.network)
        self.rate, self.decay, self.step = work.config["optimizer"]["lr"], decay_of(work), 0
        self.states = None

    def update(self, tokens: Tensor, targets: Tensor) -> float:
        """The loss before the step."""
        logits, states = self.network(tokens, self.states)
        if self.carries:
            self.states = tuple(state.detach() for state in states)
        loss = loss_of(self.output, logits, targets)
        self.optimizer.zero_grad()
        loss.backward()
        if self.decay:
            self.optimizer.param_groups[0]["lr"] = self.rate / (1 + self.decay * self.step)
        self.optimizer.step()
        self.step += 1
        return loss.item()

    @torch.no_grad()
    def validate(self, batches: Batches) -> tuple[float, float]:
        """Mean loss and accuracy."""
        nats = correct = 0.0
        self.network.eval()
        for tokens, targets in batches:
            logits, _ = self.network(tokens)
            nats += loss_of(self.output, logits, targets).item() * len(tokens)
            correct += (logits.argmax(dim=-1) == targets[:, 0]).sum().item()
        self.network.train()
        return nats / len(batches.tokens), correct / len(batches.tokens)


def losses(work: Work, variant: str) -> list[float]:
    """Of the batches of the check, each before its update."""
    bare = Bare(work)
    return [bare.update(torch.tensor(x), torch.tensor(y)) for x, y in work.checked()]


def train(work: Work, variant: str, gate: Gate) -> None:
    """For ever."""
    bare = Bare(work)
    settings = work.config["trainer"]
    batches = Batches(work, "train", settings["batch_size"], shuffle=True)
    valid = Batches(work, "valid", settings["eval_batch_size"], shuffle=False)
    while True:
        total, bare.states = 0.0, None
        for tokens, targets in batches:
            total += bare.update(tokens, targets)
            gate.passed("update")
        if len(valid.tokens):
            bare.validate(valid)
        gate.passed("epoch")
