"""`extract`: a WARC, WET or plain file to a shard of documents and a shard of rejects.

One input file, or `files_per_shard` of them, is one shard, in the order of the dump's list; the text that it writes is
never written again by a later stage. What decides the bytes is in the fingerprint: the limits, the language model's
hash, the versions of the libraries that extract and identify, and the input itself. A file that Common Crawl published
never changes under its place in its dump's list, so remote ones are known by that place, and not asked for one by one.
"""

import posixpath
from collections.abc import Mapping, Sequence
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
from pipelines.engine.stage import Counts, NotPlanned, Source, Stage, Task
from pipelines.engine.stamps import add_counts

Input = CrawlInput | FilesInput
IDENTIFIER = f"fasttext-community-{version('fasttext-community')}"


class ExtractStage(Stage[ExtractParameters]):
    """inputs -> documents/dump=D/N.parquet and rejects/dump=D/N.parquet.

    counts: documents, bytes (of text), html_bytes (of the payloads they came from), responses (what was offered: HTTP
    responses, WET conversions or rows), records by type, rejects by reason (documents + rejects = responses), damage
    by reason (parts of a file that are no record), languages (documents and bytes of each).
    """

    name: ClassVar[str] = "documents"
    phase: ClassVar[str] = "extract"
    folder: ClassVar[str] = "documents"
    version: ClassVar[int] = 2

    def __init__(self, root: str, parameters: ExtractParameters, inputs: Sequence[Input]) -> None:
        super().__init__(root, parameters.model_copy(update={"language_model": None}))  # its hash counts, not its path
        self.language_model = parameters.language_model
        self.inputs = tuple(inputs)

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task for each file of each input; raises NotPlanned where the language model or a dump's list is not to be
        had."""
        try:
            model = file_checksum(find_model(self.language_model))
        except UsageError as error:
            raise NotPlanned(str(error)) from None
        tasks: list[Task] = []
        names: set[str] = set()
        for item in self.inputs:
            sources = self._crawl(item) if isinstance(item, CrawlInput) else self._files(item)
            for dump, files in sources.items():
                if dump in names:
                    raise UsageError(
                        f"{dump}: named by two inputs of the recipe; a name is a partition, and needs to be one input's"
                    )
                names.add(dump)
                size = item.files_per_shard if isinstance(item, CrawlInput) else 1
                for index, first in enumerate(range(0, len(files), size)):
                    arguments = _arguments(item) | {
                        "dump": dump,
                        "model": f"{IDENTIFIER} {model}",
                        "extractor": EXTRACTOR,
                    }
                    output = f"documents/dump={dump}/{index:05d}.parquet"
                    tasks.append(self.task(output, files[first : first + size], **arguments))
        return tasks

    def run(self, task: Task) -> Counts:
        """Extract the shard's files, one after the other."""
        counts: Counts = {}
        beside = rejects_of(task.output)
        with ShardWriter(self.path(task.output), SCHEMA) as documents:
            with ShardWriter(self.path(beside), REJECTS) as rejects:
                for path in task.inputs:
                    add_counts(counts, self._extract(path, task, documents, rejects))
                rejects.metadata = task.stamp(counts)
            documents.metadata = task.stamp(counts) | {"files": {beside: file_entry(self.path(beside))}}
        return counts

    def _extract(self, path: str, task: Task, documents: ShardWriter, rejects: ShardWriter) -> Counts:
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


def rejects_of(output: str) -> str:
    """The shard of rejects that belongs to a shard of documents."""
    return output.replace("documents/", "rejects/", 1)


def _arguments(item: Input) -> dict[str, Any]:
    if isinstance(item, CrawlInput):
        return {"format": item.format}
    return {"format": "files", "columns": dict(item.columns), "language": item.language}


def _name(path: str) -> str:
    """A file's name in the tables: from crawl-data/ on, the same below any root; of a plain file its last part."""
    before, mark, after = path.rpartition("crawl-data/")
    return mark + after if mark and (not before or before.endswith("/")) else posixpath.basename(path)


def _identify(path: str) -> str:
    """A local file's fingerprint. One that the list names and is not there must not keep the others from being done."""
    return storage.identify(path) if storage.exists(path) else "missing"


@lru_cache(maxsize=256)
def _remote_files(root: str, dump: str, format: str, limit: int | None) -> list[str]:
    return dump_files(root, dump, "wet" if format == "wet" else "warc", limit)


@lru_cache(maxsize=2)
def _identifier(path: str | None) -> LanguageIdentifier:
    """One loaded model a worker process."""
    return LanguageIdentifier(path)
