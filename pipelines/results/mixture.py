"""The mixture: what there is of each domain and language, what was planned, and what training read.

The plan is in bytes until tokens are counted. Training counts the tokens that it read of each domain. Inside a domain
it draws at random, so what it read of each language is taken from the shares that the domain's shards have.
"""

from collections.abc import Mapping
from typing import Any

from pipelines.results.outcome import read_if_there


def mixture(root: str) -> dict[str, Any] | None:
    """`domains` and `languages`: rows of the plan with `planned` (tokens, or bytes before tokens are counted) and, once
    training has ended, `read` (tokens) and `read_share`; None before there is a plan.

    A domain keeps its `bytes` beside its tokens. `trained` says whether there is anything read.
    """
    by_bytes, by_tokens = read_if_there(root, "mixture/plan.json"), read_if_there(root, "mixture/tokens.json")
    if by_bytes is None:
        return None
    plan = by_tokens or by_bytes
    summary = (read_if_there(root, "train/manifest.json") or {}).get("summary", {})
    read = {name: row["tokens"] for name, row in summary.get("domains", {}).items()}
    found = {name: plan[name] for name in ("unit", "method", "epoch_cap", "budget", "planned", "shortfall")}
    found["trained"], everything = bool(read), sum(read.values())
    for kind, of in (("domain", read), ("language", _by_language(plan, read))):
        sizes = {row[kind]: row["bytes"] for row in by_bytes.get(f"{kind}s", [])}
        rows = []
        for row in plan.get(f"{kind}s", []):
            rows.append(row | {"bytes": sizes.get(row[kind], 0), "planned": round(row["weight"] * plan["planned"])})
            if read:
                tokens = of.get(row[kind], 0)
                rows[-1] |= {"read": tokens, "read_share": tokens / everything if everything else 0.0}
        found[f"{kind}s"] = rows
    return found


def _by_language(plan: Mapping[str, Any], read: Mapping[str, int]) -> dict[str, int]:
    """Tokens read of each language."""
    found: dict[str, float] = {}
    for domain in plan["domains"]:
        for language, size in domain.get("languages", {}).items():
            share = size / domain[plan["unit"]] if size else 0.0  # all documents of a domain may be empty
            found[language] = found.get(language, 0.0) + read.get(domain["domain"], 0) * share
    return {language: round(tokens) for language, tokens in found.items()}
