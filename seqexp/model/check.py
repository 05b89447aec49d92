"""What cannot work in a model, between it and its data, and where its filters are read."""

from collections.abc import Iterator
from pathlib import Path

from seqexp.utils.rules import Faults, Node

IMDB = "seqexp.dataset.imdb.IMDB"
READ_ERRORS = "seqexp.model.read_errors.ReadErrors"
LAZY_ADAM = "seqexp.optimizer.lazy_adam.LazyAdam"
NGRAMS = "seqexp.model.ngrams.NGrams"
KNESER_NEY = "seqexp.model.kneser_ney.KneserNey"
DENOISE = "seqexp.decode.denoise.Denoise"

UNTOLD = "untold"
"""The kind of task of a dataset whose config does not tell it."""

MAX_ONE_HOT = 5000
"""Symbols; of more, a batch of one-hot sequences fills the memory."""


def errors_of_reads_are_learned_from_clusters(model: Node, dataset: Node) -> Faults:
    is_model, is_view = model["_target_"] == READ_ERRORS, dataset.get("view") == "clusters"
    if is_model and not is_view:
        found = (
            f"dataset.view is {dataset['view']}" if "view" in dataset else "the dataset has none"
        )
        yield (
            f"model is read-errors, which learns from clusters of reads, but {found}; give"
            " dataset=noisy-reads dataset.view=clusters, or another model"
        )
    if is_view and not is_model:
        yield (
            "dataset.view is clusters, which is for model=read-errors, but model is"
            f" {model['_target_'].rpartition('.')[2]}; give model=read-errors, or view=reads"
        )


def reads_of_clusters_are_whole(model: Node, trainer: Node) -> Faults:
    if model["_target_"] != READ_ERRORS:
        return
    k1 = (trainer.get("bptt") or {}).get("k1")
    for key, value, given in (
        ("bptt.k1", k1, k1 is not None),
        ("replicas", trainer.get("replicas"), trainer.get("replicas") is not None),
        ("length_pool", trainer.get("length_pool"), trainer.get("length_pool") is not None),
    ):
        if given:
            yield (
                f"trainer.{key} is {value}, but model=read-errors reads whole sequences, one model"
                f" at a time; give trainer.{key}=null"
            )


def large_outputs_are_for_next_tokens(model: Node, dataset: Node) -> Faults:
    output, tied = model.get("output", "full"), model.get("tied")
    by_frequencies = model.get("output_bias", "zero") != "zero"
    kind = _kind_of(dataset)
    if (output == "full" and not tied and not by_frequencies) or kind in ("next_token", UNTOLD):
        return
    key, instead = ("tied is true", "tied=false") if tied else (f"output is {output}", "full")
    if by_frequencies:
        key, instead = f"output_bias is {model['output_bias']}", "zero"
    yield (
        f"model.{key}, which is for next tokens, but the dataset's kind of task is {kind}; give"
        f" {instead}, or a dataset that wants the next token predicted, as dataset=text"
        " dataset.task=next_token"
    )


def a_bias_starts_where_there_is_one(model: Node) -> Faults:
    if model.get("output_bias", "zero") != "zero" and model.get("positive_readout"):
        yield (
            f"model.output_bias is {model['output_bias']}, but model.positive_readout is true; give"
            " zero, or positive_readout=false"
        )


def vectors_are_tied_where_they_can_be(model: Node, optimizer: Node) -> Faults:
    if not model.get("tied"):
        return
    output = model.get("output", "full")
    if output == "adaptive":
        yield (
            "model.tied is true, but model.output is adaptive, whose clusters have vectors of other"
            " sizes; give output=full or sampled, or tied=false"
        )
    if "embedding_size" in model and model["embedding_size"] is None:
        yield (
            "model.tied is true, but model.embedding_size is null, which reads tokens as one-hot;"
            " give a size, or tied=false"
        )
    if model.get("positive_readout"):
        yield "model.tied is true, but model.positive_readout is true; give one of them as false"
    if optimizer["_target_"] == LAZY_ADAM and output == "full":
        yield (
            "model.tied is true and model.output is full, so that each step changes the vectors of"
            " all symbols, but optimizer is lazy-adam, which steps those that are read; give"
            " optimizer=adam, or output=sampled"
        )


def cutoffs_are_of_clusters(model: Node, dataset: Node) -> Faults:
    cutoffs, output = model.get("cutoffs"), model.get("output", "full")
    if cutoffs is None:
        return
    if output != "adaptive":
        yield (
            f"model.cutoffs is {cutoffs}, but model.output is {output}, which has no clusters; give"
            " output=adaptive, or cutoffs=null"
        )
    if list(cutoffs) != sorted(set(cutoffs)):
        yield f"model.cutoffs is {cutoffs}; give ids that ascend, as [2000,10000]"
    most = dataset.get("max_target_tokens", dataset.get("max_tokens"))
    if isinstance(most, int) and max(cutoffs) >= most:
        yield (
            f"model.cutoffs is {cutoffs}, but the dataset has at most {most} symbols with padding;"
            " give smaller ids"
        )


