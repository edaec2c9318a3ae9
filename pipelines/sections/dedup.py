"""The parameters of deduplication."""

from typing import Literal, Self

from pydantic import Field, model_validator

from corpus.dedup.scurve import choose_bands, match_probability
from pipelines.sections.base import Section


class DedupParameters(Section):
    """Signatures, candidates, verification, keepers."""

    threshold: float = Field(default=0.8, gt=0, le=1)  # Jaccard similarity of shingles that makes duplicates
    shingle: int = Field(default=5, ge=1, le=64)  # words a shingle; a CJK character is a word
    bands: int = Field(default=20, ge=1)  # `headwater dedup curve` prints what bands x rows find
    rows: int = Field(default=5, ge=1)
    recall: float = Field(default=0.9995, gt=0, lt=1)  # of pairs at the threshold, which bands x rows must reach
    sketch_size: int = Field(default=0, ge=0)  # shingle hashes kept for verification; 0: all, so that it is exact
    seed: int = Field(default=1, ge=0, lt=2**32)  # of the permutations
    minima: bool = False  # also store the signatures, for datasketch.MinHash; deduplication needs their keys only
    keep: tuple[Literal["quality", "date", "length", "dump", "id"], ...] = ("quality", "date", "length", "id")
    date: Literal["newest", "oldest"] = "newest"  # which date the policy prefers
    urls: bool = False  # also remove pages whose canonical URL a keeper has
    partitions: int = Field(default=1, ge=1)  # of the shuffle and the clusters; each must fit a task's memory

    @model_validator(mode="after")
    def _finds_what_it_should(self) -> Self:
        probability = match_probability(self.threshold, self.bands, self.rows)
        if probability < self.recall:
            bands, rows = choose_bands(self.threshold, self.recall)
            raise ValueError(
                f"{self.bands} bands of {self.rows} rows find pairs at threshold {self.threshold} with probability "
                f"{probability:.5f}, and recall asks for {self.recall}; bands: {bands} with rows: {rows} would do"
            )
        return self
