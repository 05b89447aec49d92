"""What cannot work within a dataset, as far as it can be seen before any data is read."""

from collections.abc import Sequence
from pathlib import Path

import psutil

from seqexp.dataset.own_files import missing
from seqexp.formats.expressions import expression_fault
from seqexp.utils.rules import Faults, Node

MOTIF = "seqexp.dataset.motif.Motif"
FASTA = "seqexp.dataset.fasta.Fasta"
CHARS = "seqexp.dataset.chars.Chars"
TEXT = "seqexp.dataset.text.Text"
TAGGING = "seqexp.dataset.tagging.Tagging"
FRAMES = "seqexp.dataset.frames.Frames"
PAIRS = "seqexp.dataset.pairs.Pairs"
CAPTIONS = "seqexp.dataset.captions.Captions"
QUESTIONS = "seqexp.dataset.questions.Questions"
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


def each_text_of_a_fold_is_tested(dataset: Node) -> Faults:
    if dataset["_target_"] == TEXT and dataset.get("folds") and dataset["num_test"] is not None:
        yield (
            f"dataset.num_test is {dataset['num_test']}, but dataset.folds is {dataset['folds']},"
            " by which each text is tested once; give num_test=null"
        )


def motif_fits_its_sequence(dataset: Node) -> Faults:
    if dataset["_target_"] != MOTIF:
        return
    from seqexp.dataset.dna.made_motifs import width_of, with_made
    from seqexp.errors import InputError
    from seqexp.formats.motifs import load_motifs

    try:
        motifs = load_motifs(dataset["motif"], dataset["motif_names"])
    except InputError as error:
        yield f"dataset.motif: {error}"
        return
    are_labels = dataset["task"] == "multi_label"
    width, what = width_of(with_made(motifs, dataset["made_motifs"], are_labels), are_labels)
    length = dataset["length"]
    if width > length:
        yield f"dataset.length is {length}, but {what} {width} wide; give at least {width}"


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
    from seqexp.dataset.dna.interval_files import GC_MATCHED, interval_faults

    sources = ("positives", "sequences", "table", "intervals")
    given = [key for key in sources if dataset[key] is not None]
    if len(given) != 1:
        yield (
            f"dataset.{' and dataset.'.join(given) or 'positives'}"
            f" {'are both given' if given else 'is null'}; give one of dataset.positives,"
            " dataset.sequences (with dataset.labels), dataset.table, and dataset.intervals (with"
            " dataset.genome)"
        )
    yield from interval_faults(dataset)
    if (dataset["sequences"] is None) != (dataset["labels"] is None):
        yield (
            f"dataset.sequences is {dataset['sequences']} and dataset.labels is"
            f" {dataset['labels']}; give both or none"
        )
    files = ("positives", "negatives", "sequences", "labels", "table", "splits")
    for key in files:
        path = dataset[key]
        is_drawn = key == "negatives" and path in ("shuffle", GC_MATCHED)
        if key == "negatives" and dataset["intervals"] is not None:
            continue
        if path is not None and not is_drawn and not Path(path).is_file():
            yield missing(f"dataset.{key}", path)


def one_question(dataset: Node) -> Faults:
    """Columns and kind of what is asked, of sequences or texts."""
    if dataset["_target_"] not in (FASTA, TEXT):
        return
    targets, task = dataset["targets"], dataset["task"]
    for key, value in (("targets", targets), ("task", task)):
        if value in (None, "sequence_class", "next_token"):
            continue
        if dataset["_target_"] == FASTA and dataset["positives"] is not None:
            yield (
                f"dataset.{key} is {value}, but dataset.positives is given, which asks for a class;"
                " give null, or a dataset.table"
            )
        if dataset["_target_"] == TEXT and dataset["path"] is None:
            yield (
                f"dataset.{key} is {value}, but dataset.path is null, and made reviews have a class"
                " only; give dataset.path, or null"
            )
    if task == "next_token" and targets is not None:
        yield (
            "dataset.task is next_token, which asks for no column, but dataset.targets is"
            f" {targets}; give null"
        )
    if targets is not None and len(set(targets)) < len(targets):
        twice = next(name for name in targets if targets.count(name) > 1)
        yield f"dataset.targets names {twice!r} twice; give each column once"
    if task == "sequence_class" and targets is not None and len(targets) > 1:
        yield (
            f"dataset.task is sequence_class, but dataset.targets names {len(targets)} columns;"
            " give one, or dataset.task=multi_label or regression"
        )


