"""An update of each newer kind of task against others: labels, numbers, positions, pairs.

All are made. Sequences have 80 words, by Zipf's law of 20,000; an LSTM(128) reads their vectors of
128 numbers in batches of 32, without dropout or padding. Each has six labels, there or not; or two
numbers; or one of 17 tags at each position. Pairs have 20 words each, of 8,000: one LSTM(128) reads
the first, another writes the second, with attention by dot products.

python -m tests.benchmarks.kinds
python -m tests.benchmarks.kinds --kinds pairs --sides bare ours
"""

import argparse
from functools import partial
from pathlib import Path

import torch

from seqexp.data import Data, Sequences
from seqexp.spec import Output, TaskSpec, Vocabulary
from tests.benchmarks.compare import arguments, compare
from tests.benchmarks.work import Work, prepared

SIDES = ("bare", "ours", "lightning", "keras", "keras-xla")

NUM_SEQUENCES, NUM_WORDS, LENGTH = 5_000, 20_000, 80

NUM_LABELS, NUM_NUMBERS, NUM_TAGS = 6, 2, 17

NUM_PAIRED, PAIR_LENGTH = 8_000, 20

PLAIN = ["experiment=notebook/imdb", "model.dropout=0.0", "model.recurrent_dropout=0.0"]

ATTENDS = [
    "dataset=pairs",
    "model=lstm",
    "model.attention=dot",
    "model.embedding_size=128",
    "model.context_embedding_size=128",
    "model.hidden_size=128",
    "trainer.batch_size=32",
    "trainer.clip_norm=null",
    "trainer.length_pool=null",
    "decode=none",
]

OUTPUTS = {
    "labels": Output.MULTI_LABEL,
    "numbers": Output.REGRESSION,
    "positions": Output.TOKEN_CLASS,
}

TITLES = {
    "labels": "six labels a sequence",
    "numbers": "two numbers a sequence",
    "positions": "a tag at each position",
    "pairs": "from words to words, with attention",
}


def words(rows: int, length: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """Ids from 1, the more frequent the smaller."""
    frequencies = 1 / torch.arange(1, count, dtype=torch.float64)
    drawn = torch.multinomial(frequencies, rows * length, replacement=True, generator=generator)
    return 1 + drawn.view(rows, length)


def vocabulary(count: int) -> Vocabulary:
    """Names of that many ids, padding among them."""
    return Vocabulary(tuple(f"w{index}" for index in range(1, count)))


def made(kind: str, rows: int = NUM_SEQUENCES, count: int = NUM_WORDS) -> Data:
    """Sequences of words by chance, and targets by chance; of pairs, both are of words."""
    generator = torch.Generator().manual_seed(0)
    if kind == "pairs":
        return _pairs(rows, min(count, NUM_PAIRED), generator)
    tokens = words(rows, LENGTH, count, generator)
    output = OUTPUTS[kind]
    if kind == "numbers":
        targets = torch.randn(rows, size := NUM_NUMBERS, generator=generator)
    elif kind == "labels":
        targets = torch.randint(2, (rows, size := NUM_LABELS), generator=generator)
    else:
        targets = torch.randint(size := NUM_TAGS, (rows, LENGTH), generator=generator)
    names = tuple(f"output{index}" for index in range(size))
    spec = TaskSpec(vocabulary(count), size, output, names, LENGTH)
    train = Sequences(tokens, targets)
    return Data(spec, train, train.at_most(0, 0), train.at_most(0, 0))


def _pairs(rows: int, count: int, generator: torch.Generator) -> Data:
    read = words(rows, PAIR_LENGTH, count, generator)
    written = words(rows, PAIR_LENGTH + 1, count, generator)
    symbols = vocabulary(count)
    names = ("padding", *symbols.symbols)
    spec = TaskSpec(symbols, count, Output.NEXT_TOKEN, names, PAIR_LENGTH, context=symbols)
    train = Sequences(written[:, :-1], written[:, 1:], context=read)
    return Data(spec, train, train.at_most(0, 0), train.at_most(0, 0))


def command(kind: str) -> list[str]:
    """Options of ours."""
    return ATTENDS if kind == "pairs" else PLAIN


def make(kind: str, folder: Path, threads: int, ours: list[str]) -> Work:
    overrides = [*command(kind), f"trainer.num_threads={threads}"]
    return prepared(folder, overrides, ours, made(kind), "update", 20, threads)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--kinds", nargs="+", choices=TITLES, default=[*TITLES])
    given = arguments(__doc__, SIDES, pairs=12, parents=[parser])
    for kind in given.kinds:
        compare(TITLES[kind], partial(make, kind), given)
