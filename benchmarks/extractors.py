"""HTML main-text extractors side by side: what they find, what they drag in, and how fast.

    python benchmarks/extractors.py --data $HEADWATER_DATA

Two gold sets. `trafilatura-eval`: 552 pages with snippets that must and must not be in the text; precision, recall and
F1 count snippets, as trafilatura's own evaluation does. `mozilla-readability`: 80 pages with the article's HTML; the F1
is that of the words (CJK characters one by one) as multisets, averaged over pages. Speed is CPU time a core over the
bytes of both sets. Peers are optional: `pip install trafilatura justext "lxml[html_clean]" readability-lxml`, in an
environment of their own.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from arguments import new_parser
from documents import json_rows
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


def snippets_set(data: Path, limit: int | None) -> list[tuple[str, list[str], list[str]]]:
    """(html, must contain, must not contain) of trafilatura's evaluation, of its first `limit` pages."""
    gold = {row["url"]: row for row in json_rows(data / "html/trafilatura-eval.gold.jsonl.zst")}
    pages: list[tuple[str, list[str], list[str]]] = []
    with open(data / "html/trafilatura-eval.warc.gz", "rb") as file:
        for record in read_records(file):
            if len(pages) == limit:
                break
            if isinstance(record, Record) and record.type == "response" and record.uri in gold:
                try:
                    response = parse_response(record.content, 64 << 20)
                except RejectedRecord:
                    continue
                text = decode(response.body, response.charset).text or ""
                row = gold[record.uri]
                pages.append((text, row["must_contain"] or [], row["must_not_contain"] or []))
    return pages


def articles_set(data: Path, limit: int | None) -> list[tuple[str, str]]:
    """(html, text of the article) of the first `limit` pages of Mozilla's readability."""
    return [
        (row["source_html"], extract_plain_text(row["expected_html"], main_content=False))
        for row in json_rows(data / "html/mozilla-readability.jsonl.zst", limit)
    ]


def squeeze(text: str) -> str:
    return " ".join(text.split())


def word_f1(found: str, gold: str) -> float:
    """F1 of two texts as multisets of words."""
    left, right = Counter(_WORDS.findall(found.lower())), Counter(_WORDS.findall(gold.lower()))
    both = sum((left & right).values())
    return 2 * both / max(1, sum(left.values()) + sum(right.values()))


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of real data (HEADWATER_DATA)")
    parser.add_argument("--pages", type=int, metavar="N", help="only the first N of each set (default: all)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    snippets = snippets_set(arguments.data, arguments.pages)
    articles = articles_set(arguments.data, arguments.pages)
    pages = [page[0] for page in snippets] + [page[0] for page in articles]
    size = sum(len(page.encode()) for page in pages)
    print(f"{len(snippets)} pages with snippets, {len(articles)} with articles, {size / 1e6:.1f} MB of HTML")
    heads = ("extractor", "precision", "recall", "F1", "article F1", "empty", "pages/s", "MB/s")
    print(("{:40}" + "{:>11}" * 7).format(*heads))
    table: list[dict[str, Any]] = []
    for name, extract in extractors().items():
        hit = miss = dragged = empty = failed = 0
        start = time.process_time()
        texts: list[str] = []
        for page in pages:
            try:
                texts.append(clean(extract(page)))
            except Exception:  # a peer that raises on a page gives nothing for it
                failed += 1
                texts.append("")
        seconds = time.process_time() - start
        for (_, must, must_not), text in zip(snippets, texts):
            flat = squeeze(text)
            empty += not flat
            present = [squeeze(snippet) in flat for snippet in must]
            hit, miss = hit + sum(present), miss + len(present) - sum(present)
            dragged += sum(squeeze(snippet) in flat for snippet in must_not)
        precision, recall = hit / max(1, hit + dragged), hit / max(1, hit + miss)
        f1 = 2 * precision * recall / max(1e-9, precision + recall)
        article = sum(word_f1(text, gold) for text, (_, gold) in zip(texts[len(snippets) :], articles, strict=True))
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
