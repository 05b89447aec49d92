"""What a file holds for a trained model: read as the dataset of its run reads it.

The configuration of the run names the dataset. A dataset of yours is read by what its task says:
texts, tables of numbers, or two columns of text where there is a context.
"""

from collections.abc import Callable, Iterator, Sequence

from seqexp.dataset.dna.alphabets import DNA, PROTEIN, RNA, Alphabet
from seqexp.errors import InputError
from seqexp.formats.dna import LETTERS, dna
from seqexp.formats.ends import ends_of
from seqexp.formats.records import (
    STDIN,
    Format,
    Record,
    layout_of,
    opened,
    records,
    token_lines,
)
from seqexp.formats.token_lists import (
    form_of,
    has_token_lists,
    read_conllu,
    read_token_lists,
)
from seqexp.inference.prediction import Given, writes
from seqexp.inference.saved_model import SavedModel
from seqexp.inference.text import encode, is_cut, labelled, pieces
from seqexp.spec import PAD, Features, TaskSpec, Vocabulary

Reader = Callable[[SavedModel, str, Format, str | None], Iterator[Given]]
"""Of a model, the path of a file, its format, and the column that is asked for."""


def read(saved: SavedModel, source: str, layout: Format, column: str | None) -> Iterator[Given]:
    """The sequences of a file, one at a time.

    Args:
        saved: the model that is asked about them.
        source: path of the file, or `-` for standard input.
        layout: its format; `auto` is told by its name.
        column: of a table, the one with the sequences; None is that of the training.

    Raises:
        InputError: naming the file and the line, if it is not what the model reads.
    """
    return reader(saved)(saved, source, layout, column)


def reader(saved: SavedModel) -> Reader:
    """What reads files for a model: by the dataset of its run, else by what its task says.

    Raises:
        InputError: if the model has a context of numbers that no file has a layout for.
    """
    spec = saved.spec
    if writes(spec) and ends_of(spec.vocabulary.symbols) is None:
        raise InputError(
            "the model of this run predicts next symbols with a context, but its symbols have no"
            " begin and end (< and >, or <s> and </s>), so that nothing can be written"
        )
    known = READERS.get(str(saved.dataset.get("_target_")))
    if known is not None:
        return known
    if isinstance(spec.context, Features) or (spec.context is not None and spec.features):
        raise InputError(
            "the model of this run reads a context of numbers, of a dataset that is not seqexp's:"
            " no layout of a file is known for it; load the model in Python"
            " (mlflow.pyfunc.load_model) and give it a table"
        )
    if spec.context is not None:
        return _with_context
    return _recordings if spec.features is not None else _texts


# --- texts ------------------------------------------------------------------------------------


def _texts(saved: SavedModel, source: str, layout: Format, column: str | None) -> Iterator[Given]:
    """Letters or words: FASTA, a text a line, or a column of a table."""
    is_dna = _is_dna(saved.spec) or alphabet_of(saved) is not None
    usual = ("sequence", "text") if is_dna else ("text", "sequence")
    columns = _text_columns(saved, column, "text_column", *usual)
    for record in records(source, layout, columns, is_dna):
        yield _text(record, saved, source)


def _text(
    record: Record, saved: SavedModel, source: str, context: Sequence[int] | None = None
) -> Given:
    """Token ids of what training reads too, and of nothing else."""
    spec, text, alphabet = saved.spec, record.text, alphabet_of(saved)
    place = f"{source}, record {record.name}"
    if alphabet is not None:
        text = alphabet.read("".join(text.split()), record.name, source)
        ids = alphabet.ids()
        return Given(record.name, [ids.get(ord(letter), PAD) for letter in text], context, text)
    if spec.vocabulary.is_dna and not spec.per_position:
        text = dna("".join(text.split()), record.name, source)  # refuses protein, too
    elif _is_dna(spec):
        text = "".join(text.split()).upper().replace("U", "T")
    if not text:
        raise InputError(f"{place}: is empty")
    try:
        ids_of_text = encode(text, spec)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    if spec.words is not None and not any(ids_of_text):  # as training refuses it
        raise InputError(f"{place}: the text has no word; remove it")
    is_letters = spec.vocabulary.is_dna and not spec.per_position  # in a row of fixed length
    found = text if is_letters else () if spec.words is not None else pieces(text, spec)
    cut = is_cut(text, ids_of_text, spec)
    return Given(record.name, ids_of_text, context, found, is_cut=cut)


def alphabet_of(saved: SavedModel) -> Alphabet | None:
    """The letters of sequences of which something is told as a whole; None where it is no such.

    Of RNA and proteins by their symbols, of letters of one's own by `dataset=fasta` of the run.
    """
    spec = saved.spec
    if spec.per_position or spec.words is not None or spec.features is not None:
        return None
    symbols = spec.vocabulary.symbols
    named = next((one for one in (DNA, RNA, PROTEIN) if one.symbols == symbols), None)
    if named is not None or saved.dataset.get("_target_") != "seqexp.dataset.fasta.Fasta":
        return named
    return Alphabet("", symbols)


def _is_dna(spec: TaskSpec) -> bool:
    """Whether its symbols are the bases, perhaps with the ends of reads."""
    return set(LETTERS) <= set(spec.vocabulary.symbols) <= {*LETTERS, "<", ">"}


