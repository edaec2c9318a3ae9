"""Is the data better? One small model, one budget of tokens, and what the pipeline's steps make of the same dumps.

    HEADWATER_DATA=... python benchmarks/ablation.py --out DIR [--peers PYTHON] [--tokens 2000000] [--seeds 3]

A recipe, by default `dumps`, is run until `domains` in DIR/root. A variant is a choice by the columns of that run, so
no variant is made by other code than a run is. `raw` is every extracted document. `deduplicated` is what `duplicates/`
keeps. `filtered` is what `domains/` keeps of that (verdicts and sites too), less the passages that repeat, which are
looked for only there. `remixed` is the same documents with equal shares of English and Chinese, as far as the cap of 4
epochs allows. `fineweb` is datatrove's output for the same extracted documents (benchmarks/peer_fineweb.py). The
tokenizer is trained once, on clean text that is not in the dumps and not held out. Every model sees the same number of
tokens; bits per byte are measured on held-out clean text. What is done already is not done again: run it anew with more
seeds and only these are trained.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from arguments import add_peers, data_folder, new_parser
from documents import tables_up_to
from peer_process import left_out_if_missing, run_peer

from corpus.io import storage, table
from corpus.mixture.plan import make_plan
from corpus.spans import cut
from pipelines.cli import main as headwater

CLEAN = {
    "en": ("openstax", "18f-blog", "c4-demo"),  # textbooks, a government blog, Common Crawl after C4's filters
    "zh": ("lctt-articles", "cmrc2018-wiki", "d2l-zh"),  # news of open source, Wikipedia, a textbook
}
TOKENIZER_BYTES = 1_500_000  # of each
EPOCH_CAP = 4.0
VARIANTS = ("raw", "deduplicated", "filtered", "remixed", "fineweb")


def annotated(root: Path) -> pa.Table:
    """Every document with what the stages say of it: id, dump, language, text, less (after cuts), unique, keep."""
    parts = []
    for path in sorted(root.glob("documents/dump=*/*.parquet")):
        documents = table.read_table(str(path), ["id", "language", "text"])
        shard = path.relative_to(root / "documents")

        def beside(name: str, documents: pa.Table = documents, shard: Path = shard) -> pa.Table:
            found = table.read_table(str(root / name / shard))
            table.check_ids(documents, found, str(shard))
            return found

        dump = pa.array([shard.parts[0].removeprefix("dump=")]).take(pa.array([0] * len(documents)))
        parts.append(
            documents.append_column("dump", dump)
            .append_column("less", cut(documents["text"], [beside("passages")], {}))
            .append_column("unique", beside("duplicates")["keep"])
            .append_column("keep", beside("domains")["keep"])
        )
    return pa.concat_tables(parts)


def clean_text(data: Path, out: Path, held_out_bytes: int) -> None:
    """Write held-out text by language, and the tokenizer's: disjoint documents, chosen by a hash of their ids."""
    for language, names in CLEAN.items():
        held, rest = [], []
        for name in names:
            rows = pa.concat_tables(tables_up_to([str(data / f"text/{language}/{name}.jsonl.zst")], math.inf))
            order = sorted(rows.to_pylist(), key=lambda row: xxhash.xxh3_64_intdigest(row["id"].encode()))
            held += list(up_to(iter(reversed(order)), held_out_bytes))
            taken = {row["id"] for row in held}
            rest += [row for row in up_to(iter(order), TOKENIZER_BYTES) if row["id"] not in taken]
        pq.write_table(pa.Table.from_pylist(held), out / f"held-out-{language}.parquet")
        pq.write_table(pa.Table.from_pylist(rest), out / f"tokenizer-{language}.parquet")


def up_to(rows: Iterator[dict[str, str]], size: int) -> Iterator[dict[str, str]]:
    """Whole documents of at most a quarter of `size` each, until there are `size` bytes."""
    for row in rows:
        length = len(row["text"].encode())
        if length <= size // 4:
            yield row
            size -= length
        if size <= 0:
            return


