"""Stored models of others: refused in words, before memory is taken for what they claim to be."""

import inspect
import json
import math
import os
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import ROOT
from safetensors.torch import load_file, save_file

from seqexp.config.instantiate import build
from seqexp.errors import InputError
from seqexp.inference import claims
from seqexp.inference import saved_model as saved
from seqexp.spec import (
    NO_SYMBOLS,
    Features,
    Output,
    Scale,
    Scoring,
    TaskSpec,
    Vocabulary,
    WordEncoding,
)
from seqexp.tracking.store.runs import local_path, refuse_odd_files

NODE = {"_target_": "seqexp.model.cnn1d.CNN1D", "num_filters": 3, "hidden_layers": [4]}


@pytest.fixture
def folder(tmp_path: Path, dna_spec: TaskSpec) -> Path:
    saved.save(tmp_path / "model", build(NODE, spec=dna_spec), dna_spec, {"model": NODE})
    return tmp_path / "model"


def altered(file: Path, **values: Any) -> None:
    content = json.loads(file.read_text())
    (content["model"] if file.name == saved.CONFIG else content).update(values)
    file.write_text(json.dumps(content))


LSTM = "seqexp.model.lstm.LSTM"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"num_filters": 40_000_000}, "model.num_filters is 40000000; give an integer from 1"),
        ({"num_filters": 65536}, r"of another model: .* is F32 of \[3, 4, .*, and the"),
        ({"num_filters": 10**9, "filter_width": 60_000}, "other model|is damaged|no model can be"),
        ({"num_filters": 10**30}, "model.num_filters is 1000"),
        ({"num_filters": -1}, "model.num_filters is -1"),
        ({"num_filters": "3"}, "model.num_filters is '3'"),
        ({"num_filters": None}, "model.num_filters is None"),
        ({"num_filters": float("nan")}, "model.num_filters is nan"),
        ({"num_filters": [3]}, "model.num_filters is"),
        ({"hidden_layers": [65536] * 16}, "of another model"),
        ({"hidden_layers": list(range(100_000))}, "model.hidden_layers is"),
        ({"more": 1}, "model.more: unknown"),
        ({"_target_": LSTM, "num_filters": 3, "hidden_layers": [4]}, "model.num_filters: unknown"),
    ],
)
def test_sizes_are_compared_before_memory_is_taken(
    folder: Path, values: dict[str, Any], told: str
) -> None:
    altered(folder / saved.CONFIG, **values)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=told) as caught:
        saved.load(folder)
    assert str(folder) in str(caught.value) and len(str(caught.value)) < 3000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kilobytes


def test_a_large_layer_is_compared_without_its_memory(tmp_path: Path, dna_spec: TaskSpec) -> None:
    node = {"_target_": LSTM, "hidden_size": 4}
    saved.save(tmp_path, build(node, spec=dna_spec), dna_spec, {"model": node})
    altered(tmp_path / saved.CONFIG, hidden_size=65536, recurrent_norm=1.0)
    with pytest.raises(InputError, match="of another model"):
        saved.load(tmp_path)


@pytest.mark.parametrize("name", sorted(f.stem for f in (ROOT / "conf" / "model").glob("*.yaml")))
def test_every_model_can_be_looked_at_without_memory(
    tmp_path: Path, name: str, dna_spec: TaskSpec, next_token_spec: TaskSpec
) -> None:
    targets = {"cnn1d": "cnn1d.CNN1D", "lstm": "lstm.LSTM", "rnn": "rnn.RNN"}
    target = targets.get(name, "stacked_rnn.StackedRNN")
    variants: list[dict[str, Any]] = [{}, {"init": "torch"}]
    if name != "cnn1d":
        variants += [{"embedding_size": 3, "recurrent_norm": 0.9}, {"position_features": 2}]
    for spec in (dna_spec, next_token_spec):
        for number, variant in enumerate(variants):
            node = {"_target_": f"seqexp.model.{target}", **variant}
            made = tmp_path / f"{spec.output.value}-{number}"
            saved.save(made, build(node, spec=spec), spec, {"model": node})
            assert saved.load(made).spec == spec


def test_every_kind_of_task_is_taken(dna_spec: TaskSpec, next_token_spec: TaskSpec) -> None:
    words = Vocabulary(("<unk>", "a", "film"))
    encoding = WordEncoding("head", "left")
    texts = TaskSpec(words, 1, Output.SEQUENCE_CLASS, ("neg", "pos"), 5, encoding)
    plain = TaskSpec(Vocabulary(tuple("ab")), 2, Output.NEXT_TOKEN, ("a", "b"))
    for spec in (dna_spec, next_token_spec, texts, plain):
        assert claims.task(spec.to_dict(), "x") == spec


