"""Made reviews of one sentence, for trying things out without any data."""

from collections.abc import Iterator

import numpy as np

from seqexp.dataset.words.labels import Document
from seqexp.seeding import stream_seed

SUBJECTS = ("the plot", "the music", "the acting", "the ending", "every scene", "this film")
VERBS = ("is", "was", "seemed")
NEGATIONS = ("", "", "not", "never")
"""Half of the sentences deny what their adjective says."""
DEGREES = ("", "very", "really", "all that")
ADJECTIVES = {
    "negative": ("bad", "dull", "boring", "awful", "stupid"),
    "positive": ("good", "great", "moving", "funny", "brilliant"),
}
ENDINGS = (".", ", i thought .", "to me .", ", said a friend .")


def made_reviews(count: int, seed: int) -> Iterator[Document]:
    """So many sentences, each a review; their class is that of the adjective, or its opposite.

    No single word tells the class: an adjective goes with both, and so does a negation.
    """
    bits = np.random.PCG64(np.random.SeedSequence(stream_seed(seed, "reviews")))

    def choose(choices: tuple[str, ...]) -> str:
        return choices[int(bits.random_raw()) % len(choices)]

    for number in range(count):
        says, other = ("positive", "negative") if number % 2 else ("negative", "positive")
        negation = choose(NEGATIONS)
        adjective = choose(ADJECTIVES[other if negation else says])
        words = (choose(SUBJECTS), choose(VERBS), negation, choose(DEGREES), adjective)
        text = " ".join(word for word in (*words, choose(ENDINGS)) if word)
        yield Document(text, says, f"made review {number}")
