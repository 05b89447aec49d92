"""1-D convolution over the sequence, in one layer or more."""

from collections.abc import Sequence
from typing import Annotated, Literal, cast

import torch
from annotated_types import Len
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn
from torch.nn import functional

from seqexp.errors import InputError
from seqexp.kernels import convolution_cpp as token_convolution
from seqexp.kernels.build import Built
from seqexp.model.added_ngrams import AddedNGrams, WithNGrams, groups_of
from seqexp.model.context import PooledContext, filters_of, refuse_without_context
from seqexp.model.convolution import ConvolutionLayer, Layers
from seqexp.model.layers import (
    ACTIVATIONS,
    Activation,
    EmbeddingSize,
    Init,
    embedding_size_for,
    initialise_as_keras,
    input_layer,
    padded,
    read_out,
)
from seqexp.model.outputs import (
    Cutoffs,
    OutputBias,
    OutputChoice,
    OutputName,
    ScoringHead,
    head_for,
)
from seqexp.model.picture import PictureConvolution
from seqexp.ranges import Count, NotNegative, Rate, Size
from seqexp.spec import Carry, TaskSpec, is_real, other_strand

Padding = Literal["auto", "same", "causal", "valid"]
Readout = Literal["flatten", "max", "mean", "last"]
Stepwise = Literal["compiled", "reference"]