def ngrams_are_added_to_all_logits(model: Node) -> Faults:
    output = model.get("output", "full")
    for key, group in _ngrams_of(model):
        if output != "full" and group.get("to") == "logits":
            yield (
                f"model.{key}.to is logits, which are all computed then, but model.output is"
                f" {output}; give output=full, or {key}.to=input"
            )


def groups_of_ngrams_are_added_to_different_places(model: Node) -> Faults:
    places = [group.get("to") for _, group in _ngrams_of(model)]
    if len(places) > len(set(places)):
        yield (
            f"model.ngrams.to and model.wide.to are both {places[0]}; give another place to one of"
            " them, or all sizes to one"
        )


def a_mean_with_ngrams_is_of_one_prediction(model: Node, dataset: Node) -> Faults:
    kind = _kind_of(dataset)
    for key, group in _ngrams_of(model):
        if group.get("to") == "mean" and kind in ("token_class", "next_token"):
            yield (
                f"model.{key}.to is mean, which is of one prediction a sequence, but the dataset's"
                f" kind of task is {kind}; give logits or input"
            )


def a_stack_scores_all_outputs(model: Node, trainer: Node) -> Faults:
    output, replicas = model.get("output", "full"), trainer.get("replicas")
    if replicas is None:
        return
    why = f"but trainer.replicas is {replicas}"
    if output != "full":
        yield (
            f"model.output is {output}, {why}, and what is scored differs between its models; give"
            " output=full, or replicas=null"
        )
    if model.get("tied"):
        yield (
            f"model.tied is true, {why}, whose models each have vectors of their own for the"
            " output; give tied=false, or replicas=null"
        )


def ngrams_predict_one_thing_a_sequence(model: Node, dataset: Node) -> Faults:
    if model["_target_"] != NGRAMS:
        return
    kind = _kind_of(dataset)
    if kind in ("token_class", "next_token", "read_errors"):
        yield (
            f"model is ngrams, which predicts classes, labels or numbers of a sequence, but the"
            f" dataset's kind of task is {kind}; give another model"
        )


def kneser_ney_predicts_next_tokens(model: Node, dataset: Node) -> Faults:
    if model["_target_"] == KNESER_NEY and _kind_of(dataset) not in ("next_token", UNTOLD):
        yield (
            "model is kneser-ney, which predicts the next token, but the dataset's kind of task is"
            f" {_kind_of(dataset)}; give another model, as ngrams"
        )


def kneser_ney_counts_for_one_model(model: Node, trainer: Node) -> Faults:
    if model["_target_"] == KNESER_NEY and trainer.get("replicas") is not None:
        yield (
            f"trainer.replicas is {trainer['replicas']}, but model=kneser-ney counts for one model"
            " at a time; give trainer.replicas=null"
        )


def ngrams_are_counted_in_whole_sequences(model: Node, trainer: Node) -> Faults:
    if model["_target_"] != NGRAMS:
        return
    for key, value in (
        ("bptt.k1", (trainer.get("bptt") or {}).get("k1")),
        ("replicas", trainer.get("replicas")),
    ):
        if value is not None:
            yield (
                f"trainer.{key} is {value}, but model=ngrams is fitted to whole sequences, one"
                f" model at a time; give trainer.{key}=null"
            )


def a_solver_starts_from_nothing(model: Node) -> Faults:
    names = {NGRAMS: "ngrams", KNESER_NEY: "kneser-ney"}
    if model["_target_"] in names and model.get("from_run") is not None:
        yield (
            f"model.from_run is {model['from_run']}, but model={names[model['_target_']]} is fitted"
            " by a solver, whose result does not depend on a start; give from_run=null, or another"
            " model"
        )


def denoising_needs_a_model_of_errors(decode: Node, model: Node) -> Faults:
    if decode["_target_"] == DENOISE and model["_target_"] != READ_ERRORS:
        yield (
            "decode is denoise, which asks model=read-errors how reads err, but model is"
            f" {model['_target_'].rpartition('.')[2]}; give decode=polish or beam, or"
            " experiment=denoise"
        )


def forget_bias_needs_a_forget_gate(model: Node) -> Faults:
    if model.get("forget_bias") is not None and model.get("cell", "lstm") != "lstm":
        yield (
            f"model.forget_bias is {model['forget_bias']}, but cells of model.cell={model['cell']}"
            " have no forget gate; give cell=lstm, or forget_bias=null"
        )