def test_every_input_and_choice_is_taken(dna_spec: TaskSpec) -> None:
    scale = Scale((1.5, -2.0), (0.5, 3.0))
    numbers = TaskSpec(
        *(NO_SYMBOLS, 2, Output.REGRESSION, ("x", "y")),
        features=Features(3, ("a", "b", "c")),
        context=Features(2),
        scoring=Scoring("huber", scale),
    )
    weighted = replace(dna_spec, scoring=Scoring(class_weights=(0.5, 2.0)))
    positions = replace(dna_spec, output=Output.TOKEN_CLASS, context=Vocabulary(("<", "a")))
    labels = replace(dna_spec, output=Output.MULTI_LABEL, length=None)
    for spec in (numbers, weighted, positions, labels):
        assert claims.task(json.loads(json.dumps(spec.to_dict())), "x") == spec
    old = {**dna_spec.to_dict(), "output": "sequence-class"}
    assert claims.task(old, "x") == dna_spec


SCORING: dict[str, Any] = {"loss": "gaussian", "scale": None, "class_weights": None}
WORDS = {"truncate": "head", "pad": "left"}


@pytest.mark.parametrize(
    "values",
    [
        {"length": -3},
        {"length": 10**12},
        {"length": 1.5},
        {"length": True},
        {"num_outputs": 0},
        {"num_outputs": 10**12},
        {"num_outputs": "2"},
        {"output": "other"},
        {"output": []},
        {"output_names": "ab"},
        {"output_names": [1, 2]},
        {"output_names": ["one"]},
        {"output_names": ["a", "b", "c"], "num_outputs": 2},
        {"vocabulary": []},
        {"vocabulary": "ACGT"},
        {"vocabulary": ["A", "A", "C", "G"]},
        {"vocabulary": ["A", "", "C", "G"]},
        {"vocabulary": [1, 2, 3, 4]},
        {"vocabulary": {"A": 1}},
        {"vocabulary": None},
        {"words": WORDS},  # without the word that stands for unknown ones
        {"words": {**WORDS, "truncate": "middle"}, "vocabulary": ["<unk>", "a", "b", "c"]},
        {"words": {**WORDS, "length": -1}, "vocabulary": ["<unk>", "a", "b", "c"]},
        {"words": WORDS, "length": None, "vocabulary": ["<unk>", "a", "b", "c"]},
        {"words": []},
        {"more": 1},
        {"features": {"size": 0, "names": []}, "vocabulary": []},
        {"features": {"size": 2, "names": ["x"]}, "vocabulary": []},
        {"features": {"size": 10**12, "names": []}, "vocabulary": []},
        {"features": {"vocabulary": ["A"]}, "vocabulary": []},
        {"context": {"vocabulary": ["A", "A"]}},
        {"context": {"vocabulary": [], "size": 3}},
        {"context": {"size": "3", "names": []}},
        {"context": 3},
        {"scoring": {**SCORING, "loss": "other"}},
        {"scoring": {**SCORING, "class_weights": [1.0]}},
        {"scoring": {**SCORING, "class_weights": [1.0, 0.0]}},
        {"scoring": {**SCORING, "scale": {"mean": [0.0, math.nan], "deviation": [1.0, 1.0]}}},
        {"scoring": {**SCORING, "scale": {"mean": [0.0, 0.0], "deviation": [1.0, -1.0]}}},
        {"scoring": {"loss": "gaussian"}},
    ],
)
def test_a_task_out_of_range_is_told_by_its_key(folder: Path, values: dict[str, Any]) -> None:
    altered(folder / saved.SPEC, **values)
    with pytest.raises(InputError, match=rf"{saved.SPEC}: (is damaged: )?'?({'|'.join(values)})"):
        saved.load(folder)


def test_a_vocabulary_of_millions_is_compared_with_the_weights(folder: Path) -> None:
    altered(folder / saved.SPEC, vocabulary=[str(n) for n in range(300_000)])
    with pytest.raises(InputError, match="config.json: model.embedding_size is null"):
        saved.load(folder)
    altered(folder / saved.CONFIG, embedding_size=3000)
    with pytest.raises(InputError, match="damaged or of another model"):
        saved.load(folder)


DEEP = "[" * 50_000 + "]" * 50_000
MAPPINGS = '{"model": ' * 500 + "1" + "}" * 500


