"""Starts a model from the weights of an earlier run, by name and shape, and by symbol.

Source: Dai & Le (2015); Howard & Ruder (2018), sec. 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqexp.errors import InputError
from seqexp.model.layers import FeatureInput, TokenInput
from seqexp.spec import Features, Input, Output, TaskSpec, Vocabulary

OF_CONTEXT = ("encoder.", "context.")
"""Beginnings of the names of weights that read a context."""

OUTPUT = ("head.output.weight", "head.output.bias")

CLUSTERS = "head.output.softmax."
"""Beginning of the names of an adaptive softmax's weights, whose rows go by rank."""

READERS = ("conv.weight", "filters.conv.weight", "forwards.0.weight_x", "backwards.0.weight_x")
"""Weights that read what a sequence is made of: (outputs, inputs, ...)."""

CONVOLUTION = "convolutions.layers.0.conv"
"""The layer whose weight reads it instead, where there is one."""

NGRAMS = ("ngrams.", "wide.")
"""Beginnings of the names of weights that tables of n-grams have."""

MOST_NAMED = 12
"""Weights that a message lists."""


@dataclass(frozen=True)
class Weights:
    """Of an earlier run.

    Args:
        run: its id.
        spec: its task.
        tensors: by name.
    """

    run: str
    spec: TaskSpec
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True)
class Axis:
    """A dimension of a weight along which each place stands for a symbol, a feature or an output.

    Places after these, if there are any, stand for the same in both.

    Args:
        dim: which.
        sizes: places that stand for something, here and there.
        pairs: places here and there that stand for the same.
        what: they stand for.
    """

    dim: int
    sizes: tuple[int, int]
    pairs: Sequence[tuple[int, int]]
    what: str


def start_from(model: nn.Module, spec: TaskSpec, given: Weights) -> list[str]:
    """Put an earlier run's weights into a model, where name and shape agree.

    Vectors of symbols, weights that read one-hot symbols and outputs go by what they stand for; a
    symbol that is new keeps its initial weights. So do outputs where another thing is predicted.

    Returns what was taken, what is new and what was left, a line each.

    Raises:
        InputError: if nothing can be taken.
    """
    state = model.state_dict()
    taken: dict[str, str] = {}
    new: dict[str, list[str]] = {}
    for name, tensor in state.items():
        theirs = given.tensors.get(name)
        if theirs is None:
            new.setdefault("the run has none of this name", []).append(name)
            continue
        axis = _other_ngrams(name, model, spec, given) or _axis(
            name, tensor, model, spec, given.spec
        )
        found, told = (None, axis) if isinstance(axis, str) else _joined(tensor, theirs, axis)
        if found is None:
            new.setdefault(told, []).append(name)
        else:
            taken[name] = told
            with torch.no_grad():
                tensor.copy_(found)
    left = [name for name in given.tensors if name not in taken]
    return _lines(given, taken, new, left)


def _lines(
    given: Weights, taken: Mapping[str, str], new: Mapping[str, Sequence[str]], left: Sequence[str]
) -> list[str]:
    missing = [f"  new: {_listed(names)} ({why})" for why, names in new.items()]
    if not taken:
        told = "\n".join([*missing, f"  left: {_listed(left)}"])
        raise InputError(
            f"model.from_run is {given.run}, of whose weights none fits this model; give it the"
            f" model that the run has, or another run\n{told}"
        )
    named = [f"{name} ({told})" if told else name for name, told in taken.items()]
    lines = [f"starts from run {given.run}", f"  taken: {_listed(named)}", *missing]
    return [*lines, f"  left: {_listed(left)}"] if left else lines


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{shown}{more}"


def _joined(ours: Tensor, theirs: Tensor, axis: Axis | None) -> tuple[Tensor | None, str]:
    """A weight with what of the other stands for the same, and how much that is; or why none."""
    axis = axis or Axis(0, (0, 0), (), "")
    shapes = [list(ours.shape), list(theirs.shape)]
    other = f"of shape {shapes[0]} here, {shapes[1]} there"
    if len(shapes[0]) != len(shapes[1]) or axis.dim >= max(1, len(shapes[0])):
        return None, other
    if not shapes[0]:
        return theirs.to(ours.dtype), ""
    rests = [shape.pop(axis.dim) - size for shape, size in zip(shapes, axis.sizes, strict=True)]
    if shapes[0] != shapes[1] or rests[0] != rests[1] or rests[0] < 0:
        return None, other
    if axis.what and not axis.pairs:
        return None, f"no {axis.what} in common"
    rest = [tuple(size + place for size in axis.sizes) for place in range(rests[0])]
    here, there = torch.tensor([*axis.pairs, *rest]).reshape(-1, 2).unbind(1)
    rows = theirs.index_select(axis.dim, there).to(ours)
    found = ours.detach().index_copy(axis.dim, here.to(ours.device), rows)
    is_all = not axis.what or len(axis.pairs) == axis.sizes[0] == axis.sizes[1]
    return found, "" if is_all else f"{len(axis.pairs):,} of {axis.sizes[0]:,} {axis.what}"


# --- what weights stand for ---------------------------------------------------------------------