def letters_fit(dataset: Node) -> Faults:
    """Alphabet, lengths and strands of sequences."""
    if dataset["_target_"] != FASTA:
        return
    from seqexp.dataset.dna.alphabets import alphabet_fault

    alphabet, length = dataset["alphabet"], dataset["length"]
    fault = alphabet_fault(alphabet)
    if fault is not None:
        yield fault
    elif dataset["reverse_complement"] and alphabet not in ("dna", "rna", "auto"):
        yield (
            f"dataset.reverse_complement is true, but dataset.alphabet is {alphabet}; DNA and RNA"
            " alone have another strand: give false"
        )
    if length is not None and length < dataset["min_length"]:
        yield (
            f"dataset.length is {length}, but dataset.min_length is {dataset['min_length']}; give"
            " at least as many"
        )
    if length is None and dataset["pad"] == "left":
        yield "dataset.pad is left, but dataset.length is null; give a length, or pad=right"
    column = dataset["sequence_column"]
    if column in (dataset["targets"] or ["label"]):
        yield f"dataset.sequence_column is {column!r}, which is asked for too; give another column"


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
        yield missing("dataset.path", path)
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
    if dataset["task"] == "next_token":
        columns = columns._replace(asked=())
    elif dataset["targets"] is not None or dataset["task"] is not None:
        columns = columns._replace(asked=tuple(dataset["targets"] or [columns.label]))
    if columns.text in columns.needed[1:]:
        key = "label_column" if dataset["targets"] is None else "targets"
        yield f"dataset.text_column and dataset.{key} are both {columns.text!r}; give two"
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


GIVEN_SPLITS = (
    *("test_names", "valid_names", "splits", "test_path", "valid_path"),
    *("test_groups", "valid_groups"),
)
"""Keys that say what is held out."""


def folds_fit(dataset: Node) -> Faults:
    """Folds of a dataset that can be dealt into some."""
    if not {"folds", "fold"} <= dataset.keys():
        return
    folds, fold = dataset["folds"], dataset["fold"]
    if folds is None:
        by = dataset.get("fold_by", "class")
        for key, value in (("fold", fold), ("fold_by", by)):
            if value not in (0, "class"):
                yield (
                    f"dataset.{key} is {value}, but dataset.folds is null; give the number of folds"
                    " too, as dataset.folds=5"
                )
        return
    if fold >= folds:
        yield f"dataset.fold is {fold}, and dataset.folds is {folds}; give a fold below that"
    if dataset.get("view", "clusters") != "clusters":
        yield f"dataset.folds is {folds}, but view is {dataset['view']}; give view=clusters"
    for key in GIVEN_SPLITS:
        if dataset.get(key) is not None:
            yield (
                f"dataset.folds is {folds} and dataset.{key} is {dataset[key]}; both say what is"
                f" held out; give dataset.folds=null or dataset.{key}=null"
            )


def reads_are_there(dataset: Node) -> Faults:
    if dataset["_target_"] != NOISY_READS:
        return
    path, has_truth = dataset["reads"], dataset["reads_have_truth"]
    if path is not None and not Path(path).is_file():
        what = "is a folder" if Path(path).is_dir() else "there is no such file"
        yield f"dataset.reads is {path}: {what}; give a FASTA, FASTQ or cluster file"
    truths = dataset["truths"]
    if truths is not None and not Path(truths).is_file():
        yield f"dataset.truths is {truths}: there is no such file; give one true sequence a line"
    if truths is not None and path is None:
        yield f"dataset.truths is {truths}, but dataset.reads is null; give the reads too"
    if truths is not None and has_truth:
        yield (
            f"dataset.truths is {truths}, but dataset.reads_have_truth is true; give one of the two"
        )
    if path is None and has_truth is not None:
        yield (
            f"dataset.reads_have_truth is {str(has_truth).lower()}, but dataset.reads is null:"
            " simulated reads always have one; give a file, or reads_have_truth=null"
        )


