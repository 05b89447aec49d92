"""An update of a character model by truncated backpropagation through time, against others.

2 x LSTM(256) on 32 streams of 65 symbols, k1 = k2 = 64, with variational dropout; the bare loop and
Lightning have `nn.LSTM`, without dropout, and carry the states by hand; Keras has stateful layers,
with dropout, a mask for each gate. The text is made: symbols by Zipf's law.

python -m tests.benchmarks.chars
"""

from pathlib import Path

import torch

from seqexp.data import Data, Sequences
from seqexp.spec import Output, TaskSpec, Vocabulary
from tests.benchmarks.compare import arguments, compare
from tests.benchmarks.work import Work, prepared

SIDES = ("bare", "ours", "lightning", "lightning-logging", "keras", "keras-xla")

NUM_SYMBOLS, STREAMS, WINDOW, SIZE, LAYERS = 65, 32, 64, 256, 2

NUM_WINDOWS = 1000
"""Updates of an epoch."""

# three products of [x | h] with the weights: of the sums, and for both gradients; then the output's
OPERATIONS = 3 * 2 * STREAMS * WINDOW * (LAYERS * 2 * SIZE * 4 * SIZE + SIZE * (NUM_SYMBOLS + 1))

OVERRIDES = (
    "dataset=chars",
    "model=stacked-rnn",
    "model.cell=lstm",
    f"model.num_layers={LAYERS}",
    f"model.embedding_size={SIZE}",
    f"model.hidden_size={SIZE}",
    "model.dropout=0.2",
    "model.recurrent_dropout=0.2",
    "optimizer.lr=0.001",
    "optimizer.eps=1e-7",
    "++optimizer.fused=true",
    "trainer=tbptt",
    "trainer.clip_norm=null",
    f"trainer.batch_size={STREAMS}",
    f"trainer.bptt={{k1:{WINDOW},k2:{WINDOW}}}",
)


def text() -> Data:
    """Streams of symbols, each to be predicted from those before."""
    generator = torch.Generator().manual_seed(0)
    frequencies = 1 / torch.arange(1, NUM_SYMBOLS + 1, dtype=torch.float64)
    count = NUM_WINDOWS * WINDOW + 1
    tokens = 1 + torch.multinomial(
        frequencies, STREAMS * count, replacement=True, generator=generator
    )
    rows = tokens.view(STREAMS, count)
    symbols = Vocabulary(tuple(chr(ord("0") + index) for index in range(NUM_SYMBOLS)))
    names = ("padding", *symbols.symbols)
    spec = TaskSpec(symbols, len(names), Output.NEXT_TOKEN, names)
    train = Sequences(rows[:, :-1], rows[:, 1:], is_stream=True)
    nothing = Sequences(rows[:0, :-1], rows[:0, 1:], is_stream=True)
    return Data(spec, train, nothing, nothing)


def make(folder: Path, threads: int, ours: list[str]) -> Work:
    overrides = [*OVERRIDES, f"trainer.num_threads={threads}"]
    return prepared(folder, overrides, ours, text(), "update", 10, threads)


if __name__ == "__main__":
    given = arguments(__doc__, SIDES, pairs=20)
    compare("characters, 2 x LSTM(256), 32 streams, k = 64", make, given, OPERATIONS)
