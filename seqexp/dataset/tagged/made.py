"""Made sentences with a part of speech a word, for trying things out without any data."""

from collections.abc import Iterator

import numpy as np

from seqexp.dataset.tagged.reading import Tagged
from seqexp.seeding import stream_seed

WORDS = {
    "DET": ("the", "a", "every", "this"),
    "ADJ": ("old", "light", "small", "green", "close", "calm"),
    "NOUN": ("cat", "light", "run", "house", "walk", "calm", "plan", "river"),
    "VERB": ("sees", "lights", "plans", "finds", "walks", "runs"),
    "ADV": ("today", "close", "often", "there"),
    "ADP": ("in", "near", "with"),
    "NAME": ("Ada", "Bo", "Kim"),
    "PUNCT": (".", "!"),
}
"""Words of each tag; some have two, and only their neighbours tell which is meant."""

PHRASES = (("DET", "NOUN"), ("DET", "ADJ", "NOUN"), ("NAME",))
"""What may be somebody or something."""


def made_sentences(count: int, seed: int) -> Iterator[Tagged]:
    """So many sentences, as "the old light sees a house today .", with their tags."""
    bits = np.random.PCG64(np.random.SeedSequence(stream_seed(seed, "sentences")))

    def draw(number: int) -> int:
        return int(bits.random_raw()) % number

    for number in range(count):
        tags = [*PHRASES[draw(3)], "VERB", *PHRASES[draw(3)]]
        tags += [("ADP", *PHRASES[draw(3)]), ("ADV",), ()][draw(3)]
        tags.append("PUNCT")
        words = [WORDS[tag][draw(len(WORDS[tag]))] for tag in tags]
        yield Tagged(words, tags, f"made sentence {number}")
