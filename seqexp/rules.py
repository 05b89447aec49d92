"""What no single key can tell: combinations that cannot work, each as one function.

Each rule names the parts of the config it reads and is asked only if these are sound by
themselves; defaults of constructors are filled in. Nothing here imports torch.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from seqexp.signature import constant

Config = dict[str, Any]

MOTIF = "seqexp.dataset.motif.Motif"
CHARS = "seqexp.dataset.chars.Chars"
FASTA = "seqexp.dataset.fasta.Fasta"


@dataclass(frozen=True)
class Rule:
    """One law over several keys; `function` yields a fault for each way it is broken."""

    parts: tuple[str, ...]
    function: Callable[[Config], Iterator[str]]


RULES: list[Rule] = []


def rule(*parts: str) -> Callable[[Callable[[Config], Iterator[str]]], None]:
    """Add a function to the rules, over these parts of the config."""
    return lambda function: RULES.append(Rule(parts, function))


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
    named = ("keras_validation_split", "valid_names", "splits", "table")
    if not none_of or any(dataset.get(key) for key in named):
        return
    why = f"but dataset.{none_of[0]} is {dataset[none_of[0]]}; give validation data"
    if trainer["patience"] is not None:
        yield f"trainer.patience is {trainer['patience']}, {why}, or patience=null"
    if trainer["test_weights"] == "best":
        yield f"trainer.test_weights is best, {why}, or test_weights=last"


@rule("dataset")
def _one_way_to_validate(config: Config) -> Iterator[str]:
    dataset = config["dataset"]
    if dataset.get("num_valid") and dataset.get("keras_validation_split"):
        yield (
            f"dataset.num_valid is {dataset['num_valid']} and dataset.keras_validation_split is"
            f" {dataset['keras_validation_split']}; give one of them (num_valid=0 or"
            " keras_validation_split=null)"
        )


@rule("dataset")
def _motif_fits_its_sequence(config: Config) -> Iterator[str]:
    dataset = config["dataset"]
    if dataset["_target_"] != MOTIF:
        return
    from seqexp.dataset.pfm import load_motifs
    from seqexp.errors import InputError

    try:
        motifs = load_motifs(dataset["motif"], dataset["motif_names"])
    except InputError as error:
        yield f"dataset.motif: {error}"
        return
    widest = max(motifs, key=lambda motif: motif.width)
    length = dataset["length"]
    if widest.width > length:
        yield (
            f"dataset.length is {length}, but motif {widest.name} is {widest.width} wide;"
            f" give at least {widest.width}"
        )


@rule("dataset")
def _background_is_a_composition(config: Config) -> Iterator[str]:
    background = config["dataset"].get("background")
    if isinstance(background, list) and abs(sum(background) - 1) > 1e-6:
        yield (
            f"dataset.background is {background}, which sums to {sum(background):g};"
            " give shares that sum to 1"
        )


@rule("dataset")
def _motif_data_fit_in_memory(config: Config) -> Iterator[str]:
    dataset = config["dataset"]
    if dataset["_target_"] != MOTIF:
        return
    sequences = 2 * sum(dataset[key] for key in ("num_train", "num_valid", "num_test"))
    tokens = sequences * dataset["length"]
    needed, there = 8 * tokens, psutil.virtual_memory().total
    if needed > there // 2:
        yield (
            f"dataset.num_train, num_valid, num_test and length ask for {tokens:,} letters,"
            f" {needed / 2**30:,.0f} GiB; half of this machine's memory is {there / 2**31:,.0f} GiB"
        )


@rule("model")
def _forget_bias_needs_a_forget_gate(config: Config) -> Iterator[str]:
    model = config["model"]
    if model.get("forget_bias") is not None and model.get("cell", "lstm") != "lstm":
        yield (
            f"model.forget_bias is {model['forget_bias']}, but cells of model.cell={model['cell']}"
            " have no forget gate; give cell=lstm, or forget_bias=null"
        )


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


@rule("trainer", "model", "dataset")
def _later_tokens_are_not_seen_where_they_must_not_be(config: Config) -> Iterator[str]:
    """Neither when the next token is predicted, nor from a window, which knows nothing of them."""
    k1, _ = _truncation(config)
    predicts_next = constant(config["dataset"]["_target_"], "output") == "next-token"
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


@rule("dataset")
def _one_text(config: Config) -> Iterator[str]:
    dataset = config["dataset"]
    if dataset["_target_"] != CHARS:
        return
    path = dataset["path"]
    if path is not None and dataset["text"] is not None:
        yield f"dataset.path is {path} and dataset.text is given too; give one of them"
    if path is not None and not Path(path).exists():
        yield f"dataset.path is {path}: there is no such file or folder"
    if dataset["valid_share"] + dataset["test_share"] > 0.95:
        yield (
            f"dataset.valid_share is {dataset['valid_share']} and dataset.test_share is"
            f" {dataset['test_share']}, which leaves too little for training; give at most 0.95"
            " in all"
        )


@rule("dataset")
def _one_source_of_sequences(config: Config) -> Iterator[str]:
    dataset = config["dataset"]
    if dataset["_target_"] != FASTA:
        return
    given = [key for key in ("positives", "sequences", "table") if dataset[key] is not None]
    if len(given) != 1:
        yield (
            f"dataset.{' and dataset.'.join(given) or 'positives'}"
            f" {'are both given' if given else 'is null'}; give one of dataset.positives,"
            " dataset.sequences (with dataset.labels) and dataset.table"
        )
    if (dataset["sequences"] is None) != (dataset["labels"] is None):
        yield (
            f"dataset.sequences is {dataset['sequences']} and dataset.labels is"
            f" {dataset['labels']}; give both or none"
        )
    files = ("positives", "negatives", "sequences", "labels", "table", "splits")
    for key in files:
        path = dataset[key]
        if (
            path is not None
            and (key, path) != ("negatives", "shuffle")
            and not Path(path).is_file()
        ):
            yield f"dataset.{key} is {path}: there is no such file"


@rule("dataset")
def _names_are_patterns(config: Config) -> Iterator[str]:
    for key in ("valid_names", "test_names"):
        pattern = config["dataset"].get(key)
        try:
            re.compile(pattern or "")
        except re.error as error:
            yield f"dataset.{key} is {pattern!r}, which is no regular expression: {error}"


@rule("model", "dataset")
def _no_sequence_is_shorter_than_a_filter(config: Config) -> Iterator[str]:
    width, shortest = config["model"].get("filter_width"), config["dataset"].get("min_length")
    if width is not None and shortest is not None and width > shortest:
        yield (
            f"model.filter_width is {width}, but dataset.min_length is {shortest}; give"
            f" min_length={width}, or a filter_width of at most {shortest}"
        )


@rule("model")
def _both_strands_are_read_out_by_their_maximum(config: Config) -> Iterator[str]:
    model = config["model"]
    if model.get("strands") == "both" and model.get("readout") != "max":
        yield f"model.strands is both and model.readout is {model.get('readout')}; give readout=max"


@rule("model")
def _positive_readout_is_of_the_filters_themselves(config: Config) -> Iterator[str]:
    model = config["model"]
    if model.get("positive_readout") and model.get("hidden_layers"):
        yield (
            f"model.positive_readout is true, but model.hidden_layers is"
            f" {model['hidden_layers']}; give [], or positive_readout=false"
        )


@rule("interpret")
def _database_is_a_file_that_is_used(config: Config) -> Iterator[str]:
    interpret = config["interpret"]
    database = interpret.get("database")
    if database is None:
        return
    if not Path(database).is_file():
        yield f"interpret.database is {database}: there is no such file"
    if interpret.get("match") is False:
        yield (
            f"interpret.database is {database}, but interpret.match is false; give true or null,"
            " or no database"
        )


def _truncation(config: Config) -> tuple[int | None, int | None]:
    bptt = config["trainer"].get("bptt") or {}
    return bptt.get("k1"), bptt.get("k2")


@rule("model", "dataset")
def _filter_fits_without_padding(config: Config) -> Iterator[str]:
    model, length = config["model"], config["dataset"].get("length")
    width = model.get("filter_width")
    if model.get("padding") == "valid" and isinstance(length, int) and width > length:
        yield (
            f"model.filter_width is {width} and model.padding is valid, but dataset.length is"
            f" {length}; give a filter_width of at most {length}, or padding=same"
        )
