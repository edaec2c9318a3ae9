"""MinHash deduplication by datatrove with its defaults, for comparison; runs in an environment that has datatrove.

usage: PEERS_PYTHON benchmarks/peer_datatrove.py DOCUMENTS.jsonl|.parquet en|zh OUT.json
Reads `id` and `text`, runs the four stages one after another with one task each, and writes the ids that stay, with the
seconds of each stage.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

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
    source, language, out = sys.argv[1:4]
    kept, seconds = deduplicate(source, language)
    Path(out).write_text(json.dumps({"kept": kept, "seconds": seconds}))


if __name__ == "__main__":
    main()
