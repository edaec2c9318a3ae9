"""What the extract stage costs beyond the libraries it is made of.

    python benchmarks/extract_overhead.py --data $HEADWATER_DATA --dumps CC-MAIN-2021-10 --repeat 3 [--files 1]

Three loops over the same WARC files, one core, CPU time, the best of the repeats. `bare`: fastwarc reads, the body is
decoded as UTF-8, resiliparse extracts; nothing is kept, checked or written. `bare + language`: the same, a second
extraction of the pages in which no main content is found, and fastText's answer for the same sample of each text.
`stage`: `headwater`'s extract stage as the pipeline runs it, writing documents and rejects. Overhead is the stage over
`bare + language`, in which the libraries do the same work with nothing around it.
"""

import json
import resource
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import fasttext
from arguments import new_parser
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from timing import cpu_seconds, in_turns

from corpus.crawl.dumps import dump_files
from corpus.language import find_model, sample
from pipelines.config.extract import ExtractParameters
from pipelines.config.inputs import CrawlInput
from pipelines.engine.stage import Upstream
from pipelines.stages.extract import ExtractStage


def bare(files: list[str], identify: Callable[[str], object] | None) -> int:
    """The loop a person would write; the number of pages."""
    pages = 0
    for path in files:
        with open(path, "rb") as file:
            for record in ArchiveIterator(file, record_types=WarcRecordType.response):
                html = record.reader.read().decode("utf-8", "replace")
                text = extract_plain_text(html, main_content=True, comments=False)
                if identify:
                    identify(text or extract_plain_text(html))
                pages += 1
    return pages


def stage(root: str, crawl: CrawlInput) -> dict[str, int]:
    """The stage, task after task; its counts."""
    extract = ExtractStage(root, ExtractParameters(), [crawl])
    total = {"documents": 0, "responses": 0, "html_bytes": 0, "bytes": 0}
    for task in extract.plan(Upstream()):
        counts: Mapping[str, Any] = extract.run(task)
        total = {name: value + counts[name] for name, value in total.items()}
    return total


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of real data (HEADWATER_DATA)")
    parser.add_argument("--dumps", nargs="+", default=["CC-MAIN-2021-10"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--files", type=int, help="only the first so many files of each dump (default: all)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    crawl = CrawlInput(
        crawl=str(arguments.data / "dumps"), dumps=arguments.dumps, files=arguments.files, expected_files=None
    )
    files = [path for dump in crawl.dumps for path in dump_files(crawl.crawl, dump, "warc")[: crawl.files]]
    model = fasttext.load_model(find_model())
    with tempfile.TemporaryDirectory() as root:
        counts = stage(root, crawl)
        loops: dict[str, Callable[[], object]] = {
            "bare": lambda: bare(files, None),
            "bare + language": lambda: bare(files, lambda text: model.predict(sample(text), k=-1)),
            "stage": lambda: stage(root, crawl),
        }
        measures = {name: partial(cpu_seconds, loop) for name, loop in loops.items()}
        seconds = {name: min(times) for name, times in in_turns(measures, arguments.repeat).items()}
    for name, spent in seconds.items():
        rates = f"{counts['responses'] / spent:7.0f} pages/s {counts['html_bytes'] / spent / 1e6:6.1f} MB/s of HTML"
        print(f"{name:16} {spent:7.2f} s {rates} {spent / seconds['bare + language'] - 1:+7.1%}")
    print(f"stage over bare: {seconds['stage'] / seconds['bare'] - 1:+.1%}; over bare + language: "
          f"{seconds['stage'] / seconds['bare + language'] - 1:+.1%}")  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{counts}; peak memory {peak} MiB")
    if arguments.json:
        arguments.json.write_text(json.dumps({"seconds": seconds, "counts": counts, "peak_mib": peak}, indent=1) + "\n")


if __name__ == "__main__":
    main()
