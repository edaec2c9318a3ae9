"""Linguistic signals beside datatrove's filters: how fast, what is kept, and whether the values agree.

    HEADWATER_DATA=... python benchmarks/signals_and_filters.py [--peers PYTHON] [--sample N] [--documents N]

Ours is measured over every document of text/en and text/zh, in CPU time of one core, kernels compiled. `--peers` names
the Python of an environment with datatrove, spaCy, NLTK and jieba. Its four filters (Gopher repetition and quality,
FineWeb, C4) are run by benchmarks/peer_filters.py, with all four and without C4's, on two samples: every n-th document,
N a set on average, and N of each set, which gives most weight to the small sets of long documents full of code. Each
sample is measured in rounds: ours has a fifth of it, again and again for a second, then datatrove the same once; the
median of the rounds' ratios counts (ours is the signals alone: verdicts are comparisons of columns). On the second both
judge, for Chinese datatrove by FineWeb-2's three, and C4's columns are compared with what C4QualityFilter counts.
"""

from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from arguments import add_documents, add_peers, data_folder, new_parser
from documents import json_rows
from peer_process import Peer, left_out_if_missing
from timing import bytes_per_second

from corpus.linguistic.measure import measure
from corpus.linguistic.thresholds import TABLES
from corpus.linguistic.verdict import judge

ROUNDS = 5


def load(data: Path, documents: int | None) -> dict[str, dict[str, list[str]]]:
    """language -> set -> the first texts of the set."""
    sets: dict[str, dict[str, list[str]]] = {}
    for language in ("en", "zh"):
        for path in sorted((data / "text" / language).glob("*.jsonl.zst")):
            sets.setdefault(language, {})[path.name.split(".")[0]] = [row["text"] for row in json_rows(path, documents)]
    judged = json_rows(data / "quality/chinesewebtext-clean-dirty.jsonl.zst")
    for kind in ("clean", "dirty"):
        sets["zh"][f"chinesewebtext {kind}"] = [row["text"] for row in judged if row["label"] == kind][:documents]
    spam = json_rows(data / "quality/chinesewebtext-cc-2021-43.jsonl.zst", documents)
    sets["zh"]["chinesewebtext cc-2021-43"] = [row["raw_content"] for row in spam]
    labelled = json_rows(data / "quality/dclm-human-labels.jsonl.zst")
    for label in (1, 0):
        sets["en"][f"dclm label {label}"] = [row["text"] for row in labelled if row["label"] == label][:documents]
    return sets


def speed(texts: list[str]) -> float:
    """MB of UTF-8 a CPU second."""
    column = pa.array(texts, pa.large_string())
    measure(column.slice(0, 2))
    return bytes_per_second(lambda: measure(column), sum(len(text.encode()) for text in texts)) / 1e6


def kept(texts: list[str], language: str) -> list[bool]:
    """Our verdicts, as if the language were known."""
    signals = measure(pa.array(texts, pa.large_string()))
    signals = signals.add_column(0, "id", pa.array([str(row) for row in range(len(texts))]))
    scores = np.ones(len(texts), np.float32)
    return judge(signals, [language] * len(texts), scores, TABLES, "auto", ("en", "zh"), 0.0)["keep"].to_pylist()


def race(peer: Peer, texts: list[str], chosen: list[int], what: str) -> list[bool]:
    """Print how fast both are on the chosen texts; datatrove's verdicts."""
    speeds: dict[str, list[tuple[float, float]]] = {"three": [], "four": []}
    verdicts = [False] * len(chosen)
    for number in range(ROUNDS):
        part = chosen[number::ROUNDS]
        ours = speed([texts[place] for place in part])
        theirs = peer.ask({"judge": part})
        verdicts[number::ROUNDS] = theirs["kept"]
        for name, value in theirs["speeds"].items():
            speeds[name].append((ours, value))
    size = sum(len(texts[place].encode()) for place in chosen) / 1e6
    print(f"    {what}, {len(chosen)} documents, {size:.1f} MB")
    for name, pairs in speeds.items():
        ours, value = np.median(pairs, axis=0)
        ratios = [mine / other for mine, other in pairs]
        found = f"{np.median(ratios):.0f} times ({min(ratios):.0f} to {max(ratios):.0f})"
        print(f"        ours {ours:.0f} MB/s, datatrove {value:.3f} with {name} filters: {found}")
    return verdicts


