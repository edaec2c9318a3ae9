"""Language identification on labelled short texts: ours, lid.176 as it is, and CLD2; and what Chinese is taken for.

    HEADWATER_DATA=... python benchmarks/language_id.py [--peers PYTHON] [--documents N]

55,194 texts of 79 languages (lid/, lingua's test data: sentences and pairs of words). Ours is lid.176 on pieces of the
text with Han characters set apart (docs/decisions/language-id.md). For CLD2, which Common Crawl uses, `--peers` names
the Python of an environment with pycld2. Labels are ISO 639-1; `yue` and `wuu` answers count as what they are, so the
confusion of Chinese with Cantonese and Japanese shows.
"""

from collections import Counter
from collections.abc import Sequence

import fasttext
from arguments import add_documents, add_peers, data_folder, new_parser
from documents import json_rows
from peer_process import Peer, left_out_if_missing

from corpus.language import LanguageIdentifier, find_model

LENGTHS = ((1, 10), (11, 20), (21, 50), (51, 100), (101, 10_000))  # characters
SHOWN = ("en", "zh", "ja", "ko")
SAME = {"zh-Hant": "zh", "iw": "he", "no": "nb", "nn": "nn", "jw": "jv"}


def plain(texts: list[str]) -> list[str]:
    """lid.176 on the whole text, as most people call it."""
    model = fasttext.load_model(find_model())
    labels, _ = model.predict([text.replace("\n", " ") for text in texts], k=1)
    return [label[0].removeprefix("__label__") if label else "un" for label in labels]


def show(name: str, found: Sequence[str], truth: Sequence[str], texts: Sequence[str]) -> None:
    """Accuracy in all, for the languages kept, by length, and the confusion of Chinese."""
    answers = [SAME.get(label, label) for label in found]
    known = [SAME.get(label, label) for label in truth]
    right = [a == b or {a, b} == {"nb", "no"} for a, b in zip(answers, known)]
    print(f"{name}: {sum(right) / len(right):.1%} right of {len(right):,}")
    parts = []
    for language in SHOWN:
        mine = [r for r, label in zip(right, known) if label == language]
        said = [label for answer, label in zip(answers, known) if answer == language]
        precision = said.count(language) / len(said) if said else 0.0
        recall = sum(mine) / len(mine) if mine else 0.0
        parts.append(f"{language} found {recall:.1%}, right {precision:.1%}")
    print("    " + "; ".join(parts))
    for low, high in LENGTHS:
        line = []
        for language in ("en", "zh"):
            mine = [r for r, t, k in zip(right, texts, known) if k == language and low <= len(t) <= high]
            line.append(f"{language} {sum(mine) / len(mine):.1%} of {len(mine)}" if mine else f"{language} -")
        print(f"    {low:>3} to {high:<6} characters: {', '.join(line)}")
    taken = Counter(answer for answer, label in zip(answers, known) if label == "zh" and answer != "zh")
    given = Counter(label for answer, label in zip(answers, known) if answer == "zh" and label != "zh")
    print(f"    zh is called: {dict(taken.most_common(6))}; called zh: {dict(given.most_common(6))}")
    print(f"    ja is called zh {sum(a == 'zh' and k == 'ja' for a, k in zip(answers, known))} times")


def main() -> None:
    """Print each identifier's figures."""
    parser = new_parser(__doc__)
    add_peers(parser, "pycld2")
    add_documents(parser, "texts")
    arguments = parser.parse_args()
    rows = json_rows(data_folder() / "lid/lingua-testdata.jsonl.zst", arguments.documents)
    texts, truth = [row["text"] for row in rows], [row["lang"] for row in rows]
    show("ours", LanguageIdentifier().identify(texts).language, truth, texts)
    show("lid.176 on the whole text", plain(texts), truth, texts)
    if arguments.peers:
        with left_out_if_missing("CLD2"), Peer(arguments.peers, "peer_cld2.py", texts) as peer:
            show("CLD2", peer.greeting, truth, texts)


if __name__ == "__main__":
    main()