class CNN1D(WithNGrams, nn.Module):
    """Filters that slide over the sequence; each is a detector of one short pattern.

    Args:
        spec: the task.
        embedding_size: size of learned token vectors; None is one-hot, `auto` is that for letters
            and 128 for words. Of features, None and `auto` are the numbers as they are.
        num_filters: how many patterns can be detected.
        filter_width: tokens that a filter sees at once.
        num_layers: of convolution on top of each other, each of as many filters of that width.
            Filters are read in the first one.
        padding: `same` centres each filter on its position (an even one sees one token more
            after than before it, as in Keras), `causal` lets it end there, `valid` takes only
            positions where it fits. `auto` is `causal` where the next token is predicted, else
            `same`.
        activation: after the filters.
        readout: from all positions to one vector, where a sequence has one prediction: all of them
            side by side, their maximum, their mean, or the last.
        hidden_layers: sizes of dense layers before the output.
        dropout: share of features dropped before each dense layer.
        strands: `both` reads DNA on both strands: the read-out is the strongest response on either.
        positive_readout: filters can only speak against the first output, the class without a
            signal: a filter cannot learn what the signal is not. Without hidden layers, with one
            layer of filters.
        filter_l1: weight of the L1 norm of all filters in the loss, nats a unit.
        init: `keras` is Glorot-uniform with zero biases, `torch` PyTorch's default.
        kernel: how the convolution is computed, to the same values: `compiled` by C++ for one-hot
            tokens on the CPU, `reference` by PyTorch; `auto` takes the fastest that can be had.
        context_embedding_size: as `embedding_size`, of a context. It is read by as many filters of
            the same width, whose maxima stand beside the features that are predicted from.
        context_convolution: over a context that is a picture, whose patches those filters read;
            without filters there is none.
        output, cutoffs, negatives, tied, output_bias: of the next token, as in
            `outputs.OutputChoice`.
        ngrams: vectors of n-grams, added to those of tokens or to the logits; without sizes there
            are none. On both strands of DNA, those added to the logits are one with their reverse
            complement. Not for causal padding.
        wide: a second group of n-grams, as counted words beside vectors of pairs.

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
        num_layers: Layers = 1,
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
        context_embedding_size: EmbeddingSize = "auto",
        context_convolution: PictureConvolution | None = None,
        output: OutputName = "full",
        cutoffs: Cutoffs | None = None,
        negatives: Count = 1000,
        tied: bool = False,
        output_bias: OutputBias = "zero",
        ngrams: AddedNGrams | None = None,
        wide: AddedNGrams | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        if padding == "auto":
            padding = "causal" if spec.causal else "same"
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
        self.causal = padding == "causal" and (spec.per_position or readout == "last")
        self.num_layers = num_layers
        self._refuse_impossible()
        refuse_without_context(spec, context_convolution=(filters_of(context_convolution), None))
        size = embedding_size_for(spec.input, embedding_size)
        self.is_one_hot = size is None and spec.features is None
        self._refuse_compiled(size)
        self._refuse_causal(ngrams, wide)
        if positive_readout:
            self._refuse_other_layers(hidden_layers)
        self.input = input_layer(spec.input, embedding_size)
        self.ngrams = self.wide = None
        self.add_ngrams(ngrams, wide, self.input.size, size is None, self.both_strands)
        self.conv = nn.Conv1d(self.input.size, num_filters, filter_width)
        above = (num_filters, num_filters, filter_width, padding, activation)
        self.above = nn.ModuleList(ConvolutionLayer(*above) for _ in range(1, num_layers))
        num_features = num_filters
        if not spec.per_position and readout == "flatten":
            num_features *= self._num_positions(spec.length or 0)
        self.context: PooledContext | None = None
        if spec.context is not None:
            size_of_filters = (num_filters, filter_width, activation)
            self.context = PooledContext(
                spec.context, context_embedding_size, context_convolution, *size_of_filters
            )
            num_features += num_filters
        choice = OutputChoice(output, cutoffs, negatives, tied, output_bias)
        self.head: nn.Module = (
            PositiveReadout(num_features, spec.num_outputs, dropout)
            if positive_readout
            else head_for(spec, num_features, hidden_layers, dropout, choice, self.input)
        )
        if init == "keras":
            initialise_as_keras(self)

    def _refuse_impossible(self) -> None:
        symbols = self.spec.vocabulary.symbols
        if self.both_strands and not self.spec.vocabulary.is_dna:
            made_of = f"its symbols are {', '.join(symbols)[:60]}" if symbols else "it has features"
            raise InputError(
                f"model.strands is both, but the dataset is no DNA ({made_of}); give forward"
            )
        if self.both_strands and (self.spec.per_position or self.readout != "max"):
            raise InputError(
                f"model.strands is both and model.readout is {self.readout}; both strands are for"
                " one prediction a sequence by readout=max"
            )
        if self.spec.causal and self.padding != "causal":
            raise InputError(
                f"model.padding is {self.padding}, which sees later tokens, but the dataset"
                " wants the next token predicted; give causal or auto"
            )
        if self.spec.per_position:
            if self.padding == "valid":
                raise InputError(
                    "model.padding is valid, which leaves positions out, but the dataset wants a"
                    " prediction at each; give same, causal or auto"
                )
            return
        if self.spec.length is None and self.readout == "flatten":
            raise InputError(
                "model.readout is flatten, which needs sequences of one length, but those of the"
                " dataset differ; give max, mean or last"
            )
        if self.spec.length is not None and self._num_positions(self.spec.length) < 1:
            layers = f" in {self.num_layers} layers" if self.num_layers > 1 else ""
            raise InputError(
                f"model.filter_width is {self.filter_width}{layers} and model.padding is valid, but"
                f" sequences have {self.spec.length} tokens; give a narrower filter, or same"
            )

    def _refuse_compiled(self, embedding_size: int | None) -> None:
        if self.kernel != "compiled" or self.is_one_hot:
            return
        has = f"model.embedding_size is {embedding_size}; give kernel=auto, or embedding_size=null"
        if self.spec.features is not None:
            has = "sequences of the dataset are of features; give kernel=auto"
        raise InputError(f"model.kernel is compiled, which is for one-hot tokens, but {has}")

    def _refuse_causal(self, ngrams: AddedNGrams | None, wide: AddedNGrams | None) -> None:
        for key, chosen in groups_of(ngrams, wide):
            if self.padding == "causal":
                raise InputError(
                    f"model.{key}.sizes is {list(chosen.sizes or ())} and model.padding is causal;"
                    " n-grams beside causal filters are for model=rnn, lstm and stacked-rnn: give"
                    " padding=same, or sizes=null"
                )

    def _refuse_other_layers(self, hidden_layers: list[int]) -> None:
        key, value, none = "hidden_layers", str(hidden_layers), "[]"
        if not hidden_layers:
            key, value, none = "num_layers", str(self.num_layers), "1"
        if value != none:
            raise InputError(
                f"model.positive_readout is true, but model.{key} is {value}; give {none}, or"
                " positive_readout=false"
            )

    def _num_positions(self, length: int) -> int:
        lost = self.num_layers * (self.filter_width - 1)
        return length - lost if self.padding == "valid" else length

    @property
    def window_offset(self) -> int:
        """Where the window of position 0 starts: 0, or below it where there is padding before."""
        before = {"same": (self.filter_width - 1) // 2, "causal": self.filter_width - 1}
        return -before.get(self.padding, 0)

    def read(self, context: Num[Tensor, "batch context ..."]) -> Carry:
        """The carry that sequences with these contexts begin with.

        Raises:
            InputError: if the dataset has no context.
        """
        if self.context is None:
            raise InputError("the model was built for sequences without a context")
        return self._begun(self.context(context))

    def _begun(self, pooled: Float[Tensor, "batch filters"]) -> Carry:
        """The carry before the first token, with what was read of a context."""
        if self.padding != "causal":
            return (pooled,)
        tokens = padded(self._no_tokens(pooled), 0, self.filter_width - 1)
        channels = self.conv.out_channels
        above = pooled.new_zeros(pooled.shape[0], self.filter_width - 1, channels)
        return (tokens, *[above for layer in self._above() if layer.num_carried], pooled)

    def _no_tokens(self, like: Tensor) -> Num[Tensor, "batch 0 ..."]:
        """Sequences without a token, or without a frame of features."""
        if self.spec.features is not None:
            return torch.zeros(like.shape[0], 0, self.spec.features.size, device=like.device)
        return torch.zeros(like.shape[0], 0, dtype=torch.long, device=like.device)

    def forward(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None = None
    ) -> tuple[Float[Tensor, "batch positions outputs"], Carry]:
        """Logits, and the last `filter_width - 1` tokens for the window after this one.

        In the carry follow as many results of each layer but the top one, and what was read of a
        context: (batch, filters).
        """
        members, carry = self.members(tokens, carry)
        return self.mean_of(members), carry

    def representation(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None = None
    ) -> Float[Tensor, "batch positions features"]:
        """What the dense layers read: activations as they are read out."""
        return self._features(tokens, carry)[0]

    def states(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None = None
    ) -> Float[Tensor, "batch positions filters"]:
        """Activations of the filters of the first layer, as `filter_activations` has them."""
        return self.filter_activations(tokens)

    def members(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None = None
    ) -> tuple[list[Float[Tensor, "batch positions outputs"]], Carry]:
        """Logits of the filters, and of n-grams where the mean of both is predicted; the carry."""
        features, carry = self._features(tokens, carry)
        members: list[Tensor] = [self.head(features)]
        if tokens.is_floating_point():
            return members, carry
        for group in self.groups:
            if group.adds_to == "logits":
                members[0] = members[0] + group.logits(tokens)
            elif group.adds_to == "mean":
                members.append(group.logits(tokens))
        return members, carry

    @property
    def scores_targets(self) -> bool:
        """Whether the output says what targets cost without all logits."""
        return isinstance(self.head, ScoringHead)

    def target_nats(
        self,
        tokens: Num[Tensor, "batch time ..."],
        targets: Int[Tensor, "batch time"],
        carry: Carry | None = None,
    ) -> tuple[Float[Tensor, ""], Carry]:
        """What targets cost, nats, summed; and the carry as of `forward`."""
        assert isinstance(self.head, ScoringHead)  # as `scores_targets` says
        features, carry = self._features(tokens, carry)
        return self.head.nats(features, targets), carry

    def _features(
        self,
        tokens: Num[Tensor, "batch time ..."],
        carry: Carry | None,
        without: Sequence[int] = (),
    ) -> tuple[Float[Tensor, "batch positions features"], Carry]:
        """What predictions are made from; `without` some filters, the layers above read zeros."""
        pooled: Carry = ()
        if self.context is not None:
            if not carry:
                raise InputError(
                    "the model was built for sequences with a context; give read(context) as the"
                    " carry"
                )
            *own, last = carry
            carry, pooled = tuple(own) or None, (last,)
        if not self.spec.per_position and self.readout == "flatten":
            tokens = self._fixed_length(tokens)
        if self.both_strands:
            tokens = torch.cat([tokens, other_strand(tokens, self.spec.vocabulary)])
        tokens, before, real, kept = self._windows(tokens, carry)
        if self._is_at_once() and not tokens.is_floating_point():
            # then activations are neither written nor read
            given = (tokens, *self._weights(), real, before)
            features = token_convolution.strongest(*given)[:, None]
        else:
            activations = self._convolve(tokens, before, real.shape[1])
            if without:
                activations = activations.clone()
                activations[..., list(without)] = 0
            features, above = self._from_activations(activations, real, carry)
            kept += above
        if self.both_strands:
            strands = features.view(2, -1, *features.shape[1:])  # of either strand
            features = torch.maximum(strands[0], strands[1])
        if pooled:
            beside = pooled[0][:, None].expand(-1, features.shape[1], -1)
            features = torch.cat([features, beside.to(features.dtype)], dim=2)
        return features, (*kept, *pooled)

    def _is_at_once(self) -> bool:
        """Whether filters and their maxima are computed as one."""
        is_strongest = not self.spec.per_position and self.readout == "max" and self.is_rectified
        return is_strongest and self.num_layers == 1 and self.stepwise() == "compiled"

    def _from_activations(
        self,
        activations: Float[Tensor, "batch positions filters"],
        real: Bool[Tensor, "batch positions"],
        carry: Carry | None,
    ) -> tuple[Float[Tensor, "batch read features"], Carry]:
        """What the layers above the first make of it, read out, and the last inputs of each."""
        kept: list[Tensor] = []
        if self.num_layers > 1:
            activations = activations * real[:, :, None]
        for index, layer in enumerate(self._above(), start=1):
            own = carry[index : index + 1] if carry else None
            activations, real, last = layer(activations, real, own)
            kept += last
        if not self.spec.per_position:
            activations = self._read_out(activations, real)  # (batch, 1, features)
        return activations, tuple(kept)

    def _above(self) -> list[ConvolutionLayer]:
        return cast(list[ConvolutionLayer], list(self.above))

    def _windows(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None
    ) -> tuple[Num[Tensor, "batch read ..."], int, Bool[Tensor, "batch positions"], Carry]:
        """What filters read, and how far before it their first window starts.

        Then, which windows belong to tokens rather than padding, and the carry.
        """
        width = self.filter_width
        before = -self.window_offset
        real = is_real(tokens)
        kept: Carry = ()
        if self.padding == "causal":
            last = carry[0] if carry else padded(tokens[:, :0], 0, width - 1)
            tokens, before = torch.cat([last.to(tokens.dtype), tokens], dim=1), 0
            kept = (tokens[:, tokens.shape[1] - (width - 1) :],)
        if self.padding == "valid":
            real = real.unfold(1, width, 1).all(dim=-1)  # (batch, starts)
        return tokens, before, real, kept

    def _convolve(
        self, tokens: Num[Tensor, "batch time ..."], before: int, positions: int
    ) -> Float[Tensor, "batch positions filters"]:
        """Activations on the windows that start `before` tokens before the first, and so on."""
        if self.stepwise() == "compiled" and not tokens.is_floating_point():
            given = (tokens, *self._weights(), before, positions, self.is_rectified)
            sums = token_convolution.convolve(*given)
            return sums if self.is_rectified else self.activation(sums)
        after = positions + self.filter_width - 1 - before - tokens.shape[1]
        if before or after:
            tokens = padded(tokens, before, after)
        vectors = self.input(tokens)
        group = self.group_to("input")
        if group is not None:
            vectors = group.added_to(vectors, tokens)
        vectors = vectors.transpose(1, 2)  # (batch, channels, time)
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

    def _fixed_length(
        self, tokens: Num[Tensor, "batch time ..."]
    ) -> Num[Tensor, "batch length ..."]:
        """Padding added or taken away, so that the dense layer finds each position in its place."""
        assert self.spec.length is not None
        if tokens.shape[1] == self.spec.length:
            return tokens
        extra = tokens[:, self.spec.length :]
        if extra.shape[1] and is_real(extra).any():
            raise InputError(
                f"a sequence has more than {self.spec.length} tokens, the length that"
                " model.readout=flatten was built for; give max, mean or last"
            )
        missing = max(0, self.spec.length - tokens.shape[1])
        return padded(tokens[:, : self.spec.length], 0, missing)

    def _read_out(
        self,
        activations: Float[Tensor, "batch positions filters"],
        real: Bool[Tensor, "batch positions"],
    ) -> Float[Tensor, "batch 1 features"]:
        if self.readout == "flatten":
            # positions outer, as in Keras
            return (activations * real[:, :, None]).flatten(1)[:, None]
        if self.readout != "last":
            return read_out(activations, real, self.readout)
        positions = torch.arange(real.shape[1], device=real.device)
        last = (real * positions).amax(dim=1)  # (batch,)
        return activations[torch.arange(len(last), device=last.device), last][:, None]

    def why_no_vectors(self) -> str | None:
        """Why vectors are not all that this model reads; None if they are."""
        if self.both_strands and not self.is_one_hot:
            return "learned vectors (model.embedding_size) have no other strand"
        return super().why_no_vectors()

    def filter_activations(
        self, tokens: Num[Tensor, "batch time ..."]
    ) -> Float[Tensor, "batch positions filters"]:
        """Activation of each filter on the window that starts at `position + window_offset`.

        Filters are those of the first layer, here and below.
        """
        tokens, before, real, _ = self._windows(tokens, None)
        return self._convolve(tokens, before, real.shape[1])

    def filter_weights(self) -> Float[Tensor, "filters width symbols"]:
        """What each filter gives for each symbol, or feature, at each place of its window."""
        # (filters, channels, width) with (symbols, channels)
        return torch.einsum("fcw,sc->fws", self.conv.weight, self.input.symbols())

    @torch.no_grad()
    def filter_effects(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None = None
    ) -> Float[Tensor, "batch filters outputs"]:
        """What each filter adds to the logits, on average over positions.

        Without a carry, nothing has been read of a context.
        """
        each = [[index] for index in range(self.conv.out_channels)]
        return self.group_effects(tokens, each, carry)

    @torch.no_grad()
    def group_effects(
        self,
        tokens: Num[Tensor, "batch time ..."],
        groups: Sequence[Sequence[int]],
        carry: Carry | None = None,
    ) -> Float[Tensor, "batch groups outputs"]:
        """What the filters of each group add to the logits together, as `filter_effects`.

        Half of it where the mean of filters and n-grams is predicted.
        """
        if self.context is not None and carry is None:
            carry = self._begun(self.conv.weight.new_zeros(len(tokens), self.conv.out_channels))
        if self.num_layers > 1:
            return self._effects_below(tokens, groups, carry)
        features, _ = self._features(tokens, carry)
        num_filters = self.conv.out_channels
        # of `flatten`, at each position; what was read of a context stays
        end = features.shape[2] - (num_filters if self.context is not None else 0)
        logits = self.head(features)
        effects = []
        for group in groups:
            without = features.clone()
            for index in group:
                without[..., index:end:num_filters] = 0
            effects.append((logits - self.head(without)).mean(dim=1))
        return self._predicted(torch.stack(effects, dim=1))

    def _predicted(
        self, effects: Float[Tensor, "batch groups outputs"]
    ) -> Float[Tensor, "batch groups outputs"]:
        """What of an effect on the filters' logits comes to those that are predicted."""
        return effects / 2 if self.has_members else effects

    def _effects_below(
        self,
        tokens: Num[Tensor, "batch time ..."],
        groups: Sequence[Sequence[int]],
        carry: Carry | None,
    ) -> Float[Tensor, "batch groups outputs"]:
        """The same where other layers read the filters: they read zeros instead of each group."""
        logits = self.head(self._features(tokens, carry)[0])
        without = (self.head(self._features(tokens, carry, group)[0]) for group in groups)
        effects = [(logits - others).mean(dim=1) for others in without]
        return self._predicted(torch.stack(effects, dim=1))

    def penalty(self) -> Float[Tensor, ""]:
        """What is added to the loss, nats."""
        nats = super().penalty()
        if self.filter_l1:
            nats = nats + self.filter_l1 * self.conv.weight.abs().sum()
        return nats


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
