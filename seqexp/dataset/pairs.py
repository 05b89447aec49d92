"""Pairs of a source and a target: the source is read, and the target written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Interval, Len

from seqexp.data import Data
from seqexp.dataset.folds import Fold, Folds
from seqexp.dataset.pairing.encoding import Limits, encoded, ids_of
from seqexp.dataset.pairing.files import Layout, Pair, read_pairs
from seqexp.dataset.pairing.splits import divided, without_leaks
from seqexp.dataset.pairing.synthetic import MAX_MADE, made_pairs
from seqexp.dataset.pairing.units import Form, Reading, Unit, joined
from seqexp.errors import InputError
from seqexp.formats.ends import UNKNOWN
from seqexp.ranges import Count, CountOrZero, HeldOutShare, Seed
from seqexp.spec import TaskSpec, Vocabulary

Name = Annotated[str, Len(1)]
MaxTokens = Annotated[int, Interval(ge=5, le=10**7)]
"""Size of a vocabulary, with padding, begin, end, `<unk>` and at least one symbol."""


@dataclass(frozen=True)
class Pairs:
    """Sources and targets, of words or characters. Without a path, numbers and their words.

    Args:
        path: a .csv, .tsv, .jsonl or .ndjson file (also .gz); None makes numbers in digits (as
            `4 2 7`), whose words are to be written.
        source_column: column, or key of a JSON line, of what is read.
        target_column: column, or key, of what is written.
        source_unit: `blanks`: symbols stand between blanks; `words`: letters and digits together,
            every other mark alone; `characters`.
        target_unit: likewise.
        source_form: Unicode form that sources are brought to: NFKD divides syllables of Korean into
            letters, and letters from their accents; None leaves them as they are.
        lower: read sources and targets in lower case.
        valid_path: pairs for validation, in a file of their own.
        test_path: pairs for the test, likewise.
        split_column: column of `path` that says train, valid or test, where it has one; None looks
            for none.
        valid_share: part of the sources that are left from the test, for validation, where nothing
            else says which.
        test_share: part of all sources, for the test, likewise.
        folds: parts of all pairs, whole sources in each, each of which is the test of one run;
            None: the test is drawn, or named.
        fold: which of the folds is the test, from 0; `valid_share` of the others validates.
        num_made: pairs that are made without a path.
        max_source_tokens: size of the vocabulary of sources, with padding and `<unk>`, which stands
            for all symbols that are rarer in training; None keeps all.
        max_target_tokens: likewise of targets, with begin and end too.
        min_count: times that a symbol has to stand in training to be in a vocabulary.
        max_source_length: symbols of a source, at most; None has no limit.
        max_target_length: symbols of a target, at most; None has no limit.
        longer: `refuse` longer ones, or `truncate` them: keep the first symbols of sources, and of
            targets that are trained on; targets that are held out stay whole.
        seed: selects the pairs that are held out, or made.

    A pair that is held out is removed from training. The model reads a source as its context, and
    predicts its target from a begin symbol to an end symbol.

    Raises:
        InputError: from `load`, if a file is not sound.
    """

    path: str | None = None
    source_column: Name = "source"
    target_column: Name = "target"
    source_unit: Unit = "blanks"
    target_unit: Unit = "blanks"
    source_form: Form | None = None
    lower: bool = False
    valid_path: str | None = None
    test_path: str | None = None
    split_column: str | None = "split"
    valid_share: HeldOutShare = 0.1
    test_share: Annotated[float, Interval(gt=0, le=0.9)] = 0.1
    folds: Folds | None = None
    fold: CountOrZero = 0
    num_made: Annotated[int, Interval(ge=20, le=MAX_MADE)] = 2000
    max_source_tokens: MaxTokens | None = None
    max_target_tokens: MaxTokens | None = None
    min_count: Count = 1
    max_source_length: Count | None = None
    max_target_length: Count | None = None
    longer: Literal["refuse", "truncate"] = "refuse"
    seed: Seed = 0

    output = "next_token"
    has_context = True

    def load(self) -> Data:
        """Read or make the pairs, and encode them."""
        limits = Limits(
            self.max_source_tokens,
            self.max_target_tokens,
            self.min_count,
            self.max_source_length,
            self.max_target_length,
            self.longer,
        )
        shares = {"test": self.test_share, "valid": self.valid_share}
        given, fold = self._given(), Fold.of(self)
        splits, notes = without_leaks(divided(given, shares, self.seed, fold))
        if fold is not None:
            total = sum(map(len, given.values()))
            notes = [fold.note(len(splits["test"]), total, "pairs"), *notes]
        data = encoded(splits, limits)
        return replace(data, notes=(*notes, *data.notes))

    @property
    def layout(self) -> Layout:
        """How files are read."""
        return Layout(
            self.source_column,
            self.target_column,
            self.split_column,
            Reading(self.source_unit, self.source_form, self.lower),
            Reading(self.target_unit, None, self.lower),
        )

    def _given(self) -> dict[str, list[Pair]]:
        """Pairs by the split of their file."""
        if self.path is None:
            made = made_pairs(self.num_made, self.seed)
            read = self.layout
            return {
                "train": [
                    Pair(
                        read.source.symbols(" ".join(pair.source)),
                        read.target.symbols(" ".join(pair.target)),
                        pair.place,
                    )
                    for pair in made
                ]
            }
        given = {"train": read_pairs(Path(self.path), self.layout)}
        own_files = {"valid": self.valid_path, "test": self.test_path}
        for name, path in own_files.items():
            if path is not None:
                layout = replace(self.layout, split_column=None)  # the whole file is this split
                given[name] = read_pairs(Path(path), layout, f"dataset.{name}_path")
        self._refuse_two_ways(given)
        return given

    def _refuse_two_ways(self, given: Mapping[str, list[Pair]]) -> None:
        """A split that a column names and a file of its own has too."""
        for name in given.keys() - {"train"}:
            twice = next((pair for pair in given["train"] if pair.split == name), None)
            if twice is not None:
                raise InputError(
                    f"{twice.place}: {self.split_column} says {name}, but dataset.{name}_path is"
                    f" given too; give dataset.{name}_path=null, or dataset.split_column=null"
                )


# --- for texts that come later ----------------------------------------------------------------


def context_ids(text: str, context: Vocabulary, dataset: Mapping[str, Any]) -> list[int]:
    """Token ids of a source as training has read it.

    Args:
        text: a source.
        context: the vocabulary of sources.
        dataset: the node of the config that the model was trained with.

    Raises:
        InputError: if the text is empty, or longer than the training allowed, or has an unknown
            symbol where the vocabulary has none for these.
    """
    reading = Reading(
        dataset.get("source_unit") or _usual_unit(context.symbols),
        dataset.get("source_form"),
        bool(dataset.get("lower")),
    )
    symbols = reading.symbols(text)
    if not symbols:
        raise InputError("the source is empty")
    most = dataset.get("max_source_length")
    if most is not None and len(symbols) > most:
        if dataset.get("longer") != "truncate":
            raise InputError(
                f"the source has {len(symbols):,} symbols, but the model was trained on at most"
                f" {most} (dataset.max_source_length)"
            )
        symbols = symbols[:most]
    unknown = next((symbol for symbol in symbols if symbol not in context.ids), None)
    if unknown is not None and UNKNOWN not in context.ids:
        raise InputError(f"the source has {unknown!r}, which the training lacks")
    return ids_of(symbols, context) if UNKNOWN in context.ids else context.encode(symbols)


def text_of(symbols: list[str], spec: TaskSpec, dataset: Mapping[str, Any]) -> str:
    """The text of a target that was written, as targets of the training are."""
    return joined(symbols, dataset.get("target_unit") or _usual_unit(spec.vocabulary.symbols))


def _usual_unit(symbols: tuple[str, ...]) -> Unit:
    """Characters where all symbols are; of ends and `<unk>` it does not matter."""
    return "characters" if all(len(s) == 1 or s[0] == "<" for s in symbols) else "blanks"
