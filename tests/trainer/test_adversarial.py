"""Adversarial noise: the gradient of an update equals one written out with autograd."""

from typing import Any

import pytest
import torch
from config.test_check import composed
from torch import Tensor
from torch.nn.functional import cross_entropy, embedding

from seqexp.build import build_optimizer, noise_on, step_lazily
from seqexp.config.check import check
from seqexp.data import Data, Sequences
from seqexp.errors import ConfigError, InputError
from seqexp.model.added_ngrams import AddedNGrams
from seqexp.model.cnn1d import CNN1D
from seqexp.model.lstm import LSTM
from seqexp.optimizer.schedule import constant
from seqexp.spec import IGNORE, TaskSpec
from seqexp.task.kinds import of
from seqexp.trainer.distributed import Processes
from seqexp.trainer.loop import fit
from seqexp.trainer.settings import BPTT, Settings
from seqexp.trainer.state import restore, state_of
from seqexp.trainer.training import Training

CPU = torch.device("cpu")
SGD = {"_target_": "torch.optim.SGD", "lr": 0.5}
LAZY = {"_target_": "seqexp.optimizer.lazy_adam.LazyAdam", "lr": 0.01}


@pytest.fixture
def data(next_token_spec: TaskSpec) -> Data:
    """Sixteen rows of twelve letters, one of them shorter."""
    tokens = torch.randint(1, 5, (16, 13), generator=torch.Generator().manual_seed(0))
    tokens[3, 9:] = 0
    targets = tokens[:, 1:].masked_fill(tokens[:, 1:] == 0, IGNORE)
    split = Sequences(tokens[:, :-1].contiguous(), targets.contiguous())
    return Data(next_token_spec, split, split, split)


def training(
    data: Data,
    optimizer: Any = SGD,
    dropout: float = 0.0,
    sizes: list[int] | None = None,
    **settings: Any,
) -> Training:
    torch.manual_seed(0)
    ngrams = AddedNGrams(sizes, min_count=1)
    model = LSTM(data.spec, embedding_size=3, hidden_size=4, dropout=dropout, ngrams=ngrams)
    if model.ngrams is not None:
        model.ngrams.table.count(data.train)
        torch.nn.init.normal_(model.ngrams.table.table.data[1:])
    made = Settings(**{"epochs": 1, "test_weights": "last", "batch_size": 16, **settings})
    built = build_optimizer(optimizer, model, CPU)
    if optimizer is LAZY:
        step_lazily(built, model, Processes())
    noise = noise_on(model, made, Processes())
    return Training(model, built, constant(built), made, 0, CPU, of(data.spec), noise=noise)


def weights(given: Training) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in given.model.state_dict().items()}


def by_hand(
    data: Data, size: float, window: int, sizes: list[int] | None = None
) -> dict[str, Tensor]:
    """An epoch of one batch in plain PyTorch: clean and noisy passes over each window."""
    model: Any = training(data, sizes=sizes).model
    order = next(data.train.batches(16, 0))
    tokens, targets = data.train.tokens.long(), data.train.targets.long()
    assert len(order) == len(tokens)
    scored = int((targets != IGNORE).sum())
    carry: Any = None
    for begin in range(0, tokens.shape[1], window):
        part = slice(begin, begin + window)
        chosen = tokens[:, part]

        def loss(vectors: Tensor, carry: Any, part: slice = part, chosen: Tensor = chosen) -> Any:
            model.input.forward = lambda given: vectors
            if sizes:  # they are in the vectors
                model.ngrams.sum.forward = lambda given, vectors, added: vectors
            logits, after = model(chosen, carry)
            del model.input.forward
            if sizes:
                del model.ngrams.sum.forward
            total = cross_entropy(
                logits.flatten(0, 1),
                targets[:, part].flatten(),
                reduction="sum",
                ignore_index=IGNORE,
            )
            return total / (scored * window / tokens.shape[1]), after

        vectors = embedding(chosen, model.input.table, padding_idx=0)
        if sizes:
            vectors = vectors + model.ngrams(chosen)
        clean, after = loss(vectors, carry)
        (gradient,) = torch.autograd.grad(clean, vectors, retain_graph=True)
        gradient = gradient * (chosen != 0)[..., None]
        length, steepness = (t.flatten(1).norm(dim=1) for t in (vectors.detach(), gradient))
        noise = gradient * torch.where(steepness > 0, size * length / steepness, 0)[:, None, None]
        noisy, _ = loss(vectors + noise, carry)
        found = torch.autograd.grad((clean + noisy) / 2, list(model.parameters()))
        with torch.no_grad():
            for weight, step in zip(model.parameters(), found, strict=True):
                weight -= 0.5 * step
        carry = tuple(tensor.detach() for tensor in after)
    return {name: tensor.detach() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(("window", "sizes"), [(12, None), (4, None), (12, [2])])
def test_an_update_equals_one_written_out_with_autograd(
    window: int, sizes: list[int] | None, data: Data
) -> None:
    """With n-grams, noise is as long as sums of both vectors ask for, and is added to these."""
    bptt = BPTT(None if window == 12 else window)
    given = training(data, sizes=sizes, adversarial=0.3, bptt=bptt)
    list(fit(given, data))
    expected = by_hand(data, 0.3, window, sizes)
    for name, tensor in weights(given).items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-6, rtol=1e-4)


def test_noise_of_no_length_changes_nothing_but_for_the_masks_of_the_second_pass(
    data: Data,
) -> None:
    def after(dropout: float, noise: float | None) -> dict[str, Tensor]:
        given = training(data, dropout=dropout, adversarial=noise)
        list(fit(given, data))
        return weights(given)

    plain, quiet, loud = after(0.0, None), after(0.0, 1e-12), after(0.0, 0.5)
    torch.testing.assert_close(quiet, plain)
    assert any(not torch.allclose(tensor, loud[name]) for name, tensor in plain.items())
    # what is learned from two masks is not what is learned from one
    plain, quiet = after(0.5, None), after(0.5, 1e-12)
    assert any(not torch.allclose(tensor, quiet[name]) for name, tensor in plain.items())


@pytest.mark.parametrize("optimizer", [SGD, LAZY])
@pytest.mark.parametrize("stop", [2, 5])
def test_a_resumed_training_with_noise_has_the_same_bits(
    optimizer: Any, stop: int, data: Data
) -> None:
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 8, "adversarial": 0.2}
    whole, cut, resumed = (
        training(data, optimizer, 0.3, bptt=BPTT(4, 8), **settings) for _ in range(3)
    )
    list(fit(whole, data))
    for number, _ in enumerate(fit(cut, data), 1):
        if number == stop:
            break
    restore(resumed, state_of(cut))
    list(fit(resumed, data))
    found = weights(resumed)
    assert all(torch.equal(tensor, found[name]) for name, tensor in weights(whole).items())


def test_noise_is_refused_where_it_cannot_be(dna_spec: TaskSpec) -> None:
    settings = Settings(adversarial=0.08)
    with pytest.raises(InputError, match=r"adversarial is 0.08, but the model has no learned"):
        noise_on(CNN1D(dna_spec), settings, Processes())
    with pytest.raises(InputError, match="there are 2 processes"):
        noise_on(LSTM(dna_spec, embedding_size=2), settings, Processes(0, 2))
    with pytest.raises(ConfigError, match=r"trainer.adversarial is 0.08, but trainer.replicas"):
        check(composed("trainer.adversarial=0.08", "trainer.replicas=2"))
    with pytest.raises(ConfigError, match=r"trainer.adversarial is 0; give"):
        check(composed("trainer.adversarial=0"))
