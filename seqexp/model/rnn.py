"""The vanilla recurrent network, one layer."""

from typing import Annotated

from annotated_types import Len

from seqexp.model.layers import EmbeddingSize, Init, embedding_size_for
from seqexp.model.recurrent import Readout, RecurrentNetwork
from seqexp.model.recurrent_layer import Dropout, Kernel
from seqexp.ranges import Positive, Rate, Size
from seqexp.spec import TaskSpec


class RNN(RecurrentNetwork):
    """h_t = tanh(W_hh h_{t-1} + W_xh x_t + b).

    Args:
        spec: the task.
        embedding_size: size of learned token vectors; None is one-hot, `auto` is that for letters
            and 128 for words.
        hidden_size: size of h.
        bidirectional: a second layer reads from the end, for SEQUENCE_CLASS only.
        readout: from all h_t to one vector, for SEQUENCE_CLASS: the last, their mean, or maximum.
        hidden_layers: sizes of dense layers before the output.
        dropout: share of x_t dropped, the same parts for all tokens of a pass.
        recurrent_dropout: share of h_{t-1} dropped, likewise.
        token_dropout: share of the vocabulary whose vectors are dropped as a whole, for a sequence.
        readout_dropout: share of features dropped before each dense layer and the output.
        init: `keras` is Glorot uniform, the recurrent matrix orthogonal, zero biases; `torch` is
            uniform within 1 / sqrt(hidden_size).
        kernel: how the recurrence is computed, to the same values: `fused` by PyTorch's layer where
            it can, `compiled` by C++ for the CPU, `python` by one operation with its own backward
            pass, `reference` token by token; `auto` takes the fastest that can be had.
        position_features: wavelengths of a sine and a cosine each that tell a token's place;
            None leaves it to be counted by the state.
        recurrent_norm: largest singular value of W_hh at the start, by scaling it; None leaves it
            to `init`.

    Source: Elman (1990), eq. 1 and 2.
    """

    recurrent = True

    def __init__(
        self,
        spec: TaskSpec,
        embedding_size: EmbeddingSize = None,
        hidden_size: Size = 64,
        bidirectional: bool = False,
        readout: Readout = "last",
        hidden_layers: Annotated[list[Size], Len(0, 16)] = [],  # noqa: B006  (never changed)
        dropout: Rate = 0.0,
        recurrent_dropout: Rate = 0.0,
        token_dropout: Rate = 0.0,
        readout_dropout: Rate = 0.0,
        init: Init = "keras",
        kernel: Kernel = "auto",
        position_features: Size | None = None,
        recurrent_norm: Positive | None = None,
    ) -> None:
        super().__init__(
            spec,
            cell="rnn",
            num_layers=1,
            embedding_size=embedding_size_for(spec.vocabulary, embedding_size),
            hidden_size=hidden_size,
            bidirectional=bidirectional,
            readout=readout,
            hidden_layers=hidden_layers,
            dropout=Dropout(dropout, recurrent_dropout),
            token_dropout=token_dropout,
            readout_dropout=readout_dropout,
            init=init,
            kernel=kernel,
            position_features=position_features,
            recurrent_norm=recurrent_norm,
        )