def both_strands_are_read_out_by_their_maximum(model: Node) -> Faults:
    if model.get("strands") == "both" and model.get("readout", "max") != "max":
        yield f"model.strands is both and model.readout is {model.get('readout')}; give readout=max"


def positive_readout_is_of_the_filters_themselves(model: Node) -> Faults:
    if model.get("positive_readout") and model.get("hidden_layers"):
        yield (
            f"model.positive_readout is true, but model.hidden_layers is"
            f" {model['hidden_layers']}; give [], or positive_readout=false"
        )

    elif model.get("positive_readout") and model.get("num_layers", 1) > 1:
        yield (
            f"model.positive_readout is true, but model.num_layers is {model['num_layers']}, and"
            " only the last layer would be read; give num_layers=1, or positive_readout=false"
        )


def convolution_sees_nothing_later(model: Node, trainer: Node, dataset: Node) -> Faults:
    """Neither when the next token is predicted, nor from a window, which knows nothing of it."""
    convolution = model.get("convolution") or {}
    if convolution.get("filters") is None:
        return
    padding, k1 = convolution.get("padding", "auto"), (trainer.get("bptt") or {}).get("k1")
    sees_later = f"model.convolution.padding is {padding}, which sees later positions"
    if _predicts_next(dataset):
        if padding == "same":
            yield (
                f"{sees_later}, but the dataset wants the next token predicted; give causal or auto"
            )
    elif k1 is not None and padding != "causal":
        yield (
            f"{sees_later}, but trainer.bptt.k1={k1} cuts sequences into windows; give causal, or"
            " k1=null"
        )


def a_stack_drops_nothing_in_its_convolution(model: Node, trainer: Node) -> Faults:
    dropout, replicas = (model.get("convolution") or {}).get("dropout"), trainer.get("replicas")
    if dropout and replicas is not None:
        yield (
            f"model.convolution.dropout is {dropout}, but trainer.replicas is {replicas}, and masks"
            " are drawn for one model at a time; give dropout=0, or replicas=null"
        )


def a_stack_has_no_ngrams(model: Node, trainer: Node) -> Faults:
    replicas = trainer.get("replicas")
    for key, group in _ngrams_of(model):
        if replicas is not None:
            yield (
                f"model.{key}.sizes is {group['sizes']}, but trainer.replicas is {replicas}, and"
                " n-grams are counted for one model at a time; give sizes=null, or replicas=null"
            )


def filter_fits_without_padding(model: Node, dataset: Node) -> Faults:
    width = model.get("filter_width")
    if model.get("padding") != "valid" or width is None:
        return
    layers = model.get("num_layers", 1)
    reach = layers * (width - 1) + 1  # positions that one result of the top layer sees
    is_stacked = f" in {layers} layers" if layers > 1 else ""
    for key in ("length", "max_length", "window"):
        length = dataset.get(key)
        if key == "length" and "window" in dataset:
            continue  # there, of whole sequences; the model sees windows
        if isinstance(length, int) and reach > length:
            yield (
                f"model.filter_width is {width}{is_stacked} and model.padding is valid, but"
                f" dataset.{key} is {length}; give a filter_width of at most"
                f" {(length - 1) // layers + 1}, or padding=same"
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


def a_model_starts_from_one_thing(dataset: Node, model: Node) -> Faults:
    if model.get("from_run") is not None and dataset.get("vectors") is not None:
        yield (
            f"model.from_run is {model['from_run']}, but dataset.vectors is {dataset['vectors']};"
            " both are what vectors of words start from: give one of them"
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


def patterns_need_modisco(interpret: Node) -> Faults:
    if not interpret.get("patterns"):
        return
    from importlib.util import find_spec

    if find_spec("modiscolite") is None:
        yield (
            "interpret.patterns is true, which is TF-MoDISco's: pip install 'seqexp[explain]', or"
            " give false"
        )


def _ngrams_of(model: Node) -> Iterator[tuple[str, Node]]:
    """The groups of n-grams beside a network, by key."""
    for key in ("ngrams", "wide"):
        group = model.get(key) or {}
        if group.get("sizes") is not None:
            yield key, group


def _predicts_next(dataset: Node) -> bool:
    """Whether a dataset wants the next token predicted, as far as its config tells."""
    return _kind_of(dataset) == "next_token"


def _kind_of(dataset: Node) -> str:
    """A dataset's kind of task, as far as its config tells."""
    constants = dataset["_constants_"]
    by_view = constants.get("output_by_view")
    told = constants.get("output") if by_view is None else by_view.get(dataset.get("view"))
    return str(dataset.get("task") or told or UNTOLD).replace("-", "_")
