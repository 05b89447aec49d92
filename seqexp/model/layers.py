"""What every model has around its body: the input of tokens or features and the way to outputs."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from seqexp.data import MANY, Sequences, WordVectors
from seqexp.errors import InputError
from seqexp.model.check import MAX_ONE_HOT
from seqexp.ranges import Size
from seqexp.spec import IGNORE, PAD, Features, Input, Vocabulary, is_real

Init = Literal["keras", "torch"]
Activation = Literal["relu", "tanh", "sigmoid", "gelu", "linear"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": functional.gelu,
    "linear": lambda values: values,
}

LONGEST = 1000.0
"""Longest wavelength of position features, in tokens over 2 pi."""


EmbeddingSize = Size | Literal["auto"] | None
"""Size of learned vectors. Of tokens, None is one-hot; `auto` is one-hot for alphabets, learned
vectors of `WORD_SIZE` where there are more than `MAX_ALPHABET` symbols. Of features, None and
`auto` are the numbers as they are, a size is a linear layer to so many channels."""

WORD_SIZE = 128
MAX_ALPHABET = 256


def embedding_size_for(made_of: Input, size: int | str | None) -> int | None:
    """What `auto` means for these symbols, or for features; other sizes stay."""
    if size == "auto":
        has_words = isinstance(made_of, Vocabulary) and len(made_of.symbols) > MAX_ALPHABET
        return WORD_SIZE if has_words else None
    assert not isinstance(size, str)
    return size


def input_layer(
    made_of: Input, size: int | str | None, key: str = "model.embedding_size"
) -> "TokenInput | FeatureInput":
    """From what sequences are made of to vectors; `key` names the size in messages.

    Raises:
        InputError: on one-hot vectors for more symbols than memory is for.
    """
    channels = embedding_size_for(made_of, size)
    if isinstance(made_of, Features):
        return FeatureInput(made_of, channels)
    return TokenInput(made_of, channels, key)


def padded(
    tokens: Num[Tensor, "batch time ..."], before: int, after: int
) -> Num[Tensor, "batch longer ..."]:
    """Tokens or features with padding on either side."""
    if tokens.is_floating_point():
        return functional.pad(tokens, (0, 0, before, after), value=torch.nan)
    return functional.pad(tokens, (before, after), value=PAD)


OnReading = Callable[[Int[Tensor, " rows"]], None]
"""Is told of the rows of a table that are about to be read, once each."""


class TokenInput(nn.Module):
    """Token ids to vectors: learned ones, or one-hot where `embedding_size` is None.

    Padding is the zero vector in both. Where `on_reading` is set, it is called with the rows of the
    table that are about to be read, and the table's gradient is sparse: of these rows, once each.

    Raises:
        InputError: on one-hot vectors for more symbols than memory is for.
    """

    table: Tensor

    def __init__(
        self,
        vocabulary: Vocabulary,
        embedding_size: int | None,
        key: str = "model.embedding_size",
    ) -> None:
        super().__init__()
        self.on_reading: OnReading | None = None
        if embedding_size is None:
            self.size = len(vocabulary.symbols)
            if self.size > MAX_ONE_HOT:
                raise InputError(
                    f"{key} is null, which makes each token {self.size:,} numbers,"
                    f" one a symbol; give a size, or auto; null is for at most {MAX_ONE_HOT:,}"
                )
            one_hot = torch.eye(len(vocabulary))[:, 1:]  # (ids, symbols): no column for padding
            self.register_buffer("table", one_hot, persistent=False)
        else:
            self.size = embedding_size
            self.table = nn.Parameter(torch.empty(len(vocabulary), embedding_size))
            with torch.no_grad():
                nn.init.normal_(self.table)  # as nn.Embedding
                self.table[PAD] = 0

    def forward(
        self, tokens: Num[Tensor, "batch time ..."]
    ) -> Float[Tensor, "batch time channels"]:
        """Vectors of tokens; vectors stay, and are zero where they are NaN."""
        if tokens.is_floating_point():
            return torch.where(is_real(tokens)[:, :, None], tokens, 0.0)
        return embedded(self.table, tokens, self.on_reading)

    def start_from(self, vectors: WordVectors) -> None:
        """Take pretrained vectors for the symbols that have one.

        Raises:
            InputError: if they are of another size.
        """
        size = vectors.values.shape[1]
        if not isinstance(self.table, nn.Parameter) or size != self.size:
            has = self.size if isinstance(self.table, nn.Parameter) else None
            raise InputError(
                f"model.embedding_size is {has}, but dataset.vectors has {size} values a word; give"
                f" model.embedding_size={size}"
            )
        with torch.no_grad():
            self.table[vectors.ids.to(self.table.device)] = vectors.values.to(self.table.device)

    def symbols(self) -> Float[Tensor, "symbols channels"]:
        """The vector of each symbol of the vocabulary."""
        return self.table[1:]


class OnVectors:
    """A model that reads, in the place of tokens, the vectors that its `input` makes of them."""

    input: "TokenInput | FeatureInput"

    def as_vectors(
        self, tokens: Num[Tensor, "batch time ..."]
    ) -> Float[Tensor, "batch time channels"]:
        """Vectors of tokens, NaN where there is padding; features stay."""
        if tokens.is_floating_point():
            return tokens
        padding = (tokens == PAD)[:, :, None]
        vectors: Tensor = self.input(tokens)
        return vectors.masked_fill(padding, torch.nan)

    def symbol_vectors(self) -> Float[Tensor, "symbols channels"]:
        """The vector of each symbol of the vocabulary."""
        return self.input.symbols()

    def why_no_vectors(self) -> str | None:
        """Why vectors are not what this model reads; None if they are."""
        return None


def embedded(
    table: Float[Tensor, "rows channels"],
    ids: Int[Tensor, "batch time"],
    on_reading: OnReading | None,
) -> Float[Tensor, "batch time channels"]:
    """Rows of a table; row 0 has no gradient. `on_reading` is as in `TokenInput`."""
    if on_reading is None:
        return functional.embedding(ids, table, padding_idx=PAD)
    rows, places = torch.unique(ids.long(), return_inverse=True)
    on_reading(rows)
    vectors: Tensor = _Rows.apply(table, rows, places)  # type: ignore[no-untyped-call]
    return vectors


class FeatureInput(nn.Module):
    """Features as vectors: as they are, or by a linear layer to `embedding_size` channels.

    Padding, which is NaN, is the zero vector in both.
    """

    zero: Tensor

    def __init__(self, features: Features, embedding_size: int | None) -> None:
        super().__init__()
        self.size = features.size if embedding_size is None else embedding_size
        self.linear = None if embedding_size is None else nn.Linear(features.size, embedding_size)
        # of the type that the model computes with
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    def forward(
        self, features: Float[Tensor, "batch time size"]
    ) -> Float[Tensor, "batch time channels"]:
        """Vectors of frames."""
        real = is_real(features)[:, :, None]
        vectors = torch.where(real, features.to(self.zero.dtype), self.zero)
        return vectors if self.linear is None else self.linear(vectors) * real

    def symbols(self) -> Float[Tensor, "features channels"]:
        """The vector of one of each feature, and of nothing else."""
        return torch.eye(self.size).to(self.zero) if self.linear is None else self.linear.weight.t()


class _Rows(torch.autograd.Function):
    """Rows of a table, with a sparse gradient; padding has none."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(rows, places)
        ctx.shape = table.shape
        return functional.embedding(places, table.index_select(0, rows))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        rows, places = ctx.saved_tensors
        values = gradient.new_zeros(len(rows), ctx.shape[1])
        values.index_add_(0, places.flatten(), gradient.flatten(0, 1))
        values[:1].masked_fill_(rows[:1, None] == PAD, 0)  # a product would keep inf and nan
        # rows are distinct, and in order
        sparse = torch.sparse_coo_tensor(
            rows[None], values, ctx.shape, check_invariants=False, is_coalesced=True
        )
        return sparse, None, None


