"""Language identification on labelled short texts: ours, lid.176 as it is, and CLD2; and what Chinese is taken for.

usage: HEADWATER_DATA=... python benchmarks/language_id.py [--peers PYTHON]
55,194 texts of 79 languages (lid/, lingua's test data: sentences and pairs of words). Ours is lid.176 on pieces of the
text with Han characters set apart (docs/decisions/language-id.md); for CLD2, which Common Crawl uses, `--peers` names
the Python of an environment with pycld2. Labels are ISO 639-1; `yue` and `wuu` answers count as what they are, so the
confusion of Chinese with Cantonese and Japanese shows.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import fasttext
from filters import rows

from corpus.language import LanguageIdentifier, find_model

LENGTHS = ((1, 10), (11, 20), (21, 50), (51, 100), (101, 10_000))  # characters
SHOWN = ("en", "zh", "ja", "ko")
CLD2 = """
import json, sys, pycld2
found = []
for text in json.load(open(sys.argv[1])):
    try:
        found.append(pycld2.detect(text.replace("\\0", ""), bestEffort=True)[2][0][1])
    except pycld2.error:
        found.append("un")
json.dump(found, open(sys.argv[2], "w"))
"""
SAME = {"zh-Hant": "zh", "iw": "he", "no": "nb", "nn": "nn", "jw": "jv"}


def plain(texts: list[str]) -> list[str]:
    """lid.176 on the whole text, as most people call it."""
    model = fasttext.load_model(find_model())
    labels, _ = model.predict([text.replace("\n", " ") for text in texts], k=1)
    return [label[0].removeprefix("__label__") if label else "un" for label in labels]


def cld2(python: str, texts: list[str]) -> list[str]:
    """CLD2, in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "texts.json"), Path(folder, "out.json")
        source.write_text(json.dumps(texts))
        subprocess.run([python, "-c", CLD2, source, out], check=True)
        return json.loads(out.read_text())


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
        parts.append(f"{language} found {sum(mine) / len(mine):.1%}, right {precision:.1%}")
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", metavar="PYTHON")
    arguments = parser.parse_args()
    data = rows(Path(os.environ["HEADWATER_DATA"], "lid/lingua-testdata.jsonl.zst"))
    texts, truth = [row["text"] for row in data], [row["lang"] for row in data]
    show("ours", LanguageIdentifier().identify(texts).language, truth, texts)
    show("lid.176 on the whole text", plain(texts), truth, texts)
    if arguments.peers:
        show("CLD2", cld2(arguments.peers, texts), truth, texts)


if __name__ == "__main__":
    main()
