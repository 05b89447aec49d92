"""What cannot work in a training: optimizer, truncation, validation, what is measured."""

from collections.abc import Iterator

from seqexp.config.check import rule
from seqexp.config.groups import Config
from seqexp.config.signature import constant
from seqexp.ranges import SLOWEST

OTHER_VALIDATION = (
    "keras_validation_split",
    "validate_on_test",
    "valid_path",
    "valid_names",
    "splits",
    "table",
)
"""Keys of datasets that give validation data where no number or share of them does."""

BY_ELEMENT = tuple(
    f"torch.optim.{name}"
    for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam")
)
"""Optimizers that step each weight by its own gradients alone, so that a stack of models is stepped
as each of them."""


MAX_STACKED_STATE = {"rnn": 64, "gru": 16}
"""Cell -> hidden units up to which a stack of layers is faster: tests/benchmarks/replicas.py."""


@rule("optimizer")
def _nesterov_needs_momentum(config: Config) -> Iterator[str]:
    optimizer = config["optimizer"]
    if optimizer.get("nesterov") and not optimizer.get("momentum"):
        yield (
            f"optimizer.nesterov is true, but optimizer.momentum is"
            f" {optimizer.get('momentum', 0)}; give a momentum above 0, or nesterov=false"
        )
    if optimizer.get("nesterov") and optimizer.get("dampening"):
        yield (
            f"optimizer.nesterov is true, but optimizer.dampening is {optimizer['dampening']};"
            " Nesterov's momentum is defined without; give dampening=0, or nesterov=false"
        )


@rule("optimizer")
def _an_optimizer_is_fused_or_something_else(config: Config) -> Iterator[str]:
    optimizer = config["optimizer"]
    for key in ("foreach", "differentiable"):
        if optimizer.get("fused") and optimizer.get(key):
            yield (
                f"optimizer.{key} is true, but optimizer.fused is true, and PyTorch has one of the"
                f" two only; give fused=false, or leave {key} out"
            )


@rule("optimizer")
def _what_rows_miss_fades(config: Config) -> Iterator[str]:
    optimizer = config["optimizer"]
    if optimizer["_target_"] != "seqexp.optimizer.lazy_adam.LazyAdam" or not optimizer["catch_up"]:
        return
    beta1, beta2 = optimizer["betas"]
    if beta1 > SLOWEST * beta2**0.5:
        yield (
            f"optimizer.betas is [{beta1}, {beta2}], and what rows of a table miss would not fade;"
            f" give a first of at most {SLOWEST} times the second's square root, here"
            f" {SLOWEST * beta2**0.5:.4g}, or catch_up=false"
        )


@rule("optimizer")
def _optimizer_steps_on_the_gradient_alone(config: Config) -> Iterator[str]:
    target = config["optimizer"]["_target_"]
    if target == "torch.optim.LBFGS":
        yield (
            f"optimizer._target_ is {target!r}: it wants to evaluate the loss several times a"
            " step; choose one that steps on the gradient, as torch.optim.AdamW"
        )


@rule("schedule")
def _schedule_needs_no_metric(config: Config) -> Iterator[str]:
    target = config["schedule"]["_target_"]
    if target == "torch.optim.lr_scheduler.ReduceLROnPlateau":
        yield (
            f"schedule._target_ is {target!r}: schedules are stepped by update, without a metric;"
            " choose another, as schedule=cosine"
        )


@rule("trainer", "dataset")
def _best_weights_need_validation_data(config: Config) -> Iterator[str]:
    dataset, trainer = config["dataset"], config["trainer"]
    none_of = [key for key in ("num_valid", "valid_share") if dataset.get(key) == 0]
    if not none_of or any(dataset.get(key) for key in OTHER_VALIDATION):
        return
    why = f"but dataset.{none_of[0]} is {dataset[none_of[0]]}; give validation data"
    if trainer["patience"] is not None:
        yield f"trainer.patience is {trainer['patience']}, {why}, or patience=null"
    if trainer["test_weights"] == "best":
        yield f"trainer.test_weights is best, {why}, or test_weights=last"


@rule("trainer")
def _gradients_reach_back_over_the_updates_tokens(config: Config) -> Iterator[str]:
    k1, k2 = _truncation(config)
    if k1 is None and k2 is not None:
        yield f"trainer.bptt.k2 is {k2}, but trainer.bptt.k1 is null; give k1, at most {k2}"
    if k1 is not None and k2 is not None and k2 < k1:
        yield (
            f"trainer.bptt.k2 is {k2}, but trainer.bptt.k1 is {k1}; gradients go back through at"
            f" least the tokens since the last update: give k2 >= {k1}"
        )


@rule("trainer", "model")
def _lengths_differ_where_they_are_sorted(config: Config) -> Iterator[str]:
    pool = config["trainer"]["length_pool"]
    if pool is None:
        return
    why = f"but trainer.length_pool is {pool}, which makes batches of different lengths"
    if config["model"].get("readout") == "flatten":
        yield f"model.readout is flatten, {why}; give another readout, or length_pool=null"
    k1, _ = _truncation(config)
    if k1 is not None:
        yield f"trainer.bptt.k1 is {k1}, {why}; give k1=null, or length_pool=null"


