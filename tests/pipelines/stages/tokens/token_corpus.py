"""A small corpus as the earlier stages leave it: documents, domains and a mixture, with the tasks that stand for
them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from corpus.document import SCHEMA
from corpus.io import storage, table
from corpus.mixture.plan import make_plan
from pipelines.config.recipe import Recipe, validate
from pipelines.engine.pipeline import StageResult
from pipelines.engine.stage import Task, Upstream
from pipelines.stages.domains import SCHEMA as DOMAIN_SCHEMA
from pipelines.stages.tokens.stages import tokenizer_stages, tokens_stages
from tests.pipelines.run_stages import run_each

WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "seven",
    "wizards",
    "box,",
    "café",
    "naïve",
    "2024",
    "don't",
]
CHINESE = "数据工程师的工作是让每一个字节都有来历去重是最重要的步骤之一北京的秋天很短但是天空非常蓝。"
DUMPS = ("CC-MAIN-2019-43", "CC-MAIN-2020-40")
SHARDS, ROWS = 2, 30


def rows_of(dump: str, shard: int) -> list[dict[str, Any]]:
    """The documents of a shard with the columns of the domains table; a third is Chinese, some are not kept."""
    rows = []
    for row in range(ROWS):
        key = xxhash.xxh3_128_hexdigest(f"{dump}/{shard}/{row}".encode())
        number = int(key[:8], 16)
        chinese = row % 3 == 0
        if chinese:
            text = "".join(CHINESE[(number + 7 * at) % len(CHINESE)] for at in range(60 + number % 40))
        else:
            text = " ".join(WORDS[(number >> at % 20) % len(WORDS)] for at in range(40 + number % 30)) + "\n"
        rows.append(
            {
                "id": key,
                "url": f"https://example.org/{key[:6]}",
                "language": "zh" if chinese else "en",
                "text": text if row else "",
                "domain": "web-zh" if chinese else "web-en",
                "keep": row % 5 != 4,
                "split": "validation" if row % 7 == 3 else "train",
            }
        )
    return rows


def write_corpus(root: Path) -> dict[str, list[Task]]:
    """Write the tables and the plan; return the tasks of the stages that made them, as `plan` is given them."""
    done: dict[str, list[Task]] = {"documents": [], "domains": []}
    sizes = {"web-en": 0, "web-zh": 0}
    documents, held = dict.fromkeys(sizes, 0), {name: {"documents": 0, "bytes": 0} for name in sizes}
    for dump in DUMPS:
        for shard in range(SHARDS):
            rows = rows_of(dump, shard)
            name = f"dump={dump}/{shard:05d}.parquet"
            full = {"language_score": 1.0, "lid_en": 0.0, "lid_zh": 0.0, "file": "f", "offset": 0}
            table_rows = [
                {key: value for key, value in row.items() if key in SCHEMA.names}
                | full
                | {"length": len(row["text"].encode())}
                for row in rows
            ]
            _write(root, f"documents/{name}", pa.Table.from_pylist(table_rows, SCHEMA), groups=2)
            _write(root, f"domains/{name}", pa.Table.from_pylist(rows, DOMAIN_SCHEMA))
            for stage, kind in (("documents", "documents"), ("domains", "domains")):
                done[stage].append(Task(stage, f"{kind}/{name}", (), {}, f"{stage} {name}"))
            for row in rows:
                size = len(row["text"].encode())
                if row["keep"] and row["split"] == "train":
                    sizes[row["domain"]] += size
                    documents[row["domain"]] += 1
                elif row["keep"]:
                    held[row["domain"]]["documents"] += 1
                    held[row["domain"]]["bytes"] += size
    options: dict[str, Any] = {"unit": "bytes", "method": "given", "weights": {"web-zh": 0.5, "web-en": 0.5}}
    plan = make_plan(sizes, documents, **options, temperature=1.0, epoch_cap=4.0, budget=None)
    for domain in plan["domains"]:
        domain["validation"] = held[domain["domain"]]
    mixture = Task("mixture", "mixture/plan.json", (), {}, "mixture")
    storage.write_json(str(root / mixture.output), mixture.stamp({}) | plan)
    done["mixture"] = [mixture]
    return done


def _write(root: Path, name: str, rows: pa.Table, groups: int = 1) -> None:
    with table.ShardWriter(str(root / name), rows.schema) as writer:
        step = -(-len(rows) // groups)
        for first in range(0, len(rows), step):
            writer.write(rows.slice(first, step))


def kept() -> list[dict[str, Any]]:
    """Every document that the corpus keeps, with its dump."""
    return [
        row | {"dump": dump} for dump in DUMPS for shard in range(SHARDS) for row in rows_of(dump, shard) if row["keep"]
    ]


def token_recipe(root: Path, **sections: Any) -> Recipe:
    """A recipe whose tokenizer and tokens sections are small enough for a test."""
    value: dict[str, Any] = {
        "name": "tokens",
        "root": str(root),
        "inputs": [{"crawl": str(root), "dumps": list(DUMPS)}],
        "tokenizer": {"vocab_size": 400, "partitions": 2} | sections.pop("tokenizer", {}),
        "tokens": {"shard_bytes": 4000} | sections.pop("tokens", {}),
        "train": None,  # so the mixture is planned for one pass
    }
    return validate(value | sections, "token_recipe")


def upstream_of(done: dict[str, list[Task]]) -> Upstream:
    """The tasks of the earlier stages as a plan is given them."""
    upstream = Upstream()
    for stage, tasks in done.items():
        upstream.add(stage, tasks)
    return upstream


def run_stages(recipe: Recipe, done: dict[str, list[Task]], until: str = "token_mixture") -> dict[str, StageResult]:
    """Run the stages of both phases in this process; fail where a task fails."""
    stages = [*tokenizer_stages(recipe.root, recipe), *tokens_stages(recipe.root, recipe)]
    return run_each(stages, upstream_of(done), until)
