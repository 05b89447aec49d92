"""Which kernel computes a run: said, recorded, and the same when the run goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from checkpoint.test_resume import again, final, stop_after
from mlflow import MlflowClient

from seqexp.checkpoint.encode import same
from seqexp.errors import InputError
from seqexp.kernels import build as building
from seqexp.kernels.recurrence_cpp import available, built

DROPS = ("model=lstm", "model.hidden_size=8", "model.recurrent_dropout=0.2", "tracking=none")
CONVOLVES = ("model.num_filters=3", "tracking=none")

BF16 = "trainer.precision=bf16"

needs_a_compiler = pytest.mark.skipif(
    built("lstm", "float").binary is None, reason=built("lstm", "float").reason
)

bf16 = available("lstm", torch.empty(0), is_bf16=True)
needs_bf16 = pytest.mark.skipif(bf16.binary is None, reason=bf16.reason)


@contextmanager
def no_compiler(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQEXP_CACHE", str(folder / "cache"))
        patch.delenv("CXX", raising=False)
        patch.setattr(building, "COMPILERS", ())
        building.built.cache_clear()
        yield
    building.built.cache_clear()


def interrupted(folder: Path, *overrides: str) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="the machine"):
        stop_after(14, RuntimeError("the machine"), patch)
        again(folder, *overrides)


@needs_a_compiler
@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["model.recurrent_dropout=0.0", "model.hidden_size=33"], "fused, PyTorch's own layer"),
        (["model.recurrent_dropout=0.0"], "compiled, by "),  # small
        ([], "compiled, by "),
        (["model.kernel=python"], "python, since model.kernel is python"),
        (["model.kernel=python", "trainer.precision=bf16"], "python, since model.kernel is python"),
        pytest.param([BF16], "compiled, with products in bfloat16, by ", marks=needs_bf16),
        pytest.param(
            [BF16, "model.recurrent_dropout=0.0"],
            "compiled, with products in bfloat16, by ",
            marks=needs_bf16,
        ),
    ],
)
def test_a_run_says_and_records_what_computes_its_recurrence(
    overrides: list[str], expected: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "outputs" / "run"
    with caplog.at_level("INFO", logger="seqexp"):
        result = again(folder, *DROPS[:-1], "trainer.epochs=1", *overrides)
    (line,) = [line for line in caplog.messages if "recurrence: " in line]
    assert line.startswith(f"  recurrence: {expected}")
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    tags = client.get_run(str(result.run_id)).data.tags
    assert tags["seqexp.recurrence"] == line.removeprefix("  recurrence: ")


@needs_a_compiler
@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], "compiled, by "),
        (["model.kernel=reference"], "reference, since model.kernel is reference"),
        (["model.embedding_size=3"], "reference, since token vectors are learned"),
        (["trainer.precision=bf16"], "reference, since products are wanted in bfloat16"),
    ],
)
def test_a_run_says_and_records_what_computes_its_convolution(
    overrides: list[str], expected: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "outputs" / "run"
    with caplog.at_level("INFO", logger="seqexp"):
        result = again(folder, "trainer.epochs=1", *overrides)
    (line,) = [line for line in caplog.messages if "convolution: " in line]
    assert line.startswith(f"  convolution: {expected}")
    assert not [line for line in caplog.messages if "recurrence" in line]
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    tags = client.get_run(str(result.run_id)).data.tags
    assert tags["seqexp.convolution"] == line.removeprefix("  convolution: ")
    assert "seqexp.recurrence" not in tags


@needs_a_compiler
@pytest.mark.parametrize(
    ("overrides", "said"),
    [(DROPS, "recurrence: python"), (CONVOLVES, "convolution: reference")],
)
def test_a_run_goes_on_in_pytorch_where_it_began_so_though_there_is_a_compiler_now(
    overrides: tuple[str, ...], said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with no_compiler(tmp_path):
        again(tmp_path / "whole", *overrides)
        interrupted(tmp_path / "run", *overrides)
    with caplog.at_level("INFO", logger="seqexp"):
        again(tmp_path / "run", *overrides)
    assert f"  {said}, as the run began" in caplog.messages
    assert same(final(tmp_path / "run"), final(tmp_path / "whole"))


@needs_a_compiler
def test_a_small_lstm_that_began_in_pytorchs_layer_goes_on_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = (*DROPS, "model.recurrent_dropout=0.0")
    with monkeypatch.context() as patch:
        patch.setattr("seqexp.model.recurrent_layer.SMALL", 0)
        again(tmp_path / "whole", *overrides)
        interrupted(tmp_path / "run", *overrides)
    again(tmp_path / "run", *overrides)
    assert same(final(tmp_path / "run"), final(tmp_path / "whole"))
    again(tmp_path / "compiled", *overrides)
    assert not same(final(tmp_path / "compiled"), final(tmp_path / "whole"))


@contextmanager
def no_bf16() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        yield


@needs_a_compiler
def test_on_a_processor_without_bfloat16_a_run_says_what_computes_instead(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with no_bf16(), caplog.at_level("INFO", logger="seqexp"):
        again(tmp_path / "run", *DROPS, BF16, "trainer.epochs=1")
    said = "  recurrence: python, since products in bfloat16 need AVX512_BF16"
    assert any(line.startswith(said) for line in caplog.messages)


@needs_bf16
def test_a_run_in_bfloat16_goes_on_with_the_same_bits_and_only_where_they_can_be_had(
    tmp_path: Path,
) -> None:
    again(tmp_path / "whole", *DROPS, BF16)
    interrupted(tmp_path / "run", *DROPS, BF16)
    refused = "begun with the compiled recurrence, .* need AVX512_BF16, .* force=true"
    with no_bf16(), pytest.raises(InputError, match=refused):
        again(tmp_path / "run", *DROPS, BF16)
    again(tmp_path / "run", *DROPS, BF16)
    assert same(final(tmp_path / "run"), final(tmp_path / "whole"))


@needs_a_compiler
@pytest.mark.parametrize(("overrides", "what"), [(DROPS, "recurrence"), (CONVOLVES, "convolution")])
def test_a_compiled_run_goes_on_with_the_same_bits_and_is_refused_without_a_compiler(
    overrides: tuple[str, ...], what: str, tmp_path: Path
) -> None:
    again(tmp_path / "whole", *overrides)
    interrupted(tmp_path / "run", *overrides)
    refused = f"begun with the compiled {what}, .* no C.. compiler.* force=true"
    with no_compiler(tmp_path), pytest.raises(InputError, match=refused):
        again(tmp_path / "run", *overrides)
    again(tmp_path / "run", *overrides)
    assert same(final(tmp_path / "run"), final(tmp_path / "whole"))


def test_a_finished_run_is_only_shown_whatever_there_is_to_compile_it(tmp_path: Path) -> None:
    done = again(tmp_path / "run", *DROPS)
    with no_compiler(tmp_path):
        assert again(tmp_path / "run", *DROPS).metrics == done.metrics
