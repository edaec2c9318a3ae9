"""What the vocabulary's size and the languages' shares do to bytes per token, beside other tokenizers; held-out text.

    python benchmarks/multilingual_text.py --data HEADWATER_DATA --out text        (400 MB of real text)
    python benchmarks/tokenizer_tradeoffs.py text [--reference NAME=tokenizer.json ...]

One document in 50, by the hash of its text, is held out. A tokenizer is trained on all the others and measured on
these, by source; its first 8,000, 16,000 ... tokens are what a smaller vocabulary would be. Then vocabularies of
--share-size tokens are trained on samples of one size in which Chinese has a share from a tenth to nine tenths. Prints
Markdown tables. The references have seen other text, and perhaps some of this, so they are a measure and no contest.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from arguments import new_parser
from documents import text_bytes

from corpus.io import storage, table
from tokenizer.encode import Encoder
from tokenizer.evaluate import cut_vocabulary, load_reference, reference_lengths, sweep_sizes
from tokenizer.order import document_hashes, sampled
from tokenizer.pretoken_counts import PretokenCounter
from tokenizer.train import train
from tokenizer.vocabulary import Vocabulary

GROUPS = {
    "English": ["text/en"],
    "Chinese": ["text/zh"],
    "code": ["code", "python"],
    "web pages": ["crawls"],
    "79 languages": ["lid"],
    "190 languages": ["catalogues"],
}
HELD_OUT = 0.02
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)


def read(files: list[str], held_out: float) -> Iterator[tuple[pa.Table, pa.Array]]:
    """Each file's rows, and which of them are held out, a share of `held_out`."""
    for file in files:
        rows = table.read_table(file, ["source", "text"])
        yield rows, pa.array(sampled(document_hashes(rows["text"], 1), held_out))


def vocabulary_of(counter: PretokenCounter, size: int) -> Vocabulary:
    """Train on what was counted."""
    return Vocabulary.from_merges(train(counter.result(), size))


def bytes_per_token(encoder: Encoder, texts: pa.ChunkedArray) -> float:
    """Of one group of texts."""
    return text_bytes(texts) / len(encoder.encode_column(texts)[0])


def row(name: str, cells: list[float]) -> None:
    """A line of a Markdown table."""
    print(f"| {name} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |", flush=True)


def header(*names: str) -> None:
    """The head of a Markdown table."""
    print("\n| " + " | ".join(names) + " |\n|---|" + "--:|" * (len(names) - 1))


def shares(files: list[str], held_out: float, size: int, total: float, held: dict[str, pa.ChunkedArray]) -> None:
    """Vocabularies from samples of `total` bytes in which Chinese has this share and English the rest."""
    sides = {"English": ["text/en", "docs", "manuals"], "Chinese": ["text/zh"]}
    sizes = dict.fromkeys(sides, 0)
    texts: dict[str, list[pa.ChunkedArray]] = {side: [] for side in sides}
    for rows, out in read(files, held_out):
        for side, sources in sides.items():
            part = rows.filter(pc.and_(pc.is_in(rows["source"], pa.array(sources)), pc.invert(out)))["text"]
            texts[side].append(part)
            sizes[side] += text_bytes(part)
    header("share of Chinese", *held)
    for share in SHARES:
        counter = PretokenCounter()
        for side, wanted in (("Chinese", share), ("English", 1 - share)):
            for part in texts[side]:
                chosen = sampled(document_hashes(part, 2), wanted * total / sizes[side])
                counter.add(part.filter(pa.array(chosen)))
        encoder = Encoder(vocabulary_of(counter, size), eos=False)
        row(f"{share:.0%}", [bytes_per_token(encoder, text) for text in held.values()])


def main() -> None:
    """Train, measure, print."""
    parser = new_parser(__doc__)
    parser.add_argument("text", help="the folder that multilingual_text.py wrote")
    parser.add_argument("--vocab-size", type=int, default=100_000)
    parser.add_argument("--reference", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--share-size", type=int, default=32_000, help="tokens in the comparison of shares")
    parser.add_argument("--share-megabytes", type=float, default=60, help="of text in each sample of it")
    parser.add_argument("--held-out", type=float, default=HELD_OUT, help=f"share of documents (default: {HELD_OUT})")
    arguments = parser.parse_args()
    files = storage.expand(arguments.text)
    counter = PretokenCounter()
    kept: list[pa.Table] = []
    for rows, out in read(files, arguments.held_out):
        counter.add(rows.filter(pc.invert(out))["text"])
        kept.append(rows.filter(out))
    held_out = pa.concat_tables(kept)
    groups = {
        name: held_out.filter(pc.is_in(held_out["source"], pa.array(sources)))["text"]
        for name, sources in GROUPS.items()
    }
    held = {name: texts for name, texts in groups.items() if text_bytes(texts)}
    sizes = ", ".join(f"{name} {text_bytes(text) / 1e6:.1f} MB" for name, text in held.items())
    print(f"held out: {sizes}")
    whole = vocabulary_of(counter, arguments.vocab_size)
    del counter
    header("bytes per token", *held)
    for size in [*sweep_sizes(len(whole.tokens)), len(whole.tokens)]:
        encoder = Encoder(cut_vocabulary(whole, size), eos=False)
        row(f"{size:,} tokens", [bytes_per_token(encoder, text) for text in held.values()])
    for reference in arguments.reference:
        name, _, path = reference.partition("=")
        other = load_reference(name, path)
        cells = [text_bytes(text) / reference_lengths(other, text).sum() for text in held.values()]
        row(f"{name}, {other.get_vocab_size():,}", cells)
    shares(files, arguments.held_out, arguments.share_size, arguments.share_megabytes * 1e6, held)


if __name__ == "__main__":
    main()
