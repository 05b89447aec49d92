"""What cannot work in a training: optimizer, truncation, validation, what is measured."""

from collections.abc import Mapping

from seqexp.metrics import MEASURES, OF_KIND, without_name
from seqexp.ranges import SLOWEST
from seqexp.utils.nearest import did_you_mean
from seqexp.utils.rules import Faults, Node

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


LAZY = "seqexp.optimizer.lazy_adam.LazyAdam"

PLATEAU = "seqexp.optimizer.schedule.plateau"

PER_POSITION = ("token_class", "next_token")
"""Kinds with a prediction at each position."""

MAX_STACKED_STATE = {"rnn": 64, "gru": 16}
"""Cell -> hidden units up to which a stack of layers is faster: tests/benchmarks/replicas.py."""


def nesterov_needs_momentum(optimizer: Node) -> Faults:
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


def an_optimizer_is_fused_or_something_else(optimizer: Node) -> Faults:
    for key in ("foreach", "differentiable"):
        if optimizer.get("fused") and optimizer.get(key):
            yield (
                f"optimizer.{key} is true, but optimizer.fused is true, and PyTorch has one of the"
                f" two only; give fused=false, or leave {key} out"
            )


def what_rows_miss_fades(optimizer: Node) -> Faults:
    if optimizer["_target_"] != LAZY or not optimizer["catch_up"]:
        return
    beta1, beta2 = optimizer["betas"]
    if beta1 > SLOWEST * beta2**0.5:
        yield (
            f"optimizer.betas is [{beta1}, {beta2}], and what rows of a table miss would not fade;"
            f" give a first of at most {SLOWEST} times the second's square root, here"
            f" {SLOWEST * beta2**0.5:.4g}, or catch_up=false"
        )


def optimizer_steps_on_the_gradient_alone(optimizer: Node) -> Faults:
    target = optimizer["_target_"]
    if target == "torch.optim.LBFGS":
        yield (
            f"optimizer._target_ is {target!r}: it wants to evaluate the loss several times a"
            " step; choose one that steps on the gradient, as torch.optim.AdamW"
        )


def schedule_needs_no_metric(schedule: Node) -> Faults:
    target = schedule["_target_"]
    if target == "torch.optim.lr_scheduler.ReduceLROnPlateau":
        yield (
            f"schedule._target_ is {target!r}, which has to be told the metric; give"
            " schedule=plateau, which follows trainer.monitor"
        )


def a_plateau_is_seen_on_validation_data(schedule: Node, dataset: Node) -> Faults:
    none_of = _no_validation(dataset)
    if schedule["_target_"] == PLATEAU and none_of is not None:
        yield (
            f"schedule is plateau, but dataset.{none_of} is {dataset[none_of]}; give validation"
            " data, or another schedule"
        )


def what_is_monitored_is_measured(trainer: Node, dataset: Node, metrics: Node) -> Faults:
    monitor, kind = trainer["monitor"], _kind_of(dataset)
    measures = (*OF_KIND.get(kind or "", tuple(MEASURES)), *metrics)
    known = [f"valid/{measure}" for measure in measures]
    if without_name(monitor) not in known:
        whose = f" of the kind {kind}" if kind in OF_KIND else ""
        hint = did_you_mean(monitor, known) or f"; give one of {', '.join(known)}"
        yield f"trainer.monitor is {monitor}, which is no metric of validation{whose}{hint}"


def what_is_chosen_of_the_task_is_its_kinds(task: Node, dataset: Node) -> Faults:
    kind = _kind_of(dataset)
    if kind not in OF_KIND:
        return
    is_own = isinstance(task["loss"], Mapping)
    if is_own and kind == "read_errors":
        name = task["loss"]["_target_"]
        yield f"task.loss is {name}, but reads have their likelihood; leave it out"
    if task["loss"] != "gaussian" and not is_own and kind != "regression":
        yield (
            f"task.loss is {task['loss']}, but the dataset's kind of task is {kind}, which has one"
            " loss only; leave task.loss out"
        )
    if task["class_weights"] != "none" and kind in ("regression", "next_token"):
        yield (
            f"task.class_weights is {task['class_weights']}, but the dataset's kind of task is"
            f" {kind}, which has no classes to weigh; give none"
        )


def reads_have_no_metrics_of_ones_own(metrics: Node, dataset: Node) -> Faults:
    if metrics and _kind_of(dataset) == "read_errors":
        yield (
            f"metrics has {', '.join(metrics)}, but the likelihood of reads has no predictions to"
            " measure; leave it out"
        )


def best_weights_need_validation_data(trainer: Node, dataset: Node) -> Faults:
    none_of = _no_validation(dataset)
    if none_of is None:
        return
    why = f"but dataset.{none_of} is {dataset[none_of]}; give validation data"
    if trainer["patience"] is not None:
        yield f"trainer.patience is {trainer['patience']}, {why}, or patience=null"
    if trainer["test_weights"] == "best":
        yield f"trainer.test_weights is best, {why}, or test_weights=last"