def prepare(out: Path, arguments: argparse.Namespace) -> None:
    """The run, the variants' documents, the tokenizer and all token shards."""
    data = data_folder()
    if not (out / "root/domains").exists():
        options = ("--until", "domains", "--workers", str(arguments.workers), "--no-report")
        call("run", arguments.recipe, "--set", f"root={out}/root", *options)
    if not (out / "documents.parquet").exists():
        pq.write_table(annotated(out / "root"), out / "documents.parquet")
    if arguments.peers and not (out / "fineweb.parquet").exists():
        with left_out_if_missing("fineweb"):
            run_peer(arguments.peers, "peer_fineweb.py", out / "documents.parquet", out / "fineweb.parquet")
    if not (out / "tokenizer.json").exists():
        clean_text(data, out, arguments.held_out_bytes)
        files = [str(out / f"tokenizer-{language}.parquet") for language in CLEAN]
        size = ("--vocab-size", str(arguments.vocab_size))
        call("tokenizer", "train", *files, *size, "--out", str(out / "tokenizer.json"))
        for language in CLEAN:
            encode(out, out / f"held-out-{language}.parquet", f"held-out/domain={language}")
    documents = pq.read_table(out / "documents.parquet")
    language_of = dict(zip(documents["id"].to_pylist(), documents["language"].to_pylist(), strict=True))
    kept = documents.filter(documents["keep"]).drop(["text"]).rename_columns({"less": "text"})
    chosen = {
        "raw": documents,
        "deduplicated": documents.filter(documents["unique"]),
        "filtered": kept,
        "fineweb": pq.read_table(out / "fineweb.parquet") if (out / "fineweb.parquet").exists() else None,
    }
    for name, rows in chosen.items():
        if rows is None or (out / "tokens" / name).exists():
            continue
        kinds = pa.array([kind if (kind := language_of[one]) in CLEAN else "other" for one in rows["id"].to_pylist()])
        for kind in sorted(set(kinds.to_pylist())):
            part = rows.filter(pc.equal(kinds, kind)).select(["id", "text"])
            pq.write_table(part, out / "part.parquet")
            encode(out, out / "part.parquet", f"tokens/{name}/domain={kind}")
        (out / "part.parquet").unlink()


def call(*words: str) -> None:
    """A command of `headwater`, which has to end well."""
    if headwater(words):
        sys.exit(f"headwater {' '.join(words)} failed")


def encode(out: Path, source: Path, folder: str) -> None:
    """`headwater tokens`."""
    call("tokens", str(source), "--tokenizer", str(out / "tokenizer.json"), "--out", str(out / folder))


def sizes_of(folder: Path) -> dict[str, dict[str, int]]:
    """Documents, bytes and tokens of each domain of a variant."""
    manifests = {path.parent.name[7:]: storage.read_json(str(path)) for path in folder.glob("domain=*/manifest.json")}
    return {name: {key: manifests[name][key] for key in ("documents", "bytes", "tokens")} for name in sorted(manifests)}


def weights_of(variant: str, sizes: dict[str, dict[str, int]], budget: int) -> dict[str, float] | None:
    """None is natural; `remixed` is planned by the project's own mixture."""
    if variant != "remixed":
        return None
    plan = make_plan(
        {name: size["tokens"] for name, size in sizes.items()},
        {name: size["documents"] for name, size in sizes.items()},
        unit="tokens",
        method="given",
        weights={"en": 0.5, "zh": 0.5},
        temperature=1.0,
        epoch_cap=EPOCH_CAP,
        budget=budget,
    )
    return {domain["domain"]: domain["weight"] for domain in plan["domains"] if domain["weight"]}


