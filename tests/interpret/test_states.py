"""States and gates that are drawn are those that the model computes."""

import torch

from seqexp.interpret.states import MAX_POSITIONS, over
from seqexp.interpret.states_figure import states_figure
from seqexp.model.cnn1d import CNN1D
from seqexp.model.lstm import LSTM
from seqexp.model.stacked_rnn import StackedRNN
from seqexp.spec import Output, TaskSpec, Vocabulary

SPEC = TaskSpec(Vocabulary(tuple("ACGT")), 2, Output.SEQUENCE_CLASS, ("a", "b"), length=80)


def test_states_over_a_sequence_are_those_of_the_top_layer() -> None:
    torch.manual_seed(0)
    tokens = torch.randint(1, 5, (80,))
    for model in (
        LSTM(SPEC, embedding_size=4, hidden_size=30).eval(),
        StackedRNN(SPEC, embedding_size=4, hidden_size=5, num_layers=2).eval(),
    ):
        found = over(model, tokens)
        assert found is not None
        wanted = model.states(tokens[None])[0, -MAX_POSITIONS:].detach().numpy().T
        assert found.first == 80 - MAX_POSITIONS + 1
        assert (abs(found.states - wanted[found.units]) < 1e-5).all()
        changes = wanted.std(axis=1)[found.units]
        assert (changes[:-1] >= changes[1:]).all()  # the units that change most come first
        assert all(values.shape == (MAX_POSITIONS,) for values in found.gates.values())
        figure = states_figure(found, ["A"] * MAX_POSITIONS, "$title$")
        figure.canvas.draw()


def test_a_gate_over_a_sequence_is_between_its_limits() -> None:
    torch.manual_seed(0)
    found = over(LSTM(SPEC, embedding_size=4, hidden_size=6).eval(), torch.ones(5).long())
    assert found is not None and found.first == 1
    *sigmoids, tanh = found.gates.values()
    assert len(sigmoids) == 3
    assert all(((gate > 0) & (gate < 1)).all() for gate in sigmoids)
    assert ((tanh > -1) & (tanh < 1)).all()


def test_what_is_not_recurrent_or_has_no_letters_shows_none() -> None:
    assert over(CNN1D(SPEC, num_filters=2, filter_width=3), torch.ones(5).long()) is None
    model = LSTM(SPEC, embedding_size=4, hidden_size=6)
    assert over(model, torch.ones(0).long()) is None
