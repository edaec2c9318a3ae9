"""datatrove's filters over sets of texts; run by benchmarks/filters.py in datatrove's own environment.

usage: python peer_filters.py SETS.json en|zh OUT.json
"""

import json
import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)


def chain(language: str) -> list:
    """FineWeb's filters (examples/fineweb.py) for English; FineWeb-2's with configs/cmn_Hani.yml for Chinese."""
    if language == "en":
        c4 = C4QualityFilter(filter_no_terminal_punct=False)
        return [GopherRepetitionFilter(), GopherQualityFilter(), c4, FineWebQualityFilter()]
    duplicates = ((5, 0.198), (6, 0.182), (7, 0.167), (8, 0.154), (9, 0.14), (10, 0.127))
    repetition = GopherRepetitionFilter(
        language="cmn_Hani",
        dup_para_frac=0,
        dup_line_char_frac=0,
        dup_para_char_frac=0,
        dup_line_frac=0.287,
        top_n_grams=((2, 0.256), (3, 0.201), (4, 0.171)),
        dup_n_grams=duplicates,
    )
    fineweb = FineWebQualityFilter(
        language="cmn_Hani", short_line_thr=999, char_duplicates_ratio=0.1, line_punct_thr=0.106, new_line_ratio=0.178
    )
    quality = GopherQualityFilter(
        language="cmn_Hani",
        max_avg_word_length=5,
        min_avg_word_length=1,
        stop_words=list("的年在月是和日了於·為有被人中为他與後也而由"),
        max_non_alpha_words_ratio=0.735,
    )
    return [repetition, fineweb, quality]


def main() -> None:
    """Every filter sees every document, as a measurement does; a document is kept if all keep it."""
    source, language, out = sys.argv[1:]
    sets = json.loads(Path(source).read_text())
    filters = chain(language)
    for step in filters:
        step.filter(Document(text="The first text loads models. " * 30, id=""))
    kept, size, start = {}, 0, time.process_time()
    for name, texts in sets.items():
        kept[name] = []
        for text in texts:
            size += len(text.encode())
            verdicts = [step.filter(Document(text=text, id="")) is True for step in filters]
            kept[name].append(all(verdicts))
    speed = size / 1e6 / (time.process_time() - start)
    Path(out).write_text(json.dumps({"kept": kept, "speed": speed}))


if __name__ == "__main__":
    main()
