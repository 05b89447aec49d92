"""How many questions are answered right without a look at the picture.

Usage: python tests/baselines/question_alone.py [easy_vqa.tar.gz] [--seed 0]

Each question of the test gets the answer that the same words most often have in training; without
a path, the questions of `dataset=questions` on digits. Also printed: the most frequent answer.
"""

import argparse
from collections import Counter, defaultdict

from seqexp.dataset.questions import Questions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="?", help="folder or .tar.gz of pictures and questions")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sizes = {} if given.path else {"num_train": 10_000, "num_test": 2_000}
    data = Questions(path=given.path, seed=given.seed, **sizes).load()
    all_answers: Counter[int] = Counter(data.train.targets[:, 0].tolist())
    by_question: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for words, answer in zip(data.train.tokens.tolist(), data.train.targets[:, 0], strict=True):
        by_question[tuple(words)][int(answer)] += 1
    (most_frequent, _), *_ = all_answers.most_common(1)
    right = known = 0
    for words, answer in zip(data.test.tokens.tolist(), data.test.targets[:, 0], strict=True):
        found = by_question.get(tuple(words), all_answers)
        right += int(found.most_common(1)[0][0] == int(answer))
        known += int(most_frequent == int(answer))
    print(f"question alone: {right / len(data.test):.4f} of {len(data.test):,} test questions")
    print(f"most frequent answer: {known / len(data.test):.4f}")


if __name__ == "__main__":
    main()
