"""Writes a model as a graph of ONNX, and compares what both say before it is kept."""

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqexp import __version__
from seqexp.errors import InputError
from seqexp.inference.saved_model import SavedModel
from seqexp.model.attention import Attention
from seqexp.model.cnn1d import CNN1D
from seqexp.model.counting.table import NGramTable
from seqexp.model.ngrams import NGrams
from seqexp.model.recurrent_layer import RecurrentLayers
from seqexp.spec import PAD, Features, Input, Output, TaskSpec, first_carry

if TYPE_CHECKING:
    import onnx

NEEDED = ("onnx", "onnxscript", "onnxruntime")

TOLERANCE = 1e-4
"""Largest difference of a logit, beside the largest logit, or 1 where that is smaller."""

SHAPES = ((1, 1.0), (3, 0.7), (7, 1.6))
"""Sequences, and their length as a share of `LENGTH`, on which both are compared."""

LENGTH = 60
"""Tokens of a sequence, where its length is free."""

CONTEXT = 3
"""Positions that a context has more."""

OPSET = 18


def refuse_without_packages() -> None:
    """Refuse before anything is read.

    Raises:
        InputError: naming what is missing, and how it is installed.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(
            f"export needs {', '.join(missing)}, not installed here; pip install 'seqexp[onnx]'"
        )


class Graph(nn.Module):
    """A model as one function of its inputs: tokens, and the context where it reads one."""

    def __init__(self, model: nn.Module, spec: TaskSpec) -> None:
        super().__init__()
        self.model, self.per_position = model, spec.per_position

    def forward(self, tokens: Tensor, context: Tensor | None = None) -> Tensor:
        """Logits, `(batch, outputs)`, or `(batch, time, outputs)` where each position has some."""
        model: Any = self.model
        logits: Tensor = model(tokens, first_carry(model, context))[0]
        return logits if self.per_position else logits[:, 0]


def graph_of(saved: SavedModel, run_id: str = "") -> "tuple[onnx.ModelProto, float]":
    """The graph, and the largest difference of a logit to the model's own.

    Raises:
        InputError: if the model cannot be written as a graph, or the graph says something else.
    """
    import onnx

    _refuse_other_kinds(saved)
    examples = _examples(saved)
    proto = _exported(saved, examples)
    about = {f"seqexp.{name}": value for name, value in described(saved.spec, run_id).items()}
    onnx.helper.set_model_props(proto, about)
    return proto, difference(saved, proto)


def described(spec: TaskSpec, run_id: str = "") -> dict[str, str]:
    """What a reader of the graph has to know: how sequences become ids, and what outputs mean."""
    about = {
        "version": __version__,
        "run": run_id,
        "kind": spec.output.value,
        "labels": json.dumps(list(spec.output_names)),
        "symbols": json.dumps(list(spec.vocabulary.symbols)),  # the first has id 1; 0 is padding
        "task": json.dumps(spec.to_dict()),
    }
    return {key: value for key, value in about.items() if value}


def _refuse_other_kinds(saved: SavedModel) -> None:
    if saved.spec.output is Output.READ_ERRORS:
        raise InputError(
            "the model tells how likely reads are, which is no function of one sequence; it cannot"
            " be exported"
        )
    hashed = [one for one in saved.model.modules() if isinstance(one, NGramTable) and one.buckets]
    if hashed:
        raise InputError(
            f"model.ngrams.buckets is {hashed[0].buckets}: ONNX has no hash for n-grams; models"
            " with buckets=null can be exported"
        )


# --- the graph ----------------------------------------------------------------------------------


def is_of_one_length(model: nn.Module) -> bool:
    """Whether a model reads sequences of the length it was built for only."""
    return isinstance(model, CNN1D) and not model.spec.per_position and model.readout == "flatten"


def _exported(saved: SavedModel, examples: Sequence[tuple[Tensor, ...]]) -> "onnx.ModelProto":
    from seqexp.inference.onnx_graph.recurrent import translations

    graph = Graph(exportable(saved.model), saved.spec).eval()
    free = torch.export.Dim.DYNAMIC
    time = None if is_of_one_length(saved.model) else free
    shapes = [{0: free, 1: time}, {0: free, 1: free}][: len(examples[-1])]
    names = ["tokens", "context"][: len(examples[-1])]
    try:
        with _quiet():
            program = torch.onnx.export(
                graph,
                examples[-1],
                dynamo=True,
                input_names=names,
                output_names=["logits"],
                dynamic_shapes=dict(zip(names, shapes, strict=True)),
                custom_translation_table=translations(),
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # of the exporter, which has many types
        raise InputError(f"the model cannot be written as ONNX: {_reason(error)}") from error
    assert program is not None
    return program.model_proto


def exportable(model: nn.Module) -> nn.Module:
    """A copy that computes the same by operations that ONNX has."""
    from seqexp.inference.onnx_graph import ngrams, recurrent

    found = copy.deepcopy(model)
    for part in found.modules():
        changed: Any = part
        if isinstance(part, RecurrentLayers):
            changed.over = partial(recurrent.over, part)
        if isinstance(part, Attention):
            changed._additive = partial(_additive, part)
        if isinstance(part, NGramTable):
            changed.rows = partial(ngrams.rows, part)
        if isinstance(part, NGrams):
            changed.forward = partial(ngrams.logits, part)
        if isinstance(part, CNN1D):
            part.kernel = "reference"
    return found


def _additive(
    attention: Attention,
    queries: Float[Tensor, "batch positions state"],
    keys: Float[Tensor, "batch context state"],
) -> Float[Tensor, "batch positions context"]:
    """Scores of all positions at a time: how many fit into memory is no part of a graph."""
    found: Tensor = attention.score(torch.tanh(queries[:, :, None] + keys[:, None]))[..., 0]
    return found


def _reason(error: BaseException) -> str:
    """What the last cause says."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines) or 'no reason'}"[:400]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of its own steps."""
    names = ("torch.onnx", "onnxscript", "onnx_ir")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


# --- parity -------------------------------------------------------------------------------------


def _examples(saved: SavedModel) -> list[tuple[Tensor, ...]]:
    """Inputs on which both are compared; the last one is traced."""
    model, fixed = saved.model, saved.spec.length
    least = 1
    if isinstance(model, CNN1D):
        least = 1 + model.num_layers * model.filter_width
    spans = [part.grams.span for part in model.modules() if isinstance(part, NGramTable)]
    least = max([least, *spans])
    found = []
    for seed, (rows, share) in enumerate(SHAPES):
        length = max(least, int(LENGTH * share))
        if is_of_one_length(model):
            assert fixed is not None
            length = fixed
        found.append(_inputs(saved.spec, rows, length, seed))
    return found


def _inputs(spec: TaskSpec, rows: int, length: int, seed: int) -> tuple[Tensor, ...]:
    """Random sequences, all but the first of which are padded, as `spec.words` has it."""
    generator = torch.Generator().manual_seed(seed)
    left = spec.words is not None and spec.words.pad == "left"
    tokens = _random(spec.input, rows, length, left, generator)
    if spec.context is None:
        return (tokens,)
    return tokens, _random(spec.context, rows, length + CONTEXT, False, generator)


def _random(
    made_of: Input, rows: int, length: int, left: bool, generator: torch.Generator
) -> Tensor:
    if isinstance(made_of, Features):
        values = torch.randn(rows, length, made_of.size, generator=generator)
        padding: float | int = torch.nan
    else:
        size = (rows, length)
        values = torch.randint(1, len(made_of), size, generator=generator)
        padding = PAD
    for row in range(1, rows):
        count = length // (row + 2)
        if count:
            values[row, :count] = padding if left else values[row, :count]
            values[row, length - count :] = values[row, length - count :] if left else padding
    return values


def difference(saved: SavedModel, proto: "onnx.ModelProto") -> float:
    """The largest difference of a logit of the graph to the model's own.

    Raises:
        InputError: if it is larger than rounding, or the graph cannot be run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    examples = _examples(saved)
    ours, largest = Graph(saved.model, saved.spec).eval(), 0.0
    try:
        session = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        names = [one.name for one in session.get_inputs()]
        if len(names) != len(examples[0]):
            raise InputError(
                f"the graph has the inputs {names}, but the model reads {len(examples[0])}; it is"
                " not kept"
            )
        for given in examples:
            with torch.no_grad():
                expected = ours(*given).float().numpy()
            arrays = {name: one.numpy() for name, one in zip(names, given, strict=True)}
            found = session.run(None, arrays)[0]
            largest = max(largest, _refuse_other(found, expected, given))
    except InputError:
        raise
    except Exception as error:  # of onnxruntime, which has many types
        raise InputError(f"the graph cannot be run by onnxruntime: {_reason(error)}") from error
    return largest


def _refuse_other(
    found: "np.ndarray[Any, Any]", expected: "np.ndarray[Any, Any]", given: Sequence[Tensor]
) -> float:
    shape = "x".join(map(str, given[0].shape))
    if found.shape != expected.shape:
        raise InputError(
            f"the graph gives {found.shape} for {expected.shape} of tokens of {shape}; it is not"
            " kept"
        )
    apart = float(np.abs(found - expected).max())
    allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if not apart <= allowed:
        raise InputError(
            f"the graph's logits differ by {apart:.3g} from the model's for tokens of {shape}, more"
            f" than {allowed:.3g}; it is not kept"
        )
    return apart
