"""How well each judge agrees with labels: precision, recall and ROC-AUC, beside datatrove's default chain.

    HEADWATER_DATA=... python benchmarks/quality_labels.py [--peers PYTHON] [--documents N]

Three sets under quality/: DCLM's human labels (English Common Crawl, 158 good and 139 bad), ChineseWebText's 10 clean
and 10 dirty texts. Gambling spam of Common Crawl (the pages of chinesewebtext-cc-2021-43 whose title or address names
gambling, which no judge sees) against as many clean Chinese texts. What judges learn from is never in a test:

- English quality: positives are text/en; negatives are whole pages, menus and all, of html/ (other sites). A second
  classifier learns from the labels themselves in five folds: four train, the fifth is judged.
- Chinese quality: positives are text/zh without the documents of the test; negatives are the pages of
  chinesewebtext-cc-2021-43; for the gambling set, which is made of those, five folds: train on four, judge the fifth.
- Perplexity: 5-gram models of the same positives. Its cut is CCNet's tail: above 60% of a reference (c4-demo; lctt).

Keeping a document counts as calling it good. `--peers` names the Python of an environment with datatrove.
"""

import re
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash
from arguments import add_documents, add_peers, data_folder, new_parser
from documents import json_rows
from documents import string_column as column
from fastwarc.warc import ArchiveIterator, WarcRecordType
from peer_process import Peer, left_out_if_missing
from resiliparse.extract.html2text import extract_plain_text
from signals_and_filters import kept

from corpus.language import LanguageIdentifier
from corpus.safety.signals import trade_shares
from corpus.semantic import classifier, perplexity
from corpus.semantic.evaluate import decision, roc_auc

GAMBLING = re.compile(
    "威尼斯人|现金网|娱乐场|博彩|乐虎|yabo|betway|bt365|欧宝|华体会|海德体育|必威|幸运8|贵宾会|币游|爱游戏|ope体育|体育新世界|世界杯官方|意甲比赛"
)
FOLDS = 5
Kept = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]
PER_SET = 400  # documents of each clean set that are learned from


def clean(data: Path, language: str, documents: int | None) -> dict[str, list[str]]:
    """The first texts of each clean set of a language."""
    names = {"en": ("openstax", "18f-blog", "cia-factbook", "rust-rfcs", "c4-demo"),
             "zh": ("lctt-articles", "cmrc2018-wiki", "laws-national", "d2l-zh")}[language]  # fmt: skip
    return {
        name: [row["text"] for row in json_rows(data / f"text/{language}/{name}.jsonl.zst", documents)]
        for name in names
    }


def whole_pages(data: Path, documents: int | None) -> list[str]:
    """The text of English pages with everything around it, of the first of two sets."""
    pages = [row["source_html"] for row in json_rows(data / "html/mozilla-readability.jsonl.zst", documents)]
    with open(data / "html/trafilatura-eval.warc.gz", "rb") as file:
        responses = ArchiveIterator(file, record_types=WarcRecordType.response)
        pages += [record.reader.read().decode("utf-8", "replace") for record in islice(responses, documents)]
    texts = [extract_plain_text(page, main_content=False) for page in pages]
    languages = LanguageIdentifier().identify(texts).language
    return [text for text, language in zip(texts, languages) if language == "en" and len(text) > 200]


def learned(positives: list[str], negatives: list[str]) -> classifier.Classifier:
    """A quality classifier."""
    with tempfile.TemporaryDirectory() as folder:
        settings = classifier.Settings(epoch=15, lr=0.5, bucket=1 << 16)
        texts = {"positive": column(positives), "negative": column(negatives)}
        card = classifier.train(folder, "benchmark", texts, {}, settings)
        held = card["held_out"]
        print(f"    trained on {len(positives)} + {len(negatives)}; held out of these: ROC-AUC {held['roc_auc']:.3f}")
        return classifier.Classifier(folder)


def folded(texts: list[str], truth: Kept, good: list[str], bad: list[str]) -> npt.NDArray[np.float32]:
    """Scores of labelled texts, each by a classifier that learned from the other folds (and from `good` and `bad`)."""
    hashes = np.array([xxhash.xxh3_64_intdigest(text.encode()) for text in texts], np.uint64)
    fold = hashes.argsort().argsort() % FOLDS
    scores = np.zeros(len(texts), np.float32)
    for part in range(FOLDS):
        known = [(text, label) for text, label, of in zip(texts, truth, fold) if of != part]
        positives = good + [text for text, label in known if label]
        model = learned(positives, bad + [text for text, label in known if not label])
        mine = np.flatnonzero(fold == part)
        scores[mine] = model.probabilities(column([texts[row] for row in mine]))
    return scores


