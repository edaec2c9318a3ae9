"""The parameters of the learned judges: which models score documents, and how the classifiers are trained."""

from typing import Self

from pydantic import Field, model_validator

from pipelines.config.base import Name, Section


class TransformerJudge(Section):
    """A sequence classification model of transformers, run in batches on Ray actors."""

    model: str  # a folder with config.json, model.safetensors and the tokenizer's files
    languages: tuple[str, ...] = ("en", "zh")  # of the documents that it judges
    label: int = Field(default=1, ge=0)  # whose probability is the score; a model with one output scores as it is
    max_tokens: int = Field(default=512, ge=8)  # of a text, its first
    batch_size: int = Field(default=32, ge=1)
    gpus: float = Field(default=0, ge=0)  # of an actor; 0: on the CPU


class JudgesParameters(Section):
    """Folders of trained models by language; a document in another language has no score, and passes any bound."""

    classifier: dict[str, str] = {}  # quality: `headwater classifier train` -> quality_score
    perplexity: dict[str, str] = {}  # `headwater perplexity train` -> perplexity, perplexity_rank
    topics: dict[str, str] = {}  # `headwater classifier train` -> topic, topic_score; remix rules may name topics
    transformer: TransformerJudge | None = None  # -> transformer_score


class ClassifierRecipe(Section):
    """What `headwater classifier train RECIPE` makes: a quality judge of positives and negatives, or topics of labels.

    Files are as the stand-alone commands take them, and tables of documents of another run.
    """

    out: str  # the folder of the model
    positives: list[str] = []
    negatives: list[str] = []
    labels: dict[Name, list[str]] = {}
    text_column: str = "text"
    language: str | None = None  # only documents that are identified as being in it
    documents: int = Field(default=100_000, ge=1)  # of a label, at most; chosen by a hash of their text
    dim: int = Field(default=32, ge=1)
    epoch: int = Field(default=5, ge=1)
    lr: float = Field(default=0.3, gt=0)
    word_ngrams: int = Field(default=2, ge=1)
    min_count: int = Field(default=2, ge=1)
    bucket: int = Field(default=1 << 18, ge=1)
    seed: int = Field(default=1, ge=0)

    @model_validator(mode="after")
    def _has_two_sides(self) -> Self:
        if bool(self.labels) == bool(self.positives or self.negatives):
            raise ValueError("give `positives` and `negatives`, or `labels`")
        if not self.labels and not (self.positives and self.negatives):
            raise ValueError("a quality judge needs both `positives` and `negatives`")
        if self.labels and len(self.labels) < 2:
            raise ValueError("`labels` needs at least two")
        return self

    @property
    def files(self) -> dict[str, list[str]]:
        """The files of each label."""
        return self.labels or {"positive": self.positives, "negative": self.negatives}