class PositionFeatures(nn.Module):
    """Where in its sequence a token stands: a sine and a cosine of each of some wavelengths.

    Source: Vaswani et al. (2017), sec. 3.5; added here as channels of their own.
    """

    frequencies: Tensor

    def __init__(self, num_wavelengths: int) -> None:
        super().__init__()
        self.size = 2 * num_wavelengths
        exponents = torch.arange(num_wavelengths) / num_wavelengths
        self.register_buffer("frequencies", LONGEST**-exponents, persistent=False)

    def forward(self, positions: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time channels"]:
        """Features of positions from 0."""
        angles = positions[:, :, None] * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=2)


def read_out(
    vectors: Float[Tensor, "batch positions features"],
    is_real: Bool[Tensor, "batch positions"],
    readout: Literal["mean", "max"],
) -> Float[Tensor, "batch 1 features"]:
    """Mean or maximum over the positions that are no padding; 0 where none is."""
    mask = is_real[:, :, None]
    if readout == "mean":
        count = mask.sum(dim=1, keepdim=True).clamp(min=1)
        return (vectors * mask).sum(dim=1, keepdim=True) / count
    lowest = torch.finfo(vectors.dtype).min
    highest = vectors.masked_fill(~mask, lowest).amax(dim=1, keepdim=True)
    return highest.where(mask.any(dim=1, keepdim=True), 0)


