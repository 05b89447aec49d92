"""Laws that hold for every model in conf/model, found by listing the folder."""

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
import yaml
from conftest import ROOT
from forms import ONE_KIND

from seqexp.config.instantiate import build
from seqexp.config.own import arguments
from seqexp.data import Batch
from seqexp.kernels.recurrence_cpp import built as library
from seqexp.spec import IGNORE, PAD, Output, TaskSpec

FILES = sorted((ROOT / "conf" / "model").glob("*.yaml"))
MODELS = [file for file in FILES if file.stem not in ONE_KIND]
FAST = [
    (file, kernel)
    for file in MODELS
    for line in re.findall(r"^kernel: .*$", file.read_text(), re.MULTILINE)
    for kernel in ("python", "compiled")
    if kernel in line
]

NO_COMPILER = pytest.mark.skipif(
    library("lstm", "double").binary is None, reason=library("lstm", "double").reason
)
CASES = [
    *(pytest.param((file, {}), id=file.stem) for file in MODELS),
    *(
        pytest.param(
            (file, {"kernel": kernel}),
            id=f"{file.stem}-{kernel}",
            marks=[NO_COMPILER] if kernel == "compiled" else [],
        )
        for file, kernel in FAST
    ),
]
"""Each model as its YAML has it; of those with several kernels, also each of the fast ones."""


def built(case: Any, spec: TaskSpec) -> Any:
    file, changes = case
    torch.manual_seed(0)
    node = arguments("model", {**yaml.safe_load(file.read_text()), **changes})
    return build(node, spec=spec).double().eval()


def random_tokens(spec: TaskSpec, rows: int = 5, time: int = 10) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(1, len(spec.vocabulary), (rows, time), generator=generator)


def test_there_are_models() -> None:
    assert MODELS
    assert {file.stem for file, _ in FAST} == {file.stem for file in MODELS}


@pytest.mark.parametrize("case", CASES)
class TestEveryModel:
    def test_shapes_follow_the_task(
        self, case: Any, dna_spec: TaskSpec, next_token_spec: TaskSpec
    ) -> None:
        logits, _ = built(case, dna_spec)(random_tokens(dna_spec))
        assert logits.shape == (5, 1, 2)
        logits, _ = built(case, next_token_spec)(random_tokens(next_token_spec))
        assert logits.shape == (5, 10, 5)

    def test_windows_with_carried_state_equal_one_pass(
        self, case: Any, next_token_spec: TaskSpec
    ) -> None:
        model, tokens = built(case, next_token_spec), random_tokens(next_token_spec, time=50)
        whole, _ = model(tokens)
        for size in (1, 3, 20, 49):
            carry, parts = None, []
            for window in Batch(tokens, tokens).windows(size):
                logits, carry = model(window.tokens, carry)
                parts.append(logits)
            torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-12)

    def test_the_carry_matters(self, case: Any, next_token_spec: TaskSpec) -> None:
        model, tokens = built(case, next_token_spec), random_tokens(next_token_spec, time=20)
        _, carry = model(tokens[:, :10])
        with_carry, _ = model(tokens[:, 10:], carry)
        without, _ = model(tokens[:, 10:])
        assert not torch.allclose(with_carry, without)

    def test_a_carry_is_a_value_that_is_not_written_to(
        self, case: Any, next_token_spec: TaskSpec
    ) -> None:
        model, tokens = built(case, next_token_spec), random_tokens(next_token_spec)
        _, carry = model(tokens)
        before = [tensor.clone() for tensor in carry]
        model(tokens, carry)
        assert all(torch.equal(a, b) for a, b in zip(before, carry, strict=True))

    def test_logits_do_not_depend_on_later_tokens(
        self, case: Any, next_token_spec: TaskSpec
    ) -> None:
        model, tokens = built(case, next_token_spec), random_tokens(next_token_spec, time=30)
        assert model.causal
        changed = tokens.clone()
        changed[:, 15:] = changed[:, 15:] % 4 + 1
        before, _ = model(tokens)
        after, _ = model(changed)
        assert torch.equal(before[:, :15], after[:, :15])
        assert not torch.equal(before[:, 15:], after[:, 15:])

    def test_right_padding_changes_nothing(
        self, case: Any, dna_spec: TaskSpec, next_token_spec: TaskSpec
    ) -> None:
        for spec in (replace(dna_spec, length=None), next_token_spec):
            model, tokens = built(case, spec), random_tokens(spec)
            padded = torch.nn.functional.pad(tokens, (0, 7), value=PAD)
            plain, _ = model(tokens)
            logits, _ = model(padded)
            torch.testing.assert_close(logits[:, : plain.shape[1]], plain, rtol=0, atol=1e-12)

    def test_a_batch_equals_its_rows_one_by_one(
        self, case: Any, dna_spec: TaskSpec, next_token_spec: TaskSpec
    ) -> None:
        for spec in (dna_spec, next_token_spec):
            model, tokens = built(case, spec), random_tokens(spec)
            whole, _ = model(tokens)
            rows = torch.cat([model(row[None])[0] for row in tokens])
            torch.testing.assert_close(rows, whole, rtol=0, atol=1e-12)

    def test_it_learns(self, case: Any, next_token_spec: TaskSpec) -> None:
        """Whether the next letter is the one before: within reach of every causal model."""
        model = built(case, next_token_spec)
        tokens = torch.tensor([[1, 2, 3, 4] * 5, [2, 3, 4, 1] * 5])
        targets = torch.cat([tokens[:, 1:], torch.full((2, 1), IGNORE)], dim=1)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        losses = []
        for _ in range(60):
            logits, _ = model(tokens)
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.2 * losses[0]


def test_windows_put_a_label_where_its_sequence_ends(dna_spec: TaskSpec) -> None:
    tokens = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 0]])
    labels = torch.tensor([[0], [1], [1]])
    windows = list(Batch(tokens, labels).windows(3))
    assert [window.tokens.shape[1] for window in windows] == [3, 3, 1]
    assert [window.targets[:, 0].tolist() for window in windows] == [
        [IGNORE, 1, IGNORE],
        [IGNORE, IGNORE, 1],
        [0, IGNORE, IGNORE],
    ]


def test_windows_cut_targets_with_their_tokens() -> None:
    tokens = torch.arange(1, 8)[None]
    windows = list(Batch(tokens, tokens + 1).windows(3))
    assert [window.targets.tolist() for window in windows] == [[[2, 3, 4]], [[5, 6, 7]], [[8]]]
    assert [w.tokens.tolist() for w in Batch(tokens, tokens).windows(None)] == [tokens.tolist()]


def test_output_kinds_are_written_and_read(next_token_spec: TaskSpec) -> None:
    assert next_token_spec.output is Output.NEXT_TOKEN
    assert TaskSpec.from_dict(next_token_spec.to_dict()) == next_token_spec