class Usual:
    """Perplexity under a model of clean texts, and its rank among a reference."""

    def __init__(self, positives: list[str], reference: list[str]) -> None:
        with tempfile.TemporaryDirectory() as folder:  # the model stays mapped when the folder goes
            perplexity.train_model(folder, "benchmark", column(positives), [], column(reference))
            self.model = perplexity.PerplexityModel(folder)

    def __call__(self, texts: list[str]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        found = np.nan_to_num(self.model.perplexity(column(texts)), nan=1e9)
        return found, self.model.rank(found)


def show(name: str, positive: Kept, keep: Kept, scores: Floats | None = None) -> None:
    """One line of the table."""
    found = decision(keep, positive)
    auc = "    -" if scores is None else f"{roc_auc(scores, positive):.3f}"
    dropped = 1 - np.mean(keep[~positive])
    print(f"    {name:30} AUC {auc}  precision {found['precision']:.3f}  recall {found['recall']:.3f}"
          f"  bad dropped {dropped:.3f}")  # fmt: skip


def judge(
    name: str,
    language: str,
    texts: list[str],
    positive: Kept,
    quality: Callable[[list[str]], Floats],
    rank: "Usual",
    peers: str | None,
) -> None:
    """Print what each judge says of one set."""
    print(f"{name}: {int(positive.sum())} good, {int((~positive).sum())} bad")
    show("nothing dropped", positive, np.ones(len(texts), bool))
    show("rules", positive, np.array(kept(texts, language)))
    if peers:
        with left_out_if_missing("datatrove"), Peer(peers, "peer_filters.py", texts, language) as peer:
            show("datatrove's chain", positive, np.array(peer.ask({"judge": [*range(len(texts))]})["kept"]))
    scores = quality(texts)
    show("fastText, p >= 0.5", positive, scores >= 0.5, scores)
    surprise, ranks = rank(texts)
    show("perplexity, not CCNet's tail", positive, ranks < perplexity.MIDDLE, -surprise)
    both = 0.5 * scores + 0.5 * (1 - surprise.argsort().argsort() / len(texts))
    show("both, mean of score and rank", positive, both >= np.median(both), both)
    if language == "zh":
        share = trade_shares(column(texts))["gambling_share"].to_numpy()
        show("gambling phrases, none", positive, share == 0, -share)


def main() -> None:
    """Print a table per set."""
    parser = new_parser(__doc__)
    add_peers(parser, "datatrove, spaCy, NLTK and jieba")
    add_documents(parser, "documents of each set")
    arguments = parser.parse_args()
    data, peers, documents = data_folder(), arguments.peers, arguments.documents
    per_set = documents // 3 if documents else PER_SET

    sets = clean(data, "en", documents)
    good = [text for texts in sets.values() for text in texts[:per_set]]
    labelled = json_rows(data / "quality/dclm-human-labels.jsonl.zst")  # the good ones lie before the bad ones
    labelled = labelled[:: max(1, len(labelled) // (documents or len(labelled)))]
    model = learned(good, whole_pages(data, documents))
    rank = Usual([text for name, texts in sets.items() if name != "c4-demo" for text in texts], sets["c4-demo"])

    def english(texts: list[str]) -> npt.NDArray[np.float32]:
        return model.probabilities(column(texts))

    for name, part in (
        ("DCLM's human labels", labelled),
        ("DCLM's, where all annotators agreed", [r for r in labelled if r["unanimous"]]),
    ):
        truth = np.array([row["label"] == 1 for row in part])
        texts = [row["text"] for row in part]
        judge(name, "en", texts, truth, english, rank, peers)
        scores = folded(texts, truth, [], [])
        show("fastText, folds of the labels", truth, scores >= 0.5, scores)

    sets = clean(data, "zh", documents)
    good = [text for texts in sets.values() for text in texts[:per_set]]
    fresh = [text for texts in sets.values() for text in texts[2 * per_set :: max(1, len(texts) // 40)]]
    web = json_rows(data / "quality/chinesewebtext-cc-2021-43.jsonl.zst", documents)
    labelled = json_rows(data / "quality/chinesewebtext-clean-dirty.jsonl.zst")
    dirty = learned(good, [row["raw_content"] for row in web])
    rank = Usual(good, sets["lctt-articles"][per_set : 2 * per_set])
    truth = np.array([row["label"] == "clean" for row in labelled])
    texts = [row["text"] for row in labelled]
    judge(
        "ChineseWebText clean and dirty",
        "zh",
        texts,
        truth,
        lambda texts: dirty.probabilities(column(texts)),
        rank,
        peers,
    )

    spam = [row["raw_content"] for row in web if GAMBLING.search(f"{row['title']} {row['url']} {row['raw_content']}")]
    other = [row["raw_content"] for row in web if row["raw_content"] not in set(spam)]
    texts = spam + fresh[: len(spam)]
    truth = np.arange(len(texts)) >= len(spam)

    judge("gambling spam", "zh", texts, truth, lambda texts: folded(texts, truth, good, other), rank, peers)


if __name__ == "__main__":
    main()
