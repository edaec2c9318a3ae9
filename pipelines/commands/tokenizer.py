"""`headwater tokenizer train`: a byte-level BPE tokenizer out of plain files."""

import argparse
from typing import Any

from corpus.errors import HeadwaterError, UsageError
from pipelines.commands.inputs import add_input_arguments, inputs_from
from tokenizer.alphabet import ALPHABET
from tokenizer.counts import PieceCounter
from tokenizer.train import train
from tokenizer.vocabulary import SPECIAL_TOKENS, Vocabulary

EXAMPLE = """\
example:
  headwater tokenizer train docs/*.jsonl.zst --vocab-size 32000 --out tokenizer/tokenizer.json

The file loads in tokenizers (Tokenizer.from_file) and, with the tokenizer_config.json that is written beside it, in
transformers (AutoTokenizer.from_pretrained on the folder).
"""


def register(subparsers: Any) -> None:
    """Add the command to the parser of `headwater`."""
    parser = subparsers.add_parser("tokenizer", help="train a byte-level BPE tokenizer", epilog=EXAMPLE)
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


def run(arguments: argparse.Namespace) -> int:
    """Count, train, save; print what came out."""
    if arguments.vocab_size < len(ALPHABET):
        raise UsageError(f"--vocab-size {arguments.vocab_size}: the {len(ALPHABET)} bytes of UTF-8 alone need more")
    size = arguments.vocab_size + SPECIAL_TOKENS
    if arguments.model_vocab_size is not None and arguments.model_vocab_size < size:
        raise UsageError(f"--model-vocab-size {arguments.model_vocab_size}: the vocabulary has {size:,} tokens")
    for option in ("min_frequency", "min_count"):
        if getattr(arguments, option) < 1:
            raise UsageError(f"--{option.replace('_', '-')} {getattr(arguments, option)}: should be 1 or more")
    inputs = inputs_from(arguments)
    counter = PieceCounter()
    for batch in inputs.batches():
        counter.add(batch["text"])
    pieces = counter.result(arguments.min_count)
    if not len(pieces):
        inputs.report()
        raise HeadwaterError(f"there is no text to train on in {', '.join(inputs.files[:5])}; check --text-column")
    merges = train(pieces, arguments.vocab_size, arguments.min_frequency)
    vocabulary = Vocabulary.from_merges(merges, arguments.model_vocab_size)
    vocabulary.save(arguments.out)
    if len(vocabulary.tokens) < arguments.vocab_size:
        print(f"only {len(vocabulary.tokens):,} tokens: no other pair occurs {arguments.min_frequency} times")
    print(
        f"{arguments.out}: {len(vocabulary.tokens):,} + {SPECIAL_TOKENS} tokens from {len(pieces):,} distinct pieces, "
        f"model vocabulary {vocabulary.model_size:,}, hash {vocabulary.hash}"
    )
    return inputs.report()
