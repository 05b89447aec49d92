"""What cannot work in a model, between it and its data, and where its filters are read."""

from pathlib import Path

from seqexp.utils.rules import Faults, Node

IMDB = "seqexp.dataset.imdb.IMDB"

MAX_ONE_HOT = 5000
"""Symbols; of more, a batch of one-hot sequences fills the memory."""


def forget_bias_needs_a_forget_gate(model: Node) -> Faults:
    if model.get("forget_bias") is not None and model.get("cell", "lstm") != "lstm":
        yield (
            f"model.forget_bias is {model['forget_bias']}, but cells of model.cell={model['cell']}"
            " have no forget gate; give cell=lstm, or forget_bias=null"
        )


def both_strands_are_read_out_by_their_maximum(model: Node) -> Faults:
    if model.get("strands") == "both" and model.get("readout") != "max":
        yield f"model.strands is both and model.readout is {model.get('readout')}; give readout=max"


def positive_readout_is_of_the_filters_themselves(model: Node) -> Faults:
    if model.get("positive_readout") and model.get("hidden_layers"):
        yield (
            f"model.positive_readout is true, but model.hidden_layers is"
            f" {model['hidden_layers']}; give [], or positive_readout=false"
        )


def filter_fits_without_padding(model: Node, dataset: Node) -> Faults:
    width = model.get("filter_width")
    if model.get("padding") != "valid" or width is None:
        return
    for key in ("length", "max_length", "window"):
        length = dataset.get(key)
        if key == "length" and "window" in dataset:
            continue  # there, of whole sequences; the model sees windows
        if isinstance(length, int) and width > length:
            yield (
                f"model.filter_width is {width} and model.padding is valid, but dataset.{key} is"
                f" {length}; give a filter_width of at most {length}, or padding=same"
            )


def no_sequence_is_shorter_than_a_filter(model: Node, dataset: Node) -> Faults:
    width, shortest = model.get("filter_width"), dataset.get("min_length")
    if width is not None and shortest is not None and width > shortest:
        yield (
            f"model.filter_width is {width}, but dataset.min_length is {shortest}; give"
            f" min_length={width}, or a filter_width of at most {shortest}"
        )


def word_vectors_fit_the_embedding(dataset: Node, model: Node) -> Faults:
    path = dataset.get("vectors")
    if path is None:
        return
    from seqexp.errors import InputError
    from seqexp.formats.vectors import vector_size

    try:
        size = vector_size(Path(path))
    except InputError as error:
        yield f"dataset.vectors: {error}"
        return
    given = model.get("embedding_size", size)
    if given != size:
        yield (
            f"model.embedding_size is {given}, but {path} has {size} values a word; give"
            f" model.embedding_size={size}"
        )


def many_words_are_not_one_hot(dataset: Node, model: Node) -> Faults:
    if dataset["_target_"] != IMDB or dataset["max_tokens"] <= MAX_ONE_HOT:
        return
    if "embedding_size" in model and model["embedding_size"] is None:
        yield (
            f"model.embedding_size is null, which makes each of {dataset['max_tokens']:,} words as"
            " many numbers; give a size, or auto"
        )


def database_is_a_file_that_is_used(interpret: Node) -> Faults:
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