def _other_ngrams(name: str, model: nn.Module, spec: TaskSpec, given: Weights) -> str | None:
    """Why rows of a table of n-grams, or their numbers, stand for others in the earlier run; None
    if they do not.
    """
    group = next((one for one in NGRAMS if name.startswith(one)), None)
    if group is None:
        return None
    if spec.input != given.spec.input:
        return "n-grams of another vocabulary"
    were = given.spec
    outputs = [(one.output, one.num_outputs, one.output_names) for one in (spec, were)]
    adds_to = getattr(getattr(model, group[:-1]), "adds_to", "input")
    if adds_to != "input" and outputs[0] != outputs[1]:
        return "n-grams that speak for other outputs"
    state = model.state_dict()
    for key in (key for key in state if key.startswith(group) and key.endswith(".keys")):
        theirs = given.tensors.get(key)
        if theirs is None or not torch.equal(state[key].cpu(), theirs):
            return "n-grams of other sequences"
    return None


def _axis(
    name: str, tensor: Tensor, model: nn.Module, spec: TaskSpec, other: TaskSpec
) -> Axis | str | None:
    """What the places of a weight stand for; None: nothing, or the same. A text: nothing that an
    earlier run has learned.
    """
    if name in OUTPUT:
        return _outputs(spec, other, tensor)
    if name.startswith(CLUSTERS) and spec.vocabulary != other.vocabulary:
        return "clusters of another vocabulary"
    is_context = name.startswith(OF_CONTEXT)
    read = (spec.context, other.context) if is_context else (spec.input, other.input)
    if read[0] is None or read[1] is None or read[0] == read[1]:
        return None
    module = model.get_submodule(name.rpartition(".")[0])
    if _is_table(module, read[0]):
        if not (isinstance(read[0], Vocabulary) and isinstance(read[1], Vocabulary)):
            return "the run reads no symbols"
        pairs = [(0, 0), *((a + 1, b + 1) for a, b in _places(read[0].symbols, read[1].symbols))]
        return Axis(0, (len(read[0]), len(read[1])), pairs, "symbols and padding")
    if _reads(name, model):
        return _inputs(read[0], read[1], tensor)
    return None


def _is_table(module: nn.Module, read: Input) -> bool:
    if isinstance(module, TokenInput):
        return True
    if not isinstance(module, nn.Embedding) or not isinstance(read, Vocabulary):
        return False
    return module.num_embeddings == len(read)


def _reads(name: str, model: nn.Module) -> bool:
    """Whether a weight reads one-hot symbols, or features as they are."""
    part, before, source = name, "", "input"
    for prefix in OF_CONTEXT:
        if name.startswith(prefix):
            part, before, source = name.removeprefix(prefix), prefix, f"{prefix}input.vectors"
    modules = dict(model.named_modules())
    vectors = modules.get(source)
    if isinstance(vectors, FeatureInput) and vectors.linear is not None:
        return name == f"{source}.linear.weight"
    if not isinstance(vectors, FeatureInput | TokenInput) or _learns(vectors):
        return False
    if f"{before}{CONVOLUTION}" in modules:
        return part == f"{CONVOLUTION}.weight"
    return part in READERS


def _learns(vectors: nn.Module) -> bool:
    return any(True for _ in vectors.parameters())


def _inputs(here: Input, there: Input, tensor: Tensor) -> Axis | str | None:
    """Of a weight that reads symbols or features themselves: (outputs, inputs, ...)."""
    if isinstance(here, Vocabulary) and isinstance(there, Vocabulary):
        sizes = (len(here.symbols), len(there.symbols))
        return Axis(1, sizes, _places(here.symbols, there.symbols), "symbols")
    if isinstance(here, Features) and isinstance(there, Features):
        if not here.names or not there.names:  # by place, as far as the shapes agree
            return None
        return Axis(1, (here.size, there.size), _places(here.names, there.names), "features")
    return "one reads symbols and the other features"


def _outputs(spec: TaskSpec, other: TaskSpec, tensor: Tensor) -> Axis | str | None:
    """Of the last layer: rows are outputs."""
    if spec.output is not other.output:
        return f"predicts {spec.output.value}, and the run {other.output.value}"
    if spec.output is Output.NEXT_TOKEN:
        symbols = (spec.vocabulary.symbols, other.vocabulary.symbols)
        if symbols[0] == symbols[1] and spec.num_outputs == other.num_outputs:
            return None
        before = (spec.num_outputs - len(symbols[0]), other.num_outputs - len(symbols[1]))
        pairs = [(a + before[0], b + before[1]) for a, b in _places(*symbols)]
        pairs = [(0, 0), *pairs] if before == (1, 1) else pairs
        return Axis(0, (spec.num_outputs, other.num_outputs), pairs, "symbols and padding")
    names = (spec.output_names, other.output_names)
    if names[0] == names[1] and spec.num_outputs == other.num_outputs:
        return None
    if len(tensor) != len(names[0]) or other.num_outputs != len(names[1]):
        return f"predicts {', '.join(names[0])[:60]}, and the run {', '.join(names[1])[:60]}"
    return Axis(0, (len(names[0]), len(names[1])), _places(*names), "outputs")


def _places(here: Sequence[str], there: Sequence[str]) -> list[tuple[int, int]]:
    """Places of what stands in both."""
    known = {symbol: place for place, symbol in enumerate(there)}
    return [(place, known[symbol]) for place, symbol in enumerate(here) if symbol in known]
