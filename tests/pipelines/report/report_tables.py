"""The tables of a finished run, written shard by shard with the real writers, for the report and `why` to read.

Three dumps and a source of code; documents are sentences drawn by a seeded generator, some revised from dump to dump,
some too short, and one hostile: it tries to be HTML and script wherever its text, address or reason is shown."""

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus.document import REJECTS, SCHEMA, document_id
from corpus.io import storage, table
from corpus.mixture.plan import make_plan, with_languages
from pipelines.config.recipe import Recipe, validate
from pipelines.stages.dedup.duplicates import DUPLICATES_SCHEMA
from pipelines.stages.remix import write_token_plan

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">{{ 7*7 }}</blockquote>"
DUMPS = ["CC-MAIN-2019-43", "CC-MAIN-2020-40", "CC-MAIN-2021-04"]
SHARDS = 2
WORDS = {
    "en": "the river carries cold water from high mountains to a quiet valley where people build small houses",
    "zh": "河流 从 高山 带来 清凉 的 水 ， 经过 安静 的 山谷 ， 人们 在 那里 建造 小小 的 房屋 。",
}
DOMAIN = {"en": "web-en", "zh": "web-zh", "python": "code"}


def recipe_at(root: Path) -> Recipe:
    """A recipe of the three dumps and the source of code, with this root."""
    inputs: list[dict[str, Any]] = [
        {"crawl": "/nowhere", "dumps": DUMPS},
        {"files": ["/nowhere/*.jsonl"], "name": "code"},
    ]
    return validate({"name": "test", "root": str(root), "inputs": inputs}, "test")


def write_run(root: Path, pages: int = 30, sites: int = 1) -> list[dict[str, Any]]:
    """Write every table of a run, with `sites` in each language; return the documents with what was decided of each."""
    rows = [row for dump in [*DUMPS, "code"] for row in _documents(dump, pages, sites)]
    _decide(rows)
    for dump in [*DUMPS, "code"]:
        mine = [row for row in rows if row["dump"] == dump]
        for number in range(SHARDS):
            _write_shard(root, dump, f"{number:05d}.parquet", mine[number::SHARDS])
    _write_outcome(root, rows)
    return rows


def _documents(dump: str, pages: int, sites: int) -> list[dict[str, Any]]:
    rows = []
    for index in range(pages):
        language = "python" if dump == "code" else "zh" if index % 3 == 2 else "en"
        chance = random.Random(f"{language} {index}")
        lines = [_sentence(chance, language) for _ in range(2 if index % 10 == 9 else 12)]
        if index % 4 == 0:
            lines[3 % len(lines)] += f" revised in {dump}"
        if index == 1:
            lines = [HOSTILE] * 3
        text = "\n".join(lines)
        host = language if index % sites == 0 else f"{language}{index % sites}"
        url = f"https://{'spam.example.com' if index % 10 == 9 else f'{host}.example.org'}/{index}.html"
        url += HOSTILE if index == 1 else ""
        date = datetime(2019, 10, 14 + DUMPS.index(dump) if dump in DUMPS else 1, tzinfo=UTC)
        rows.append(
            {
                "id": document_id(dump, url, str(date), text.encode()),
                "url": None if dump == "code" else url,
                "site": None if dump == "code" else url.split("/")[2],
                "date": date,
                "language": language,
                "language_score": 0.9,
                "lid_en": 0.9 if language == "en" else 0.05,
                "lid_zh": 0.9 if language == "zh" else 0.05,
                "charset": "utf-8",
                "file": f"/crawl/{dump}/{index % SHARDS}.warc.gz",
                "offset": 1000 * index,
                "length": len(text.encode()),
                "text": text,
                "dump": dump,
                "page": (language, index),
            }
        )
    return rows


def _sentence(chance: random.Random, language: str) -> str:
    if language == "python":
        return f"def f{chance.randrange(10**6)}(x): return x + {chance.randrange(100)}"
    return ("" if language == "zh" else " ").join(chance.choices(WORDS[language].split(), k=16))


def _decide(rows: list[dict[str, Any]]) -> None:
    first: dict[Any, dict[str, Any]] = {}
    members: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        members.setdefault(row["page"], []).append(row)
        keeper = first.setdefault(row["page"], row)
        row["reasons"] = ["words 32 < 50", HOSTILE] if row["page"][1] % 10 == 9 else []
        row["duplicate_of"] = None if keeper is row else keeper["id"]
        row["level"] = None if keeper is row else "exact" if row["text"] == keeper["text"] else "near"
        row["similarity"] = None if keeper is row else 1.0 if row["text"] == keeper["text"] else 0.93
    for row in rows:
        cluster = members[row["page"]]
        row["cluster"] = cluster[0]["id"]
        row["cluster_size"] = row["cluster_dumps"] = len(cluster)
        row["keep"] = not row["reasons"] and row["duplicate_of"] is None
        row["domain"] = DOMAIN[row["language"]]
        row["split"] = "validation" if row["page"][1] == 5 else "train"


