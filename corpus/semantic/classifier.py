"""fastText classifiers trained by the project: quality (positive against negative) and topics (any labels).

A linear model over averaged vectors of words and word pairs. DCLM found it to choose web pages better than heavier
models do. It scores megabytes per second on one core. Training is deterministic: documents are ordered and split
by a hash of their prepared text, never by the order of files. Duplicates go to one side of the split, and fastText runs
on one thread with a seed. The same package gives the same bytes; other builds of fastText may not.

Of the documents, one in ten calibrates (Platt), one in ten is held out for the figures on the card. The others are
trained on, long ones in pieces, so that a textbook counts by its length and not as one page.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import fasttext
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from corpus.errors import HeadwaterError, UsageError
from corpus.io.checksum import file_checksum
from corpus.semantic import artifact
from corpus.semantic.evaluate import Platt, decision, evaluate, fit_platt
from corpus.semantic.prepare import fasttext_lines

KIND = "classifier"
FILE = "model.bin"
POSITIVE, NEGATIVE = "positive", "negative"
_LABEL = "__label__"
_PARTS = 10  # the split: hash modulo this; 0 calibrates, 1 is held out
PIECE_WORDS = 400  # of a training line
LEAST = 20  # documents of each label, below which a held-out figure means nothing


class Settings(NamedTuple):
    """fastText's parameters; the defaults are its own but for a smaller table of hashed pairs (32 MB, not 800)."""

    dim: int = 32
    epoch: int = 5
    lr: float = 0.3
    word_ngrams: int = 2
    min_count: int = 2
    bucket: int = 1 << 18
    seed: int = 1


class Classifier:
    """A loaded classifier. Answers depend on the text and the model's folder alone."""

    def __init__(self, folder: str | Path, quality: bool = False) -> None:
        """`quality`: refuse a model of topics, which has no positive label."""
        card = artifact.load_card(folder, KIND, quality)
        self.labels: tuple[str, ...] = tuple(card["labels"])
        self.positive: str | None = card.get("positive")
        self.calibration = Platt(**card["calibration"]) if card.get("calibration") else Platt()
        self._model = load_model(Path(folder) / card["file"])

    def probabilities(self, texts: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float32]:
        """The calibrated probability of the positive label of each text: float32, 0 to 1."""
        names, values = predict(self._model, fasttext_lines(texts))
        return self.calibration.apply(np.where(names == self.positive, values, 1 - values))

    def topics(self, texts: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.float32]]:
        """The most probable label of each text and its probability."""
        return predict(self._model, fasttext_lines(texts))


def load_model(path: str | Path) -> Any:
    """A fastText model; raise UsageError where the file is none."""
    try:
        return fasttext.load_model(str(path))
    except ValueError as error:
        raise UsageError(f"{path}: not a fastText model ({error})") from None


def predict(model: Any, lines: Sequence[str]) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.float32]]:
    """The first label (without its prefix) and its probability, in one call for all lines.

    A line with no known word gets the label that has most training lines, with probability 0.
    """
    default = model.get_labels()[0]
    found, values = model.predict(list(lines), k=1) if lines else ([], [])
    names = np.array([labels[0] if labels else default for labels in found], object)
    short = {label: label.removeprefix(_LABEL) for label in set(names)}
    return (
        np.array([short[label] for label in names], object),
        np.minimum(np.array([value[0] if len(value) else 0.0 for value in values], np.float32), np.float32(1)),
    )


