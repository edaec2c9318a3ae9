"""Learned judges: MB of text a CPU second, the fastText classifier beside fastText's own batch prediction.

    HEADWATER_DATA=... python benchmarks/judge_speed.py [--documents N]

The classifier is trained on text/ for this; fastText's own batch is `model.predict(list)` on lines that are prepared
already, so the difference is what our preparation, from Arrow buffers, costs. Both take turns; the median of their
shares should be 0.8 or more.
"""

import statistics
import tempfile
from functools import partial

from arguments import data_folder, new_parser
from documents import json_rows, string_column
from timing import cpu_seconds, in_turns, medians

from corpus.semantic import classifier, perplexity
from corpus.semantic.prepare import fasttext_lines

ROUNDS = 7
SETS = {"en": ("18f-blog", "rust-rfcs"), "zh": ("lctt-articles", "laws-national")}


def main() -> None:
    """Print a line per language and judge."""
    parser = new_parser(__doc__)
    parser.add_argument("--documents", type=int, default=400, help="of each set (default: 400)")
    count = parser.parse_args().documents
    data = data_folder()
    for language, names in SETS.items():
        files = [data / f"text/{language}/{name}.jsonl.zst" for name in names]
        sets = [[row["text"] for row in json_rows(file, count)] for file in files]
        labelled = dict(zip((classifier.POSITIVE, classifier.NEGATIVE), map(string_column, sets)))
        texts = string_column(sets[0] + sets[1])
        size = texts.nbytes / 1e6
        with tempfile.TemporaryDirectory() as folder:
            classifier.train(folder, "benchmark", labelled, {})
            model = classifier.Classifier(folder)
            lines = fasttext_lines(texts)
            batch, probabilities = partial(model._model.predict, lines), partial(model.probabilities, texts)
            found = in_turns({"own": partial(cpu_seconds, batch), "ours": partial(cpu_seconds, probabilities)}, ROUNDS)
            own, ours = (size / middle for middle in medians(found).values())
            shares = [theirs / mine for theirs, mine in zip(found["own"], found["ours"])]
            print(
                f"{language}: classifier {ours:.1f} MB/s, fastText's batch {own:.1f} MB/s, share "
                f"{statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})"
            )
        with tempfile.TemporaryDirectory() as folder:
            learning = size / cpu_seconds(partial(perplexity.train_model, folder, "benchmark", texts, []))
            model_of = perplexity.PerplexityModel(folder)
            judging = size / statistics.median(cpu_seconds(partial(model_of.perplexity, texts)) for _ in range(ROUNDS))
            print(f"{language}: perplexity {judging:.1f} MB/s, trained at {learning:.2f} MB/s")


if __name__ == "__main__":
    main()
