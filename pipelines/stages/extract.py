"""`documents`: a WARC, WET or plain file to a shard of documents and a shard of rejects.

One input file, or `files_per_shard` of them, is one shard, in the order of the dump's list. Its text is never written
again by a later stage. What decides the bytes is in the fingerprint: the limits, the language model's hash, the
versions of the libraries that extract and identify, and the input itself. The list of a published dump never changes.
So remote files are known by their position in it, and are not asked for one by one.
"""

import posixpath
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any, ClassVar

from corpus.crawl.dumps import check_dump, dump_files
from corpus.document import REJECTS, SCHEMA
from corpus.errors import HeadwaterError, UsageError
from corpus.extract.ingest import Collector, Limits, collect_archive, collect_source
from corpus.extract.main_text import EXTRACTOR
from corpus.io import storage
from corpus.io.checksum import file_checksum, file_entry
from corpus.io.plain_files import SUFFIXES
from corpus.io.table import ShardWriter
from corpus.language import LanguageIdentifier, find_model
from pipelines.config.extract import ExtractParameters
from pipelines.config.inputs import CrawlInput, FilesInput
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Counts, NotPlanned, Source, Stage, Task, Upstream
from pipelines.engine.stamps import add_counts

Input = CrawlInput | FilesInput
IDENTIFIER = f"fasttext-community-{version('fasttext-community')}"


class ExtractCounts(Counts, total=False):
    """What was read. Documents and rejects together are the responses."""

    html_bytes: int  # of the payloads that documents came from
    responses: int  # what was offered: HTTP responses, WET conversions or rows
    records: dict[str, int]  # by type
    rejects: dict[str, int]  # by reason
    damage: dict[str, int]  # by reason: parts of a file that are no record
    languages: dict[str, Counts]


class ExtractStage(Stage[ExtractParameters]):
    """inputs -> documents/dump=D/N.parquet and rejects/dump=D/N.parquet"""

    name: ClassVar[str] = "documents"
    phase: ClassVar[str] = "extract"
    folder: ClassVar[str] = "documents"
    version: ClassVar[int] = 2

    def __init__(self, root: str, parameters: ExtractParameters, inputs: Sequence[Input]) -> None:
        super().__init__(root, parameters.model_copy(update={"language_model": None}))  # its hash counts, not its path
        self.language_model = parameters.language_model
        self.inputs = tuple(inputs)

    def plan(self, upstream: Upstream) -> list[Task]:
        """A task per file of each input; raises NotPlanned without the language model or the list of a dump."""
        try:
            model = file_checksum(find_model(self.language_model))
        except UsageError as error:
            raise NotPlanned(str(error)) from None
        made_by = {"model": f"{IDENTIFIER} {model}", "extractor": EXTRACTOR}
        tasks: list[Task] = []
        names: set[str] = set()
        for item in self.inputs:
            size = item.files_per_shard if isinstance(item, CrawlInput) else 1
            for dump, files in (self._crawl(item) if isinstance(item, CrawlInput) else self._files(item)).items():
                if dump in names:
                    raise UsageError(f"{dump}: named by two inputs of the recipe; give each input a name of its own")
                names.add(dump)
                for number, first in enumerate(range(0, len(files), size)):
                    output = ShardRef(dump, number).below(self.folder)
                    arguments = _arguments(item) | made_by
                    tasks.append(self.task(output, files[first : first + size], dump=dump, **arguments))
        return tasks

    def expected_tasks(self, document_shards: int) -> int:
        """One per shard of documents."""
        return document_shards

    def run(self, task: Task) -> ExtractCounts:
        """Extract the shard's files, one after the other."""
        counts: ExtractCounts = {}
        beside = task.shard.below("rejects")
        with ShardWriter(self.path(task.output), SCHEMA) as documents:
            with ShardWriter(self.path(beside), REJECTS) as rejects:
                for path in task.inputs:
                    add_counts(counts, self._extract(path, task, documents, rejects))
                rejects.metadata = task.stamp(counts)
            documents.metadata = task.stamp(counts) | {"files": {beside: file_entry(self.path(beside))}}
        return counts

    def _extract(self, path: str, task: Task, documents: ShardWriter, rejects: ShardWriter) -> dict[str, Any]:
        dump, section = task.arguments["dump"], self.parameters
        limits = Limits(section.max_html_bytes, section.max_record_bytes, section.max_text_bytes)
        identifier, language = _identifier(self.language_model), task.arguments.get("language")
        collector = Collector(dump, _name(path), identifier, documents.write, rejects.write, language)
        try:
            if task.arguments["format"] == "files":
                return collect_source(path, task.arguments["columns"], collector, limits)
            return collect_archive(path, collector, limits)
        except FileNotFoundError:
            missing = f"{path}: no such file; the list of {dump} names it, fetch it and run again"
            raise HeadwaterError(missing) from None

    def _crawl(self, item: CrawlInput) -> dict[str, list[Source]]:
        if not item.dumps:
            raise UsageError(f"{item.crawl}: the input names no dumps; list them under `dumps:`, or use --dumps")
        remote = storage.scheme(item.crawl) != "file"
        found = {}
        for dump in item.dumps:
            check_dump(dump)
            try:
                files = (_remote_files if remote else dump_files)(item.crawl, dump, item.format, item.files)
            except HeadwaterError as error:
                raise NotPlanned(str(error)) from None
            found[dump] = [
                Source(path, f"{dump}/{item.format}/{index}" if remote else _identify(path))
                for index, path in enumerate(files)
            ]
        return found

    def _files(self, item: FilesInput) -> dict[str, list[Source]]:
        packed = tuple(suffix + ending for suffix in SUFFIXES for ending in ("", ".gz", ".zst"))
        paths = []
        for pattern in item.files:
            named = storage.expand(pattern)
            chosen = [path for path in named if path.lower().endswith(packed)]
            if not chosen:
                raise UsageError(f"{pattern}: none of its files ends in {', '.join(SUFFIXES)} (.gz or .zst)")
            paths += chosen
        return {item.name: [Source(path, storage.identify(path)) for path in dict.fromkeys(paths)]}


def _arguments(item: Input) -> dict[str, Any]:
    if isinstance(item, CrawlInput):
        return {"format": item.format}
    return {"format": "files", "columns": dict(item.columns), "language": item.language}


def _name(path: str) -> str:
    """A file's name in the tables: from crawl-data/ on, the same below any root; of a plain file its last part."""
    before, folder, after = path.rpartition("crawl-data/")
    return folder + after if folder and (not before or before.endswith("/")) else posixpath.basename(path)


def _identify(path: str) -> str:
    """A local file's fingerprint. One that the list names and is not there must not keep the others from being done."""
    return storage.identify(path) if storage.exists(path) else "missing"


@lru_cache(maxsize=256)
def _remote_files(root: str, dump: str, format: str, limit: int | None) -> list[str]:
    return dump_files(root, dump, "wet" if format == "wet" else "warc", limit)


@lru_cache(maxsize=2)
def _identifier(path: str | None) -> LanguageIdentifier:
    """The model, loaded once per worker process."""
    return LanguageIdentifier(path)