def _write_shard(root: Path, dump: str, name: str, rows: list[dict[str, Any]]) -> None:
    verdicts = [{"id": row["id"], "keep": not row["reasons"], "reasons": row["reasons"]} for row in rows]
    quality = [{"id": row["id"], "words": len(row["text"].split()), "mean_word_length": 4.5} for row in rows]
    duplicates = [row | {"keep": row["duplicate_of"] is None} for row in rows]
    domains = [{key: row[key] for key in ("id", "domain", "keep", "split")} for row in rows]
    rejects = [
        {"file": f"/crawl/{dump}/0.warc.gz", "offset": 7, "url": "https://x.example.org/a.png", "reason": "not_html"}
        | {"detail": f"image/png {HOSTILE}"}
    ]
    tables = {
        "documents": pa.Table.from_pylist(rows, SCHEMA),
        "rejects": pa.Table.from_pylist(rejects if name.startswith("00000") else [], REJECTS),
        "quality": pa.Table.from_pylist(quality),
        "verdicts": pa.Table.from_pylist(verdicts),
        "duplicates": pa.Table.from_pylist(duplicates, DUPLICATES_SCHEMA),
        "domains": pa.Table.from_pylist(domains),
    }
    for kind, found in tables.items():
        with table.ShardWriter(str(root / kind / f"dump={dump}" / name), found.schema) as writer:
            for start in range(0, len(found), 5):
                writer.write(found.slice(start, 5))


def _write_outcome(root: Path, rows: list[dict[str, Any]]) -> None:
    curve, seen, groups = [], 0, set()
    for number, dump in enumerate([*DUMPS, "code"], 1):
        mine = [row for row in rows if row["dump"] == dump]
        seen += len(mine)
        groups |= {row["cluster"] for row in mine}
        curve.append({"dumps": number, "dump": dump, "documents": seen, "groups": len(groups)})
        curve[-1]["rate"] = 1 - len(groups) / seen
    storage.write_json(str(root / "dedup/dedup_rate.json"), {"curve": curve})
    kept = [row for row in rows if row["keep"]]
    total = sum(row["length"] for row in kept)
    parts: dict[str, dict[str, int]] = {}
    for row in kept:
        of = parts.setdefault(row["domain"], {})
        of[row["language"]] = of.get(row["language"], 0) + row["length"]
    sizes = {name: sum(languages.values()) for name, languages in parts.items()}
    documents = {name: sum(row["domain"] == name for row in kept) for name in parts}
    plan = make_plan(
        sizes,
        documents,
        unit="bytes",
        method="given",
        weights={"code": 0.5},
        temperature=1.0,
        epoch_cap=1.5,
        budget=None,
    )
    storage.write_json(str(root / "mixture/plan.json"), with_languages(plan, parts))
    tokens = {name: {key: size // 4 for key, size in languages.items()} for name, languages in parts.items()}
    write_token_plan(str(root), tokens, None)
    fit = {"documents": 3, "bytes": 700, "tokens": 200, "bytes_per_token": 3.5}
    report = {"languages": {"en": fit, "zh": fit}, "domains": {"web-en": fit}, "bytes_per_token": 3.5, "hash": "0"}
    report |= {"conventional_tokens": 2000, "vocab_size": 2015, "model_vocab_size": 2048}
    storage.write_json(str(root / "tokenizer/report.json"), report)
    fits = {"languages": {"en": fit, "zh": fit}, "domains": {"web-en": fit}}
    evaluation: dict[str, Any] = {
        "fit": {"this tokenizer": fits, "another": fits},
        "scripts": {"latin": 1500, "cjk": 500},
    }
    evaluation |= {"longest": ["<script>alert(1)</script>", " international"], "text": {"documents": 3, "bytes": 700}}
    evaluation |= {"unused": {"count": 20, "share": 0.01, "examples": ["rare"]}}
    storage.write_json(str(root / "tokenizer/evaluation.json"), evaluation)
    lines = []
    for step in range(1, 61):
        line: dict[str, Any] = {"step": step, "tokens": step * 1000, "loss": 9 / step**0.4, "tokens_per_second": 900.0}
        if step % 20 == 0:
            line["bits_per_byte"] = {"web-en": 3 - step / 60, "web-zh": 4 - step / 60, "all": 3.5 - step / 60}
        lines.append(json.dumps(line))
    storage.write_bytes(str(root / "train/metrics.jsonl"), ("\n".join(lines) + "\n").encode())
    final = {"bits_per_byte": {"web-en": 2.1, "web-zh": 3.1, "all": 2.6}}
    final["domains"] = {name: {"tokens": 30_000, "epochs": 1.25} for name in ("web-en", "web-zh")}
    storage.write_json(str(root / "train/manifest.json"), {"summary": final})
    result = {
        "stage": "documents",
        "phase": "extract",
        "tasks": 8,
        "done_before": 0,
        "seconds": 2.5,
        "cpu_seconds": 4.0,
    }
    result |= {"documents": len(rows), "bytes": total, "peak_rss_bytes": 3 * 10**8, "failed": [], "counts": {}}
    failed = result | {
        "stage": "token_shards",
        "phase": "tokens",
        "failed": [{"output": "tokens/x", "message": f"bad {HOSTILE}"}],
    }
    storage.write_json(str(root / "runs/00000.json"), [result, failed])