class Head(nn.Module):
    """Dense layers with ReLU between, and what gives the logits: a linear layer, or `output`."""

    def __init__(
        self,
        num_inputs: int,
        hidden_layers: Sequence[int],
        num_outputs: int,
        dropout: float,
        output: nn.Module | None = None,
    ) -> None:
        super().__init__()
        sizes = [num_inputs, *hidden_layers]
        self.hidden = nn.ModuleList(
            nn.Linear(size, next_size)
            for size, next_size in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.dropout = nn.Dropout(dropout)
        self.output: Any = nn.Linear(sizes[-1], num_outputs) if output is None else output
        self.num_outputs = num_outputs
        self.by_frequencies = False  # whether the bias starts as those of the training targets

    def begin_by(self, train: Sequences) -> None:
        """Start the bias at the log of how frequent each target is, where that is wanted."""
        if not self.by_frequencies:
            return
        logs = log_frequencies(train, self.num_outputs)
        if hasattr(self.output, "start_bias"):  # which has other places than outputs
            self.output.start_bias(logs)
            return
        with torch.no_grad():
            self.output.bias.copy_(logs)

    def dense(self, features: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch last"]:
        """What the output reads."""
        for layer in self.hidden:
            features = torch.relu(layer(self.dropout(features)))
        dropped: Tensor = self.dropout(features)
        return dropped

    def forward(
        self, features: Float[Tensor, "batch positions features"]
    ) -> Float[Tensor, "batch positions outputs"]:
        """Logits."""
        logits: Tensor = self.output(self.dense(features))
        return logits


ROWS_COUNTED = 1000
"""Sequences whose targets are counted together."""


def log_frequencies(train: Sequences, num_outputs: int) -> Float[Tensor, " outputs"]:
    """Log of the share that each has of the scored targets, as if each were there once more."""
    counts = torch.ones(num_outputs, dtype=torch.double, device="cpu")
    for batch in train.batches(ROWS_COUNTED):
        for part in batch.windows(MANY):
            scored = part.targets[part.targets != IGNORE].long().cpu()
            counts += torch.bincount(scored, minlength=num_outputs)
    return (counts / counts.sum()).log().float()


def initialise_as_keras(model: nn.Module) -> None:
    """Glorot-uniform weights, zero biases, embeddings from U(-0.05, 0.05).

    Source: Glorot & Bengio (2010), eq. 16; the defaults of Keras' Dense, Conv1D and Embedding.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, TokenInput) and isinstance(module.table, nn.Parameter):
            nn.init.uniform_(module.table, -0.05, 0.05)
            with torch.no_grad():
                module.table[PAD] = 0
