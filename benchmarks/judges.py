"""Learned judges: MB of text a CPU second, the fastText classifier beside fastText's own batch prediction.

usage: HEADWATER_DATA=... python benchmarks/judges.py [--documents N]
The classifier is trained on text/ for this; fastText's own batch is `model.predict(list)` on lines that are prepared
already, so the difference is what our preparation, from Arrow buffers, costs. Both take turns; the median of their
shares should be 0.8 or more.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from filters import rows

from corpus.semantic import classifier, perplexity
from corpus.semantic.prepare import fasttext_lines

ROUNDS = 7
SETS = {"en": ("18f-blog", "rust-rfcs"), "zh": ("lctt-articles", "laws-national")}


def seconds(work: Callable[..., object], given: object) -> float:
    """CPU seconds of `work(given)`."""
    start = time.process_time()
    work(given)
    return time.process_time() - start


def main() -> None:
    """Print a line a language and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=400, help="of each set (default: 400)")
    count = parser.parse_args().documents
    data = Path(os.environ["HEADWATER_DATA"])
    for language, names in SETS.items():
        sets = [[row["text"] for row in rows(data / f"text/{language}/{name}.jsonl.zst")][:count] for name in names]
        labelled = {
            label: pa.chunked_array([pa.array(texts, pa.large_string())])
            for label, texts in zip((classifier.POSITIVE, classifier.NEGATIVE), sets)
        }
        texts = pa.chunked_array([pa.array(sets[0] + sets[1], pa.large_string())])
        size = texts.nbytes / 1e6
        with tempfile.TemporaryDirectory() as folder:
            classifier.train(folder, "benchmark", labelled, {})
            model = classifier.Classifier(folder)
            lines = fasttext_lines(texts)
            rounds = [
                (seconds(model._model.predict, lines), seconds(model.probabilities, texts)) for _ in range(ROUNDS)
            ]
            own, ours = (size / statistics.median(times) for times in zip(*rounds))
            shares = [theirs / mine for theirs, mine in rounds]
            print(
                f"{language}: classifier {ours:.1f} MB/s, fastText's batch {own:.1f} MB/s, share "
                f"{statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})"
            )
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            card = perplexity.train_model(folder, "benchmark", texts, [])
            learning = size / (time.process_time() - start)
            ngrams = perplexity.PerplexityModel(folder)
            found = size / statistics.median(seconds(ngrams.perplexity, texts) for _ in range(ROUNDS))
            print(f"{language}: perplexity {found:.1f} MB/s with {card['parameters']['n-grams']:,} n-grams, trained at "
                  f"{learning:.2f} MB/s")  # fmt: skip


if __name__ == "__main__":
    main()
