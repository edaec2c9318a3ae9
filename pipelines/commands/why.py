"""`headwater why`: what happened to a document at each stage, with values and thresholds."""

import argparse
import json
from collections.abc import Iterator
from typing import Any

from pipelines.commands.recipes import add_recipe_arguments, recipe_from
from pipelines.engine.progress import human_bytes
from pipelines.results.why import why
from pipelines.results.why_token import FORM, document_at

INDENT = " " * 12
SHOWN = 90  # characters of a span


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "why",
        help="what happened to a document, by id, URL or token",
        description="Exit status 1 where no document and no rejected record is what was asked for.",
        epilog="Example: headwater why recipes/sample.yaml --url https://docs.sqlalchemy.org/en/latest/core/dml.html",
    )
    add_recipe_arguments(parser)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--id", help="the id of a document, or the beginning of one")
    asked.add_argument("--url", help="an address; all its captures are listed")
    asked.add_argument("--token", metavar="SHARD:POSITION", help=f"a token of the corpus: {FORM}")
    parser.add_argument("--root", metavar="DIR", help="where the run is, instead of the recipe's root")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what happened to the document, or to each capture of the address."""
    recipe = recipe_from(arguments)
    if arguments.root:
        recipe = recipe.model_copy(update={"root": arguments.root})
    wanted = document_at(recipe.root, arguments.token) if arguments.token else arguments.id
    found = why(recipe, wanted, arguments.url)
    if arguments.json:
        print(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True))
    else:
        blocks = ["\n".join(describe(trace)) for trace in found["documents"]]
        blocks += ["\n".join(describe_reject(reject)) for reject in found["rejects"]]
        print("\n\n".join(_printable(block) for block in blocks))
    return 0


def _printable(text: str) -> str:
    """Control characters in an address or a reason must not reach the terminal as commands."""
    return "".join(letter if letter.isprintable() or letter == "\n" else f"\\x{ord(letter):02x}" for letter in text)


def describe_reject(reject: dict[str, Any]) -> Iterator[str]:
    """The lines about a record that became no document."""
    yield f"{reject['url']} · {reject['dump']}"
    yield "  => rejected at extraction"
    yield f"  extract   {reject['reason']}: {reject['detail']}"
    yield f"{INDENT}{reject['file']} at {reject['offset']:,}"


def describe(trace: dict[str, Any]) -> Iterator[str]:
    """The lines about a document."""
    extract = trace["extract"]
    yield " · ".join(part for part in (trace["url"], trace["dump"], (extract["date"] or "")[:10]) if part)
    yield f"  {trace['id']}"
    yield f"  => {trace['outcome']}"
    scores = f"{extract['language_score']:.3f} (en {extract['lid_en']:.3f}, zh {extract['lid_zh']:.3f})"
    yield f"  extract   {human_bytes(extract['length'])} of text; language {extract['language']} {scores}"
    yield f"{INDENT}{extract['file']} at {extract['offset']:,}; charset {extract['charset'] or 'unknown'}"
    yield f"{INDENT}documents/dump={trace['dump']}/{trace['shard']} row {trace['row']}"
    yield from _filter_lines(trace["filter"])
    yield from _dedup_lines(trace["dedup"])
    yield from _span_lines(trace["spans"], extract["length"])
    if trace["site"]:
        yield f"  site      dropped whole: {'; '.join(trace['site'])}"
    if trace["remix"] is None:
        yield "  remix     has not run for it yet"
        return
    remix = trace["remix"]
    yield f"  remix     domain {remix['domain']}, {remix['split']} split; {'kept' if remix['keep'] else 'not kept'}"
    if remix["keep"] and remix["weight"] is not None:
        yield f"{INDENT}the domain is {remix['weight']:.1%} of the training, {remix['epochs']:.2f} epochs"
    if trace["tokens"] is not None:
        first, count = trace["tokens"]["offset"], trace["tokens"]["tokens"]
        yield f"  tokens    {trace['tokens']['shard']}, tokens {first:,} to {first + count - 1:,} ({count:,})"


def _span_lines(found: dict[str, Any] | None, length: int) -> Iterator[str]:
    if found is None or not found["spans"]:
        return
    parts = [f"{found[name]:,} bytes {name}" for name in ("cut", "masked") if found[name]]
    yield f"  spans     {' and '.join(parts)}, of {length:,}, before it is tokenized"
    for span in found["spans"]:
        shown = span["text"] if len(span["text"]) <= SHOWN else f"{span['text'][: SHOWN - 20]} … {span['text'][-17:]}"
        became = f" -> {span['becomes']}" if span["becomes"] is not None else ""
        yield f"{INDENT}{span['kind']:<9} {span['start']:>8,} to {span['end']:<8,} {' '.join(shown.split())}{became}"


def _filter_lines(found: dict[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield "  filter    has not run for it yet"
        return
    checks = [check for check in found["checks"] if check["passes"] is not None]
    if found["keep"] is None:
        yield "  filter    measured, not judged yet"
    elif not found["keep"]:
        yield f"  filter    fails: {'; '.join(found['reasons'])}"
    elif found["rules"] == "none":
        yield "  filter    passes: the recipe applies no rules to this source"
    else:
        languages = f"{' or '.join(found['languages'])} with a score of at least {found['language_score']:g}"
        yield f"  filter    passes all {len(checks)} rules of table {found['table']}; language {languages}"
    for match in found["matches"]:
        item = f"{match['benchmark']} item {match['item']}, {match['field']}"
        yield f"{INDENT}holds {match['share']:.0%} of {item}: bytes {match['start']:,} to {match['end']:,}"
    for check in sorted(checks, key=lambda check: check["passes"]):
        passed = "ok  " if check["passes"] else "FAIL"
        yield f"{INDENT}{passed} {check['signal']:<32} {check['value']:>10.4g}   {_allowed(check)}"


def _allowed(check: dict[str, Any]) -> str:
    low, high = check["min"], check["max"]
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return f"at least {low:g}" if low is not None else f"at most {high:g}"


def _dedup_lines(found: dict[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield "  dedup     has not run for it yet"
        return
    size = f"{found['cluster_size']} documents of {found['cluster_dumps']} dumps"
    if found["keep"]:
        alone = found["cluster_size"] == 1
        yield "  dedup     kept: nothing is like it" if alone else f"  dedup     kept: it stands for {size}"
    elif found["level"] == "takedown":
        yield "  dedup     taken down: the recipe names it in dedup.takedown"
    else:
        other, near = found["duplicate_of"], found["level"] == "near"
        limit = f", threshold {found['threshold']:g}" if near else ""
        yield f"  dedup     removed ({found['level']}): similarity {found['similarity']:.3f}{limit}; one of {size}"
        yield f"{INDENT}of {other['id']}"
        passes = {True: "passes the filters", False: "fails the filters itself", None: "not judged yet"}
        yield f"{INDENT}   {other['url'] or 'no address'} · {other['dump']} · {passes[other['passes_filters']]}"
    for other in found["members"]:
        if found["keep"]:
            yield f"{INDENT}{other['similarity'] or 1:.3f} {other['id']} {other['url'] or ''} · {other['dump']}"
