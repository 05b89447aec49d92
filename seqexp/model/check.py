"""What cannot work in a model, between it and its data, and where its filters are read."""

from collections.abc import Iterator
from pathlib import Path

from seqexp.config.check import rule
from seqexp.config.groups import Config

IMDB = "seqexp.dataset.imdb.IMDB"

MAX_ONE_HOT = 5000
"""Symbols; of more, a batch of one-hot sequences fills the memory."""


@rule("model")
def _forget_bias_needs_a_forget_gate(config: Config) -> Iterator[str]:
    model = config["model"]
    if model.get("forget_bias") is not None and model.get("cell", "lstm") != "lstm":
        yield (
            f"model.forget_bias is {model['forget_bias']}, but cells of model.cell={model['cell']}"
            " have no forget gate; give cell=lstm, or forget_bias=null"
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


@rule("model", "dataset")
def _no_sequence_is_shorter_than_a_filter(config: Config) -> Iterator[str]:
    width, shortest = config["model"].get("filter_width"), config["dataset"].get("min_length")
    if width is not None and shortest is not None and width > shortest:
        yield (
            f"model.filter_width is {width}, but dataset.min_length is {shortest}; give"
            f" min_length={width}, or a filter_width of at most {shortest}"
        )


@rule("dataset", "model")
def _word_vectors_fit_the_embedding(config: Config) -> Iterator[str]:
    path = config["dataset"].get("vectors")
    if path is None:
        return
    from seqexp.errors import InputError
    from seqexp.formats.vectors import vector_size

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


@rule("interpret")
def _database_is_a_file_that_is_used(config: Config) -> Iterator[str]:
    interpret = config["interpret"]
    database = interpret.get("database")
    if database is None:
        return
    from seqexp.errors import InputError
    from seqexp.formats.motifs import load_motifs

    try:
        load_motifs(database)
    except InputError as error:
        yield f"interpret.database is {error}"
    if interpret.get("match") is False:
        yield (
            f"interpret.database is {database}, but interpret.match is false; give true or null,"
            " or no database"
        )