def gradients_reach_back_over_the_updates_tokens(trainer: Node) -> Faults:
    k1, k2 = _truncation(trainer)
    if k1 is None and k2 is not None:
        yield f"trainer.bptt.k2 is {k2}, but trainer.bptt.k1 is null; give k1, at most {k2}"
    if k1 is not None and k2 is not None and k2 < k1:
        yield (
            f"trainer.bptt.k2 is {k2}, but trainer.bptt.k1 is {k1}; gradients go back through at"
            f" least the tokens since the last update: give k2 >= {k1}"
        )


def lengths_differ_where_they_are_sorted(trainer: Node, model: Node) -> Faults:
    pool = trainer["length_pool"]
    if pool is None:
        return
    why = f"but trainer.length_pool is {pool}, which makes batches of different lengths"
    if model.get("readout") == "flatten":
        yield f"model.readout is flatten, {why}; give another readout, or length_pool=null"
    k1, _ = _truncation(trainer)
    if k1 is not None:
        yield f"trainer.bptt.k1 is {k1}, {why}; give k1=null, or length_pool=null"


def later_tokens_are_not_seen_where_they_must_not_be(
    trainer: Node, model: Node, dataset: Node
) -> Faults:
    """Neither when the next token is predicted, nor from a window, which knows nothing of them."""
    k1, _ = _truncation(trainer)
    kind = _kind_of(dataset)
    predicts_next, per_position = kind == "next_token", kind in PER_POSITION
    if not predicts_next and k1 is None:
        return
    if predicts_next:
        why, way_out = "but the dataset wants the next token predicted", ""
    else:
        why, way_out = f"but trainer.bptt.k1={k1} cuts sequences into windows", ", or k1=null"
    if model.get("bidirectional") and dataset["_constants_"].get("is_stream"):
        yield (
            "model.bidirectional is true, but the dataset is a text that is read on and on, and"
            " wants the next token predicted; give false"
        )
    elif model.get("bidirectional") and dataset["_constants_"].get("is_written"):
        yield f"model.bidirectional is true, {why}, letter by letter; give false"
    elif model.get("bidirectional") and k1 is not None:
        yield (
            f"model.bidirectional is true, but trainer.bptt.k1={k1} cuts sequences into windows;"
            " give false, or k1=null"
        )
    if model.get("readout") in ("flatten", "max", "mean") and not per_position:
        yield f"model.readout is {model['readout']}, {why}; give last{way_out}"
    # auto is causal where the next token is predicted
    if model.get("padding") in ("same", "valid", *([] if predicts_next else ["auto"])):
        yield f"model.padding is {model['padding']}, {why}; give causal{way_out}"


def what_is_averaged_is_up_to_date(trainer: Node, optimizer: Node) -> Faults:
    is_lazy = optimizer["_target_"] == LAZY and optimizer["catch_up"]
    if trainer["average"] == "ema" and is_lazy:
        yield (
            "trainer.average is ema, but optimizer is lazy-adam, whose tables would have to be"
            " brought up to date after each update; give average=swa, or optimizer=adam"
        )
    first, epochs = trainer["average_from"], trainer["epochs"]
    if trainer["average"] == "swa" and first > epochs:
        yield (
            f"trainer.average_from is {first}, but trainer.epochs is {epochs}, so nothing would be"
            f" averaged; give at most {epochs}"
        )


def a_stack_has_one_rate_and_trains_all(trainer: Node, optimizer: Node) -> Faults:
    replicas = trainer["replicas"]
    why = f"but trainer.replicas is {replicas}, and a stack steps all weights by one rule"
    if replicas is not None and optimizer.get("groups") is not None:
        yield f"optimizer.groups is {optimizer['groups']}, {why}; give null, or replicas=null"
    if replicas is not None and trainer["unfreeze_every"] is not None:
        yield f"trainer.unfreeze_every is {trainer['unfreeze_every']}, {why}; give null"


def a_stack_reads_its_batches_once(trainer: Node) -> Faults:
    noise, replicas = trainer["adversarial"], trainer["replicas"]
    if noise is not None and replicas is not None:
        yield (
            f"trainer.adversarial is {noise}, but trainer.replicas is {replicas}, and a stack reads"
            " each batch once; give adversarial=null, or replicas=null"
        )


