"""Learned judges: MB of text a CPU second, the fastText classifier beside fastText's own batch prediction.

usage: HEADWATER_DATA=... python benchmarks/judges.py [--documents N]
The classifier is trained on text/ for this; fastText's own batch is `model.predict(list)` on lines that are prepared
already, so the difference is what our preparation, from Arrow buffers, costs. The share should be 0.8 or more.
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


def speed(work: Callable[..., object], given: object, megabytes: float) -> float:
    """MB a CPU second of `work(given)`, the median of the rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work(given)
        times.append(time.process_time() - start)
    return megabytes / statistics.median(times)


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
            own = speed(model._model.predict, lines, size)
            ours = speed(model.probabilities, texts, size)
            print(f"{language}: classifier {ours:.1f} MB/s, fastText's batch {own:.1f} MB/s, share {ours / own:.2f}")
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            card = perplexity.train_model(folder, "benchmark", texts, [])
            learning = size / (time.process_time() - start)
            ngrams = perplexity.PerplexityModel(folder)
            found = speed(ngrams.perplexity, texts, size)
            print(f"{language}: perplexity {found:.1f} MB/s with {card['parameters']['n-grams']:,} n-grams, trained at "
                  f"{learning:.2f} MB/s")  # fmt: skip


if __name__ == "__main__":
    main()
