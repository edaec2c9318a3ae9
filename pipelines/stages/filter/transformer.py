"""A transformer as a judge: any sequence classification model of the `transformers` library, in batches.

The heavy end of the judges, for scorers such as FineWeb-Edu's (arXiv 2406.17557). A page goes through a network of
millions of weights. So this runs on actors that load the model once, on a share of a GPU each if the recipe gives one.
Texts are cut to their first tokens and sorted by length within a row group, so that a batch wastes little padding. The
order, the batches and the arithmetic (float32, one thread on a CPU) are fixed. So the scores are too, on one kind of
hardware. The fingerprint covers every file of the model's folder.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import xxhash

from corpus.errors import UsageError
from corpus.io.checksum import file_checksum
from pipelines.config.judges import TransformerJudge
from pipelines.stages.filter.scores import ModelParameters, ScoreStage

CHARACTERS_PER_TOKEN = 16  # of a text that is shown to the tokenizer; no usual text has longer tokens on average


class TransformerStage(ScoreStage):
    """-> transformer/: transformer_score"""

    name: ClassVar[str] = "transformer"
    folder: ClassVar[str] = "transformer"
    keeps_model: ClassVar[bool] = True
    schema: ClassVar[pa.Schema] = pa.schema([("id", pa.string()), ("transformer_score", pa.float32())])

    def __init__(self, root: str, folders: Mapping[str, str], parameters: ModelParameters, gpus: float) -> None:
        """`gpus`: the share of a GPU that each actor has."""
        super().__init__(root, folders, parameters)
        self.num_gpus = gpus

    @classmethod
    def of(cls, root: str, section: TransformerJudge) -> "TransformerStage":
        """The stage of a recipe's section; raises UsageError where no model is there."""
        model = folder_fingerprint(section.model)
        options = section.model_dump(include={"label", "max_tokens", "batch_size"})
        parameters = ModelParameters(models=dict.fromkeys(section.languages, model), options=options)
        return cls(root, dict.fromkeys(section.languages, section.model), parameters, section.gpus)

    def load(self, folder: str) -> Any:
        """The model on the device that this process has, with its tokenizer."""
        return Scorer(folder, **self.parameters.options)

    def score(self, model: Any, texts: pa.ChunkedArray) -> Sequence[Iterable[Any]]:
        """One column."""
        return [model.scores(texts.to_pylist())]


class Scorer:
    """A sequence classification model and its tokenizer, from a folder; nothing is fetched."""

    def __init__(self, folder: str, label: int, max_tokens: int, batch_size: int) -> None:
        try:
            import torch
            from transformers import AutoModelForSequenceClassification, AutoTokenizer
        except ImportError as error:
            raise UsageError(
                f"judges.transformer needs the package {error.name}: pip install 'headwater[judges]'"
            ) from None
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModelForSequenceClassification.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32
            )
        except (OSError, ValueError) as error:
            raise UsageError(f"{folder}: not a sequence classification model ({str(error).splitlines()[0]})") from None
        self._outputs = int(model.config.num_labels)
        if label >= self._outputs > 1:
            raise UsageError(f"judges.transformer.label: {label}, but {folder} has {self._outputs} labels, from 0")
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = model.to(self._device).eval()
        self._label, self._max_tokens, self._batch_size = label, max_tokens, batch_size

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """float32: the probability of the label, or the output itself where the model has one."""
        import torch

        cut = [text[: CHARACTERS_PER_TOKEN * self._max_tokens] for text in texts]
        order = np.argsort([len(text) for text in cut], kind="stable")
        out = np.empty(len(texts), np.float32)
        threads = torch.get_num_threads()
        if self._device == "cpu":
            torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                for start in range(0, len(order), self._batch_size):
                    rows = order[start : start + self._batch_size]
                    batch = self._tokenizer(
                        [cut[row] for row in rows],
                        truncation=True,
                        max_length=self._max_tokens,
                        padding=True,
                        return_tensors="pt",
                    ).to(self._device)
                    logits = self._model(**batch).logits.float()
                    chosen = logits[:, 0] if self._outputs == 1 else logits.softmax(dim=1)[:, self._label]
                    out[rows] = chosen.cpu().numpy()
        finally:
            torch.set_num_threads(threads)
        return out


def folder_fingerprint(folder: str) -> str:
    """What identifies a model: the name and content of every file in its folder; raise UsageError where none is."""
    if not (Path(folder) / "config.json").is_file():
        raise UsageError(f"judges.transformer.model: {folder} holds no config.json; give a transformers model's folder")
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    parts = [f"{path.relative_to(folder).as_posix()} {file_checksum(str(path))}" for path in files]
    return xxhash.xxh3_128_hexdigest("\n".join(parts).encode())
