"""How far back in time the gradient of a loss reaches in a recurrent network.

One loss, at the last token of each sequence of a fixed sample, and its derivative with respect to
the hidden state at every token before: where its norm falls towards zero with the lag, nothing of
that far back can be learned; where it grows, one update undoes many.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from seqexp.data import Sequences
from seqexp.ranges import Count
from seqexp.spec import IGNORE, PAD, Output

LOWEST = -300.0
"""log10 of a norm that is too small for float64, or zero."""

BINS = np.linspace(-1, 1, 81)
"""Edges of the histogram of gate activations."""

LAGS = (10, 50)
"""Lags whose norm is a metric."""


@dataclass(frozen=True)
class GradientFlow:
    """What is measured, and how often.

    Args:
        every_epochs: measure before training and after every so many epochs; None: never.
        max_lag: tokens back from the loss.
        num_sequences: training sequences in the sample.
    """

    every_epochs: Count | None = None
    max_lag: Count = 100
    num_sequences: Count = 32


@runtime_checkable
class Layer(Protocol):
    """A recurrent layer; a state is (h,), or (h, c) of an LSTM."""

    weight_h: Tensor  # (gates * hidden, hidden)

    def __call__(
        self, inputs: Tensor, is_real: Tensor | None, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Hidden states of all tokens, and the state after the last."""
        ...

    def start(self, like: Tensor) -> tuple[Tensor, ...]:
        """The state before the first token."""
        ...

    def gates(self, inputs: Tensor, h: Tensor) -> dict[str, Tensor]:
        """Activations of the gates by name: sigmoids, and a tanh as the last."""
        ...