def what_learns_on_reads_a_text_and_has_a_state(
    trainer: Node, model: Node, dataset: Node
) -> Faults:
    rates = (trainer.get("dynamic_evaluation") or {}).get("rates")
    if rates is None:
        return
    what = f"trainer.dynamic_evaluation.rates is {rates}"
    kind = _kind_of(dataset)
    if kind != "next_token":
        of_kind = "" if kind is None else f" of the kind {kind}"
        yield (
            f"{what}, but the dataset's task is{of_kind or ' another'}, not next_token; give null,"
            " or dataset=chars"
        )
    constants = model["_constants_"]
    is_solved = constants.get("sets_others_aside")  # which does without, as without other steps
    if not constants.get("recurrent") and not is_solved:
        yield (
            f"{what}, but {model['_target_'].rpartition('.')[2]} has no state that it reads on"
            " with; give null, or model=lstm, rnn or stacked-rnn"
        )
    if trainer["replicas"] is not None:
        yield f"{what}, but trainer.replicas is {trainer['replicas']}; give one of them null"
    none_of = _no_validation(dataset)
    if none_of is not None:
        yield (
            f"{what}, of which validation chooses, but dataset.{none_of} is {dataset[none_of]};"
            " give validation data, or rates=null"
        )


def rates_are_shares_of_one(optimizer: Node) -> Faults:
    groups = optimizer.get("groups")
    if groups is not None and not groups:
        yield "optimizer.groups is {}; give shares by name, as {depth: 0.4}, or null"


def gradients_flow_back_through_states(gradient_flow: Node, model: Node, dataset: Node) -> Faults:
    every = gradient_flow.get("every_epochs")
    if every is None:
        return
    measured = f"gradient_flow.every_epochs is {every}"
    if not model["_constants_"].get("recurrent"):
        yield (
            f"{measured}, but {model['_target_'].rpartition('.')[2]} has no hidden state that a"
            " gradient flows back through; give model=rnn, lstm or stacked-rnn, or"
            " gradient_flow.every_epochs=null"
        )
        return
    kind = _kind_of(dataset)
    if model.get("bidirectional") and kind != "next_token":
        yield (
            f"{measured}, but model.bidirectional is true, and a state then depends on later"
            " tokens too; give false, or gradient_flow.every_epochs=null"
        )
    if model.get("readout", "last") != "last" and kind not in PER_POSITION:
        yield (
            f"{measured}, but model.readout is {model['readout']}, and the loss then reads the"
            " states of all tokens at once; give last, or gradient_flow.every_epochs=null"
        )


def a_stack_is_stepped_as_each_of_its_models(trainer: Node, optimizer: Node) -> Faults:
    replicas, target = trainer["replicas"], optimizer["_target_"]
    if replicas is not None and target not in BY_ELEMENT:
        yield (
            f"trainer.replicas is {replicas}, but optimizer._target_ is {target!r}, which is not"
            " known to step each weight by itself; give replicas=null, or one of"
            f" {', '.join(BY_ELEMENT)}"
        )


def a_search_tries_one_after_the_other(trainer: Node, sweeper: Node) -> Faults:
    replicas, target = trainer["replicas"], sweeper["_target_"]
    if replicas is not None and target != "seqexp.sweep.grid.settings.Grid":
        yield (
            f"trainer.replicas is {replicas}, but sweeper._target_ is {target!r}, whose trials"
            " follow from each other; give replicas=null, or sweeper=grid"
        )


def models_are_stacked_where_it_pays(trainer: Node, model: Node) -> Faults:
    """Each reason is one of the model's keys, or of the trainer's."""
    replicas = trainer["replicas"]
    if replicas is None:
        return
    why = f"but trainer.replicas is {replicas}"
    instead = "give replicas=null, and launcher=parallel for several at once"
    name = model["_target_"].rpartition(".")[2]
    cell = model.get("cell", name.lower())
    most = MAX_STACKED_STATE.get(cell, 0)
    is_recurrent = model["_constants_"].get("recurrent")
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


def a_stack_has_an_update_a_window(trainer: Node, dataset: Node) -> Faults:
    replicas, (k1, _) = trainer["replicas"], _truncation(trainer)
    if replicas is not None and k1 is not None and _kind_of(dataset) not in PER_POSITION:
        yield (
            f"trainer.bptt.k1 is {k1}, but trainer.replicas is {replicas}, and windows without a"
            " label take no step that could be one for all; give k1=null, or replicas=null"
        )


def _kind_of(dataset: Node) -> str | None:
    """The kind of task of a dataset: as it is configured, or as its class says; None: the data
    tell.

    It may depend on the view of the data. Names of before have a hyphen.
    """
    if "task" in dataset:
        configured: str | None = dataset["task"]
        return configured
    constants = dataset["_constants_"]
    by_view = constants.get("output_by_view")
    output = constants.get("output") if by_view is None else by_view[dataset["view"]]
    return output.replace("-", "_") if isinstance(output, str) else None


def _no_validation(dataset: Node) -> str | None:
    """The key of a dataset that leaves nothing to validate on."""
    none_of = [key for key in ("num_valid", "valid_share") if dataset.get(key) == 0]
    if not none_of or any(dataset.get(key) for key in OTHER_VALIDATION):
        return None
    return none_of[0]


def _truncation(trainer: Node) -> tuple[int | None, int | None]:
    bptt = trainer.get("bptt") or {}
    return bptt.get("k1"), bptt.get("k2")