def train(
    folder: str | Path,
    name: str,
    texts: Mapping[str, pa.ChunkedArray],
    sources: Mapping[str, Sequence[Mapping[str, str]]],
    settings: Settings = Settings(),  # noqa: B008  (immutable)
) -> dict[str, Any]:
    """Train on the texts of each label, write model, card and README to `folder`, and return the card.

    Two labels called `positive` and `negative` make a quality judge with calibrated probabilities. `sources` gives for
    each label the names and hashes of its files, for the card. Raises UsageError where a label has too few documents.
    """
    labels = sorted(texts)
    if len(labels) < 2:
        raise UsageError(f"{name}: a classifier needs at least two labels")
    documents = {label: _by_hash(fasttext_lines(texts[label])) for label in labels}
    for label, rows in documents.items():
        if len(rows) < LEAST:
            raise UsageError(f"{name}: {len(rows)} different documents of `{label}`; it takes at least {LEAST}")
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    model = _fit(documents, settings)
    model.save_model(str(where / FILE))
    positive = POSITIVE if set(labels) == {POSITIVE, NEGATIVE} else None
    calibration = Platt()
    if positive:
        scores, truth = _held(model, documents, 0, positive)
        calibration = fit_platt(scores, truth)
        scores, truth = _held(model, documents, 1, positive)
        figures = evaluate(calibration.apply(scores), truth)
    else:
        figures = _topics_figures(model, documents)
    card = {
        "kind": KIND,
        "name": name,
        "summary": f"A fastText classifier: {', '.join(labels)}.",
        "file": FILE,
        "xxh3": file_checksum(str(where / FILE)),
        "labels": labels,
        "positive": positive,
        "calibration": calibration._asdict() if positive else None,
        "parameters": settings._asdict(),
        "data": [
            {
                "label": label,
                "documents": len(documents[label]),
                "bytes": int(texts[label].nbytes),
                "files": [dict(source) for source in sources.get(label, ())],
            }
            for label in labels
        ],
        "held_out": figures,
    }
    artifact.save_card(where, card)
    return card


def _by_hash(lines: Sequence[str]) -> list[tuple[int, str]]:
    """(hash, line), each different line that is not empty once, in the order of the hashes."""
    return sorted({xxhash.xxh3_64_intdigest(line.encode()): line for line in lines if line}.items())


def _fit(documents: Mapping[str, list[tuple[int, str]]], settings: Settings) -> Any:
    """Train on the documents that are not for calibration and not held out, all labels mixed by hash."""
    rows = sorted(
        (number, label, line) for label, found in documents.items() for number, line in found if number % _PARTS > 1
    )
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "train.txt")
        with path.open("w", encoding="utf-8") as file:
            for _, label, line in rows:
                words = line.split(" ")
                for start in range(0, len(words), PIECE_WORDS):
                    file.write(f"{_LABEL}{label} {' '.join(words[start : start + PIECE_WORDS])}\n")
        try:
            return fasttext.train_supervised(
                str(path),
                lr=settings.lr,
                dim=settings.dim,
                epoch=settings.epoch,
                minCount=settings.min_count,
                wordNgrams=settings.word_ngrams,
                bucket=settings.bucket,
                seed=settings.seed,
                thread=1,
                verbose=0,
            )
        except RuntimeError as error:
            raise HeadwaterError(f"fastText could not train ({error}); a lower `lr` or more text mends it") from None


def _held(
    model: Any, documents: Mapping[str, list[tuple[int, str]]], part: int, positive: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Uncalibrated probabilities of the positive label, and the truth, of one tenth of the documents."""
    rows = [(line, label == positive) for label in sorted(documents) for line in _part(documents[label], part)]
    names, values = predict(model, [line for line, _ in rows])
    return np.where(names == positive, values, 1 - values), np.array([truth for _, truth in rows])


def _part(rows: Sequence[tuple[int, str]], part: int) -> list[str]:
    """One tenth of a label's documents; where so few are that none falls there, the first or last of them."""
    return [line for number, line in rows if number % _PARTS == part] or [rows[-part][1]]


def _topics_figures(model: Any, documents: Mapping[str, list[tuple[int, str]]]) -> dict[str, Any]:
    """Accuracy, and for each label precision and recall, on the documents held out."""
    rows = [(line, label) for label in sorted(documents) for line in _part(documents[label], 1)]
    names, _ = predict(model, [line for line, _ in rows])
    truth = np.array([label for _, label in rows], object)
    confusion = {
        label: {other: int(((truth == label) & (names == other)).sum()) for other in sorted(documents)}
        for label in sorted(documents)
    }
    return {
        "documents": len(rows),
        "accuracy": round(float(np.mean(names == truth)), 6),
        "labels": {label: decision(names == label, truth == label) for label in sorted(documents)},
        "confusion": confusion,
    }
