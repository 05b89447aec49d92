"""The LSTM, one layer."""

from seqexp.model.recurrent import RecurrentNetwork


class LSTM(RecurrentNetwork, cell="lstm", num_layers=1):
    """Gates i, f, o and candidate g; c_t = f c_{t-1} + i g; h_t = o tanh(c_t).

    Its arguments are those of `RecurrentNetwork`.

    Source: Hochreiter & Schmidhuber (1997), with the forget gate of Gers et al. (2000).
    """

    recurrent = True
