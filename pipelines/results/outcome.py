"""The sections that later stages wrote themselves, as JSON: tokenizer and training."""

import json
from typing import Any

from corpus.io import storage

CURVE_POINTS = 400  # points of a training curve that are drawn; longer runs are averaged


def tokenizer(root: str) -> dict[str, Any] | None:
    """What was measured: bytes per token of the whole corpus, and the evaluation on held-out text if there is one."""
    report = read_if_there(root, "tokenizer/report.json")
    return report and report | {"evaluation": read_if_there(root, "tokenizer/evaluation.json")}


def training(root: str) -> dict[str, Any] | None:
    """The training curve, averaged to at most CURVE_POINTS points, and validation in bits per byte."""
    path = storage.join(root, "train/metrics.jsonl")
    if not storage.exists(path):
        return None
    records = [json.loads(line) for line in storage.read_bytes(path).splitlines() if line.endswith(b"}")]
    if not records:
        return None
    width = -(-len(records) // CURVE_POINTS)
    groups = [records[start : start + width] for start in range(0, len(records), width)]
    summary = (read_if_there(root, "train/manifest.json") or {}).get("summary")
    quick: dict[str, float] = next(
        (item["bits_per_byte"] for item in reversed(records) if item.get("bits_per_byte")), {}
    )
    used = sorted(item["utilisation"] for item in records if "utilisation" in item)
    curves = {
        name: [{"step": group[-1]["step"], name: sum(item[name] for item in group) / len(group)} for group in groups]
        for name in ("loss", "learning_rate", "grad_norm")
        if name in records[0]
    }
    return {
        **curves,
        "validation": [
            {"step": item["step"], "bits_per_byte": item["bits_per_byte"]}
            for item in records
            if item.get("bits_per_byte")
        ],
        "steps": records[-1]["step"],
        "tokens": records[-1].get("tokens"),
        "tokens_per_second": sorted(item.get("tokens_per_second", 0.0) for item in records)[len(records) // 2],
        "utilisation": used[len(used) // 2] if used else None,
        "final": (summary or {}).get("bits_per_byte", quick),
        "summary": summary,
    }


def read_if_there(root: str, name: str) -> Any | None:
    """The value of a JSON file of a run; None where it is not there."""
    path = storage.join(root, name)
    return storage.read_json(path) if storage.exists(path) else None
