"""Sites of filters: some filters and some sequences at a time give what all together give."""

import numpy as np
import pytest
import torch

from seqexp.interpret.families import sites
from seqexp.interpret.filters import windows
from seqexp.model.cnn1d import CNN1D
from seqexp.spec import TaskSpec

DNA = ("A", "C", "G", "T")


@pytest.fixture
def model(dna_spec: TaskSpec) -> CNN1D:
    torch.manual_seed(0)
    return CNN1D(dna_spec, num_filters=5, filter_width=4, padding="same", strands="both").eval()


@pytest.fixture
def tokens() -> torch.Tensor:
    found = torch.randint(1, 5, (70, 30), generator=torch.Generator().manual_seed(1))
    found[::3, 25:] = 0
    return found.to(torch.uint8)


def test_sites_of_some_filters_at_a_time_are_those_of_all(
    model: CNN1D, tokens: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = [*sites.filter_sites(model, tokens, DNA, 0.5)]
    monkeypatch.setattr(sites, "WINDOWS", 2 * tokens.numel())
    apart = [*sites.filter_sites(model, tokens, DNA, 0.5)]
    assert len(apart) == 5 and all(len(one) for one in apart)
    for one, other in zip(together, apart, strict=True):
        for name in ("rows", "anchors", "directions", "scores"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("one_per_sequence", [True, False])
def test_exciting_windows_of_some_sequences_at_a_time_are_those_of_all(
    model: CNN1D, tokens: torch.Tensor, monkeypatch: pytest.MonkeyPatch, one_per_sequence: bool
) -> None:
    shape = tuple(model.filter_weights().shape)
    with torch.no_grad():
        together = windows.exciting_windows(model, tokens.long(), shape, DNA, 0.5, one_per_sequence)
        monkeypatch.setattr(windows, "ROWS", 9)
        apart = windows.exciting_windows(model, tokens.long(), shape, DNA, 0.5, one_per_sequence)
        # by hand, of the first filter
        strands = [tokens.long(), windows.other_strand(tokens.long(), model.spec.vocabulary)]
        found = [windows.activations_inside(model, strand, 4)[0] for strand in strands]
    letters = torch.cat([strand.unfold(1, 4, 1) for strand in strands], dim=1)
    activations = torch.cat(found, dim=1) * (letters > 0).all(dim=2)
    chosen = activations > 0.5 * activations.max()
    if one_per_sequence:
        strongest = activations.argmax(dim=1, keepdim=True)  # the first of two that are equal
        chosen &= torch.zeros_like(chosen).scatter(1, strongest, True)
    expected = [np.bincount(column, minlength=4) for column in letters[chosen].T.numpy() - 1]
    assert np.array_equal(together[0][0], expected) and together[1][0] == chosen.sum()
    for one, other in zip(together, apart, strict=True):
        assert np.array_equal(one, other)
