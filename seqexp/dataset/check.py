"""What cannot work within a dataset, as far as it can be seen before any data is read."""

from pathlib import Path

import psutil

from seqexp.formats.expressions import expression_fault
from seqexp.utils.rules import Faults, Node

MOTIF = "seqexp.dataset.motif.Motif"
FASTA = "seqexp.dataset.fasta.Fasta"
CHARS = "seqexp.dataset.chars.Chars"
TEXT = "seqexp.dataset.text.Text"
PAIRS = "seqexp.dataset.pairs.Pairs"
NOISY_READS = "seqexp.dataset.noisy_reads.NoisyReads"


def one_way_to_validate(dataset: Node) -> Faults:
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


def motif_fits_its_sequence(dataset: Node) -> Faults:
    if dataset["_target_"] != MOTIF:
        return
    from seqexp.errors import InputError
    from seqexp.formats.motifs import load_motifs

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


def background_is_a_composition(dataset: Node) -> Faults:
    background = dataset.get("background")
    if isinstance(background, list) and abs(sum(background) - 1) > 1e-6:
        yield (
            f"dataset.background is {background}, which sums to {sum(background):g};"
            " give shares that sum to 1"
        )


def motif_data_fit_in_memory(dataset: Node) -> Faults:
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


def one_source_of_sequences(dataset: Node) -> Faults:
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


def names_are_patterns(dataset: Node) -> Faults:
    for key in ("valid_names", "test_names"):
        pattern = dataset.get(key)
        if pattern is not None and (fault := expression_fault(pattern)) is not None:
            yield f"dataset.{key} is {pattern[:100]!r}, which {fault}"


def one_text(dataset: Node) -> Faults:
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


def texts_can_be_read(dataset: Node) -> Faults:
    """As far as the first text of each file tells."""
    if dataset["_target_"] != TEXT:
        return
    from seqexp.dataset.words.documents import Columns, check_documents
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


def pairs_can_be_read(dataset: Node) -> Faults:
    """As far as the first pair of each file tells."""
    if dataset["_target_"] != PAIRS:
        return
    from seqexp.dataset.own_files import missing
    from seqexp.dataset.pairing.files import Layout, check_pairs
    from seqexp.dataset.pairing.units import Reading
    from seqexp.errors import InputError

    columns = dataset["source_column"], dataset["target_column"]
    if columns[0] == columns[1] or dataset["split_column"] in columns:
        yield (
            f"dataset.source_column is {columns[0]!r}, dataset.target_column {columns[1]!r} and"
            f" dataset.split_column {dataset['split_column']!r}; give different ones"
        )
        return
    reading = Reading(dataset["source_unit"], dataset["source_form"], dataset["lower"])
    layout = Layout(*columns, dataset["split_column"], reading, Reading(dataset["target_unit"]))
    given = {key: dataset[key] for key in ("path", "valid_path", "test_path") if dataset[key]}
    absent = [key for key, path in given.items() if not Path(path).exists()]
    if absent:
        more = "".join(f"; nor is dataset.{key}, {given[key]}" for key in absent[1:])
        yield missing(f"dataset.{absent[0]}", given[absent[0]]) + more
    for key, path in given.items():
        if dataset["path"] is None:
            yield f"dataset.{key} is {path}, but dataset.path is null; give dataset.path"
        try:
            if key not in absent:
                check_pairs(Path(path), layout, f"dataset.{key}")
        except InputError as error:
            yield f"dataset.{key}: {error}"


def a_target_begins_with_its_begin_symbol(dataset: Node, decode: Node) -> Faults:
    if not dataset["_constants_"].get("has_context"):
        return
    for key, off in (("prompt", "''"), ("both_directions", "false")):
        value = decode.get(key)
        if value:
            yield (
                f"decode.{key} is {value!r:.40}, but each target of the dataset is written from its"
                f" begin to its end; give {off}"
            )


def errors_are_shares_of_one_draw(dataset: Node) -> Faults:
    if dataset["_target_"] != NOISY_READS:
        return
    rates = {key: dataset[key] for key in ("insertion", "deletion", "substitution")}
    if sum(rates.values()) > 1:
        given = ", ".join(f"dataset.{key} is {rate}" for key, rate in rates.items())
        yield f"{given}, which sum to {sum(rates.values()):g}; give rates that sum to at most 1"


def reads_are_there(dataset: Node) -> Faults:
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