def beside_datatrove(python: str, sets: dict[str, list[str]], size: int, language: str) -> dict[str, Any]:
    """Print how both fare on two samples; by set: the places of the second in it, and datatrove's verdicts on these."""
    texts = [*chain(*sets.values())]
    every = [*range(0, len(texts), max(1, len(texts) // (size * len(sets))))]
    places = {name: [*range(len(group))][:: max(1, len(group) // size)][:size] for name, group in sets.items()}
    first = dict(zip(sets, accumulate((len(group) for group in sets.values()), initial=0)))
    chosen = [first[name] + place for name, group in places.items() for place in group]
    with Peer(python, "peer_filters.py", texts, language) as peer:
        race(peer, texts, every, "every n-th")
        verdicts = iter(race(peer, texts, chosen, f"{size} of each set"))
        compare_c4([texts[place] for place in chosen], peer.ask({"c4": chosen}))
    return {name: (group, list(islice(verdicts, len(group)))) for name, group in places.items()}


def compare_c4(texts: list[str], theirs: list[dict[str, int]]) -> None:
    """Print for each of C4's columns on how many documents it equals what datatrove's filter counts."""
    columns = measure(pa.array(texts, pa.large_string())).to_pydict()
    plain = [text.splitlines() == text.removesuffix("\n").split("\n") or not text for text in texts]
    print(f"    C4, {len(texts)} documents, {len(texts) - sum(plain)} with other line ends than a line feed, left out")
    for name in theirs[0]:
        pairs = []
        for row, values in enumerate(theirs):
            if not plain[row]:
                continue
            if name == "page":
                clean = not columns["lorem_ipsum"][row] and not columns["curly_brackets"][row]
                pairs.append((clean and columns["c4_sentences"][row] >= 5, values[name]))
            elif name in ("lorem_ipsum", "curly_brackets"):
                pairs.append((columns[name][row] > 0, values[name]))
            else:
                share = columns["lines"][row] if name.endswith("_lines") else 1
                pairs.append((round(columns[name][row] * share), values[name]))
        differ = [(ours, peer) for ours, peer in pairs if ours != peer]
        if name == "c4_sentences":
            enough = sum((ours >= 5) == (peer >= 5) for ours, peer in pairs)
            print(f"        at least 5 sentences: the same answer on {enough}")
        print(f"        {name:16} {len(pairs) - len(differ)} equal, {len(differ)} not  (ours, theirs) {differ[:4]}")


def main() -> None:
    """Print a table per language."""
    parser = new_parser(__doc__)
    add_peers(parser, "datatrove, spaCy, NLTK and jieba")
    parser.add_argument("--sample", type=int, default=40, help="documents of each set for datatrove (default: 40)")
    add_documents(parser, "documents of each set")
    arguments = parser.parse_args()
    for language, sets in load(data_folder(), arguments.documents).items():
        everything = [text for texts in sets.values() for text in texts]
        print(f"{language}: {len(everything):,} documents, ours {speed(everything):.0f} MB/s per core")
        theirs: dict[str, Any] = {}
        if arguments.peers:
            with left_out_if_missing("datatrove"):
                theirs = beside_datatrove(arguments.peers, sets, arguments.sample, language)
        for name, texts in sets.items():
            line = f"    {name:28} {len(texts):6} documents  kept {np.mean(kept(texts, language)):6.1%}"
            if theirs:
                places, verdicts = theirs[name]
                here = np.mean(kept([texts[place] for place in places], language))
                line += f"   of the sample {here:6.1%}, datatrove {np.mean(verdicts):6.1%}"
            print(line)


if __name__ == "__main__":
    main()
