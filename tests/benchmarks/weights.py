"""Our weights in the order that others have them in.

Ours: gates i, f, o, g side by side, (gates * hidden, inputs), one bias. PyTorch: i, f, g, o, two
biases that only add up. Keras: i, f, c, o, where c is g, and all matrices transposed.
"""

from collections.abc import Mapping

import numpy as np

OURS, THEIRS = "ifog", "ifgo"

Weights = Mapping[str, np.ndarray]


def in_order(weight: np.ndarray, before: str, after: str) -> np.ndarray:
    """Gates along the first axis, in another order."""
    blocks = dict(zip(before, np.split(weight, len(before)), strict=True))
    return np.concatenate([blocks[gate] for gate in after])


def num_layers(weights: Weights) -> int:
    """Recurrent layers that read a sequence's own tokens."""
    return sum(name.startswith("forwards.") and name.endswith("weight_x") for name in weights)


def lstm_layer(weights: Weights, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of x, of h, and the bias, with the gates as others order them; `name` is as `forwards.0`."""
    x, h, bias = (
        in_order(weights[f"{name}.{of}"], OURS, THEIRS) for of in ("weight_x", "weight_h", "bias")
    )
    return x, h, bias


def dense_layers(weights: Weights) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight and bias of each, the output last."""
    hidden = sum(name.startswith("head.hidden.") for name in weights) // 2
    names = [*(f"head.hidden.{index}" for index in range(hidden)), "head.output"]
    return [(weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in names]


def for_torch(weights: Weights) -> dict[str, np.ndarray]:
    """As `tests.benchmarks.peers.network.Network` names them."""
    found = {}
    if "input.table" in weights:
        found["embedding.weight"] = weights["input.table"]
    if "conv.weight" in weights:
        found |= {"conv.weight": weights["conv.weight"], "conv.bias": weights["conv.bias"]}
    for layer in range(num_layers(weights)):
        found |= _lstm_for_torch(weights, f"forwards.{layer}", f"lstm.{{}}_l{layer}")
    if "encoder.input.vectors.table" in weights:
        found["reader.embedding.weight"] = weights["encoder.input.vectors.table"]
        found |= _lstm_for_torch(weights, "encoder.forwards.0", "reader.lstm.{}_l0")
        for name in ("key.weight", "join.weight", "join.bias"):
            found[f"reader.{name}"] = weights[f"attention.{name}"]
    for index, (weight, bias) in enumerate(dense_layers(weights)):
        found |= {f"dense.{index}.weight": weight, f"dense.{index}.bias": bias}
    return found


def _lstm_for_torch(weights: Weights, ours: str, theirs: str) -> dict[str, np.ndarray]:
    x, h, bias = lstm_layer(weights, ours)
    values = {"weight_ih": x, "weight_hh": h, "bias_ih": bias, "bias_hh": np.zeros_like(bias)}
    return {theirs.format(name): value for name, value in values.items()}


def for_keras(weights: Weights) -> list[list[np.ndarray]]:
    """Of each layer that has some, from the input to the output."""
    found = []
    if "encoder.input.vectors.table" in weights:
        found.append([weights["encoder.input.vectors.table"]])
    if "input.table" in weights:
        found.append([weights["input.table"]])
    if "conv.weight" in weights:  # (filters, channels, width) to (width, channels, filters)
        found.append([weights["conv.weight"].transpose(2, 1, 0), weights["conv.bias"]])
    recurrent = [f"forwards.{layer}" for layer in range(num_layers(weights))]
    if "encoder.input.vectors.table" in weights:
        recurrent.insert(0, "encoder.forwards.0")
    for name in recurrent:
        x, h, bias = lstm_layer(weights, name)
        found.append([x.T, h.T, bias])
    if "attention.key.weight" in weights:
        found.append([weights["attention.key.weight"].T])
        found.append([weights["attention.join.weight"].T, weights["attention.join.bias"]])
    return found + [[weight.T, bias] for weight, bias in dense_layers(weights)]
