"""The parameters of deduplication."""

from typing import Literal, Self

from pydantic import Field, model_validator

from corpus.dedup.bands import KIND_BITS
from corpus.dedup.keepers import Criterion
from corpus.dedup.scurve import choose_bands, match_probability
from corpus.dedup.takedown import Rules
from pipelines.config.base import Name, Section

LARGEST_KIND = (1 << KIND_BITS) - 1  # of a key in the exchange: the bands, then the URL


class Takedown(Section):
    """Documents that must leave the corpus; those they stood for get another keeper, and no text is read for it."""

    sources: tuple[Name, ...] = ()  # dumps and plain sources by name; taking them out of `inputs` does the same
    sites: tuple[str, ...] = ()  # registered domains
    urls: tuple[str, ...] = ()  # whole URLs, with or without a scheme, in which `*` stands for any characters
    ids: tuple[str, ...] = ()  # of single documents

    @property
    def rules(self) -> Rules:
        """The same, as the stages take it."""
        return Rules(self.sources, self.sites, self.urls, self.ids)


class DedupParameters(Section):
    """Signatures, candidates, verification, keepers."""

    threshold: float = Field(default=0.8, gt=0, le=1)  # Jaccard similarity of shingles that makes duplicates
    shingle: int = Field(default=5, ge=1, le=64)  # words per shingle; a CJK character is a word
    bands: int = Field(default=20, ge=1, le=LARGEST_KIND)  # `headwater dedup curve` prints what bands x rows find
    rows: int = Field(default=5, ge=1)
    recall: float = Field(default=0.9995, gt=0, lt=1)  # of pairs at the threshold, which bands x rows must reach
    sketch_size: int = Field(default=0, ge=0)  # shingle hashes kept for verification; 0: all, so that it is exact
    seed: int = Field(default=1, ge=0, lt=2**32)  # of the permutations
    minima: bool = False  # also store the signatures, for datasketch.MinHash; deduplication needs their keys only
    mode: Literal["global", "append"] = "global"  # append: what was kept of earlier dumps (in this order) stays kept
    keep: tuple[Literal["quality", "date", "length", "dump", "id"], ...] = ("quality", "date", "length", "id")
    date: Literal["newest", "oldest"] = "newest"  # which date the policy prefers
    takedown: Takedown = Takedown()
    urls: bool = False  # also remove pages whose canonical URL a keeper has
    memory_bytes: int = Field(default=2 << 30, ge=1 << 30, le=16 << 30)  # of a task; more would not fit Arrow's lists
    shards_per_group: int = Field(default=256, ge=1)  # neighbouring shards that share a file of the exchange
    partitions: int = Field(default=1, ge=1)  # at least, of keys and of components; memory may ask for more

    @property
    def policy(self) -> tuple[Criterion, ...]:
        """What keepers are chosen by, in order of weight.

        To append, dumps are taken in their order, but documents that the filters drop after all others: they were never
        published, and must not stand for one that could be.
        """
        if self.mode == "global":
            return self.keep
        return (*(("passes",) if "quality" in self.keep else ()), "dump", *self.keep)

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