@rule("trainer", "model", "dataset")
def _later_tokens_are_not_seen_where_they_must_not_be(config: Config) -> Iterator[str]:
    """Neither when the next token is predicted, nor from a window, which knows nothing of them."""
    k1, _ = _truncation(config)
    predicts_next = _output(config["dataset"]) == "next-token"
    if not predicts_next and k1 is None:
        return
    model = config["model"]
    if predicts_next:
        why, way_out = "but the dataset wants the next token predicted", ""
    else:
        why, way_out = f"but trainer.bptt.k1={k1} cuts sequences into windows", ", or k1=null"
    if model.get("bidirectional"):
        yield f"model.bidirectional is true, {why}; give false{way_out}"
    if model.get("readout") in ("flatten", "max", "mean") and not predicts_next:
        yield f"model.readout is {model['readout']}, {why}; give last{way_out}"
    # auto is causal where the next token is predicted
    if model.get("padding") in ("same", "valid", *([] if predicts_next else ["auto"])):
        yield f"model.padding is {model['padding']}, {why}; give causal{way_out}"


@rule("gradient_flow", "model", "dataset")
def _gradients_flow_back_through_states(config: Config) -> Iterator[str]:
    every, model = config["gradient_flow"].get("every_epochs"), config["model"]
    if every is None:
        return
    measured = f"gradient_flow.every_epochs is {every}"
    if not constant(model["_target_"], "recurrent"):
        yield (
            f"{measured}, but {model['_target_'].rpartition('.')[2]} has no hidden state that a"
            " gradient flows back through; give model=rnn, lstm or stacked-rnn, or"
            " gradient_flow.every_epochs=null"
        )
        return
    predicts_next = _output(config["dataset"]) == "next-token"
    if model.get("bidirectional") and not predicts_next:
        yield (
            f"{measured}, but model.bidirectional is true, and a state then depends on later"
            " tokens too; give false, or gradient_flow.every_epochs=null"
        )
    if model.get("readout", "last") != "last" and not predicts_next:
        yield (
            f"{measured}, but model.readout is {model['readout']}, and the loss then reads the"
            " states of all tokens at once; give last, or gradient_flow.every_epochs=null"
        )


@rule("trainer", "optimizer")
def _a_stack_is_stepped_as_each_of_its_models(config: Config) -> Iterator[str]:
    replicas, target = config["trainer"]["replicas"], config["optimizer"]["_target_"]
    if replicas is not None and target not in BY_ELEMENT:
        yield (
            f"trainer.replicas is {replicas}, but optimizer._target_ is {target!r}, which is not"
            " known to step each weight by itself; give replicas=null, or one of"
            f" {', '.join(BY_ELEMENT)}"
        )


@rule("trainer", "sweeper")
def _a_search_tries_one_after_the_other(config: Config) -> Iterator[str]:
    replicas, target = config["trainer"]["replicas"], config["sweeper"]["_target_"]
    if replicas is not None and target != "seqexp.sweep.grid.settings.Grid":
        yield (
            f"trainer.replicas is {replicas}, but sweeper._target_ is {target!r}, whose trials"
            " follow from each other; give replicas=null, or sweeper=grid"
        )


@rule("trainer", "model")
def _models_are_stacked_where_it_pays(config: Config) -> Iterator[str]:
    """Each reason is one of the model's keys, or of the trainer's."""
    trainer, model = config["trainer"], config["model"]
    replicas = trainer["replicas"]
    if replicas is None:
        return
    why = f"but trainer.replicas is {replicas}"
    instead = "give replicas=null, and launcher=parallel for several at once"
    name = model["_target_"].rpartition(".")[2]
    cell = model.get("cell", name.lower())
    most = MAX_STACKED_STATE.get(cell, 0)
    is_recurrent = constant(model["_target_"], "recurrent")
    if cell == "lstm":
        yield f"model is {name} of LSTM cells, {why}, which is no faster than one by one; {instead}"
    elif is_recurrent and model["hidden_size"] > most:
        yield (
            f"model.hidden_size is {model['hidden_size']}, {why}, which is faster than one by one"
            f" up to {most} {cell.upper()} cells only; {instead}"
        )
    if is_recurrent and model.get("kernel", "auto") not in ("auto", "compiled"):
        yield f"model.kernel is {model['kernel']}, {why}, and that is for one model; give auto"
    for key, value in model.items():
        if key.endswith("dropout") and value:
            yield (
                f"model.{key} is {value}, {why}, and masks are drawn for one model at a time; give"
                f" {key}=0, or replicas=null"
            )
    if trainer["precision"] != "fp32":
        yield (
            f"trainer.precision is {trainer['precision']}, {why}, and a replica would not come as"
            " close to its separate run; give fp32, or replicas=null"
        )
    if trainer["length_pool"] is not None:
        yield (
            f"trainer.length_pool is {trainer['length_pool']}, {why}, and batches of different"
            " lengths make no stack; give length_pool=null, or replicas=null"
        )


@rule("trainer", "dataset")
def _a_stack_has_an_update_a_window(config: Config) -> Iterator[str]:
    replicas, (k1, _) = config["trainer"]["replicas"], _truncation(config)
    if replicas is not None and k1 is not None and _output(config["dataset"]) != "next-token":
        yield (
            f"trainer.bptt.k1 is {k1}, but trainer.replicas is {replicas}, and windows without a"
            " label take no step that could be one for all; give k1=null, or replicas=null"
        )


def _output(dataset: Config) -> str | None:
    """What a dataset wants predicted; it may depend on the view of the data."""
    by_view = constant(dataset["_target_"], "output_by_view")
    if by_view is not None:
        return str(by_view[dataset["view"]])
    output: str | None = constant(dataset["_target_"], "output")
    return output


def _truncation(config: Config) -> tuple[int | None, int | None]:
    bptt = config["trainer"].get("bptt") or {}
    return bptt.get("k1"), bptt.get("k2")
