"""What a dictionary does: each word by its most probable translation, in the order of the source.

The yardstick of `experiment=translation`. The dictionary is learned from the training pairs by
IBM model 1 (expectation maximisation over all alignments of a sentence's words). It prints BLEU of
the test, as `test/bleu`:

    python tests/baselines/word_by_word.py multi30k_de_en.train.tsv.gz multi30k_de_en.test.tsv.gz

Source: Brown et al. (1993), model 1.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from seqexp.dataset.pairing.files import Layout, Pair, read_pairs
from seqexp.dataset.pairing.units import Reading
from seqexp.decode.target_score import score_targets

Translations = dict[str, dict[str, float]]


def model_1(pairs: Sequence[Pair], iterations: int) -> Translations:
    """P(target word | source word), from uniform probabilities on."""
    probabilities: Translations = {}
    for _ in range(iterations):
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for pair in pairs:
            for word in pair.target:
                shares = [probabilities.get(s, {}).get(word, 1e-9) for s in pair.source]
                if not probabilities:
                    shares = [1.0] * len(pair.source)
                total = sum(shares)
                for source, share in zip(pair.source, shares, strict=True):
                    counts[source][word] += share / total
        probabilities = {
            source: {word: count / found.total() for word, count in found.items() if count > 1e-4}
            for source, found in counts.items()
        }
    return probabilities


def translated(source: Sequence[str], probabilities: Translations) -> list[str]:
    """Each word by its most probable one; unknown words stay."""
    return [
        max(found, key=lambda word: found[word]) if (found := probabilities.get(word)) else word
        for word in source
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--iterations", type=int, default=5)
    given = parser.parse_args()
    layout = Layout("source", "target", None, Reading(), Reading())
    test = read_pairs(given.test, layout)
    probabilities = model_1(read_pairs(given.train, layout), given.iterations)
    written = [translated(pair.source, probabilities) for pair in test]
    found = score_targets(written, [pair.target for pair in test], [pair.source for pair in test])
    print(f"BLEU {found.bleu:.2f} ({found.signatures['bleu']}), chrF {found.chrf:.2f}")


if __name__ == "__main__":
    main()
