"""Does a row of zeros and ones hold an odd number of ones?"""

import torch

from seqexp.ranges import Count, Seed
from seqexp.spec import Data, Output, Sequences, TaskSpec, Vocabulary, stream_seed


class Parity:
    """Random bits, labelled by the parity of their sum.

    Args:
        length: bits a sequence.
        num_train: sequences to learn from; a quarter as many validate, and test.
        seed: selects the bits.
    """

    output = "sequence-class"

    def __init__(self, length: Count = 4, num_train: Count = 200, seed: Seed = 0) -> None:
        self.length, self.num_train, self.seed = length, num_train, seed

    def load(self) -> Data:
        """Draw the splits."""
        spec = TaskSpec(
            vocabulary=Vocabulary(("0", "1")),
            num_outputs=2,
            output=Output.SEQUENCE_CLASS,
            output_names=("even", "odd"),
            length=self.length,
        )
        held_out = max(1, self.num_train // 4)
        return Data(
            spec,
            train=self._draw("train", self.num_train),
            valid=self._draw("valid", held_out),
            test=self._draw("test", held_out),
        )

    def _draw(self, split: str, count: int) -> Sequences:
        generator = torch.Generator().manual_seed(stream_seed(self.seed, split))
        bits = torch.randint(0, 2, (count, self.length), generator=generator)
        return Sequences(tokens=bits + 1, targets=bits.sum(dim=1, keepdim=True) % 2)  # 0 is padding
