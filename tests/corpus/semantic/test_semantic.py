"""Judges against their definitions: metrics by counting pairs, n-grams by a plain Kneser-Ney, preparation by words."""

import math
import random
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.semantic import ngrams
from corpus.semantic.classifier import Classifier, Settings
from corpus.semantic.classifier import train as train_classifier
from corpus.semantic.evaluate import Platt, average_precision, decision, evaluate, fit_platt, roc_auc
from corpus.semantic.perplexity import PerplexityModel, bucket, hashed_words, perplexities, train_model
from corpus.semantic.prepare import fasttext_lines

WORDS = "a b c d e f".split()  # noqa: SIM905
LABELLED = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


def chunked(texts: list[str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.large_string())])


@given(LABELLED)
def test_areas_count_pairs_and_precisions(rows: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows])
    pairs = [(a > b) + (a == b) / 2 for a in scores[labels] for b in scores[~labels]]
    assert roc_auc(scores, labels) == pytest.approx(np.mean(pairs))
    precisions = [labels[scores >= score].mean() for score in scores[labels]]
    assert average_precision(scores, labels) == pytest.approx(np.mean(precisions))


def test_a_decision_and_a_whole_evaluation() -> None:
    scores, labels = np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])
    assert decision(scores >= 0.75, labels) == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "kept": 0.5}
    found = evaluate(scores, labels)
    assert (found["roc_auc"], found["best_f1"]["threshold"], found["best_f1"]["f1"]) == (0.75, 0.7, 0.8)
    assert found["calibration_error"] == pytest.approx((0.1 + 0.8 + 0.3 + 0.1) / 4)
    with pytest.raises(ValueError, match="both classes"):
        evaluate(scores, labels | True)


def test_platt_finds_the_curve_that_made_the_labels() -> None:
    chance = np.random.default_rng(1)
    odds = chance.normal(0, 3, 40_000)
    truth = chance.random(40_000) < 1 / (1 + np.exp(-(0.5 * odds - 1)))
    fitted = fit_platt(1 / (1 + np.exp(-odds)), truth)
    assert fitted.slope == pytest.approx(0.5, abs=0.03)
    assert fitted.shift == pytest.approx(-1, abs=0.05)
    assert fit_platt(np.array([0.1, 0.9]), np.array([True, True])) == Platt()
    assert fit_platt(np.array([0.1, 0.9]), np.array([True, False])) == Platt()  # order would turn


def test_texts_are_prepared_for_fasttext() -> None:
    texts = ["Hello, World!\n你好，世界。 A1b2  ", None, "", " x ", "é-É\u3000ü"]
    assert fasttext_lines(pa.array(texts)) == ["hello , world ! 你 好 ， 世 界 。 a1b2", "", "", "x", "é - É ü"]
    assert fasttext_lines(pa.array([], pa.large_string())) == []


def test_a_classifier_does_not_see_order_and_knows_its_languages(tmp_path: Path) -> None:
    chance = random.Random(1)
    good = ["好 的 桥 梁 " + " ".join(chance.choices("河流旅客工程师报告", k=20)) for _ in range(60)]
    bad = ["赌 场 " + " ".join(chance.choices("奖金点击免费大奖", k=20)) for _ in range(60)]
    small = Settings(dim=4, bucket=1000, epoch=20)
    cards = [
        train_classifier(tmp_path / str(i), "zh", {"positive": chunked(a), "negative": chunked(b)}, {}, small)
        for i, (a, b) in enumerate(((good, bad), (good[::-1] + good, bad[::-1])))
    ]
    assert cards[0]["xxh3"] == cards[1]["xxh3"]
    assert cards[0]["held_out"]["roc_auc"] == 1.0
    scores = Classifier(tmp_path / "0").probabilities(chunked(["好的桥梁，旅客", "点击免费大奖！"]))
    assert scores[0] > 0.6 > 0.4 > scores[1]


