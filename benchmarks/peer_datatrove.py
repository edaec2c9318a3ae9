"""MinHash deduplication by datatrove with its defaults, for comparison; runs in an environment that has datatrove.

    PEERS_PYTHON benchmarks/peer_datatrove.py DOCUMENTS.jsonl|.parquet en|zh

Reads `id` and `text`, runs the four stages one after another with one task each. Prints a JSON line of the ids that
stay and the seconds of each stage.
"""

import json
import tempfile
import time
from pathlib import Path

from arguments import new_parser

LANGUAGES = {"en": "eng_Latn", "zh": "cmn_Hani"}


def deduplicate(source: str, language: str) -> tuple[list[str], dict[str, float]]:
    """The ids that stay and the seconds of each stage of datatrove's example pipeline, unchanged but for the paths."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.pipeline.readers import JsonlReader, ParquetReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    config = MinhashConfig(hash_config=HashConfig(precision=64))
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        kind = ParquetReader if source.endswith(".parquet") else JsonlReader
        reader = kind(str(Path(source).parent), glob_pattern=Path(source).name)
        stages = {
            "signatures": [
                reader,
                MinhashDedupSignature(f"{folder}/signatures", config=config, language=LANGUAGES[language]),
            ],
            "buckets": [MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=config)],
            "clusters": [MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove", config=config)],
            "filter": [reader, MinhashDedupFilter(f"{folder}/remove"), JsonlWriter(f"{folder}/kept", compression=None)],
        }
        for name, pipeline in stages.items():
            tasks = config.num_buckets if name == "buckets" else 1
            start = time.perf_counter()
            LocalPipelineExecutor(pipeline=pipeline, tasks=tasks, workers=1, logging_dir=f"{folder}/logs/{name}").run()
            seconds[name] = time.perf_counter() - start
        kept = [json.loads(line)["id"] for path in Path(f"{folder}/kept").glob("*.jsonl") for line in path.open()]
    return kept, seconds


def main() -> None:
    """Run it on a file."""
    parser = new_parser(__doc__)
    parser.add_argument("documents")
    parser.add_argument("language", choices=list(LANGUAGES))
    arguments = parser.parse_args()
    kept, seconds = deduplicate(arguments.documents, arguments.language)
    print()
    print(json.dumps({"kept": kept, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
