"""What a model says as a graph of ONNX, and which models there is none of."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from forms import FORMS, LETTERS, MODELS, Form, model_of, spec_of

from seqexp.data import Sequences
from seqexp.errors import InputError
from seqexp.inference.saved_model import SavedModel
from seqexp.model.added_ngrams import AddedNGrams
from seqexp.model.convolution import Convolution
from seqexp.model.ngrams import NGrams
from seqexp.spec import Output, TaskSpec, Vocabulary, WordEncoding

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
runtime = pytest.importorskip("onnxruntime")

from seqexp.inference.onnx_graph import write  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def without_checks_of_shapes() -> Iterator[None]:
    """What is traced are sizes that have no number yet, which are no int."""
    import jaxtyping

    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


CLASSES = Form(Output.SEQUENCE_CLASS, LETTERS, None)

WORDS = {"strands": "both", "ngrams": AddedNGrams(sizes=[3], to="mean")}

GROUPS = {
    "ngrams": AddedNGrams(sizes=[2]),
    "wide": AddedNGrams(sizes=[1, 3], to="mean", weighting="nb"),
}

CASES: dict[str, tuple[str, Form, dict[str, Any]]] = {
    "filters of two layers, and counted words, on both strands": (
        *("cnn1d", CLASSES),
        {"num_layers": 2, **WORDS},
    ),
    "filters at all positions side by side": ("cnn1d", CLASSES, {"readout": "flatten"}),
    "an LSTM from both ends, with vectors of pairs, and counted words": (
        *("lstm", CLASSES),
        {"bidirectional": True, "readout": "max", "embedding_size": 4, **GROUPS},
    ),
    "gated units that attend": (
        *("stacked-rnn", Form(Output.NEXT_TOKEN, LETTERS, LETTERS)),
        {"cell": "gru", "attention": "additive", "encoder_bidirectional": True},
    ),
    "a recurrent network over a convolution": (
        *("rnn", Form(Output.TOKEN_CLASS, LETTERS, None)),
        {"convolution": Convolution(filters=4, width=3), "position_features": 3},
    ),
}


def saved_of(name: str, form: Form, length: int | None = None, **changes: Any) -> SavedModel:
    spec = spec_of(form.output, form.made_of, form.context, length)
    model = model_of(name, spec, **changes).float()
    counted(model, spec)
    return SavedModel(model, spec, {})


def counted(model: Any, spec: TaskSpec, rows: int = 30) -> None:
    """Give weights to the n-grams of random sequences, where a model has some."""
    if spec.features is not None:
        return
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(1, len(spec.vocabulary), (rows, 40), generator=generator)
    for part in model.modules():
        if hasattr(part, "keys") and hasattr(part, "count"):
            part.count(Sequences(tokens, torch.zeros(rows, 1, dtype=torch.long)))
            with torch.no_grad():
                part.table[1:] = torch.randn(part.table[1:].shape, generator=generator)


@pytest.mark.parametrize("case", CASES)
def test_a_graph_says_what_its_model_says(case: str) -> None:
    name, form, changes = CASES[case]
    length = 30 if changes.get("readout") == "flatten" else None
    proto, apart = write.graph_of(saved_of(name, form, length, **changes))
    assert apart < 1e-4
    shape = proto.graph.input[0].type.tensor_type.shape.dim
    free = [bool(one.dim_param) for one in shape]
    assert free == [True, length is None]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_model_of_every_kind_has_a_graph(name: str, form: Form) -> None:
    _, apart = write.graph_of(saved_of(name, form))
    assert apart < 1e-4


MANY = Vocabulary(tuple(f"w{index}" for index in range(300)))


def saved_ngrams(vocabulary: Vocabulary, **given: Any) -> SavedModel:
    words = WordEncoding("head", "left") if vocabulary is MANY else None
    spec = TaskSpec(vocabulary, 2, Output.SEQUENCE_CLASS, ("no", "yes"), words=words)
    model = NGrams(spec, min_count=1, **given).eval()
    counted(model, spec)
    return SavedModel(model, spec, {})


@pytest.fixture(scope="module")
def of_ngrams() -> tuple[SavedModel, Any]:
    saved = saved_ngrams(LETTERS, sizes=[2, 3], gaps=1)
    return saved, write.graph_of(saved, "abc")[0]


def test_counted_words_of_a_large_vocabulary_have_a_graph() -> None:
    saved = saved_ngrams(MANY, sizes=[1, 3], weighting="tf-idf", counting="counts")
    _, apart = write.graph_of(saved)
    assert apart < 1e-4


def test_symbols_labels_and_task_are_in_the_metadata(of_ngrams: tuple[SavedModel, Any]) -> None:
    saved, proto = of_ngrams
    about = {one.key: one.value for one in proto.metadata_props}
    assert json.loads(about["seqexp.symbols"]) == ["A", "C", "G", "T"]
    assert json.loads(about["seqexp.labels"]) == ["no", "yes"]
    assert TaskSpec.from_dict(json.loads(about["seqexp.task"])) == saved.spec
    assert (about["seqexp.kind"], about["seqexp.run"]) == ("sequence_class", "abc")
    session = runtime.InferenceSession(proto.SerializeToString())
    assert [one.name for one in session.get_inputs()] == ["tokens"]


def test_hashed_ngrams_and_reads_have_none() -> None:
    changes = {"ngrams": AddedNGrams(sizes=[2], to="logits", buckets=64)}
    with pytest.raises(InputError, match=r"model\.ngrams\.buckets is 64"):
        write.graph_of(saved_of("cnn1d", CLASSES, **changes))
    spec = TaskSpec(LETTERS, 1, Output.READ_ERRORS, ("read",))
    with pytest.raises(InputError, match="likely reads are"):
        write.graph_of(SavedModel(torch.nn.Identity(), spec, {}))


def test_a_graph_that_says_something_else_is_refused(of_ngrams: tuple[SavedModel, Any]) -> None:
    saved, proto = of_ngrams
    model: Any = copy.deepcopy(saved.model)
    with torch.no_grad():
        model.bias += 1
    with pytest.raises(InputError, match=r"logits differ by 0\.5 .*; it is not kept"):
        write.difference(replace(saved, model=model), proto)


def test_a_missing_package_is_named_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from seqexp.cli.export import export

    monkeypatch.setattr(write, "NEEDED", ("onnx", "no_such_package"))
    with pytest.raises(InputError, match=r"no_such_package, not .*pip install 'seqexp\[onnx"):
        export(None, "latest", str(tmp_path / "m.onnx"))  # type: ignore[arg-type]
    monkeypatch.setattr(write, "NEEDED", ())
    with pytest.raises(InputError, match=r"output is m\.pt; give a file that ends in \.onnx"):
        export(None, "latest", "m.pt")  # type: ignore[arg-type]
