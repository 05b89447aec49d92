"""What simpler methods reach on the same DNA: one known matrix, and counts of short words."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor
from torch.nn import functional

from seqexp.data import Pattern, Sequences
from seqexp.spec import PAD, Vocabulary, other_strand
from seqexp.task.ranking import auroc

WORD = 6
"""Letters of a counted word: 2,080 different ones on either strand."""

PENALTIES = (0.001, 0.01, 0.1, 1.0)
"""Inverse strengths of the L2 penalty to choose from."""

MAX_CHOSEN_ON = 2000
"""Training sequences on which the best matrix is chosen."""

_ROWS = 250


def best_scan(
    database: Sequence[Pattern],
    train: Sequences,
    test: Sequences,
    vocabulary: Vocabulary,
    seed: int = 0,
) -> tuple[Pattern, Float[np.ndarray, " sequences"]]:
    """The matrix whose best window tells the training classes apart best, and its test scores.

    Of many training sequences, some are drawn by class with the seed.
    """
    chosen = train.at_most(MAX_CHOSEN_ON, seed)
    scores = scan(database, chosen.tokens, vocabulary)
    truth = chosen.targets[:, 0].numpy() == 1
    areas = [auroc(row, truth) or 0.0 for row in scores]
    best = database[int(np.argmax(areas))]
    return best, scan([best], test.tokens, vocabulary)[0]


@torch.no_grad()
def scan(
    matrices: Sequence[Pattern],
    tokens: Integer[Tensor, "sequences time"],
    vocabulary: Vocabulary,
) -> Float[np.ndarray, "matrices sequences"]:
    """Log-odds of the best window on either strand, bits; unknown letters and padding left out.

    Against equal shares, with 0.01 added to each probability. A sequence without a window has the
    lowest score of its matrix.
    """
    scores = torch.full((len(matrices), len(tokens)), -torch.inf)
    by_width = sorted(range(len(matrices)), key=lambda index: len(matrices[index].ppm))
    for width, group in groupby(by_width, key=lambda index: len(matrices[index].ppm)):
        if width > tokens.shape[1]:
            continue
        chosen = list(group)
        ppms = torch.tensor(np.stack([matrices[index].ppm for index in chosen]))
        pwms = torch.log2((ppms + 0.01) / 1.04 * 4).float().transpose(1, 2)
        for start in range(0, len(tokens), _ROWS):
            rows = tokens[start : start + _ROWS]
            strands = [
                _best_windows(rows, pwms),
                _best_windows(other_strand(rows, vocabulary), pwms),
            ]
            best = torch.maximum(*strands)  # (sequences, matrices)
            scores[chosen, start : start + len(rows)] = best.T
    lowest = scores.masked_fill(scores.isinf(), torch.inf).amin(dim=1, keepdim=True)
    found: np.ndarray = torch.where(scores.isinf(), lowest, scores).double().numpy()
    return found


def _best_windows(
    rows: Integer[Tensor, "sequences time"], pwms: Float[Tensor, "matrices letters width"]
) -> Float[Tensor, "sequences matrices"]:
    one_hot = functional.one_hot(rows.long(), 5)[..., 1:].float().transpose(1, 2)
    scores = functional.conv1d(one_hot, pwms)  # (sequences, matrices, starts)
    whole = (rows != PAD).unfold(1, pwms.shape[2], 1).all(dim=2)
    return scores.masked_fill(~whole[:, None], -torch.inf).amax(dim=2)


def word_regression(
    train: Sequences, valid: Sequences, test: Sequences, vocabulary: Vocabulary
) -> Float[np.ndarray, " sequences"]:
    """Test scores of logistic regression on counts of words, either strand.

    The penalty is chosen on the validation sequences; without any, it is 0.01.

    Source: Lee, Karchin & Beer (2011), kmer-SVM, with the logistic instead of the hinge loss.
    """
    from sklearn.linear_model import LogisticRegression  # a second

    features = [word_counts(split.tokens, vocabulary) for split in (train, valid, test)]
    scale = features[0].std(axis=0).clip(min=0.1)
    features = [counts / scale for counts in features]
    labels = [split.targets[:, 0].numpy() == 1 for split in (train, valid)]

    def scored(penalty: float, split: int) -> Float[np.ndarray, " sequences"]:
        model = LogisticRegression(C=penalty, max_iter=2000).fit(features[0], labels[0])
        scores: np.ndarray = model.decision_function(features[split])
        return scores

    if not len(valid):
        return scored(0.01, 2)
    areas = [auroc(scored(penalty, 1), labels[1]) or 0.0 for penalty in PENALTIES]
    return scored(PENALTIES[int(np.argmax(areas))], 2)


def word_counts(
    tokens: Integer[Tensor, "sequences time"], vocabulary: Vocabulary
) -> Float[np.ndarray, "sequences words"]:
    """How often each word of six letters stands in a sequence, on either strand."""
    counts = np.zeros((len(tokens), 4**WORD))
    for strand in (tokens, other_strand(tokens, vocabulary)):
        codes, whole = _words(strand.long())
        for row, (code, kept) in enumerate(zip(codes, whole, strict=True)):
            counts[row] += np.bincount(code[kept].numpy(), minlength=4**WORD)
    # a word and its other strand are counted alike: one of the two is enough
    letters = np.indices((4,) * WORD).reshape(WORD, -1)  # (places, words)
    complement = np.array(vocabulary.complements())[1:] - 1
    turned = np.ravel_multi_index(tuple(complement[letters[::-1]]), (4,) * WORD)
    return counts[:, np.arange(4**WORD) <= turned]


def _words(
    tokens: Int[Tensor, "sequences time"],
) -> tuple[Int[Tensor, "sequences starts"], Bool[Tensor, "sequences starts"]]:
    """The number of the word that starts at each place, and whether it is whole."""
    if tokens.shape[1] < WORD:
        nothing = tokens[:, :0]
        return nothing, nothing.bool()
    windows = tokens.unfold(1, WORD, 1)  # (sequences, starts, places)
    powers = 4 ** torch.arange(WORD - 1, -1, -1)
    whole = (windows != PAD).all(dim=2)
    return ((windows - 1).clamp(min=0) * powers).sum(dim=2), whole
