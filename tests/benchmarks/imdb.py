"""An update of the notebook's second experiment, the LSTM that reads film reviews, against others.

experiment=notebook/imdb: 20,000 words of 128 numbers, LSTM(128), 80 tokens, batches of 32, a mask
of dropout for each gate, as Keras draws them. The bare loop and Lightning have `nn.LSTM`, without
dropout, and fused Adam. The reviews are made: words by Zipf's law, no padding.

python -m tests.benchmarks.imdb
python -m tests.benchmarks.imdb --sides bare ours --ours optimizer=adamw
"""

from pathlib import Path

import torch

from seqexp.data import Data, Sequences
from seqexp.spec import Output, TaskSpec, Vocabulary
from tests.benchmarks.compare import arguments, compare
from tests.benchmarks.work import Work, prepared

SIDES = ("bare", "ours", "lightning", "keras", "keras-xla", "keras-torch")

NUM_REVIEWS, NUM_WORDS, LENGTH, SIZE, BATCH = 25_000, 20_000, 80, 128, 32

# three products of [x | h] with the weights: of the sums, and for both gradients
OPERATIONS = 3 * 2 * BATCH * LENGTH * (2 * SIZE) * (4 * SIZE)


def reviews() -> Data:
    """Ids from 1, the more frequent the smaller; labels by chance."""
    generator = torch.Generator().manual_seed(0)
    frequencies = 1 / torch.arange(1, NUM_WORDS, dtype=torch.float64)
    tokens = 1 + torch.multinomial(
        frequencies, NUM_REVIEWS * LENGTH, replacement=True, generator=generator
    )
    targets = torch.randint(2, (NUM_REVIEWS, 1), generator=generator)
    words = Vocabulary(tuple(f"w{index}" for index in range(1, NUM_WORDS)))
    spec = TaskSpec(words, 1, Output.SEQUENCE_CLASS, ("negative", "positive"), LENGTH)
    train = Sequences(tokens.view(NUM_REVIEWS, LENGTH), targets)
    return Data(spec, train, train.at_most(0, 0), train.at_most(0, 0))


def make(folder: Path, threads: int, ours: list[str]) -> Work:
    overrides = ["experiment=notebook/imdb", f"trainer.num_threads={threads}"]
    return prepared(folder, overrides, ours, reviews(), "update", 40, threads)


if __name__ == "__main__":
    given = arguments(__doc__, SIDES, pairs=20)
    compare("film reviews, experiment=notebook/imdb", make, given, OPERATIONS)
