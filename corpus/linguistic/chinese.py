"""Rules that Chinese corpora add, all about characters: Han, digits, brackets, sentences.

- `han`: Chinese characters over characters that are no space and no punctuation. ChineseWebText (arXiv 2311.01149,
  preprocess.py) keeps pages with at least 0.3.
- `digits`: digits over the same; MAP-CC (arXiv 2404.04167, filter.py rule 7) keeps at most 0.3.
- `bracketed`: characters inside 【】 over all; MAP-CC rule 6 keeps at most 0.1. Menus and tag lists are full of them.
- `sentences`: runs of sentence terminals; MAP-CC rule 1 wants more than one sentence.
- `mean_sentence_length`: characters for each such run (all of them where there is none). Lists of links and names
  have few ends of sentences, which shows on a page of any number of lines, where a share of finished lines needs
  many.
- `characters`: code points, white space too; ChineseWebText wants more than 200, MAP-CC 50 to 10,000.
"""

from corpus.kernels import njit
from corpus.kernels.types import F64
from corpus.linguistic.scan import Totals

NAMES = ("characters", "sentences", "mean_sentence_length", "han", "digits", "bracketed")


@njit(nogil=True, cache=True)
def measure_characters(totals: Totals, row: F64) -> None:
    """Write the values of `NAMES` to `row`; all are 0 where the document is empty."""
    row[:] = 0.0
    row[0] = totals.characters
    row[1] = totals.sentences
    row[2] = totals.characters / max(totals.sentences, 1)
    if totals.content:
        row[3] = totals.han / totals.content
        row[4] = totals.digits / totals.content
    if totals.characters:
        row[5] = totals.bracketed / totals.characters
