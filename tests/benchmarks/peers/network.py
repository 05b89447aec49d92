"""The networks of the comparisons as one writes them in PyTorch, with its own layers."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.benchmarks.weights import for_torch
from tests.benchmarks.work import PER_POSITION, Work

States = tuple[Tensor, Tensor] | None


class Reader(nn.Module):
    """An LSTM that reads a context, and attention to its states by dot products with their keys."""

    def __init__(self, num_ids: int, size: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_ids, size)
        self.lstm = nn.LSTM(size, width, batch_first=True)
        self.key, self.join = nn.Linear(width, width, bias=False), nn.Linear(2 * width, width)

    def attended(self, states: Tensor, read: Tensor) -> Tensor:
        """States, (batch, time, width), joined with the mean of what they attend to."""
        weights = torch.softmax(states @ self.key(read).transpose(1, 2), dim=2)
        return torch.tanh(self.join(torch.cat([weights @ read, states], dim=2)))


class Network(nn.Module):
    """A convolution or an LSTM, with our initial weights; recurrent layers without dropout."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        model, num_ids = work.model, len(work.spec["vocabulary"]) + 1
        self.writes, self.readout = work.spec["output"] in PER_POSITION, model["readout"]
        self.context_length, self.reader = work.context_length, None
        self.embedding = self.conv = self.lstm = None
        size = num_ids - 1
        if "input.table" in work.weights:
            size = work.weights["input.table"].shape[1]
            self.embedding = nn.Embedding(num_ids, size)
        else:
            self.register_buffer("one_hot", torch.eye(num_ids)[:, 1:], persistent=False)
        if "num_filters" in model:
            width = model["num_filters"]
            self.conv = nn.Conv1d(size, width, model["filter_width"], padding="same")
            width *= work.spec["length"] if self.readout == "flatten" else 1
        else:
            width, layers = model["hidden_size"], model.get("num_layers", 1)
            self.lstm = nn.LSTM(size, width, layers, batch_first=True)
        if self.context_length:
            ids, read = work.weights["encoder.input.vectors.table"].shape
            self.reader = Reader(ids, read, width)
        sizes = [width, *model["hidden_layers"], work.spec["num_outputs"]]
        self.dense = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))
        weights = for_torch(work.weights)
        self.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
        for name, parameter in self.named_parameters():
            # two biases that are added up would learn twice as fast as one
            parameter.requires_grad_("lstm.bias_hh" not in name)

    def forward(self, tokens: Tensor, states: States = None) -> tuple[Tensor, States]:
        """Logits of each sequence, or of each token, and the states after the last token."""
        read = None
        if self.reader is not None:
            context, tokens = tokens[:, : self.context_length], tokens[:, self.context_length :]
            read, states = self.reader.lstm(self.reader.embedding(context))
        if self.embedding is not None:
            x = self.embedding(tokens)
        else:
            x = functional.embedding(tokens, self.one_hot)
        if self.conv is not None:
            x = torch.relu(self.conv(x.transpose(1, 2)))  # (batch, filters, time)
            x = x.transpose(1, 2).flatten(1) if self.readout == "flatten" else x.amax(dim=2)
        else:
            x, states = self.lstm(x, states)
            x = x if self.writes else x[:, -1]
            x = x if self.reader is None else self.reader.attended(x, read)
        for layer in self.dense[:-1]:
            x = torch.relu(layer(x))
        return self.dense[-1](x), states


def loss_of(output: str, logits: Tensor, targets: Tensor) -> Tensor:
    """Mean nats of a kind of task; of classes, one output is the logit of class 1."""
    if output == "regression":  # minus the log of a normal density of deviation 1
        return 0.5 * (functional.mse_loss(logits, targets) + math.log(2 * math.pi))
    if output == "multi_label" or logits.shape[-1] == 1:
        return functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype))
    return functional.cross_entropy(logits.flatten(0, -2), targets.flatten())


def optimizer_of(work: Work, network: nn.Module) -> torch.optim.Optimizer:
    """PyTorch's, with the settings of the configuration."""
    settings = dict(work.config["optimizer"])
    settings.pop("groups", None)  # a key of ours
    kind = getattr(torch.optim, settings.pop("_target_").rpartition(".")[2])
    return kind(network.parameters(), **settings)


def decay_of(work: Work) -> float:
    """Of the learning rate, as 1 / (1 + decay * updates)."""
    return float(work.config["schedule"].get("decay", 0.0))


def splits(work: Work, name: str) -> tuple[Tensor, Tensor]:
    """Tokens and targets."""
    arrays = work.arrays
    return torch.tensor(arrays[f"{name}_tokens"]), torch.tensor(arrays[f"{name}_targets"])


class Batches:
    """Batches by index, shuffled anew each epoch; of a stream, windows in their order."""

    def __init__(self, work: Work, name: str, batch_size: int, shuffle: bool) -> None:
        self.tokens, self.targets = splits(work, name)
        self.window, self.size, self.shuffle = work.window, batch_size, shuffle

    def __len__(self) -> int:
        if self.window is not None:
            return -(-self.tokens.shape[1] // self.window)
        return -(-len(self.tokens) // self.size)

    def __iter__(self):
        if self.window is not None:
            for start in range(0, self.tokens.shape[1], self.window):
                part = slice(start, start + self.window)
                yield self.tokens[:, part], self.targets[:, part]
            return
        count = len(self.tokens)
        order = torch.randperm(count) if self.shuffle else torch.arange(count)
        for rows in order.split(self.size):
            yield self.tokens[rows], self.targets[rows]