def tagged_files_can_be_read(dataset: Node) -> Faults:
    """As far as the first sequence of each file tells."""
    if dataset["_target_"] != TAGGING:
        return
    from seqexp.dataset.own_files import missing
    from seqexp.dataset.tagged.reading import Columns, check_file
    from seqexp.errors import InputError

    columns = Columns(dataset["text_column"], dataset["labels_column"], dataset["label_column"])
    if columns.label is not None and (columns.text is not None or dataset["path"] is None):
        why = "dataset.path is null" if dataset["path"] is None else "dataset.text_column is given"
        yield (
            f"dataset.label_column is {columns.label}, but {why}: it is of files with a label a"
            " token; labels of a table are in dataset.labels_column"
        )
        return
    if columns.text == columns.labels is not None:
        yield f"dataset.text_column and dataset.labels_column are both {columns.text!r}; give two"
        return
    if (columns.text is None) != (columns.labels is None):
        yield (
            f"dataset.text_column is {columns.text} and dataset.labels_column is {columns.labels};"
            " give both, of a table, or none"
        )
        return
    for key in ("path", "valid_path", "test_path"):
        path = dataset[key]
        if path is None:
            continue
        if dataset["path"] is None:
            yield f"dataset.{key} is {path}, but dataset.path is null; give dataset.path"
        if not Path(path).exists():
            yield missing(f"dataset.{key}", path)
            continue
        try:
            check_file(Path(path), columns)
        except InputError as error:
            yield f"dataset.{key}: {error}"


def frames_can_be_read(dataset: Node) -> Faults:
    """As far as the names of the columns tell, and keys that contradict each other."""
    if dataset["_target_"] != FRAMES:
        return
    from seqexp.dataset.own_files import missing
    from seqexp.dataset.recordings.tables import check_tables, columns_of
    from seqexp.errors import InputError

    columns = columns_of(dataset)
    yield from _column_faults(columns.labels, columns.features, columns.ignored, columns.group)
    window, stride = dataset["window"], dataset["stride"]
    if stride is not None and (window is None or stride > window):
        yield (
            f"dataset.stride is {stride} and dataset.window is {window}; give a stride up to the"
            " window, or null"
        )
    for key in ("path", "valid_path", "test_path"):
        path = dataset[key]
        if path is None:
            continue
        if dataset["path"] is None:
            yield f"dataset.{key} is {path}, but dataset.path is null; give dataset.path"
        if not Path(path).exists():
            yield missing(f"dataset.{key}", path)
            continue
        try:
            if not path.lower().endswith(".npz"):
                check_tables(Path(path), columns)
        except InputError as error:
            yield f"dataset.{key}: {error}"


def _column_faults(
    labels: Sequence[str], features: Sequence[str] | None, ignored: Sequence[str], group: str | None
) -> Faults:
    """A column that is two things at once."""
    used = [("label_column", name) for name in labels]
    used += [("feature_columns", name) for name in features or ()]
    used += [("ignore_columns", name) for name in ignored]
    used += [] if group is None else [("group_column", group)]
    seen: dict[str, str] = {}
    for key, name in used:
        if name in seen:
            other = f" and dataset.{key}" if key != seen[name] else " twice"
            yield f"dataset.{seen[name]}{other} name {name!r:.60}; give a column to one of them"
        seen[name] = key


def pictures_are_there(dataset: Node) -> Faults:
    if dataset["_target_"] not in (CAPTIONS, QUESTIONS):
        return
    from seqexp.dataset.own_files import missing
    from seqexp.formats.archives import is_archive

    path = dataset["path"]
    if path is not None and not Path(path).exists():
        yield missing("dataset.path", path)
    elif path is not None and not Path(path).is_dir() and not is_archive(Path(path)):
        table = "captions.tsv" if dataset["_target_"] == CAPTIONS else "questions.json"
        yield (
            f"dataset.path is {path}, neither a folder nor a .tar.gz archive; give one that has"
            f" images/N.png and {table}, in folders train and test or side by side"
        )
    if path is None and not dataset["test_share"] and dataset["folds"] is None:
        yield "dataset.test_share is 0, so that no scan of a digit is for the test; give a share"