@pytest.mark.parametrize("name", [saved.SPEC, saved.CONFIG])
@pytest.mark.parametrize("text", [DEEP, MAPPINGS, "[]", "null", "3", "{}", "", "9" * 5000, '"a"'])
def test_odd_json_is_told(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(InputError, match=f"{name}: is damaged"):
        saved.load(folder)


def without_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("name", [saved.SPEC, saved.CONFIG, saved.WEIGHTS])
@pytest.mark.parametrize("change", [without_text, pipe])
def test_files_that_are_none_are_told(folder: Path, name: str, change: Callable[..., Any]) -> None:
    change(folder / name)
    with pytest.raises(InputError, match="damaged|has no"):
        saved.load(folder)


# --- weights ----------------------------------------------------------------------------------


def raw(header: Any, content: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content


def entries(folder: Path) -> dict[str, Any]:
    content = (folder / saved.WEIGHTS).read_bytes()
    size = int.from_bytes(content[:8], "little")
    return dict(json.loads(content[8 : 8 + size]))


def odd_type(found: dict[str, Any], dtype: str) -> dict[str, Any]:
    first = next(name for name in found if name != "__metadata__")
    return {**found, first: {**found[first], "dtype": dtype}}


@pytest.mark.parametrize("dtype", ["F8_E4M3", "BOOL", "F64", "I32", "F4", "", None, "F16"])
def test_weights_of_odd_types_are_refused(folder: Path, dtype: str) -> None:
    content = (folder / saved.WEIGHTS).read_bytes()
    numbers = content[8 + int.from_bytes(content[:8], "little") :]
    (folder / saved.WEIGHTS).write_bytes(raw(odd_type(entries(folder), dtype), numbers))
    with pytest.raises(InputError, match=f"of another model: .* is {dtype} of"):
        saved.load(folder)


def test_headers_that_say_more_than_there_is_are_refused(folder: Path) -> None:
    file, found = folder / saved.WEIGHTS, entries(folder)
    whole = file.read_bytes()
    numbers = whole[8 + int.from_bytes(whole[:8], "little") :]
    same_place = {name: {**told, "data_offsets": [0, 4]} for name, told in found.items()}
    shifted = {
        name: {**told, "data_offsets": [place + 4 for place in told["data_offsets"]]}
        for name, told in found.items()
    }
    for content in (
        b"",
        b"\xff" * 8,
        (2**62).to_bytes(8, "little"),
        raw(DEEP.encode()),
        raw([]),
        raw({"a": 1}),
        raw({"a": {"shape": 5}}),
        raw(b"\xff\xfe"),
        raw(found),
        raw(found, numbers[:-4]),
        raw(same_place, numbers),
        raw(shifted, numbers),
    ):
        file.write_bytes(content)
        with pytest.raises(InputError, match=f"{saved.WEIGHTS}: is damaged"):
            saved.load(folder)
    file.write_bytes(whole)
    assert saved.load(folder)


def test_weights_that_are_more_or_fewer_or_no_numbers_are_refused(folder: Path) -> None:
    file = folder / saved.WEIGHTS
    weights = load_file(file)
    first = next(iter(weights))
    for others, told in (
        ({**weights, "more": torch.zeros(0)}, "model of its config has no more"),
        ({k: v for k, v in weights.items() if k != first}, f"it has no {first}"),
        ({**weights, first: torch.full_like(weights[first], torch.nan)}, f"{first} has inf or nan"),
        ({**weights, first: weights[first][..., None].clone()}, f"{first} is F32 of"),
    ):
        save_file(others, file)
        with pytest.raises(InputError, match=told):
            saved.load(folder)


# --- artifacts --------------------------------------------------------------------------------


def test_artifacts_that_are_links_or_pipes_are_not_read(tmp_path: Path) -> None:
    run = SimpleNamespace(info=SimpleNamespace(artifact_uri=str(tmp_path), run_id="abc"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "plain").write_text("x")
    given: Any = run
    check = inspect.unwrap(refuse_odd_files)
    check(given, "model")
    (tmp_path / "model" / "link").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="link: is a symbolic link, so run abc was not read"):
        check(given, "model")
    (tmp_path / "model" / "link").unlink()
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(InputError, match="config.json: is no plain file"):
        check(given, "config.json")


def test_which_addresses_are_folders_here() -> None:
    assert local_path("/a/b") == local_path("file:///a/b") == Path("/a/b")
    assert local_path("file:///a%20b") == Path("/a b")
    for address in ("s3://bucket/a", "http://host/a", "mlflow-artifacts:/1/a", "file://host/a"):
        assert local_path(address) is None


@pytest.mark.parametrize(
    "values",
    [
        [],
        None,
        {"history": []},
        {"history": {"one": {}}},
        {"history": {"1": []}},
        {"history": {"1": {"a": "b"}}},
        {"history": {"1": {"a": 10**400}}},
        {"gradient_flow": {}},
        {"gradient_flow": [1]},
        {"gradient_flow": [{"epoch": 1, "log10_relative": ["x"]}]},
    ],
)
def test_results_of_another_form_are_not_used(values: Any) -> None:
    assert claims.result(values) is None
    sound = {"history": {"1": {"a": 0.5}}, "gradient_flow": [{"epoch": 1, "log10_relative": [0.0]}]}
    assert claims.result(sound) == sound and claims.result({}) == {}
