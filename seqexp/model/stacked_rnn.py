"""Several recurrent layers, each reading the one below."""

from seqexp.model.recurrent import RecurrentNetwork


class StackedRNN(RecurrentNetwork):
    """h_t^l = tanh W^l (h_t^{l-1}; h_{t-1}^l), or the same of GRU or LSTM cells.

    Its arguments are those of `RecurrentNetwork`.

    Source: Graves (2013), eq. 1, without connections that skip layers.
    """

    recurrent = True