class Reference:
    """Interpolated modified Kneser-Ney by dictionaries, as Chen and Goodman write it."""

    def __init__(self, texts: list[list[str]], order: int, prune: int) -> None:
        self.order = order
        raw = [Counter(tuple(t[i : i + n]) for t in texts for i in range(len(t) - n + 1)) for n in range(1, order + 1)]
        self.counts: list[dict[tuple[str, ...], int]] = []
        for n in range(1, order + 1):
            follows = Counter(gram[1:] for gram in raw[n]) if n < order else raw[n - 1]
            self.counts.append({g: raw[n - 1][g] if g[0] == "<s>" else follows[g] for g in raw[n - 1]})
        self.counts[0].pop(("<s>",))
        self.vocabulary = len(self.counts[0]) + 1
        self.taken: list[dict[tuple[str, ...], float]] = []
        for n, counts in enumerate(self.counts, 1):
            discounts = self._discounts(counts, n)
            kept = {g: n <= 2 or raw[n - 1][g] > prune for g in counts}
            self.taken.append({g: min(discounts[min(c, 3)], c) if kept[g] else c for g, c in counts.items()})
        self.total: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self.left: defaultdict[tuple[str, ...], float] = defaultdict(float)
        for counts, taken in zip(self.counts, self.taken):
            for gram, count in counts.items():
                self.total[gram[:-1]] += count
                self.left[gram[:-1]] += taken[gram]

    def _discounts(self, counts: dict[tuple[str, ...], int], n: int) -> list[float]:
        of = Counter(counts.values())
        if n == 1:
            of[0] = 0
        if of[1] and of[2] and of[3]:
            y = of[1] / (of[1] + 2 * of[2])
            found = [i - (i + 1) * y * of[i + 1] / of[i] for i in (1, 2, 3)]
            if all(0 < value < i for i, value in enumerate(found, 1)):
                return [0.0, *found]
        return [0.0, 0.5, 1.0, 1.5]

    def probability(self, word: str, context: tuple[str, ...]) -> float:
        context = context[-(self.order - 1) :]
        n = len(context) + 1
        if n == 1:
            lower = 1 / self.vocabulary
        else:
            lower = self.probability(word, context[1:])
        if not self.total[context]:
            return lower
        gram = (*context, word)
        count = self.counts[n - 1].get(gram, 0)
        share = (count - self.taken[n - 1][gram]) / self.total[context] if count else 0.0
        return share + self.left[context] / self.total[context] * lower


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(0, 1), st.integers(0, 10_000))
def test_ngrams_equal_the_definition_and_sum_to_one(order: int, prune: int, seed: int) -> None:
    chance = random.Random(seed)
    texts = [chance.choices(WORDS, weights=[9, 5, 4, 3, 2, 1], k=chance.randint(1, 12)) for _ in range(50)]
    model = ngrams.train(*hashed_words(chunked([" ".join(text) for text in texts])), order, prune)
    reference = Reference([["<s>", *text] for text in texts], order, prune)
    vocabulary = [*sorted({word for text in texts for word in text}), "unseen"]

    def logarithm(words: list[str]) -> float:
        return -math.log10(perplexities(model, pa.array([" ".join(words)]))[0]) * len(words)

    for text in (["a"], ["b", "a", "c", "d", "a", "b"], ["f", "zzz", "a"], chance.choices(WORDS, k=9)):
        expected = sum(
            math.log10(reference.probability(word, tuple(["<s>", *text][: i + 1]))) for i, word in enumerate(text)
        )
        assert logarithm(text) == pytest.approx(expected, rel=1e-4)
        total = sum(10 ** (logarithm([*text, word]) - logarithm(text)) for word in vocabulary)
        assert total == pytest.approx(1, abs=1e-4)


def test_perplexity_ranks_text_by_how_usual_it_is(tmp_path: Path) -> None:
    chance = random.Random(1)
    usual = [" ".join(chance.choices(WORDS, weights=[9, 5, 4, 3, 2, 1], k=40)) for _ in range(200)]
    first = train_model(tmp_path / "a", "a", chunked(usual), [])
    assert first["xxh3"] == train_model(tmp_path / "b", "b", chunked(usual), [])["xxh3"]
    model = PerplexityModel(tmp_path / "a")
    found = model.perplexity(pa.array([usual[3], "x y z x y z", "", None, "f f e f e f d"]))
    assert found[0] < found[4] < found[1]
    assert np.isnan(found[2:4]).all()
    ranks = model.rank(found)
    assert ranks[0] < 1
    assert ranks[1] == 1
    assert [bucket(rank) for rank in (0.0, 0.3, 0.59, 0.6)] == ["head", "middle", "middle", "tail"]
