"""How far back in time the gradient of a loss reaches in a recurrent network.

One loss, at the last token of each sequence of a fixed sample, and its derivative with respect to
the hidden state at every token before: where its norm falls towards zero with the lag, nothing of
that far back can be learned; where it grows, one update undoes many.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from seqexp.data import Sequences
from seqexp.ranges import Count
from seqexp.spec import PAD, Carry, Output, is_real, is_scored
from seqexp.task.cross_entropy import cross_entropy_sum

LOWEST = -300.0
"""log10 of a norm that is too small for float64, or zero."""

BINS = np.linspace(-1, 1, 81)
"""Edges of the histogram of gate activations."""

Loss = Callable[[Tensor, Tensor], Tensor]

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
    """Recurrent layers on top of each other, from `vectors` to `outputs`.

    `reads_forward` says that states do not depend on later ones, and that a prediction is made
    from one of them: where a sequence has one, from the state at the last token.
    """

    reads_forward: bool
    forwards: Any

    def vectors(
        self, tokens: Num[Tensor, "batch time ..."], carry: Carry | None = None
    ) -> tuple[Float[Tensor, "batch time inputs"], Carry]:
        """What the first layer reads of sequences from their start, and something to carry."""
        ...

    def outputs(
        self, states: Float[Tensor, "batch positions features"], kept: Carry = ()
    ) -> Float[Tensor, "batch positions outputs"]:
        """Logits of states of the top layer; `kept` is what they attend to."""
        ...

    def starts(self, carry: Carry | None) -> Carry:
        """The states that the layers start with; none are zeros."""
        ...

    def attended(self, carry: Carry | None) -> Carry:
        """What of the carry is attended to."""
        ...

    def read(self, context: Num[Tensor, "batch context ..."]) -> Carry:
        """The carry that sequences with these contexts begin with."""
        ...


@dataclass(frozen=True)
class Sample:
    """Sequences that end with the token whose loss is looked at; padding is on the left.

    The last `lags + 1` tokens of each are real. `targets` are one a sequence, or a row of labels or
    numbers.
    """

    tokens: Num[Tensor, "batch time ..."]
    targets: Num[Tensor, "batch ..."]
    lags: int
    context: Num[Tensor, "batch context ..."] | None = None

    def to(self, device: torch.device) -> "Sample":
        """The same on another device."""
        context = None if self.context is None else self.context.to(device)
        return Sample(self.tokens.to(device), self.targets.to(device), self.lags, context)


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


MAX_LOOKED_AT = 2**27
"""Tokens among which the longest sequences are sought; of more, in a part of them."""


def draw_sample(
    sequences: Sequences, output: Output, settings: GradientFlow, seed: int = 0
) -> Sample:
    """The longest sequences, cut after the loss's token; where many are as long, some by class.

    That is the last scored token where each has a target, and the last real one, where the loss
    is, of one prediction a sequence. Of a stream, the loss is at token 2 * `max_lag`, so that no
    state that is looked at is near the start. Lags end where the shortest of the sequences begins.
    Of more than `MAX_LOOKED_AT` tokens, some sequences are drawn first, by class.
    """
    if not sequences.is_stream and sequences.tokens.numel() > MAX_LOOKED_AT:
        rows = MAX_LOOKED_AT // (2**5 * sequences.tokens[0].numel())
        sequences = sequences.at_most(max(settings.num_sequences, rows), seed)
    tokens, targets = sequences.tokens, sequences.targets
    if sequences.is_stream:
        reach = 2 * settings.max_lag + 1
        tokens, targets = tokens[:, :reach].long(), targets[:, :reach].long()
    real, scored = is_real(tokens), is_scored(targets)
    ends = _last(scored if output.per_position else real) + 1  # (sequences,)
    places = torch.arange(tokens.shape[1], device=tokens.device)
    lengths = (real & (places < ends[:, None])).sum(dim=1) * scored.any(dim=1)
    order = torch.arange(len(lengths))
    if len(order) > settings.num_sequences:
        order = sequences.drawn(len(order), seed)
    order = order.to(lengths.device)
    by_length = torch.argsort(lengths[order], descending=True, stable=True)
    chosen = order[by_length[: settings.num_sequences]]
    chosen = chosen[lengths[chosen] > 0]
    longest = int(ends[chosen].max())
    nothing = torch.nan if tokens.is_floating_point() else PAD
    aligned = tokens.new_full((len(chosen), longest, *tokens.shape[2:]), nothing)
    for row, (index, end) in enumerate(zip(chosen.tolist(), ends[chosen].tolist(), strict=True)):
        aligned[row, longest - end :] = tokens[index, :end]
    last = targets[chosen, ends[chosen] - 1] if output.per_position else targets[chosen]
    if output is Output.SEQUENCE_CLASS:
        last = last[:, 0]
    lags = min(settings.max_lag, int(lengths[chosen].min()) - 1)
    return Sample(_wide(aligned), _wide(last), lags, _context_of(sequences, chosen))


def _wide(values: Num[Tensor, "..."]) -> Num[Tensor, "..."]:
    """As models and losses take them: numbers stay numbers, ids become int64."""
    return values if values.is_floating_point() else values.long()


def _context_of(sequences: Sequences, rows: Int[Tensor, " chosen"]) -> Num[Tensor, "..."] | None:
    if sequences.context is None:
        return None
    shared = sequences.context_rows
    return _wide(sequences.context[rows if shared is None else shared[rows]])


def measure(model: Recurrent, sample: Sample, epoch: int, nats: Loss = cross_entropy_sum) -> Flow:
    """The gradient's norms by lag, and the state of the layers, on a sample; without dropout.

    `nats` is the loss of logits and targets, summed.

    Computed in float64, in which 1e-300 is still a number, on a copy of the model. The norm is L2
    over the units, for each sequence by itself; their geometric mean is what is reported.

    Source: Pascanu, Mikolov & Bengio (2013), eq. 3 to 5.
    """
    twin: Any = copy.deepcopy(model)
    twin.double().eval()
    steps, logits = unroll(twin, sample)
    # a sum, not a mean: so each sequence's gradient is that of its own loss
    targets = sample.targets if sample.targets.dim() > 1 else sample.targets[:, None]
    loss = nats(logits, targets)
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
        carry = None if sample.context is None else network.read(sample.context)
        vectors, _ = network.vectors(sample.tokens, carry)
        real = is_real(sample.tokens[:, :first])
        states = _states_after(layers, vectors[:, :first], real, network.starts(carry))
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
    top = steps[-1].states[-1][0]
    return steps, network.outputs(top[:, None], network.attended(carry))


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
    starts: Carry,
) -> list[tuple[Float[Tensor, "batch hidden"], ...]]:
    """The state of each layer after all of these tokens, of which there may be none."""
    states = []
    for index, layer in enumerate(layers):
        state = layer.start(vectors)
        if starts:
            state = tuple(starts[index * len(state) :][: len(state)])
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