def _text_columns(saved: SavedModel, column: str | None, key: str, *usual: str) -> tuple[str, ...]:
    """Columns of a table that may hold what is asked for, the first one first."""
    if column is not None:
        return (column,)
    return tuple(dict.fromkeys(name for name in (saved.dataset.get(key), *usual) if name))


# --- tokens with a label each -----------------------------------------------------------------


def _tagged(saved: SavedModel, source: str, layout: Format, column: str | None) -> Iterator[Given]:
    """Words or letters that are to be labelled, as `dataset=tagging` reads them.

    CoNLL-U and JSON lines with lists of tokens are told by their content. A run that was trained on
    files of a token and a label a line is given the same. Labels may be there, and are not read.
    """
    node, words = saved.dataset, saved.spec.words
    if words is None:
        yield from _texts(saved, source, layout, column)
        return
    columns = _text_columns(saved, column, "text_column", "text", "sequence", "tokens")
    is_trained_on_lines = node.get("path") is not None and node.get("text_column") is None
    by_name = layout_of(source) if layout == "auto" else layout
    is_table = by_name in ("csv", "tsv", "jsonl", "fasta", "fastq")
    place = "standard input" if source == STDIN else source
    with opened(source, place) as file:
        form = form_of(file)
        has_lists = form == "jsonl" and column is None and has_token_lists(file)
        if layout == "conllu" or (layout == "auto" and form == "conllu"):
            for one in read_conllu(file, None, name=place):
                yield _labelled(one.name or str(one.line), one.tokens, saved.spec)
        elif layout in ("auto", "jsonl") and has_lists:
            for one, _ in read_token_lists(file, None, name=place):
                yield _labelled(one.name or str(one.line), one.tokens, saved.spec)
        elif layout == "tokens" or (layout == "auto" and is_trained_on_lines and not is_table):
            for line, tokens in token_lines(source, file):
                yield _labelled(str(line), tokens, saved.spec)
        else:
            are_letters = words.unit == "letters"
            for record in records(source, layout, columns, are_letters, file):
                text = record.text
                tokens = list("".join(text.split())) if are_letters else text.split()
                if not tokens:
                    raise InputError(f"{source}, record {record.name}: is empty")
                yield _labelled(record.name, tokens, saved.spec)


def _labelled(name: str, tokens: Sequence[str], spec: TaskSpec) -> Given:
    ids, places = labelled(tokens, spec)
    return Given(name, ids, pieces=tokens, places=places)


# --- contexts ---------------------------------------------------------------------------------


def _sources(saved: SavedModel, source: str, layout: Format, column: str | None) -> Iterator[Given]:
    """Sources of `dataset=pairs`, whose targets are to be written."""
    assert isinstance(saved.spec.context, Vocabulary)
    columns = _text_columns(saved, column, "source_column", "source", "text")
    for record in records(source, layout, columns, is_dna=False):
        ids = context_ids(record.text, saved, f"{source}, record {record.name}")
        yield Given(record.name, (), ids)


def _with_context(
    saved: SavedModel, source: str, layout: Format, column: str | None
) -> Iterator[Given]:
    """Two columns of texts, `context` and `text`; of what is to be written, the context alone."""
    spec, name = saved.spec, column or CONTEXT
    if writes(spec):
        for record in records(source, layout, (name, "source", "text"), is_dna=False):
            place = f"{source}, record {record.name}"
            yield Given(record.name, (), context_ids(record.text, saved, place))
        return
    # both columns of each row: the file is read twice, a row of each at a time
    contexts = records(source, layout, (name,), is_dna=False)
    texts = records(source, layout, ("text", "sequence"), is_dna=False)
    if source == STDIN:
        raise InputError("input is -, but a table of two columns is read from a file")
    for context, record in zip(contexts, texts, strict=True):
        place = f"{source}, record {record.name}"
        ids = context_ids(context.text, saved, place)
        yield _text(record, saved, source, ids)


def context_ids(text: str, saved: SavedModel, place: str) -> list[int]:
    """Token ids of a context, as the dataset of the run reads it.

    Raises:
        InputError: naming the place, if it cannot be read.
    """
    from seqexp.dataset import pairs

    assert isinstance(saved.spec.context, Vocabulary)
    try:
        return pairs.context_ids(text, saved.spec.context, saved.dataset)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


# --- numbers ----------------------------------------------------------------------------------


def _recordings(
    saved: SavedModel, source: str, layout: Format, column: str | None
) -> Iterator[Given]:
    from seqexp.inference.recordings import recordings

    return recordings(saved, source, layout, column)


def _pictures(
    saved: SavedModel, source: str, layout: Format, column: str | None
) -> Iterator[Given]:
    from seqexp.inference.pictures import pictures  # Pillow: for models of pictures only

    return pictures(saved, source)


def _questions(
    saved: SavedModel, source: str, layout: Format, column: str | None
) -> Iterator[Given]:
    from seqexp.inference.pictures import questions

    return questions(saved, source)


CONTEXT = "context"
"""Column of a table of your own dataset's contexts."""

READERS: dict[str, Reader] = {
    "seqexp.dataset.frames.Frames": _recordings,
    "seqexp.dataset.tagging.Tagging": _tagged,
    "seqexp.dataset.pairs.Pairs": _sources,
    "seqexp.dataset.captions.Captions": _pictures,
    "seqexp.dataset.questions.Questions": _questions,
}
"""By the class of a dataset; others are read by what their task says."""
