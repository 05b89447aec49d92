"""What a dictionary does: each word by its most probable translation, in the order of the source.

The yardstick of `experiment=translation`. The dictionary is learned from the training pairs by
IBM model 1 (expectation maximisation over all alignments of a sentence's words). It prints BLEU of
the test, as `test/bleu`:

    python tests/baselines/word_by_word.py multi30k_de_en.train.tsv.gz multi30k_de_en.test.tsv.gz

Source: Brown et al. (1993), model 1.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqexp.dataset.pairing.files import Layout, Pair, read_pairs
from seqexp.dataset.pairing.units import Reading
from seqexp.decode.target_score import score_targets


def model_1(pairs: Sequence[Pair], iterations: int) -> dict[str, str]:
    """The most probable translation of each word, from uniform probabilities on."""
    sources = sorted({word for pair in pairs for word in pair.source})
    targets = sorted({word for pair in pairs for word in pair.target})
    ids = [{word: place for place, word in enumerate(words)} for words in (sources, targets)]
    rows, columns, places = [], [], []  # of each word of a target with each of its source
    count = 0
    for pair in pairs:
        source = np.array([ids[0][word] for word in pair.source])
        target = np.array([ids[1][word] for word in pair.target])
        rows.append(np.tile(source, len(target)))
        columns.append(np.repeat(target, len(source)))
        places.append(np.repeat(np.arange(len(target)) + count, len(source)))
        count += len(target)
    keys = np.concatenate(rows) * len(targets) + np.concatenate(columns)
    kinds, kind = np.unique(keys, return_inverse=True)  # pairs of words
    place = np.concatenate(places)
    source_of = kinds // len(targets)
    probability = np.ones(len(kinds))
    for _ in range(iterations):
        share = probability[kind]
        share /= np.bincount(place, share)[place]
        counts = np.bincount(kind, share)
        probability = counts / np.bincount(source_of, counts)[source_of]
    order = np.lexsort((probability, source_of))  # of each source word, the best is the last
    last = np.flatnonzero(np.diff(source_of[order], append=-1))
    best = kinds[order[last]]
    return {sources[key // len(targets)]: targets[key % len(targets)] for key in best.tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--iterations", type=int, default=5)
    given = parser.parse_args()
    layout = Layout("source", "target", None, Reading(), Reading())
    test = read_pairs(given.test, layout)
    best = model_1(read_pairs(given.train, layout), given.iterations)
    written = [[best.get(word, word) for word in pair.source] for pair in test]
    found = score_targets(written, [pair.target for pair in test], [pair.source for pair in test])
    print(f"BLEU {found.bleu:.2f} ({found.signatures['bleu']}), chrF {found.chrf:.2f}")


if __name__ == "__main__":
    main()
