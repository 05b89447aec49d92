"""The vanilla recurrent network, one layer."""

from seqexp.model.recurrent import RecurrentNetwork


class RNN(RecurrentNetwork, cell="rnn", num_layers=1, dropout_masks="tied", forget_bias=None):
    """h_t = tanh(W_hh h_{t-1} + W_xh x_t + b). Its arguments are those of `RecurrentNetwork`.

    Source: Elman (1990), eq. 1 and 2.
    """

    recurrent = True
