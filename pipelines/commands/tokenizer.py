"""`headwater tokenizer`: train a byte-level BPE tokenizer on plain files, and judge one on them beside others."""

import argparse
from collections import Counter
from typing import Any

import numpy as np
import pyarrow.compute as pc

from corpus.errors import HeadwaterError, UsageError
from corpus.io import storage
from pipelines.commands.inputs import Inputs, add_input_arguments, inputs_from
from pipelines.engine.stamps import add_counts
from tokenizer.alphabet import ALPHABET
from tokenizer.encode import Encoder
from tokenizer.evaluate import (
    count_scripts,
    cut_vocabulary,
    fertility,
    load_reference,
    longest_tokens,
    reference_lengths,
    sum_by,
    sweep_sizes,
    unused_tokens,
)
from tokenizer.pretoken_counts import PretokenCounter
from tokenizer.vocabulary import SPECIAL_TOKENS, load_vocabulary
from tokenizer.vocabulary_training import train_vocabulary

EXAMPLE = """\
example:
  headwater tokenizer train docs/*.jsonl.zst --vocab-size 32000 --out tokenizer/tokenizer.json

The file loads in tokenizers (Tokenizer.from_file) and, with the tokenizer_config.json that is written beside it, in
transformers (AutoTokenizer.from_pretrained on the folder).
"""
EVALUATE_EXAMPLE = """\
example:
  headwater tokenizer evaluate en.jsonl zh.jsonl --tokenizer tokenizer.json --reference llama3=llama3/tokenizer.json

prints UTF-8 bytes per token of each file: for the tokenizer, for its first 8,000, 16,000 ... tokens (what a smaller
vocabulary trained on the same text would give), and for each reference; then what the vocabulary is made of.
"""
OURS = "this tokenizer"
MOST_TOKENS = 1 << 24  # far more than any model has; beyond, the tables of training do not fit in memory


