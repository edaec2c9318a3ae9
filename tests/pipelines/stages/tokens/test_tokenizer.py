"""The tokenizer's stages: what is sampled, that shards and partitions make no difference, and what is recomputed."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from corpus.errors import HeadwaterError
from corpus.io import storage, table
from pipelines.stages.tokens.pretoken_counts import sample_shares
from tests.pipelines.stages.tokens.token_corpus import kept, run_stages, token_recipe, write_corpus
from tests.tokenizer.one_text import split
from tokenizer.pretoken_counts import SCHEMA, PretokenCounter
from tokenizer.train import train
from tokenizer.vocabulary import Vocabulary, load_vocabulary


def _pretokens(root: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for path in sorted((root / "tokenizer/pretokens").glob("*.parquet")):
        rows = table.read_table(str(path), SCHEMA.names)
        counts = {pretoken.decode(): count for pretoken, count in zip(*(column.to_pylist() for column in rows.columns))}
        assert not found.keys() & counts.keys()  # a pretoken is in one partition
        found.update(counts)
    return found


def test_pretokens_are_those_of_the_training_split(tmp_path: Path) -> None:
    results = run_stages(token_recipe(tmp_path), write_corpus(tmp_path), "tokenizer")
    expected: Counter[str] = Counter()
    texts = [row["text"] for row in kept() if row["split"] == "train"]
    for text in texts:
        expected.update(split(text))
    assert _pretokens(tmp_path) == expected
    assert results["pretoken_counts"].counts["documents"] == len(texts)
    assert results["pretoken_counts"].counts["bytes"] == sum(len(text.encode()) for text in texts)


def test_the_vocabulary_is_that_of_all_text_at_once(tmp_path: Path) -> None:
    run_stages(token_recipe(tmp_path), write_corpus(tmp_path), "tokenizer")
    counter = PretokenCounter()
    counter.add(pa.array([row["text"] for row in kept() if row["split"] == "train"], pa.large_string()))
    expected = Vocabulary.from_merges(train(counter.result(), 400))
    made = load_vocabulary(str(tmp_path / "tokenizer/tokenizer.json"))
    assert made.hash == expected.hash
    manifest = storage.read_json(str(tmp_path / "tokenizer/manifest.json"))
    assert manifest["hash"] == expected.hash
    assert manifest["vocab_size"] == 415
    assert manifest["model_vocab_size"] == 512
    assert Tokenizer.from_file(str(tmp_path / "tokenizer/tokenizer.json")).get_vocab_size() == 415


@pytest.mark.parametrize("partitions", [1, 5])
def test_partitions_make_no_difference(tmp_path: Path, partitions: int) -> None:
    one, other = tmp_path / "2", tmp_path / "n"
    run_stages(token_recipe(one), write_corpus(one), "tokenizer")
    run_stages(token_recipe(other, tokenizer={"partitions": partitions}), write_corpus(other), "tokenizer")
    names = ("tokenizer.json", "tokenizer_config.json")
    assert [(one / "tokenizer" / name).read_bytes() for name in names] == [
        (other / "tokenizer" / name).read_bytes() for name in names
    ]


def test_a_sample_follows_the_weights(tmp_path: Path) -> None:
    done = write_corpus(tmp_path)
    total = sum(len(row["text"].encode()) for row in kept() if row["split"] == "train")
    results = run_stages(token_recipe(tmp_path, tokenizer={"sample_bytes": total // 4}), done, "tokenizer")
    assert 0.1 * total < results["pretoken_counts"].counts["bytes"] < 0.4 * total
    again = write_corpus(tmp_path / "again")
    second = run_stages(token_recipe(tmp_path / "again", tokenizer={"sample_bytes": total // 4}), again, "tokenizer")
    assert second["pretoken_counts"].counts == results["pretoken_counts"].counts


def test_shares_of_a_sample() -> None:
    domains = [
        {"domain": "a", "bytes": 1000, "weight": 0.5},
        {"domain": "b", "bytes": 100, "weight": 0.5},
        {"domain": "c", "bytes": 0, "weight": 0.0},
    ]
    assert sample_shares({"domains": domains}, 400) == {"a": 0.2, "b": 1.0}


def test_rare_pretokens_can_be_dropped(tmp_path: Path) -> None:
    run_stages(token_recipe(tmp_path, tokenizer={"min_count": 3}), write_corpus(tmp_path), "tokenizer")
    assert min(_pretokens(tmp_path).values()) == 3


def test_a_changed_vocabulary_counts_nothing_again(tmp_path: Path) -> None:
    done = write_corpus(tmp_path)
    run_stages(token_recipe(tmp_path), done, "tokenizer")
    results = run_stages(token_recipe(tmp_path, tokenizer={"vocab_size": 300}), done, "tokenizer")
    assert results["pretoken_counts"].done_before == results["pretoken_counts"].tasks
    assert results["pretokens"].done_before == results["pretokens"].tasks
    assert results["tokenizer"].done_before == 0
    assert storage.read_json(str(tmp_path / "tokenizer/manifest.json"))["conventional_tokens"] == 300


def test_a_model_vocabulary_that_is_too_small_is_said(tmp_path: Path) -> None:
    done = write_corpus(tmp_path)
    recipe = token_recipe(tmp_path, tokenizer={"model_vocab_size": 400})
    with pytest.raises(AssertionError, match="400 rows cannot hold 415 tokens"):
        run_stages(recipe, done, "tokenizer")


def test_a_tokenizer_that_joins_digits_is_refused(tmp_path: Path) -> None:
    run_stages(token_recipe(tmp_path), write_corpus(tmp_path), "tokenizer")
    path = tmp_path / "tokenizer/tokenizer.json"
    value = json.loads(path.read_text())
    for step in value["pre_tokenizer"]["pretokenizers"]:
        if step["type"] == "Digits":
            step["individual_digits"] = False
    path.write_text(json.dumps(value))
    with pytest.raises(HeadwaterError, match="does not split digits one by one"):
        load_vocabulary(str(path))
