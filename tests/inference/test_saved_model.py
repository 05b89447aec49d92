"""A saved model: the same after loading, and nothing but a model."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from seqexp.config.instantiate import build
from seqexp.dataset.text import Text
from seqexp.errors import InputError
from seqexp.inference import saved_model as saved
from seqexp.inference.prediction import columns
from seqexp.inference.pyfunc import TextModel
from seqexp.inference.text import encode
from seqexp.spec import TaskSpec
from seqexp.task.sequence_class import probabilities

NODE = {"_target_": "seqexp.model.cnn1d.CNN1D", "num_filters": 3, "hidden_layers": [4]}


@pytest.fixture
def folder(tmp_path: Path, dna_spec: TaskSpec) -> Path:
    torch.manual_seed(0)
    saved.save(tmp_path / "model", build(NODE, spec=dna_spec), dna_spec, {"model": NODE})
    return tmp_path / "model"


def changed(folder: Path, **node: Any) -> None:
    config = json.loads((folder / saved.CONFIG).read_text())
    config["model"].update(node)
    (folder / saved.CONFIG).write_text(json.dumps(config))


def test_a_loaded_model_gives_the_same_logits(folder: Path, dna_spec: TaskSpec) -> None:
    torch.manual_seed(0)
    model = build(NODE, spec=dna_spec).eval()
    tokens = torch.randint(1, 5, (6, 10))
    loaded = saved.load(folder)
    assert torch.equal(loaded.model(tokens)[0], model(tokens)[0])
    assert loaded.spec == dna_spec and loaded.config == {"model": NODE}


def test_text_becomes_probabilities(folder: Path) -> None:
    text_model = TextModel(saved.load(folder))
    table = text_model.predict(["ACGTACGTAC", "acgtacgtac", "TTTTTTTTTT"])
    assert list(table.columns) == ["background", "motif"]
    assert table.sum(axis=1).to_numpy() == pytest.approx([1, 1, 1])
    assert (table.iloc[0] == table.iloc[1]).all() and (table.iloc[0] != table.iloc[2]).all()
    with pytest.raises(InputError, match="'ACGX' has 'X' at position 4; known are A, C, G, T"):
        text_model.predict("ACGX")


def test_dna_to_be_classified_is_read_by_the_rule_of_the_dataset(
    dna_spec: TaskSpec, next_token_spec: TaskSpec
) -> None:
    assert encode("acgUnR", dna_spec) == [1, 2, 3, 4, 0, 0]
    with pytest.raises(InputError, match="'ACN' has 'N' at position 3"):
        encode("ACN", next_token_spec)


@pytest.mark.parametrize("target", ["os.system", "torch.hub.load", "seqexp.run.run", "mine.Model"])
def test_a_stored_config_cannot_name_other_code(folder: Path, target: str) -> None:
    changed(folder, _target_=target)
    with pytest.raises(InputError, match=rf"{target}.*allowed are seqexp.model"):
        saved.load(folder)


def test_a_stored_config_cannot_hide_a_target_inside(folder: Path) -> None:
    changed(folder, hidden_layers=[{"_target_": "os.getcwd"}])
    with pytest.raises(InputError, match="os.getcwd'; allowed are seqexp"):
        saved.load(folder)


@pytest.mark.parametrize("name", [saved.WEIGHTS, saved.SPEC, saved.CONFIG])
def test_a_missing_or_damaged_file_is_named(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="damaged"):
        saved.load(folder)
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"it has no {name}"):
        saved.load(folder)


def test_weights_of_another_model_are_refused(folder: Path) -> None:
    changed(folder, num_filters=5)
    with pytest.raises(InputError, match="weights.safetensors: is damaged or of another model"):
        saved.load(folder)


def test_next_token_columns_are_the_symbols(next_token_spec: TaskSpec) -> None:
    assert columns(next_token_spec) == ("padding", "A", "C", "G", "T")


def test_raw_texts_are_read_as_the_dataset_reads_them(tmp_path: Path) -> None:
    texts = [f"<br />A {'fine' if n % 2 else 'DULL'} film, number {n}." for n in range(40)]
    lines = [json.dumps({"text": text, "label": f"{n % 2}"}) for n, text in enumerate(texts)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    whole = str(tmp_path / "a.jsonl")
    for truncate, pad, one_output in (("head", "left", True), ("tail", "right", False)):
        choices: Any = {"truncate": truncate, "pad": pad, "one_output": one_output}
        data = Text(path=whole, test_path=whole, max_tokens=20, max_length=4, **choices).load()
        node = {**NODE, "readout": "flatten", "filter_width": 3}
        torch.manual_seed(0)
        model = build(node, spec=data.spec)
        saved.save(tmp_path / "model", model, data.spec, {"model": node})
        loaded = saved.load(tmp_path / "model")
        assert loaded.spec == data.spec
        table = TextModel(loaded).predict([*texts, "new words"])
        assert list(table.columns) == ["0", "1"]
        expected = probabilities(model(data.test.tokens.long())[0][:, 0]).detach().numpy()
        assert table.to_numpy()[:40] == pytest.approx(expected)
        assert table.sum(axis=1).to_numpy() == pytest.approx([1] * 41)


def test_a_spec_without_words_is_written_as_before(dna_spec: TaskSpec) -> None:
    """Digests of data, and models that were saved, depend on it."""
    keys = ["vocabulary", "num_outputs", "output", "output_names", "length"]
    assert list(dna_spec.to_dict()) == keys
    assert TaskSpec.from_dict(dna_spec.to_dict()) == dna_spec
