"""datatrove's filters as FineWeb and FineWeb-2 set them, and C4's as a measurement; needs datatrove."""

from collections import Counter
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    c4_filters,
)


def chain(language: str) -> list[Any]:
    """FineWeb's four (examples/fineweb.py) for English; FineWeb-2's three with configs/cmn_Hani.yml for Chinese, and
    C4's, which FineWeb-2 leaves out."""
    if language == "en":
        c4 = C4QualityFilter(filter_no_terminal_punct=False)
        return [GopherRepetitionFilter(), FineWebQualityFilter(), GopherQualityFilter(), c4]
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
    return [repetition, fineweb, quality, C4QualityFilter(filter_no_terminal_punct=False, language="cmn_Hani")]


C4_OFF = {
    "filter_no_terminal_punct": False,
    "min_num_sentences": -1,
    "min_words_per_line": -1,
    "max_word_length": -1,
    "filter_lorem_ipsum": False,
    "filter_javascript": False,
    "filter_curly_bracket": False,
    "filter_policy": False,
}


class C4:
    """C4QualityFilter as a measurement: what it says of lines, with one rule at a time."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.javascript = self.step(filter_javascript=True)
        self.policy = self.step(filter_policy=True)
        self.few = self.step(min_words_per_line=3)
        self.lorem = self.step(filter_lorem_ipsum=True)
        self.curly = self.step(filter_curly_bracket=True)
        self.long = self.step()
        pages = {"filter_lorem_ipsum": False, "filter_curly_bracket": False}  # what drops a page, not a line
        self.lines = C4QualityFilter(**pages)
        self.lines.stat_update = self.count
        self.page = C4QualityFilter()
        split = c4_filters.split_into_sentences

        def counted(line: str, language: str) -> list[str]:
            sentences: list[str] = split(line, language)
            self.counts["sentences"] += len(sentences)
            return sentences

        c4_filters.split_into_sentences = counted

    def step(self, **rule: object) -> C4QualityFilter:
        step = C4QualityFilter(**{**C4_OFF, **rule})
        step.stat_update = self.count
        return step

    def count(self, label: str, **_: object) -> None:
        self.counts[label] += 1

    def run(self, step: C4QualityFilter, text: str) -> tuple[bool, Counter[str]]:
        """Whether the page is kept, and what was counted of its lines."""
        self.counts = Counter()
        return step.filter(Document(text=text, id="")) is True, self.counts

    def longest_word(self, text: str) -> int:
        """The least `max_word_length` that drops no line."""
        low, high = 0, len(text)
        while low < high:
            self.long.max_word_length = (low + high) // 2
            if self.run(self.long, text)[1]["line-filter-too_long_word"]:
                low = (low + high) // 2 + 1
            else:
                high = (low + high) // 2
        return low

    def values(self, text: str) -> dict[str, int]:
        """By the names of our columns, as counts of lines; blank lines are not counted."""
        lines = text.splitlines()
        blank = sum(not line.strip() for line in lines)
        kept = self.run(self.lines, text)[1]
        return {
            "lines": len(lines) - blank,
            "javascript_lines": self.run(self.javascript, text)[1]["line-filter-javascript"],
            "policy_lines": self.run(self.policy, text)[1]["line-filter-policy"],
            "lorem_ipsum": not self.run(self.lorem, text)[0],
            "curly_brackets": not self.run(self.curly, text)[0],
            "few_word_lines": self.run(self.few, text)[1]["line-filter-too_few_words"] - blank,
            "longest_word": self.longest_word(text),
            "c4_lines": kept["line-kept"],
            "c4_sentences": kept["sentences"],
            "page": self.run(self.page, text)[0],
        }
