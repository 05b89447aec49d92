"""The recurrent network, of which rnn, lstm and stacked-rnn are cases."""

import functools
import inspect
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import torch
from annotated_types import Interval, Len
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn

from seqexp.errors import InputError
from seqexp.model.added_ngrams import AddedNGrams, NGramVectors, WithNGrams, groups_of
from seqexp.model.attention import Attention, AttentionName
from seqexp.model.cells import CellName
from seqexp.model.context import Encoder, filters_of, refuse_without_context
from seqexp.model.convolution import Convolution, Convolutions
from seqexp.model.layers import (
    EmbeddingSize,
    Init,
    PositionFeatures,
    TokenInput,
    embedding_size_for,
    initialise_as_keras,
    input_layer,
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
from seqexp.model.recurrent_layer import Dropout, DropoutMasks, Kernel, RecurrentLayers
from seqexp.ranges import Count, Positive, Rate, Size
from seqexp.spec import IGNORE, Carry, TaskSpec, is_real
from seqexp.task.cross_entropy import cross_entropy_sum

Readout = Literal["last", "mean", "max"]

_WOULD_BE_SHOWN = (
    "but model.bidirectional is true and the dataset wants the next token predicted: a layer from"
    " the end learns to tell the token before, which it would be shown"
)


class RecurrentNetwork(WithNGrams, RecurrentLayers):
    """Vectors, perhaps a convolution, recurrent layers, perhaps attention, dense layers.

    A context is read by an encoder of the same cells, as many layers and units, whose last states
    start the network (Sutskever et al. 2014).

    Args:
        spec: the task.
        num_layers: recurrent layers on top of each other.
        cell: what each is made of.
        embedding_size: size of learned token vectors; None is one-hot, `auto` is that for letters
            and 128 for words. Of features, None and `auto` are the numbers as they are.
        hidden_size: size of h (and c) of each layer.
        bidirectional: each layer also reads from the end. Where the next token is predicted, the
            one layer from the end learns to tell the token before, beside the one from the start,
            for models that begin with both; predictions are those of the latter alone.
        readout: from all h_t of the top layer to one vector, where a sequence has one prediction:
            the last, their mean, or maximum.
        hidden_layers: sizes of dense layers before the output.
        dropout: share of each layer's inputs dropped, the same parts for all tokens of a pass.
        recurrent_dropout: share of h_{t-1} dropped, likewise.
        token_dropout: share of the vocabulary whose vectors are dropped as a whole, for a sequence;
            of features, share of the positions.
        readout_dropout: share of features dropped before each dense layer and the output.
        dropout_masks: one mask for all gates (`tied`), or one for each (`per_gate`, as Keras).
        init: `keras` is Glorot uniform, the recurrent matrix orthogonal as one, zero biases and the
            forget gate's 1; `torch` is uniform within 1 / sqrt(hidden_size).
        forget_bias: an LSTM's forget bias at the start; None leaves it to `init`.
        kernel: how the recurrence is computed, to the same values: `fused` by PyTorch's layer where
            it can, `compiled` by C++ for the CPU, `python` by one operation with its own backward
            pass, `reference` token by token; `auto` takes the fastest that can be had.
        position_features: wavelengths of a sine and a cosine each that tell a token's place;
            None leaves it to be counted by the state.
        recurrent_norm: largest singular value of each layer's recurrent matrix, of all gates as
            one, at the start, by scaling it; None leaves it to `init`.
        convolution: before the recurrent layers; without filters there is none.
        attention: over what the encoder read, joined to what is predicted from.
        encoder_bidirectional: the encoder also reads from the end.
        context_embedding_size: as `embedding_size`, of the context.
        context_convolution: over a context that is a picture, before the encoder reads its patches;
            without filters there is none.
        output, cutoffs, negatives, tied, output_bias: of the next token, as in
            `outputs.OutputChoice`.
        ngrams: vectors of n-grams, added to those of tokens or to the logits; without sizes there
            are none.
        wide: a second group of n-grams, as counted words beside vectors of pairs.

    Raises:
        InputError: on choices that see later tokens where the next one is to be predicted, and on
            attention without a context.
    """

    causal: bool
    reads_any_length = True

    def __init_subclass__(cls, **fixed: Any) -> None:
        """Fix arguments of the constructor: `class RNN(RecurrentNetwork, cell="rnn")`."""
        super().__init_subclass__()
        if not fixed:
            return
        init = cls.__init__

        @functools.wraps(init)
        def with_fixed(self: RecurrentNetwork, spec: TaskSpec, **given: Any) -> None:
            init(self, spec, **fixed, **given)

        whole = inspect.signature(init)
        free = [item for name, item in whole.parameters.items() if name not in fixed]
        with_fixed.__signature__ = whole.replace(parameters=free)  # type: ignore[attr-defined]
        cls.__init__ = with_fixed  # type: ignore[method-assign]

    def __init__(
        self,
        spec: TaskSpec,
        *,
        num_layers: Annotated[int, Interval(ge=1, le=64)] = 2,
        cell: CellName = "rnn",
        embedding_size: EmbeddingSize = None,
        hidden_size: Size = 64,
        bidirectional: bool = False,
        readout: Readout = "last",
        hidden_layers: Annotated[list[Size], Len(0, 16)] = [],  # noqa: B006  (never changed)
        dropout: Rate = 0.0,
        recurrent_dropout: Rate = 0.0,
        token_dropout: Rate = 0.0,
        readout_dropout: Rate = 0.0,
        dropout_masks: DropoutMasks = "tied",
        init: Init = "keras",
        forget_bias: Annotated[float, Interval(ge=-100, le=100)] | None = None,
        kernel: Kernel = "auto",
        position_features: Size | None = None,
        recurrent_norm: Positive | None = None,
        convolution: Convolution | None = None,
        attention: AttentionName = "none",
        encoder_bidirectional: bool = False,
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
        self.spec, self.readout, self.token_dropout = spec, readout, token_dropout
        self._refuse_impossible(convolution)
        # each direction by itself, and the same output for both
        self.learns_both = bidirectional and spec.causal
        if self.learns_both:
            self._refuse_what_tells_the_token_before(num_layers, convolution)
            self._refuse_ngrams_from_both_ends(ngrams, wide)
        refuse_without_context(
            spec,
            attention=(attention, "none"),
            encoder_bidirectional=(encoder_bidirectional, False),
            context_convolution=(filters_of(context_convolution), None),
        )
        self.input = input_layer(spec.input, embedding_size)
        is_one_hot = embedding_size_for(spec.input, embedding_size) is None
        self.ngrams = self.wide = None
        self.add_ngrams(ngrams, wide, self.input.size, is_one_hot)
        self.position = None if position_features is None else PositionFeatures(position_features)
        num_inputs = self.input.size + (0 if self.position is None else self.position.size)
        self.convolutions: Convolutions | None = None
        if convolution is not None and convolution.filters is not None:
            self.convolutions = Convolutions(num_inputs, convolution, spec.causal)
            num_inputs = self.convolutions.size
        # whether states depend on earlier positions alone, and one of them is predicted from
        reads_later = bidirectional and not self.learns_both
        self.reads_forward = not reads_later and (spec.per_position or readout == "last")
        sees_later = self.convolutions is not None and not self.convolutions.causal
        self.causal = self.reads_forward and not sees_later
        every = (Dropout(dropout, recurrent_dropout, dropout_masks), kernel)
        self.make(cell, num_inputs, num_layers, hidden_size, bidirectional, *every)
        width = hidden_size * (2 if reads_later else 1)
        choice = OutputChoice(output, cutoffs, negatives, tied, output_bias)
        self.head = head_for(spec, width, hidden_layers, readout_dropout, choice, self.input)
        self.encoder: Encoder | None = None
        self.bridges = nn.ModuleList()
        self.attention: Attention | None = None
        if spec.context is not None:
            self.encoder = Encoder(spec.context, context_embedding_size, context_convolution)
            given = (self.encoder.input.size, num_layers, hidden_size, encoder_bidirectional)
            self.encoder.make(cell, *given, *every)
            self._join_encoder(hidden_size, encoder_bidirectional, attention)
        if init == "keras":
            initialise_as_keras(self)
        self.initialise(init, forget_bias, recurrent_norm)
        if self.encoder is not None:
            self.encoder.initialise(init, forget_bias, recurrent_norm)

    def _join_encoder(
        self, hidden_size: int, from_both_ends: bool, attention: AttentionName
    ) -> None:
        """Make what leads from the encoder's states to the network's."""
        is_forward = not self.backwards
        if from_both_ends and is_forward:
            count = len(self.forwards) * self.num_states
            self.bridges.extend(nn.Linear(2 * hidden_size, hidden_size) for _ in range(count))
        if attention != "none":
            width = hidden_size if is_forward else 2 * hidden_size
            read_size = 2 * hidden_size if from_both_ends else hidden_size
            self.attention = Attention(attention, width, read_size)

    def _refuse_impossible(self, convolution: Convolution | None) -> None:
        convolves = convolution is not None and convolution.filters is not None
        if self.spec.causal and convolves and getattr(convolution, "padding", None) == "same":
            raise InputError(
                "model.convolution.padding is same, which sees later tokens, but the dataset wants"
                " the next token predicted; give causal or auto"
            )

    def _refuse_what_tells_the_token_before(
        self, num_layers: int, convolution: Convolution | None
    ) -> None:
        """What would show a layer that reads from the end the token that it has to tell."""
        if num_layers > 1:
            raise InputError(f"model.num_layers is {num_layers}, {_WOULD_BE_SHOWN}; give 1")
        if convolution is not None and convolution.filters is not None:
            raise InputError(
                f"model.convolution.filters is {convolution.filters}, {_WOULD_BE_SHOWN}; give null"
            )
        if self.spec.context is not None:
            raise InputError(
                "model.bidirectional is true, but the dataset wants the next token predicted after"
                " a context, which layers from both ends do not learn; give false"
            )

    def _refuse_ngrams_from_both_ends(
        self, ngrams: AddedNGrams | None, wide: AddedNGrams | None
    ) -> None:
        for key, chosen in groups_of(ngrams, wide):
            raise InputError(
                f"model.{key}.sizes is {list(chosen.sizes or ())}, {_WOULD_BE_SHOWN}; give null"
            )

    def read(self, context: Num[Tensor, "batch context ..."]) -> Carry:
        """The carry that sequences with these contexts begin with.

        Raises:
            InputError: if the dataset has no context.
        """
        if self.encoder is None:
            raise InputError("the model was built for sequences without a context")
        read, real, forwards, backwards = self.encoder(context)
        if self.bridges:
            ends = (torch.cat(pair, dim=1) for pair in zip(forwards, backwards, strict=True))
            states = [bridge(end) for bridge, end in zip(self.bridges, ends, strict=True)]
            states = [s.to(e.dtype) for s, e in zip(states, forwards, strict=True)]
        else:
            states = [*forwards, *(backwards or forwards)] if self.backwards else forwards
        before: list[Tensor] = []
        if self.position is not None:
            before.append(torch.zeros(len(context), dtype=torch.long, device=context.device))
        for group in self.groups:
            before.append(group.start(context))
            if group.is_summed:
                before.append(states[0].new_zeros(len(context), self.spec.num_outputs))
        if self.convolutions is not None:
            before += self.convolutions.start(states[0])
        kept = () if self.attention is None else self.attention.keep(read, real)
        return (*states, *before, *kept)

    def forward(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None = None
    ) -> tuple[Float[Tensor, "batch positions outputs"], Carry]:
        """Logits, and the states of all layers after the last token that is no padding.

        In the carry follow, where there are such: the number of tokens so far, (batch,), the last
        tokens and sums of each group of n-grams, the last inputs of a convolution, and what is
        attended to.
        """
        members, carry = self.members(tokens, carry)
        return self.mean_of(members), carry

    def members(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None = None
    ) -> tuple[list[Float[Tensor, "batch positions outputs"]], Carry]:
        """Logits of the network, and of n-grams where the mean of both is predicted; the carry."""
        states, after, kept = self._predicted_from(tokens, carry)
        members = [self.outputs(states, kept)]
        for group, place in [] if tokens.is_floating_point() else self._places_of_ngrams():
            if group.adds_to == "input":
                continue
            if group.is_summed:
                said = group.of_sums(after[place - self._num_dropped() + 1])
            else:
                said = group.logits(tokens, carry[place] if carry else None)
            if group.adds_to == "logits":
                members[0] = members[0] + said
            else:
                members.append(said)
        return members, (*after, *kept)

    def _places_of_ngrams(self) -> Iterator[tuple[NGramVectors, int]]:
        """Where in the carry what each group needs begins."""
        place = self._num_states_carried() + (self.position is not None)
        for group in self.groups:
            yield group, place
            place += 1 + group.is_summed

    def _num_dropped(self) -> int:
        """States that a model which reads from both ends does not carry on."""
        return self._num_states_carried() if self._sees_all else 0

    @property
    def _sees_all(self) -> bool:
        """Whether predictions need the whole sequence, so that there is no next window."""
        return len(self.backwards) > 0 and not self.learns_both

    def _with_ngrams(
        self,
        vectors: Float[Tensor, "batch time inputs"],
        tokens: Num[Tensor, "batch time ..."],
        carry: Carry | None,
    ) -> tuple[Float[Tensor, "batch time inputs"], list[Tensor]]:
        """Vectors with those of n-grams, and what the next window needs of these."""
        kept: list[Tensor] = []
        for group, place in [] if tokens.is_floating_point() else self._places_of_ngrams():
            before = carry[place] if carry else None
            kept.append(group.carried(tokens, before))
            if group.adds_to == "input":
                vectors = group.added_to(vectors, tokens, before)
            elif group.is_summed:
                sums = group(tokens, before).sum(dim=1)
                kept.append(carry[place + 1] + sums if carry else sums)
        return vectors, kept

    def attention_weights(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry
    ) -> Float[Tensor, "batch positions context"]:
        """What each position of the context counts for each prediction.

        Raises:
            InputError: if the model attends to nothing.
        """
        if self.attention is None:
            raise InputError("model.attention is none: there are no weights of attention")
        states, _, kept = self._predicted_from(tokens, carry)
        return self.attention.weights(states, kept)

    def attended_shape(self, context: Num[Tensor, "batch context ..."]) -> tuple[int, ...]:
        """How positions that are attended to lie: in one row, or those of a picture in a grid."""
        length: int = context.shape[1]
        return (length,) if self.encoder is None else self.encoder.input.shape(length)

    def outputs(
        self, states: Float[Tensor, "batch positions features"], kept: Carry = ()
    ) -> Float[Tensor, "batch positions outputs"]:
        """Logits of states of the top layer; `kept` is what they attend to."""
        logits: Tensor = self.head(self._attended(states, kept))
        return logits

    def representation(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None = None
    ) -> Float[Tensor, "batch positions features"]:
        """What the output reads: states as they are read out, with what they attend to."""
        states, _, kept = self._predicted_from(tokens, carry)
        return self._attended(states, kept)

    def states(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None = None
    ) -> Float[Tensor, "batch time features"]:
        """Hidden states of the top layer at each token; of both directions, side by side."""
        if self.encoder is not None and not carry:
            raise InputError("the model has a context; give read(context) as the carry")
        vectors, _ = self.vectors(tokens, carry)
        states, _, _ = self.over(vectors, is_real(tokens), self.starts(carry))
        return states

    @property
    def scores_targets(self) -> bool:
        """Whether the output says what targets cost without all logits."""
        if self.group_to("logits") is not None:
            return False
        return isinstance(self.head, ScoringHead) or self.learns_both

    def target_nats(
        self,
        tokens: Num[Tensor, "batch time ..."],
        targets: Int[Tensor, "batch time"],
        carry: Carry | None = None,
    ) -> tuple[Float[Tensor, ""], Carry]:
        """What targets cost, nats, summed; and the carry as of `forward`.

        Where layers read from both ends, it is the mean of what targets cost and what the tokens
        before them do.
        """
        if self.learns_both:
            return self._both_nats(tokens, targets, carry)
        assert isinstance(self.head, ScoringHead)  # as `scores_targets` says
        states, after, kept = self._predicted_from(tokens, carry)
        return self.head.nats(self._attended(states, kept), targets), (*after, *kept)

    def _both_nats(
        self,
        tokens: Num[Tensor, "batch time ..."],
        targets: Int[Tensor, "batch time"],
        carry: Carry | None,
    ) -> tuple[Float[Tensor, ""], Carry]:
        """Half of what the next tokens cost from the start, and those before from the end.

        Source: Peters et al. (2018), sec. 3.1.
        """
        real = is_real(tokens)
        vectors, before = self.vectors(tokens, carry)
        hidden, forwards, _ = self.over(vectors, real, self.starts(carry))
        features = torch.cat(hidden.chunk(2, dim=2))  # (2 * batch, time, hidden)
        both = torch.cat([targets, _tokens_before(tokens)])
        if isinstance(self.head, ScoringHead):
            nats = self.head.nats(features, both)
        else:
            nats = cross_entropy_sum(self.head(features), both)
        return nats / 2, (*forwards, *before)

    def _attended(
        self, states: Float[Tensor, "batch positions features"], kept: Carry
    ) -> Float[Tensor, "batch positions features"]:
        return states if self.attention is None else self.attention(states, kept)

    def vectors(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None = None
    ) -> tuple[Float[Tensor, "batch time inputs"], Carry]:
        """What the first layer reads, and what of the carry goes with it."""
        real = is_real(tokens)
        vectors = self.input(tokens)
        if self.training and self.token_dropout > 0:
            vectors = vectors * self._kept_tokens(tokens)[:, :, None].to(vectors.dtype)
        vectors, of_ngrams = self._with_ngrams(vectors, tokens, carry)
        place, kept = self._num_states_carried(), []
        if self.position is not None:
            before = carry[place] if carry else real.new_zeros(real.shape[0], dtype=torch.long)
            count = before[:, None] + real.cumsum(dim=1)  # tokens up to and with each
            features = self.position(count - 1).to(vectors.dtype)
            vectors = torch.cat([vectors, features], dim=2)
            kept.append(count[:, -1])
        kept += of_ngrams
        if self.convolutions is not None:
            vectors = vectors if self.position is None else vectors * real[:, :, None]
            own = carry[place + len(kept) :] if carry else None
            vectors, last = self.convolutions(vectors, real, own)
            kept += last
        return vectors, tuple(kept)

    def starts(self, carry: Carry | None) -> Carry:
        """The states that the layers start with; none are zeros."""
        return tuple(carry[: self._num_states_carried()]) if carry else ()

    def attended(self, carry: Carry | None) -> Carry:
        """What of the carry is attended to."""
        if self.attention is None or not carry:
            return ()
        return tuple(carry[-self.attention.num_carried :])

    def _num_states_carried(self) -> int:
        both = 2 if self.backwards and self.encoder is not None else 1
        return both * len(self.forwards) * self.num_states

    def _predicted_from(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None
    ) -> tuple[Float[Tensor, "batch positions features"], Carry, Carry]:
        """What predictions are made from, the carry but for what is attended to, and that."""
        if self.encoder is not None and not carry:
            raise InputError(
                "the model was built for sequences with a context; give read(context) as the carry"
            )
        real = is_real(tokens)
        vectors, before = self.vectors(tokens, carry)
        both = not self.learns_both
        hidden, forwards, backwards = self.over(vectors, real, self.starts(carry), both)
        if not self.spec.per_position:
            ends = [layers[-self.num_states] for layers in (forwards, backwards) if layers]
            hidden = self._read_out(hidden, torch.cat(ends, dim=1), real)
        # a model that reads from both ends has no next window
        after = before if self._sees_all else (*forwards, *before)
        return hidden, after, self.attended(carry)

    def _kept_tokens(self, tokens: Num[Tensor, "batch time ..."]) -> Float[Tensor, "batch time"]:
        """0 where a token is dropped, the same for all tokens of a kind in a sequence.

        Of features, each position by itself. Source: Gal & Ghahramani (2016), sec. 4.2.
        """
        if not isinstance(self.input, TokenInput):
            keep = tokens.new_full(tokens.shape[:2], 1 - self.token_dropout)
            return torch.bernoulli(keep) / (1 - self.token_dropout)
        keep = torch.full((len(tokens), len(self.input.table)), 1 - self.token_dropout)
        kinds = torch.bernoulli(keep.to(tokens.device)) / (1 - self.token_dropout)
        return kinds.gather(1, tokens)

    def _read_out(
        self,
        hidden: Float[Tensor, "batch time features"],
        finals: Float[Tensor, "batch features"],
        real: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch 1 features"]:
        if self.readout == "last":
            return finals[:, None]
        return read_out(hidden, real, self.readout)


def _tokens_before(tokens: Int[Tensor, "batch time"]) -> Int[Tensor, "batch time"]:
    """The token before each, as a target; none before the first, nor where either is padding."""
    before = torch.full_like(tokens, IGNORE)
    real = is_real(tokens)
    before[:, 1:] = tokens[:, :-1].where(real[:, :-1] & real[:, 1:], IGNORE)
    return before
