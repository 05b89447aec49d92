"""Keras' `fit` with the same network, on TensorFlow (with XLA or without) or on PyTorch.

Sequences without an embedding are one-hot before, as in the course notebook. An LSTM with dropout
draws a mask for each gate, which is all that Keras has.
"""

import math
import os
from typing import Any

import numpy as np

from tests.benchmarks.gate import Gate
from tests.benchmarks.weights import dense_layers, for_keras, num_layers
from tests.benchmarks.work import PER_POSITION, WITHOUT_DROPOUT, Work


def start(work: Work, variant: str) -> Any:
    """The package, with its backend, on so many threads."""
    os.environ["KERAS_BACKEND"] = "torch" if variant == "torch" else "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if variant == "torch":
        import torch

        torch.set_num_threads(work.threads)
    else:
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(work.threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(work.threads)
    import keras

    return keras


def inputs_of(work: Work, tokens: np.ndarray) -> np.ndarray:
    """Token ids, or rows that are one-hot, without a column for padding."""
    if "input.table" in work.weights:
        return tokens.astype(np.int32)
    return np.eye(len(work.spec["vocabulary"]) + 1, dtype=np.float32)[:, 1:][tokens]


def network(keras: Any, work: Work, dropout: dict[str, float]) -> Any:
    """Not yet compiled, with our initial weights."""
    model, layers, made = work.model, keras.layers, []
    tokens, _ = work.checked()[0]
    inputs = inputs_of(work, tokens)
    writes, is_stream = work.spec["output"] in PER_POSITION, work.window is not None
    shape = inputs.shape if is_stream else (None, *inputs.shape[1:])
    x = first = keras.Input(batch_shape=shape, dtype=inputs.dtype.name)

    def through(layer: Any, *given: Any, **kept: Any) -> Any:
        """What a layer makes; layers with weights are noted in the order of `for_keras`."""
        made.append(layer)
        return layer(*given, **kept)

    context = states = None
    if work.context_length:
        context, x = x[:, : work.context_length], x[:, work.context_length :]
        table = work.weights["encoder.input.vectors.table"]
        context = through(layers.Embedding(*table.shape), context)
    if "input.table" in work.weights:
        x = through(layers.Embedding(*work.weights["input.table"].shape), x)
    if "num_filters" in model:
        x = through(layers.Conv1D(model["num_filters"], model["filter_width"], padding="same"), x)
        x = layers.ReLU()(x)
        x = layers.Flatten()(x) if model["readout"] == "flatten" else layers.GlobalMaxPool1D()(x)
    if context is not None:
        encoder = layers.LSTM(model["hidden_size"], return_sequences=True, return_state=True)
        context, *states = through(encoder, context)
    count = num_layers(work.weights)
    for layer in range(count):
        sequences = writes or layer < count - 1
        kept = {"return_sequences": sequences, "stateful": is_stream, **dropout}
        x = through(layers.LSTM(model["hidden_size"], **kept), x, initial_state=states)
    if context is not None:
        keys = through(layers.Dense(model["hidden_size"], use_bias=False), context)
        attended = layers.Attention()([x, context, keys])
        joined = layers.Concatenate()([attended, x])
        x = through(layers.Dense(model["hidden_size"], activation="tanh"), joined)
    *hidden, output = dense_layers(work.weights)
    for _, bias in hidden:
        x = through(layers.Dense(len(bias), activation="relu"), x)
    built = keras.Model(first, through(layers.Dense(len(output[1])), x))
    for layer, values in zip(made, for_keras(work.weights), strict=True):
        # a stateful layer's seeds and states are no weights of its own
        layer.set_weights([*values, *layer.get_weights()[len(values) :]])
    return built


def adam_as_in_pytorch(keras: Any) -> type:
    """Adam for the check; what is timed is as Keras has it.

    Keras adds epsilon before it corrects the second moment's bias, PyTorch after. And of an
    embedding on TensorFlow, Keras adds up the squares of the gradients that a token has in a batch,
    where PyTorch squares their sum.
    """
    ops = keras.ops

    class Adam(keras.optimizers.Adam):
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            if hasattr(gradient, "indices"):
                import tensorflow

                gradient = tensorflow.convert_to_tensor(gradient)  # summed up
            given, updates = self.epsilon, ops.cast(self.iterations + 1, "float32")
            self.epsilon = given * ops.sqrt(1 - ops.power(self.beta_2, updates))
            super().update_step(gradient, variable, learning_rate)
            self.epsilon = given

    return Adam


def compiled(
    keras: Any, work: Work, variant: str, dropout: dict[str, float], adam: type | None = None
) -> Any:
    """The network with its loss and optimizer."""
    settings, decay = work.config["optimizer"], work.config["schedule"].get("decay")
    rate = settings["lr"]
    if decay:
        rate = keras.optimizers.schedules.InverseTimeDecay(rate, 1, decay)
    if settings["_target_"].endswith("SGD"):
        chosen = {key: settings[key] for key in ("momentum", "nesterov")}
        optimizer = keras.optimizers.SGD(rate, **chosen)
    else:
        kind = adam or keras.optimizers.Adam
        optimizer = kind(rate, *settings["betas"], epsilon=settings["eps"])
    output, metrics = work.spec["output"], ["accuracy"]
    if output == "regression":
        # minus the log of a normal density of deviation 1
        loss, metrics = _half_square, []
    elif output == "multi_label" or work.spec["num_outputs"] == 1:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = network(keras, work, dropout)
    model.compile(optimizer, loss, metrics=metrics, jit_compile=variant == "xla")
    return model


def _half_square(targets: Any, values: Any) -> Any:
    return 0.5 * ((targets - values) ** 2 + math.log(2 * math.pi))


def losses(work: Work, variant: str) -> list[float]:
    """Of the batches of the check, each before its update."""
    keras, found = start(work, variant), []
    model = compiled(keras, work, variant, {}, adam=adam_as_in_pytorch(keras))
    for tokens, targets in work.checked():
        model.reset_metrics()
        told = model.train_on_batch(inputs_of(work, tokens), targets)
        found.append(float(told[0] if isinstance(told, list) else told))
    return found


def train(work: Work, variant: str, gate: Gate) -> None:
    """For ever."""
    keras = start(work, variant)
    dropout = {key: work.model[key] for key in WITHOUT_DROPOUT if key in work.model}
    settings, is_stream = work.config["trainer"], work.window is not None
    model = compiled(keras, work, variant, {k: v for k, v in dropout.items() if v})

    class Passing(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            for layer in model.layers if is_stream else ():
                if hasattr(layer, "reset_states"):
                    layer.reset_states()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            gate.passed("update")

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            gate.passed("epoch")

    def split(name: str) -> tuple[np.ndarray, np.ndarray]:
        tokens, targets = work.arrays[f"{name}_tokens"], work.arrays[f"{name}_targets"]
        if is_stream:  # window after window, each with all its streams
            tokens, targets = (in_windows(rows, work.window) for rows in (tokens, targets))
        return inputs_of(work, tokens), targets

    valid = split("valid")
    model.fit(
        *split("train"),
        batch_size=settings["batch_size"],
        epochs=1_000_000,
        shuffle=not is_stream,
        verbose=0,
        validation_data=valid if len(valid[0]) else None,
        validation_batch_size=settings["eval_batch_size"],
        callbacks=[Passing()],
    )


def in_windows(rows: np.ndarray, size: int) -> np.ndarray:
    """(streams, time) as (windows * streams, size), so that streams go on in the next batch."""
    windows = rows.reshape(len(rows), rows.shape[1] // size, size)  # (streams, windows, size)
    return windows.transpose(1, 0, 2).reshape(-1, size)
