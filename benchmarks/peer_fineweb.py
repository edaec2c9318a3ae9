"""FineWeb's recipe by datatrove over extracted documents; run by benchmarks/ablation.py in datatrove's environment.

    PEERS_PYTHON benchmarks/peer_fineweb.py DOCUMENTS.parquet OUT.parquet

Reads `id`, `dump`, `language`, `text`. English and Chinese documents pass the filters (datatrove_filters.py) one after
another, as in a pipeline, and what C4's filter makes of the text is what stays. Then each dump of each language is
deduplicated by MinHash on its own, as FineWeb v1.1 does. Other languages are left out, as FineWeb leaves them out. A
text that stands in several documents is filtered once, which changes nothing but the time.
"""

import json
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from arguments import new_parser
from peer_datatrove import LANGUAGES
from peer_process import run_peer


def filtered(texts: list[str], language: str) -> dict[str, str]:
    """What the filters leave of each distinct text that they keep."""
    from datatrove.data import Document
    from datatrove_filters import chain

    filters = chain(language)
    kept = {}
    for text in dict.fromkeys(texts):
        document = Document(text=text, id="")
        if all(step.filter(document) is True for step in filters):
            kept[text] = document.text
    return kept


def main() -> None:
    """Filter, deduplicate, write `id` and `text` of what stays."""
    parser = new_parser(__doc__)
    parser.add_argument("documents", metavar="DOCUMENTS.parquet")
    parser.add_argument("out", metavar="OUT.parquet")
    arguments = parser.parse_args()
    rows = pq.read_table(arguments.documents).to_pylist()
    found: dict[str, list[str]] = {"id": [], "text": []}
    for language in LANGUAGES:
        ours = [row for row in rows if row["language"] == language]
        left = filtered([row["text"] for row in ours], language)
        ours = [row | {"text": left[row["text"]]} for row in ours if row["text"] in left]
        print(f"{language}: the filters keep {len(ours)}", flush=True)
        for dump in sorted({row["dump"] for row in ours}):
            by_id = {row["id"]: row["text"] for row in ours if row["dump"] == dump}
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "documents.parquet"
                pq.write_table(pa.table({"id": list(by_id), "text": list(by_id.values())}), path)
                # By a process of its own: with jieba loaded, datatrove cannot copy its pipeline.
                kept = run_peer(sys.executable, "peer_datatrove.py", path, language)["kept"]
            print(f"{language} {dump}: {len(kept)} of {len(by_id)} stay", flush=True)
            found["id"] += kept
            found["text"] += [by_id[name] for name in kept]
    pq.write_table(pa.table(found, pa.schema({"id": pa.string(), "text": pa.large_string()})), arguments.out)
    print(json.dumps({"documents": len(found["id"])}))


if __name__ == "__main__":
    main()