def register(subparsers: Any) -> None:
    """Add the command to the parser of `headwater`."""
    parser = subparsers.add_parser("tokenizer", help="train a byte-level BPE tokenizer, or judge one", epilog=EXAMPLE)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    action = actions.add_parser(
        "train",
        help="train on files",
        description="Train a byte-level BPE tokenizer with the pre-tokenizer of DeepSeek LLM on the text of files.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_input_arguments(action)
    action.add_argument(
        "--vocab-size",
        type=int,
        required=True,
        metavar="N",
        help=f"conventional tokens, at least {len(ALPHABET)}; {SPECIAL_TOKENS} special ones are added behind them",
    )
    action.add_argument(
        "--model-vocab-size", type=int, metavar="N", help="rows of the model (default: a multiple of 128)"
    )
    action.add_argument(
        "--min-frequency", type=int, default=2, metavar="N", help="a rarer pair is not merged (default: 2)"
    )
    action.add_argument("--min-count", type=int, default=1, metavar="N", help="rarer pieces are left out (default: 1)")
    action.add_argument("--out", required=True, metavar="FILE", help="where tokenizer.json is written")
    action.set_defaults(run=run)
    _register_evaluate(actions)


def _register_evaluate(actions: Any) -> None:
    action = actions.add_parser(
        "evaluate",
        help="judge one on files",
        description="How many bytes of text one token stands for, by file, beside other tokenizers.",
        epilog=EVALUATE_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_input_arguments(action)
    action.add_argument("--tokenizer", required=True, metavar="FILE", help="tokenizer.json, made by Headwater")
    action.add_argument(
        "--reference",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="another's tokenizer.json; may be repeated",
    )
    action.add_argument("--sizes", metavar="N,N", help="smaller vocabularies to measure (default: 8000,16000 ...)")
    action.add_argument("--out", metavar="FILE", help="write the figures as JSON too")
    action.set_defaults(run=evaluate)


def run(arguments: argparse.Namespace) -> int:
    """Count, train, save; print what came out."""
    if not len(ALPHABET) <= arguments.vocab_size <= MOST_TOKENS:
        raise UsageError(
            f"--vocab-size {arguments.vocab_size}: should be from {len(ALPHABET)}, the bytes of UTF-8 alone, to "
            f"{MOST_TOKENS:,}"
        )
    size = arguments.vocab_size + SPECIAL_TOKENS
    if arguments.model_vocab_size is not None and arguments.model_vocab_size < size:
        raise UsageError(f"--model-vocab-size {arguments.model_vocab_size}: the vocabulary has {size:,} tokens")
    for option in ("min_frequency", "min_count"):
        if getattr(arguments, option) < 1:
            raise UsageError(f"--{option.replace('_', '-')} {getattr(arguments, option)}: should be 1 or more")
    inputs = inputs_from(arguments)
    counter = PretokenCounter()
    for batch in inputs.batches():
        counter.add(batch["text"])
    pieces = counter.result(arguments.min_count)
    if not len(pieces):
        inputs.report()
        raise HeadwaterError(f"there is no text to train on in {', '.join(inputs.files[:5])}; check --text-column")
    vocabulary = train_vocabulary(
        pieces, arguments.vocab_size, min_frequency=arguments.min_frequency, model_size=arguments.model_vocab_size
    )
    vocabulary.save(arguments.out)
    if len(vocabulary.tokens) < arguments.vocab_size:
        print(f"only {len(vocabulary.tokens):,} tokens: no other pair occurs {arguments.min_frequency} times")
    print(
        f"{arguments.out}: {len(vocabulary.tokens):,} + {SPECIAL_TOKENS} tokens from {len(pieces):,} distinct pieces, "
        f"model vocabulary {vocabulary.model_size:,}, hash {vocabulary.hash}"
    )
    return inputs.report()


def evaluate(arguments: argparse.Namespace) -> int:
    """Encode every file with every tokenizer; print a table and what the vocabulary is made of."""
    vocabulary = load_vocabulary(arguments.tokenizer)
    encoders = {OURS: Encoder(vocabulary, eos=False)}
    for size in _sizes(arguments.sizes, len(vocabulary.tokens)):
        encoders[f"its first {size:,} tokens"] = Encoder(cut_vocabulary(vocabulary, size), eos=False)
    pairs = [reference.partition("=") for reference in arguments.reference]
    if wrong := [name for name, mark, path in pairs if not (name and mark and path)]:
        raise UsageError(f"--reference {wrong[0]}: should be NAME=FILE")
    references = {name: load_reference(name, path) for name, _, path in pairs}
    usage = np.zeros(vocabulary.size, np.int64)
    sums: dict[str, dict[str, Any]] = {name: {} for name in [*encoders, *references]}
    inputs = inputs_from(arguments)
    shared = {name for name, count in Counter(map(_base, inputs.files)).items() if count > 1}
    status = 0
    for file in inputs.files:
        part = Inputs([file], inputs.text_column, inputs.id_column)
        name = file if _base(file) in shared else _base(file)
        for batch in part.batches():
            sizes = pc.binary_length(batch["text"]).to_numpy()
            for which, encoder in encoders.items():
                tokens, lengths = encoder.encode_column(batch["text"])
                if which == OURS:
                    usage += np.bincount(tokens, minlength=len(usage))
                add_counts(sums[which], sum_by([name] * len(batch), sizes, lengths.astype(np.int64)))
            for which, reference in references.items():
                others = reference_lengths(reference, batch["text"])
                add_counts(sums[which], sum_by([name] * len(batch), sizes, others))
        status = max(status, part.report())
    report = {
        "fit": {which: {"files": fertility(files)} for which, files in sums.items()},
        "scripts": count_scripts(vocabulary.tokens),
        "longest": longest_tokens(vocabulary.tokens),
        "unused": unused_tokens(vocabulary, usage[: len(vocabulary.tokens)]),
    }
    _print(report)
    if arguments.out:
        storage.write_json(arguments.out, report)
    return status


def _base(file: str) -> str:
    return file.rsplit("/", 1)[-1]


def _sizes(given: str | None, most: int) -> list[int]:
    """The sizes to cut the vocabulary to."""
    if given is None:
        return sweep_sizes(most)
    try:
        sizes = [int(size) for size in given.split(",")]
    except ValueError:
        raise UsageError(f"--sizes {given}: should be numbers with commas between them") from None
    if wrong := [size for size in sizes if not len(ALPHABET) <= size <= most]:
        raise UsageError(f"--sizes {wrong[0]}: should be from {len(ALPHABET)} to {most}, the tokenizer's size")
    return sizes


def _print(report: dict[str, Any]) -> None:
    names = sorted({name for groups in report["fit"].values() for name in groups["files"]})
    print(f"{'bytes per token':30}" + "".join(f" {name[-20:]:>20}" for name in names))
    for which, groups in report["fit"].items():
        cells = (groups["files"].get(name, {}).get("bytes_per_token", 0.0) for name in names)
        print(f"{which[:30]:30}" + "".join(f" {cell:20.3f}" for cell in cells))
    print("scripts: " + ", ".join(f"{script} {count:,}" for script, count in report["scripts"].items()))
    print("longest tokens: " + ", ".join(map(repr, report["longest"][:10])))
    unused = report["unused"]
    print(f"unused here: {unused['count']:,} tokens ({unused['share']:.1%})")
