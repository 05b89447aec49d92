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
NOISY_READS = "seqexp.dataset.noisy_reads.NoisyReads"
IMDB = "seqexp.dataset.imdb.IMDB"
TEXT = "seqexp.dataset.text.Text"
FASTA = "seqexp.dataset.fasta.Fasta"

OTHER_VALIDATION = (
    "keras_validation_split",
    "validate_on_test",
    "valid_path",
    "valid_names",
    "splits",
    "table",
)
"""Keys of datasets that give validation data where no number or share of them does."""

MAX_ONE_HOT = 5000
"""Symbols; of more, a batch of one-hot sequences fills the memory."""


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
    if not none_of or any(dataset.get(key) for key in OTHER_VALIDATION):
        return
    why = f"but dataset.{none_of[0]} is {dataset[none_of[0]]}; give validation data"
    if trainer["patience"] is not None:
        yield f"trainer.patience is {trainer['patience']}, {why}, or patience=null"
    if trainer["test_weights"] == "best":
        yield f"trainer.test_weights is best, {why}, or test_weights=last"


@rule("dataset")
def _one_way_to_validate(config: Config) -> Iterator[str]:
    dataset = config["dataset"]
    if dataset.get("validate_on_test") and dataset.get("valid_share"):
        yield (
            f"dataset.validate_on_test is true and dataset.valid_share is {dataset['valid_share']};"
            " give one of them (valid_share=0.0 or validate_on_test=false)"
        )
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
    predicts_next = constant(config["dataset"]["_target_"], "output") == "next-token"
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
def _errors_are_shares_of_one_draw(config: Config) -> Iterator[str]:
    dataset = config["dataset"]
    if dataset["_target_"] != NOISY_READS:
        return
    rates = {key: dataset[key] for key in ("insertion", "deletion", "substitution")}
    if sum(rates.values()) > 1:
        given = ", ".join(f"dataset.{key} is {rate}" for key, rate in rates.items())
        yield f"{given}, which sum to {sum(rates.values()):g}; give rates that sum to at most 1"


@rule("dataset")
def _reads_are_there(config: Config) -> Iterator[str]:
    dataset = config["dataset"]
    if dataset["_target_"] != NOISY_READS:
        return
    path, has_truth = dataset["reads"], dataset["reads_have_truth"]
    if path is not None and not Path(path).is_file():
        what = "is a folder" if Path(path).is_dir() else "there is no such file"
        yield f"dataset.reads is {path}: {what}; give a FASTA, FASTQ or cluster file"
    if path is None and has_truth is not None:
        yield (
            f"dataset.reads_have_truth is {str(has_truth).lower()}, but dataset.reads is null:"
            " simulated reads always have one; give a file, or reads_have_truth=null"
        )


@rule("dataset")
def _texts_can_be_read(config: Config) -> Iterator[str]:
    """As far as the first text of each file tells."""
    dataset = config["dataset"]
    if dataset["_target_"] != TEXT:
        return
    from seqexp.dataset.documents import Columns, check_documents
    from seqexp.errors import InputError

    columns = Columns(dataset["text_column"], dataset["label_column"])
    if columns.text == columns.label:
        yield f"dataset.text_column and dataset.label_column are both {columns.text!r}; give two"
        return
    for key in ("path", "valid_path", "test_path"):
        if dataset[key] is None:
            continue
        if dataset["path"] is None:
            yield f"dataset.{key} is {dataset[key]}, but dataset.path is null; give dataset.path"
        try:
            check_documents(Path(dataset[key]), columns)
        except InputError as error:
            yield f"dataset.{key}: {error}"


@rule("dataset", "model")
def _word_vectors_fit_the_embedding(config: Config) -> Iterator[str]:
    path = config["dataset"].get("vectors")
    if path is None:
        return
    from seqexp.dataset.vectors import vector_size
    from seqexp.errors import InputError

    try:
        size = vector_size(Path(path))
    except InputError as error:
        yield f"dataset.vectors: {error}"
        return
    given = config["model"].get("embedding_size", size)
    if given != size:
        yield (
            f"model.embedding_size is {given}, but {path} has {size} values a word; give"
            f" model.embedding_size={size}"
        )


@rule("dataset", "model")
def _many_words_are_not_one_hot(config: Config) -> Iterator[str]:
    dataset, model = config["dataset"], config["model"]
    if dataset["_target_"] != IMDB or dataset["max_tokens"] <= MAX_ONE_HOT:
        return
    if "embedding_size" in model and model["embedding_size"] is None:
        yield (
            f"model.embedding_size is null, which makes each of {dataset['max_tokens']:,} words as"
            " many numbers; give a size, or auto"
        )


def _output(dataset: Config) -> str | None:
    """What a dataset wants predicted; it may depend on the view of the data."""
    by_view = constant(dataset["_target_"], "output_by_view")
    if by_view is not None:
        return str(by_view[dataset["view"]])
    output: str | None = constant(dataset["_target_"], "output")
    return output


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
    model, width = config["model"], config["model"].get("filter_width")
    if model.get("padding") != "valid":
        return
    for key in ("length", "max_length", "window"):
        length = config["dataset"].get(key)
        if key == "length" and "window" in config["dataset"]:
            continue  # there, of whole sequences; the model sees windows
        if isinstance(length, int) and width > length:
            yield (
                f"model.filter_width is {width} and model.padding is valid, but dataset.{key} is"
                f" {length}; give a filter_width of at most {length}, or padding=same"
            )
