"""One layer of 1-D convolution over the sequence."""

from typing import Annotated, Literal

import torch
from annotated_types import Len
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from seqexp.errors import InputError
from seqexp.kernels import convolution_cpp as token_convolution
from seqexp.kernels.build import Built
from seqexp.model.layers import (
    ACTIVATIONS,
    Activation,
    EmbeddingSize,
    Head,
    Init,
    TokenInput,
    embedding_size_for,
    initialise_as_keras,
)
from seqexp.ranges import NotNegative, Rate, Size
from seqexp.spec import PAD, Carry, Output, TaskSpec, other_strand

Padding = Literal["auto", "same", "causal", "valid"]
Readout = Literal["flatten", "max", "mean", "last"]
Stepwise = Literal["compiled", "reference"]


class CNN1D(nn.Module):
    """Filters that slide over the sequence; each is a detector of one short pattern.

    Args:
        spec: the task.
        embedding_size: size of learned token vectors; None is one-hot, `auto` is that for letters
            and 128 for words.
        num_filters: how many patterns can be detected.
        filter_width: tokens that a filter sees at once.
        padding: `same` centres each filter on its position (an even one sees one token more
            after than before it, as in Keras), `causal` lets it end there, `valid` takes only
            positions where it fits. `auto` is `same` for SEQUENCE_CLASS, `causal` for NEXT_TOKEN.
        activation: after the filters.
        readout: from all positions to one vector, for SEQUENCE_CLASS: all of them side by side,
            their maximum, their mean, or the last. NEXT_TOKEN predicts at each position.
        hidden_layers: sizes of dense layers before the output.
        dropout: share of features dropped before each dense layer.
        strands: `both` reads DNA on both strands: the read-out is the strongest response on either.
        positive_readout: filters can only speak against the first output, the class without a
            signal: a filter cannot learn what the signal is not. Without hidden layers.
        filter_l1: weight of the L1 norm of all filters in the loss, nats a unit.
        init: `keras` is Glorot-uniform with zero biases, `torch` PyTorch's default.
        kernel: how the convolution is computed, to the same values: `compiled` by C++ for one-hot
            tokens on the CPU, `reference` by PyTorch; `auto` takes the fastest that can be had.

    Raises:
        InputError: on choices that see later tokens where the next one is to be predicted, on
            `flatten` without a fixed length, on `both` strands of what is no DNA, and on `compiled`
            for learned token vectors.

    Source: Alipanahi et al. (2015), DeepBind, for DNA: a filter is a position weight matrix.
    """

    def __init__(
        self,
        spec: TaskSpec,
        embedding_size: EmbeddingSize = None,
        num_filters: Size = 1,
        filter_width: Size = 17,
        padding: Padding = "auto",
        activation: Activation = "relu",
        readout: Readout = "max",
        hidden_layers: Annotated[list[Size], Len(0, 16)] = [],  # noqa: B006  (never changed)
        dropout: Rate = 0.0,
        strands: Literal["forward", "both"] = "forward",
        positive_readout: bool = False,
        filter_l1: NotNegative = 0.0,
        init: Init = "keras",
        kernel: Literal["auto", "compiled", "reference"] = "auto",
    ) -> None:
        super().__init__()
        self.spec = spec
        self.is_classifier = spec.output is Output.SEQUENCE_CLASS
        if padding == "auto":
            padding = "same" if self.is_classifier else "causal"
        self.padding = padding
        self.readout = readout
        self.both_strands = strands == "both"
        self.filter_l1 = filter_l1
        self.filter_width = filter_width
        self.activation = ACTIVATIONS[activation]
        self.is_rectified = activation == "relu"
        self.computes = "convolution"
        self.kernel = kernel
        self.began_with: Stepwise | None = None  # of a training that goes on; None: none did
        self.causal = padding == "causal" and (not self.is_classifier or readout == "last")
        self._refuse_impossible()
        size = embedding_size_for(spec.vocabulary, embedding_size)
        self.is_one_hot = size is None
        if kernel == "compiled" and not self.is_one_hot:
            raise InputError(
                "model.kernel is compiled, which is for one-hot tokens, but model.embedding_size is"
                f" {size}; give kernel=auto, or embedding_size=null"
            )
        self.input = TokenInput(spec.vocabulary, size)
        self.conv = nn.Conv1d(self.input.size, num_filters, filter_width)
        num_features = num_filters
        if self.is_classifier and readout == "flatten":
            num_features *= self._num_positions(spec.length or 0)
        if positive_readout and hidden_layers:
            raise InputError(
                f"model.positive_readout is true, but model.hidden_layers is {hidden_layers}; give"
                " [], or positive_readout=false"
            )
        self.head: nn.Module = (
            PositiveReadout(num_features, spec.num_outputs, dropout)
            if positive_readout
            else Head(num_features, hidden_layers, spec.num_outputs, dropout)
        )
        if init == "keras":
            initialise_as_keras(self)

    def _refuse_impossible(self) -> None:
        if self.both_strands and not self.spec.vocabulary.is_dna:
            raise InputError(
                "model.strands is both, but the dataset is no DNA (its symbols are"
                f" {', '.join(self.spec.vocabulary.symbols)[:60]}); give forward"
            )
        if self.both_strands and not (self.is_classifier and self.readout == "max"):
            raise InputError(
                f"model.strands is both and model.readout is {self.readout}; both strands are for"
                " classification by readout=max"
            )
        if not self.is_classifier:
            if self.padding != "causal":
                raise InputError(
                    f"model.padding is {self.padding}, which sees later tokens, but the dataset"
                    " wants the next token predicted; give causal or auto"
                )
            return
        if self.spec.length is None and self.readout == "flatten":
            raise InputError(
                "model.readout is flatten, which needs sequences of one length, but those of the"
                " dataset differ; give max, mean or last"
            )
        if self.spec.length is not None and self._num_positions(self.spec.length) < 1:
            raise InputError(
                f"model.filter_width is {self.filter_width} and model.padding is valid, but"
                f" sequences have {self.spec.length} tokens; give a narrower filter, or same"
            )

    def _num_positions(self, length: int) -> int:
        return length - self.filter_width + 1 if self.padding == "valid" else length

    @property
    def window_offset(self) -> int:
        """Where the window of position 0 starts: 0, or below it where there is padding before."""
        before = {"same": (self.filter_width - 1) // 2, "causal": self.filter_width - 1}
        return -before.get(self.padding, 0)

    def forward(
        self, tokens: Int[Tensor, "batch time"], carry: Carry | None = None
    ) -> tuple[Float[Tensor, "batch positions outputs"], Carry]:
        """Logits, and the last `filter_width - 1` tokens for the window after this one."""
        features, carry = self._features(tokens, carry)
        return self.head(features), carry

    def _features(
        self, tokens: Int[Tensor, "batch time"], carry: Carry | None
    ) -> tuple[Float[Tensor, "batch positions features"], Carry]:
        """What the read-out sees of the filters."""
        if self.is_classifier and self.readout == "flatten":
            tokens = self._fixed_length(tokens)
        if self.both_strands:
            tokens = torch.cat([tokens, other_strand(tokens, self.spec.vocabulary)])
        tokens, before, is_real, carry = self._windows(tokens, carry)
        if not self.is_classifier:
            return self._convolve(tokens, before, is_real.shape[1]), carry
        if self.readout == "max" and self.is_rectified and self.stepwise() == "compiled":
            # at once: then activations are neither written nor read
            given = (tokens, *self._weights(), is_real, before)
            features = token_convolution.strongest(*given)[:, None]
        else:
            activations = self._convolve(tokens, before, is_real.shape[1])
            features = self._read_out(activations, is_real)  # (batch, 1, features)
        if self.both_strands:
            features = torch.maximum(*features.chunk(2))
        return features, carry

    def _windows(
        self, tokens: Int[Tensor, "batch time"], carry: Carry | None
    ) -> tuple[Int[Tensor, "batch read"], int, Bool[Tensor, "batch positions"], Carry]:
        """What filters read, and how far before it their first window starts.

        Then, which windows belong to tokens rather than padding, and the carry.
        """
        width = self.filter_width
        before = -self.window_offset
        is_real = tokens != PAD
        if self.padding == "causal":
            context = carry[0] if carry else tokens.new_full((len(tokens), width - 1), PAD)
            tokens, before = torch.cat([context, tokens], dim=1), 0
            carry = (tokens[:, tokens.shape[1] - (width - 1) :],)
        else:
            carry = ()
        if self.padding == "valid":
            is_real = is_real.unfold(1, width, 1).all(dim=-1)  # (batch, starts)
        return tokens, before, is_real, carry

    def _convolve(
        self, tokens: Int[Tensor, "batch time"], before: int, positions: int
    ) -> Float[Tensor, "batch positions filters"]:
        """Activations on the windows that start `before` tokens before the first, and so on."""
        if self.stepwise() == "compiled":
            given = (tokens, *self._weights(), before, positions, self.is_rectified)
            sums = token_convolution.convolve(*given)
            return sums if self.is_rectified else self.activation(sums)
        after = positions + self.filter_width - 1 - before - tokens.shape[1]
        if before or after:
            tokens = functional.pad(tokens, (before, after), value=PAD)
        vectors = self.input(tokens).transpose(1, 2)  # (batch, channels, time)
        return self.activation(self.conv(vectors)).transpose(1, 2)  # (batch, time, filters)

    def _weights(self) -> tuple[Tensor, Tensor]:
        assert self.conv.bias is not None
        return self.conv.weight, self.conv.bias

    def stepwise(self) -> Stepwise:
        """What computes the convolution.

        Raises:
            InputError: if the compiled one is asked for, to train, and cannot be had.
        """
        if self.kernel == "reference":
            return "reference"
        if self.began_with is not None:
            return self.began_with
        found = self.compiled()
        if found.binary is not None:
            # under autocast products are wanted in bfloat16
            is_bf16 = self.kernel == "auto" and torch.is_autocast_enabled("cpu")
            return "reference" if is_bf16 else "compiled"
        if self.kernel == "compiled" and self.training:
            raise InputError(
                f"model.kernel is compiled, which cannot be had: {found.reason}; give auto"
            )
        return "reference"

    def fuses(self) -> bool:
        """There is no layer of PyTorch's that does the same."""
        return False

    def compiled(self) -> Built:
        """The compiled convolution, or why there is none for this model."""
        if not self.is_one_hot:
            return Built(None, "token vectors are learned")
        return token_convolution.available(self.conv.weight)

    def _fixed_length(self, tokens: Int[Tensor, "batch time"]) -> Int[Tensor, "batch length"]:
        """Padding added or taken away, so that the dense layer finds each position in its place."""
        assert self.spec.length is not None
        if tokens.shape[1] == self.spec.length:
            return tokens
        extra = tokens[:, self.spec.length :]
        if extra.shape[1] and (extra != PAD).any():
            raise InputError(
                f"a sequence has more than {self.spec.length} tokens, the length that"
                " model.readout=flatten was built for; give max, mean or last"
            )
        missing = max(0, self.spec.length - tokens.shape[1])
        return functional.pad(tokens[:, : self.spec.length], (0, missing), value=PAD)

    def _read_out(
        self,
        activations: Float[Tensor, "batch positions filters"],
        is_real: Bool[Tensor, "batch positions"],
    ) -> Float[Tensor, "batch 1 features"]:
        mask = is_real[:, :, None]
        if self.readout == "flatten":
            return (activations * mask).flatten(1)[:, None]  # positions outer, as in Keras
        if self.readout == "mean":
            count = mask.sum(dim=1, keepdim=True).clamp(min=1)
            return (activations * mask).sum(dim=1, keepdim=True) / count
        if self.readout == "max":
            lowest = torch.finfo(activations.dtype).min
            highest = activations.masked_fill(~mask, lowest).amax(dim=1, keepdim=True)
            return highest.where(mask.any(dim=1, keepdim=True), 0)
        positions = torch.arange(is_real.shape[1], device=is_real.device)
        last = (is_real * positions).amax(dim=1)  # (batch,)
        return activations[torch.arange(len(last), device=last.device), last][:, None]

    def filter_activations(
        self, tokens: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch positions filters"]:
        """Activation of each filter on the window that starts at `position + window_offset`."""
        tokens, before, is_real, _ = self._windows(tokens, None)
        return self._convolve(tokens, before, is_real.shape[1])

    def filter_weights(self) -> Float[Tensor, "filters width symbols"]:
        """What each filter gives for each symbol at each place of its window."""
        # (filters, channels, width) with (symbols, channels)
        return torch.einsum("fcw,sc->fws", self.conv.weight, self.input.symbols())

    @torch.no_grad()
    def filter_effects(
        self, tokens: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch filters outputs"]:
        """What each filter adds to the logits, on average over positions."""
        features, _ = self._features(tokens, None)
        num_filters = self.conv.out_channels
        logits = self.head(features)
        effects = []
        for index in range(num_filters):
            without = features.clone()
            without[..., index::num_filters] = 0  # of `flatten`, at each position
            effects.append((logits - self.head(without)).mean(dim=1))
        return torch.stack(effects, dim=1)

    def penalty(self) -> Float[Tensor, ""]:
        """What is added to the loss, nats."""
        if not self.filter_l1:
            return self.conv.weight.new_zeros(())
        return self.filter_l1 * self.conv.weight.abs().sum()


class PositiveReadout(nn.Module):
    """Logits that rise with each feature; of several outputs, the first one's logit is 0."""

    def __init__(self, num_inputs: int, num_outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.has_first = num_outputs > 1  # one output is the logit of the second class already
        self.output = nn.Linear(num_inputs, max(1, num_outputs - 1))

    def forward(
        self, features: Float[Tensor, "batch positions features"]
    ) -> Float[Tensor, "batch positions outputs"]:
        """Logits."""
        weight = functional.softplus(self.output.weight)
        logits = functional.linear(self.dropout(features), weight, self.output.bias)
        return functional.pad(logits, (1, 0)) if self.has_first else logits
