"""The LSTM, one layer."""

from typing import Annotated

from annotated_types import Interval, Len

from seqexp.model.layers import EmbeddingSize, Init, embedding_size_for
from seqexp.model.recurrent import Readout, RecurrentNetwork
from seqexp.model.recurrent_layer import Dropout, DropoutMasks, Kernel
from seqexp.ranges import Positive, Rate, Size
from seqexp.spec import TaskSpec


class LSTM(RecurrentNetwork):
    """Gates i, f, o and candidate g; c_t = f c_{t-1} + i g; h_t = o tanh(c_t).

    Args:
        spec: the task.
        embedding_size: size of learned token vectors; None is one-hot, `auto` is that for letters
            and 128 for words.
        hidden_size: size of h and c.
        bidirectional: a second layer reads from the end, for SEQUENCE_CLASS only.
        readout: from all h_t to one vector, for SEQUENCE_CLASS: the last, their mean, or maximum.
        hidden_layers: sizes of dense layers before the output.
        dropout: share of x_t dropped, the same parts for all tokens of a pass.
        recurrent_dropout: share of h_{t-1} dropped, likewise.
        token_dropout: share of the vocabulary whose vectors are dropped as a whole, for a sequence.
        readout_dropout: share of features dropped before each dense layer and the output.
        dropout_masks: one mask for all gates (`tied`), or one for each (`per_gate`, as Keras).
        init: `keras` is Glorot uniform, the recurrent matrix orthogonal as one, biases 0 and the
            forget gate's 1; `torch` is uniform within 1 / sqrt(hidden_size).
        forget_bias: the forget gate's bias at the start; None leaves it to `init`.
        kernel: how the recurrence is computed, to the same values: `fused` by PyTorch's layer where
            it can, `compiled` by C++ for the CPU, `python` by one operation with its own backward
            pass, `reference` token by token; `auto` takes the fastest that can be had.
        position_features: wavelengths of a sine and a cosine each that tell a token's place;
            None leaves it to be counted by the state.
        recurrent_norm: largest singular value of the recurrent matrix of all gates, as one, at the
            start, by scaling it; None leaves it to `init`.

    Source: Hochreiter & Schmidhuber (1997), with the forget gate of Gers et al. (2000).
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
        dropout_masks: DropoutMasks = "tied",
        init: Init = "keras",
        forget_bias: Annotated[float, Interval(ge=-100, le=100)] | None = None,
        kernel: Kernel = "auto",
        position_features: Size | None = None,
        recurrent_norm: Positive | None = None,
    ) -> None:
        super().__init__(
            spec,
            cell="lstm",
            num_layers=1,
            embedding_size=embedding_size_for(spec.vocabulary, embedding_size),
            hidden_size=hidden_size,
            bidirectional=bidirectional,
            readout=readout,
            hidden_layers=hidden_layers,
            dropout=Dropout(dropout, recurrent_dropout, dropout_masks),
            token_dropout=token_dropout,
            readout_dropout=readout_dropout,
            init=init,
            forget_bias=forget_bias,
            kernel=kernel,
            position_features=position_features,
            recurrent_norm=recurrent_norm,
        )
