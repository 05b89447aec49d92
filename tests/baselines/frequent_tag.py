"""What the most frequent label of each word does: the yardstick of parts of speech.

A word that training lacks gets the most frequent label of those that stand there once.

    python tests/baselines/frequent_tag.py TRAIN TEST
"""

import argparse
from collections import Counter, defaultdict
from pathlib import Path

from seqexp.dataset.tagged.reading import read_tagged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    given = parser.parse_args()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in read_tagged(given.train):
        for word, label in zip(one.tokens, one.labels, strict=True):
            counts[word][label] += 1
    rare = sum((found for found in counts.values() if found.total() == 1), Counter[str]())
    default = rare.most_common(1)[0][0]
    pairs = [
        pair for one in read_tagged(given.test) for pair in zip(one.tokens, one.labels, strict=True)
    ]
    right = sum(
        (counts[word].most_common(1)[0][0] if word in counts else default) == label
        for word, label in pairs
    )
    unknown = sum(word not in counts for word, _ in pairs)
    print(f"accuracy {right / len(pairs):.4f} of {len(pairs):,} words, {unknown:,} of them unknown")


if __name__ == "__main__":
    main()
