"""HTML main-text extractors side by side: what they find, what they drag in, and how fast.

    python benchmarks/extractors.py --data $HEADWATER_DATA

Two gold sets. `trafilatura-eval`: 552 pages with snippets that must and must not be in the text; precision, recall and
F1 count snippets, as trafilatura's own evaluation does. `mozilla-readability`: 80 pages with the article's HTML; the F1
is that of the words (CJK characters one by one) as multisets, averaged over pages. Speed is CPU time a core over the
bytes of both sets. Peers are optional: `pip install trafilatura justext "lxml[html_clean]" readability-lxml`, in an
environment of their own.
"""

import argparse
import io
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from backports import zstd
from resiliparse.extract.html2text import extract_plain_text

from corpus.crawl.charset import decode
from corpus.crawl.http import parse_response
from corpus.crawl.records import Record
from corpus.crawl.warc import read_records
from corpus.document import RejectedRecord
from corpus.extract.main_text import clean

Extractor = Callable[[str], str]
_WORDS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")


def extractors() -> dict[str, Extractor]:
    """The extractors that are installed, by name; a missing one is named on the screen."""
    found: dict[str, Extractor] = {
        "resiliparse": lambda html: extract_plain_text(html, main_content=True),
        "resiliparse, no comments": lambda html: extract_plain_text(html, main_content=True, comments=False),
        "resiliparse, no comments, no alt texts": lambda html: extract_plain_text(
            html, main_content=True, comments=False, alt_texts=False
        ),
        "resiliparse, no comments, no post meta": lambda html: extract_plain_text(
            html, main_content=True, comments=False, post_meta=False
        ),
        "resiliparse, whole page": lambda html: extract_plain_text(html, main_content=False),
    }
    try:
        import trafilatura

        found["trafilatura"] = lambda html: trafilatura.extract(html) or ""
        found["trafilatura, fast"] = lambda html: trafilatura.extract(html, fast=True) or ""
    except ImportError:
        print("trafilatura is not installed: pip install trafilatura")
    try:
        import justext

        german = justext.get_stoplist("German") | justext.get_stoplist("English")
        found["justext (de+en)"] = lambda html: "\n".join(
            part.text for part in justext.justext(html.encode(), german, encoding="utf-8") if not part.is_boilerplate
        )
    except ImportError:
        print("justext is not installed: pip install justext 'lxml[html_clean]'")
    try:
        from readability import Document

        found["readability-lxml"] = lambda html: extract_plain_text(Document(html).summary(), main_content=False)
    except ImportError:
        print("readability-lxml is not installed: pip install readability-lxml")
    return found


def snippets_set(data: Path) -> list[tuple[str, list[str], list[str]]]:
    """(html, must contain, must not contain) of trafilatura's evaluation."""
    gold = {}
    for row in rows(data / "html/trafilatura-eval.gold.jsonl.zst"):
        gold[row["url"]] = row
    pages = []
    with open(data / "html/trafilatura-eval.warc.gz", "rb") as file:
        for record in read_records(file):
            if isinstance(record, Record) and record.type == "response" and record.uri in gold:
                try:
                    response = parse_response(record.content, 64 << 20)
                except RejectedRecord:
                    continue
                text = decode(response.body, response.charset).text or ""
                row = gold[record.uri]
                pages.append((text, row["must_contain"] or [], row["must_not_contain"] or []))
    return pages


def articles_set(data: Path) -> list[tuple[str, str]]:
    """(html, text of the article) of Mozilla's readability."""
    return [
        (row["source_html"], extract_plain_text(row["expected_html"], main_content=False))
        for row in rows(data / "html/mozilla-readability.jsonl.zst")
    ]


def rows(path: Path) -> list[dict]:
    with zstd.open(path) as file:
        return [json.loads(line) for line in io.TextIOWrapper(file, "utf-8", newline="\n") if line.strip()]


def squeeze(text: str) -> str:
    return " ".join(text.split())


def word_f1(found: str, gold: str) -> float:
    """F1 of two texts as multisets of words."""
    left, right = Counter(_WORDS.findall(found.lower())), Counter(_WORDS.findall(gold.lower()))
    both = sum((left & right).values())
    return 2 * both / max(1, sum(left.values()) + sum(right.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of real data (HEADWATER_DATA)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    snippets, articles = snippets_set(arguments.data), articles_set(arguments.data)
    size = sum(len(page[0].encode()) for page in [*snippets, *articles])
    print(f"{len(snippets)} pages with snippets, {len(articles)} with articles, {size / 1e6:.1f} MB of HTML")
    heads = ("extractor", "precision", "recall", "F1", "article F1", "empty", "pages/s", "MB/s")
    print(("{:40}" + "{:>11}" * 7).format(*heads))
    table = []
    for name, extract in extractors().items():
        hit = miss = dragged = clear = empty = failed = 0
        start = time.process_time()
        texts, article_texts = [], []
        for pages, into in ((snippets, texts), (articles, article_texts)):
            for page in pages:
                try:
                    into.append(clean(extract(page[0])))
                except Exception:  # a peer that raises on a page gives nothing for it
                    failed += 1
                    into.append("")
        seconds = time.process_time() - start
        for (_, must, must_not), text in zip(snippets, texts, strict=True):
            flat = squeeze(text)
            empty += not flat
            present = [squeeze(snippet) in flat for snippet in must]
            hit, miss = hit + sum(present), miss + len(present) - sum(present)
            wrong = sum(squeeze(snippet) in flat for snippet in must_not)
            dragged, clear = dragged + wrong, clear + len(must_not) - wrong
        precision, recall = hit / max(1, hit + dragged), hit / max(1, hit + miss)
        f1 = 2 * precision * recall / max(1e-9, precision + recall)
        article = sum(word_f1(text, gold) for text, (_, gold) in zip(article_texts, articles, strict=True))
        row = {
            "extractor": name, "precision": precision, "recall": recall, "f1": f1,
            "article_f1": article / len(articles),
            "empty": empty, "failed": failed, "pages_per_second": (len(snippets) + len(articles)) / seconds,
            "mb_per_second": size / 1e6 / seconds,
        }  # fmt: skip
        table.append(row)
        figures = (row["precision"], row["recall"], row["f1"], row["article_f1"])
        rates = (row["pages_per_second"], row["mb_per_second"])
        print(
            f"{name:40}"
            + "".join(f"{value:11.3f}" for value in figures)
            + f"{empty:11d}"
            + "".join(f"{value:11.1f}" for value in rates),
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
