"""`manifests`: what completes a folder of token shards, so that it can be opened."""

from typing import ClassVar

from corpus.io import storage, table
from pipelines.engine.stage import NoParameters, Stage, Task, Upstream
from pipelines.stages.tokens.encoded import TokenCounts
from pipelines.stages.tokens.shard_boundaries import shard_folder
from pipelines.stages.tokens.tokenizer import VOCABULARY
from tokenizer.shard_writer import build_manifest
from tokenizer.shards import MANIFEST
from tokenizer.vocabulary import load_vocabulary


class ManifestStage(Stage[NoParameters]):
    """{tokens,validation}/domain=D/NNNNN.parquet -> manifest.json beside them"""

    name: ClassVar[str] = "manifests"
    phase: ClassVar[str] = "tokens"

    def plan(self, upstream: Upstream) -> list[Task]:
        """A task per folder of shards."""
        folders: dict[tuple[str, str], list[Task]] = {}
        for task in upstream["token_shards"]:
            folders.setdefault((task.arguments["split"], task.arguments["domain"]), []).append(task)
        return [
            self.task(
                f"{shard_folder(split, domain)}/{MANIFEST}",
                [*upstream["tokenizer"], *shards],
                split=split,
                domain=domain,
            )
            for (split, domain), shards in folders.items()
        ]

    def run(self, task: Task) -> TokenCounts:
        """Join what the footers of the shards say."""
        stamps = [table.require_metadata(self.path(path)) for path in task.of("token_shards")]
        vocabulary = load_vocabulary(self.path(VOCABULARY))
        manifest = build_manifest(vocabulary, [stamp["shard"] for stamp in stamps], **task.arguments)
        counts = TokenCounts(documents=manifest["documents"], bytes=manifest["bytes"], tokens=manifest["tokens"])
        storage.write_json(self.path(task.output), task.stamp(counts) | manifest)
        return counts
