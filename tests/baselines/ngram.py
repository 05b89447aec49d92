"""What counting does: an n-gram model of characters with modified Kneser-Ney smoothing.

The yardstick of `experiment=chars`, on the same parts of the same text (training, validation and
test by position). It prints bits a character of the test part:

    python tests/baselines/ngram.py my_text.txt --order 5

With `--adaptive`, the model also counts each character of a part after it was predicted: the
yardstick of `trainer.dynamic_evaluation`.

Source: Chen & Goodman (1999), modified Kneser-Ney, interpolated; discounts by their eq. 26.
"""

import argparse
import math
from collections import Counter
from pathlib import Path


class KneserNey:
    """P(character | the `order - 1` before it), from counts of a text.

    The highest order counts n-grams. A lower order counts in how many different contexts its n-gram
    stands; n-grams at the beginning of the text, which have no context, keep their count.
    """

    def __init__(self, text: str, order: int) -> None:
        self.order = order
        self.vocabulary = len(set(text))
        ngrams = [
            Counter(text[i : i + n] for i in range(len(text) - n + 1)) for n in range(1, order + 1)
        ]
        self.counts = [Counter(gram[1:] for gram in longer) for longer in ngrams[1:]]
        self.counts.append(ngrams[-1])
        self.discounts = [_discounts(counts) for counts in self.counts]
        self.totals: list[Counter[str]] = []  # of a context, over the characters after it
        self.kinds: list[dict[str, list[int]]] = []  # how many of these stand once, twice, more
        for counts in self.counts:
            totals: Counter[str] = Counter()
            kinds: dict[str, list[int]] = {}
            for gram, count in counts.items():
                totals[gram[:-1]] += count
                kinds.setdefault(gram[:-1], [0, 0, 0])[min(count, 3) - 1] += 1
            self.totals.append(totals)
            self.kinds.append(kinds)

    def probability(self, context: str, character: str) -> float:
        """Interpolated over all orders, down to the uniform distribution."""
        probability = 1 / self.vocabulary
        for n in range(self.order):  # contexts of 0, 1, ... characters
            if n > len(context):
                break
            history = context[len(context) - n :]
            total = self.totals[n].get(history, 0)
            if total == 0:
                break
            count = self.counts[n].get(history + character, 0)
            discounts = self.discounts[n]
            kept = sum(d * k for d, k in zip(discounts, self.kinds[n][history], strict=True))
            seen = count - discounts[min(count, 3) - 1] if count else 0.0
            probability = (seen + kept * probability) / total
        return probability

    def bits(self, text: str, start: int, stop: int, adaptive: bool = False) -> float:
        """Mean bits of the characters from `start` to before `stop`, each given those before it.

        An adaptive model counts each afterwards, which changes it; discounts stay as they are.
        """
        total = 0.0
        for i in range(start, stop):
            context = text[max(0, i - self.order + 1) : i]
            total -= math.log2(self.probability(context, text[i]))
            if adaptive:
                self.count(context, text[i])
        return total / (stop - start)

    def count(self, context: str, character: str) -> None:
        """Count a character that has come, and n-grams that are new in the next shorter ones."""
        for n in reversed(range(len(context) + 1)):
            history = context[len(context) - n :]
            old = self.counts[n][history + character]
            self.counts[n][history + character] = old + 1
            self.totals[n][history] += 1
            kinds = self.kinds[n].setdefault(history, [0, 0, 0])
            kinds[min(old + 1, 3) - 1] += 1
            if old:
                kinds[min(old, 3) - 1] -= 1
                return  # shorter ones have counted that it stands behind this character


def _discounts(counts: Counter[str]) -> tuple[float, float, float]:
    of = Counter(min(count, 5) for count in counts.values())
    if not (of[1] and of[2] and of[3]):
        return (0.5, 0.75, 0.9)  # too few to estimate: a large part of the counts
    share = of[1] / (of[1] + 2 * of[2])
    estimates = [n - (n + 1) * share * of[n + 1] / of[n] for n in (1, 2, 3)]
    one, two, three = (min(max(value, 0.0), n) for n, value in enumerate(estimates, start=1))
    return one, two, three


def main() -> None:
    """Print bits a character of the validation and test parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("path", type=Path)
    parser.add_argument("--order", type=int, default=5)
    parser.add_argument("--least-order", type=int, default=1)
    parser.add_argument("--adaptive", action="store_true", help="also learn from what is scored")
    parser.add_argument("--valid-share", type=float, default=0.05)
    parser.add_argument("--test-share", type=float, default=0.05)
    arguments = parser.parse_args()
    text = arguments.path.read_text(encoding="utf-8")
    num_test, num_valid = (
        int(len(text) * share) for share in (arguments.test_share, arguments.valid_share)
    )
    num_train = len(text) - num_valid - num_test
    print("order  valid bits  test bits")
    for order in range(arguments.least_order, arguments.order + 1):
        model = KneserNey(text[:num_train], order)
        valid = model.bits(text, num_train, num_train + num_valid, arguments.adaptive)
        if arguments.adaptive:
            model = KneserNey(text[:num_train], order)
        test = model.bits(text, num_train + num_valid, len(text), arguments.adaptive)
        print(f"{order:5}  {valid:10.4f}  {test:9.4f}", flush=True)


if __name__ == "__main__":
    main()