def train_one(out: Path, variant: str, seed: int, options: argparse.Namespace) -> None:
    """Train a model and write its summary, unless it is there."""
    from train.loop import Display
    from train.pretrain import RunData, pretrain
    from train.settings import TrainSettings

    folder = out / f"runs-{options.tokens}" / f"{variant}-{seed}"
    if (folder / "summary.json").exists():
        return
    source = out / "tokens" / ("filtered" if variant == "remixed" else variant)
    steps = options.tokens // (options.batch_size * options.sequence_length)
    settings = TrainSettings(
        model=options.model,
        steps=steps,
        batch_size=options.batch_size,
        sequence_length=options.sequence_length,
        learning_rate=options.learning_rate,
        warmup_steps=max(1, steps // 20),
        init_std=0.02,
        schedule="cosine",
        precision=options.precision,
        seed=seed,
        device="cpu",
        threads=1,
        validate_every=max(1, steps // 5),
        validation_tokens=options.validation_tokens,
        checkpoint_seconds=1e9,
    )
    sizes = sizes_of(source)
    data = RunData(
        tokens={name: str(source / f"domain={name}") for name in sizes},
        weights=weights_of(variant, sizes, options.tokens),
        validation={language: str(out / f"held-out/domain={language}") for language in CLEAN},
    )
    start = time.process_time()
    summary = pretrain(settings, data, str(folder), Display())
    summary |= {"sizes": sizes, "cpu_seconds": time.process_time() - start}
    (folder / "summary.json").write_text(json.dumps(summary))
    bits = summary["bits_per_byte"]
    print(
        f"{variant} {seed}: en {bits['en']:.4f} zh {bits['zh']:.4f}, {summary['cpu_seconds']:.0f} s of CPU", flush=True
    )


def show(out: Path, options: argparse.Namespace) -> None:
    """The table and the curves, mean and deviation over the seeds there are, as Markdown."""
    found = {
        variant: [
            (json.loads((folder / "summary.json").read_text()), metrics(folder))
            for folder in sorted((out / f"runs-{options.tokens}").glob(f"{variant}-*"))
            if (folder / "summary.json").exists()
        ]
        for variant in VARIANTS
    }
    print("\n| data | documents | text MB | zh of trained tokens | epochs en, zh | en | zh | mean of both | seeds |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for variant, runs in found.items():
        if not runs:
            continue
        first = runs[0][0]
        total = {key: sum(size[key] for size in first["sizes"].values()) for key in ("documents", "bytes")}
        zh = first["domains"]["zh"]["tokens"] / first["tokens"]
        epochs = ", ".join(f"{first['domains'][name]['epochs']:.2f}" for name in CLEAN)
        bits = [[run["bits_per_byte"][name] for name in CLEAN] for run, _ in runs]
        cells = [spread([run[0] for run in bits]), spread([run[1] for run in bits]), spread([sum(x) / 2 for x in bits])]
        print(
            f"| {variant} | {total['documents']:,} | {total['bytes'] / 1e6:.1f} | {zh:.1%} | {epochs} | "
            f"{' | '.join(cells)} | {len(runs)} |"
        )
    curves = [curve for runs in found.values() for _, curve in runs]
    steps = [record["step"] for record in curves[0]] if curves else []
    print("\nmean of both on the first held-out tokens, along the run\n")
    print("| data | " + " | ".join(f"step {step}" for step in steps) + " |")
    print("|---|" + "--:|" * len(steps))
    for variant, runs in found.items():
        if runs:
            rows = [[sum(record["bits_per_byte"][name] for name in CLEAN) / 2 for record in curve] for _, curve in runs]
            print(f"| {variant} | " + " | ".join(spread(list(column)) for column in zip(*rows, strict=True)) + " |")


def metrics(folder: Path) -> list[dict]:
    """The measurements along a run."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if "bits_per_byte" in record]


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values) if len(values) > 1 else 0:.3f}"


def main() -> None:
    """Prepare, train, show."""
    parser = new_parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/ablation"), help="everything is kept there")
    parser.add_argument("--recipe", default="dumps", help="whose documents are compared (default: dumps)")
    parser.add_argument("--workers", type=int, default=1, help="of its run (default: 1; 0: no Ray)")
    add_peers(parser, "datatrove, spaCy, NLTK and jieba")
    parser.add_argument("--tokens", type=int, default=2_000_000, help="that each model is trained on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--sequence-length", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--vocab-size", type=int, default=4_000)
    parser.add_argument("--held-out-bytes", type=int, default=80_000, help="of each clean file (default: 80000)")
    parser.add_argument("--validation-tokens", type=int, default=16_384, help="along the run (default: 16384)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    prepare(options.out, options)
    for seed in range(options.seeds):
        for variant in VARIANTS:
            if variant != "fineweb" or (options.out / "tokens/fineweb").exists():
                train_one(options.out, variant, seed, options)
    show(options.out, options)


if __name__ == "__main__":
    main()