@runtime_checkable
class Recurrent(Protocol):
    """Recurrent layers on top of each other, from `vectors` to `head`; `causal` if only forward.

    For SEQUENCE_CLASS, the head reads the state at the last token.
    """

    causal: bool
    forwards: Any
    head: Any

    def vectors(
        self, tokens: Int[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch time inputs"], tuple[Tensor, ...]]:
        """What the first layer reads of sequences from their start, and something to carry."""
        ...


@dataclass(frozen=True)
class Sample:
    """Sequences that end with the token whose loss is looked at; padding is on the left.

    The last `lags + 1` tokens of each are real.
    """

    tokens: Int[Tensor, "batch time"]
    targets: Int[Tensor, " batch"]
    lags: int

    def to(self, device: torch.device) -> "Sample":
        """The same on another device."""
        return Sample(self.tokens.to(device), self.targets.to(device), self.lags)


@dataclass(frozen=True)
class LayerFlow:
    """What is seen of one layer.

    `norms`: log10 of the norm of dL_t/dh_{t-j} by lag j (and of dL_t/dc_{t-j}, from lag 1 on; 0 is
    NaN). `singular_values`: of the recurrent matrix, all gates as one under `all`, and by gate.
    `gates`: share of activations in each of `BINS`. `saturated`: share of them near a limit.
    """

    norms: Mapping[str, Float[np.ndarray, " lags"]]
    singular_values: Mapping[str, Float[np.ndarray, " hidden"]]
    gates: Mapping[str, Float[np.ndarray, " bins"]]
    saturated: float

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            part: {name: values.tolist() for name, values in getattr(self, part).items()}
            for part in ("norms", "singular_values", "gates")
        } | {"saturated": self.saturated}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "LayerFlow":
        """What `to_dict` gave."""
        parts = {
            part: {name: np.asarray(values) for name, values in plain[part].items()}
            for part in ("norms", "singular_values", "gates")
        }
        return cls(**parts, saturated=plain["saturated"])


@dataclass(frozen=True)
class Flow:
    """One measurement; layers from the bottom up."""

    epoch: int
    layers: tuple[LayerFlow, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"epoch": self.epoch, "layers": [layer.to_dict() for layer in self.layers]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Flow":
        """What `to_dict` gave."""
        layers = tuple(LayerFlow.from_dict(layer) for layer in plain["layers"])
        return cls(plain["epoch"], layers)

    def relative(self) -> Float[np.ndarray, " lags"]:
        """log10 of the norm by lag over that at lag 0, of the top layer's h."""
        norms = self.layers[-1].norms["h"]
        relative: Float[np.ndarray, " lags"] = norms - norms[0]
        return relative

    def metrics(self) -> dict[str, float]:
        """The measurement in a few numbers, by metric name."""
        relative = self.relative()
        lags = len(relative) - 1
        found = {
            f"gradient_flow/lag_{lag}_log10": float(relative[lag]) for lag in LAGS if lag <= lags
        }
        if lags:
            found["gradient_flow/factor_per_token"] = 10 ** float(relative[lags] / lags)
        values = [layer.singular_values["all"] for layer in self.layers]
        found["gradient_flow/singular_value_max"] = max(float(v.max()) for v in values)
        found["gradient_flow/singular_value_min"] = min(float(v.min()) for v in values)
        saturated = [layer.saturated for layer in self.layers]
        found["gradient_flow/saturated_share"] = sum(saturated) / len(saturated)
        return found

    def rows(self) -> list[dict[str, Any]]:
        """One row a layer and lag, for a table."""
        return [
            {"epoch": self.epoch, "layer": index, "lag": lag}
            | {f"log10_dL_d{name}": _number(norms[lag]) for name, norms in layer.norms.items()}
            for index, layer in enumerate(self.layers, start=1)
            for lag in range(len(layer.norms["h"]))
        ]


def draw_sample(
    sequences: Sequences, output: Output, settings: GradientFlow, seed: int = 0
) -> Sample:
    """The longest sequences, cut after the loss's token; where many are as long, some by class.

    That is the last scored token for NEXT_TOKEN, and the last real one, where the label's loss is,
    for SEQUENCE_CLASS. Of a stream, the loss is at token 2 * `max_lag`, so that no state that is
    looked at is near the start. Lags end where the shortest of the sequences begins.
    """
    tokens, targets = sequences.tokens, sequences.targets
    if sequences.is_stream:
        reach = 2 * settings.max_lag + 1
        tokens, targets = tokens[:, :reach].long(), targets[:, :reach].long()
    is_label = output is Output.SEQUENCE_CLASS
    ends = _last(tokens != PAD if is_label else targets != IGNORE) + 1  # (sequences,)
    places = torch.arange(tokens.shape[1], device=tokens.device)
    lengths = ((tokens != PAD) & (places < ends[:, None])).sum(dim=1)
    order = torch.arange(len(lengths))
    if len(order) > settings.num_sequences:
        order = sequences.drawn(len(order), seed)
    order = order.to(lengths.device)
    by_length = torch.argsort(lengths[order], descending=True, stable=True)
    chosen = order[by_length[: settings.num_sequences]]
    chosen = chosen[lengths[chosen] > 0]
    longest = int(ends[chosen].max())
    aligned = tokens.new_full((len(chosen), longest), PAD)
    for row, (index, end) in enumerate(zip(chosen.tolist(), ends[chosen].tolist(), strict=True)):
        aligned[row, longest - end :] = tokens[index, :end]
    last = targets[chosen, 0] if is_label else targets[chosen, ends[chosen] - 1]
    lags = min(settings.max_lag, int(lengths[chosen].min()) - 1)
    return Sample(aligned.long(), last.long(), lags)


def measure(model: Recurrent, sample: Sample, epoch: int) -> Flow:
    """The gradient's norms by lag, and the state of the layers, on a sample; without dropout.

    Computed in float64, in which 1e-300 is still a number, on a copy of the model. The norm is L2
    over the units, for each sequence by itself; their geometric mean is what is reported.

    Source: Pascanu, Mikolov & Bengio (2013), eq. 3 to 5.
    """
    twin: Any = copy.deepcopy(model)
    twin.double().eval()
    steps, logits = unroll(twin, sample)
    # a sum, not a mean: so each sequence's gradient is that of its own loss
    loss = functional.cross_entropy(logits[:, 0], sample.targets, reduction="sum")
    layers = []
    for index, layer in enumerate(twin.forwards):
        states = [step.states[index] for step in steps][::-1]  # by lag
        norms = {
            name: _mean_log_norms(loss, [state[part] for state in states])
            for part, name in enumerate("hc"[: len(states[0])])
        }
        if "c" in norms:
            norms["c"][0] = math.nan  # the loss reads no c at its own token
        with torch.no_grad():
            inputs = torch.stack([step.inputs[index] for step in steps])
            before = torch.stack([step.h_before[index] for step in steps])
            gates = layer.gates(inputs, before)
            values = singular_values(layer.weight_h, list(gates))
            layers.append(LayerFlow(norms, values, _histograms(gates), _saturated(gates)))
    return Flow(epoch, tuple(layers))


@dataclass(frozen=True)
class Step:
    """One token's way through the layers: what each reads, and the state that it leaves."""

    inputs: list[Tensor]
    h_before: list[Tensor]
    states: list[tuple[Tensor, ...]]


def unroll(
    network: Any, sample: Sample
) -> tuple[list[Step], Float[Tensor, "batch positions outputs"]]:
    """The last `lags + 1` tokens one by one, with a graph, and the logits at the last.

    Each state stands in the graph once: what a later token, or the layer above, owes to h goes
    through it, so that the derivative with respect to it counts all paths. The derivative with
    respect to c counts those that begin with c: h_t is another part of the state.
    """
    layers: Sequence[Layer] = list(network.forwards)
    first = sample.tokens.shape[1] - sample.lags - 1
    with torch.no_grad():
        vectors, _ = network.vectors(sample.tokens)
        states = _states_after(layers, vectors[:, :first], sample.tokens[:, :first] != PAD)
    steps = []
    for token in range(first, sample.tokens.shape[1]):
        inputs, step = vectors[:, token], Step([], [], [])
        for index, layer in enumerate(layers):
            step.inputs.append(inputs)
            step.h_before.append(states[index][0])
            _, new = layer(inputs[:, None], None, states[index])
            states[index] = tuple(part.clone() for part in new)  # nodes of our own
            inputs = states[index][0]
            step.states.append(states[index])
        steps.append(step)
    return steps, network.head(steps[-1].states[-1][0][:, None])


def singular_values(
    weight_h: Float[Tensor, "rows hidden"], gates: Sequence[str]
) -> dict[str, Float[np.ndarray, " hidden"]]:
    """Of a recurrent matrix, descending: of all gates as one, and where there are more, of each."""
    parts = {"all": weight_h}
    if len(gates) > 1:
        parts |= zip(gates, weight_h.chunk(len(gates)), strict=True)
    return {name: torch.linalg.svdvals(part.detach()).cpu().numpy() for name, part in parts.items()}


def _states_after(
    layers: Sequence[Layer],
    vectors: Float[Tensor, "batch time inputs"],
    is_real: Bool[Tensor, "batch time"],
) -> list[tuple[Float[Tensor, "batch hidden"], ...]]:
    """The state of each layer after all of these tokens, of which there may be none."""
    states = []
    for layer in layers:
        state = layer.start(vectors)
        if vectors.shape[1]:
            vectors, state = layer(vectors, is_real, state)
        else:
            vectors = vectors.new_zeros(len(vectors), 0, state[0].shape[1])
        states.append(state)
    return states


def _mean_log_norms(
    loss: Float[Tensor, ""], states: Sequence[Float[Tensor, "batch hidden"]]
) -> Float[np.ndarray, " lags"]:
    """log10 of the gradient's norm with respect to each state, mean over the sequences."""
    found = torch.autograd.grad(loss, states, retain_graph=True, allow_unused=True)
    gradients = torch.stack(
        [
            torch.zeros_like(state) if gradient is None else gradient
            for gradient, state in zip(found, states, strict=True)
        ]
    )  # (lags, batch, hidden)
    norms = torch.linalg.vector_norm(gradients, dim=2).clamp(10**LOWEST, 10**-LOWEST)
    logs: Float[np.ndarray, " lags"] = norms.log10().mean(dim=1).cpu().numpy()
    return logs


def _histograms(
    gates: Mapping[str, Float[Tensor, "*batch hidden"]],
) -> dict[str, Float[np.ndarray, " bins"]]:
    """Share of each gate's activations in each of `BINS`."""
    return {
        name: np.histogram(values.cpu().numpy(), BINS)[0] / values.numel()
        for name, values in gates.items()
    }


def _saturated(gates: Mapping[str, Float[Tensor, "*batch hidden"]]) -> float:
    """Share of all activations where a gate hardly moves: within 0.1 of what it can reach.

    Of a sigmoid below 0.1 or above 0.9; of the tanh, which is the last, beyond 0.9 either way.
    """
    *sigmoids, new = gates.values()
    near = [(gate < 0.1) | (gate > 0.9) for gate in sigmoids]
    return float(torch.stack([*near, new.abs() > 0.9]).double().mean())


def _last(marked: Bool[Tensor, "rows time"]) -> Int[Tensor, " rows"]:
    """Place of the last mark of each row; -1 where there is none."""
    places = torch.arange(1, marked.shape[1] + 1, device=marked.device)
    return (marked * places).amax(dim=1) - 1


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
