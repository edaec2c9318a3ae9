"""The tokenizer judged on held-out text: its own sums, smaller vocabularies, other tokenizers, and refusals."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from corpus.io import storage
from pipelines.cli import main
from tests.pipelines.stages.tokens.token_corpus import kept, run_stages, token_recipe, write_corpus
from tokenizer.evaluate import count_scripts, cut_vocabulary, longest_tokens, script_of
from tokenizer.vocabulary import load_vocabulary


def _evaluate(root: Path, **options: Any) -> dict[str, Any]:
    run_stages(token_recipe(root, tokenizer=options), write_corpus(root), "tokenizer_evaluation")
    value: dict[str, Any] = storage.read_json(str(root / "tokenizer/evaluation.json"))
    return value


def test_it_is_measured_on_all_held_out_text_beside_others(tmp_path: Path) -> None:
    _evaluate(tmp_path / "other", vocab_size=300)
    path = str(tmp_path / "other/tokenizer/tokenizer.json")
    report = _evaluate(tmp_path / "mine", references={"the other": path})
    held = [row for row in kept() if row["split"] == "validation"]
    assert report["text"] == {"documents": len(held), "bytes": sum(len(row["text"].encode()) for row in held)}
    assert set(report["fit"]) == {"this tokenizer", "the other"}
    for name, file in (("this tokenizer", tmp_path / "mine/tokenizer/tokenizer.json"), ("the other", path)):
        library = Tokenizer.from_file(str(file))
        for language in ("en", "zh"):
            texts = [row["text"] for row in held if row["language"] == language]
            tokens = sum(len(library.encode(text, add_special_tokens=False).ids) for text in texts)
            row = report["fit"][name]["languages"][language]
            assert (row["documents"], row["tokens"]) == (len(texts), tokens)
            assert row["bytes_per_token"] == sum(len(text.encode()) for text in texts) / tokens
    assert sum(report["scripts"].values()) == 400
    assert 0 < report["unused"]["count"] < 400
    assert report["unused"]["examples"]


def test_a_sample_is_as_large_as_asked(tmp_path: Path) -> None:
    held = sum(len(row["text"].encode()) for row in kept() if row["split"] == "validation")
    report = _evaluate(tmp_path, evaluation_bytes=held // 2)
    assert 0.2 * held < report["text"]["bytes"] < 0.8 * held


def test_a_reference_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(AssertionError, match="so X cannot be compared with"):
        _evaluate(tmp_path, references={"X": str(tmp_path / "x.json")})


def test_a_cut_vocabulary_is_that_of_a_smaller_training(tmp_path: Path) -> None:
    hashes = []
    for size in (300, 350):
        _evaluate(tmp_path / str(size), vocab_size=size)
        vocabulary = load_vocabulary(str(tmp_path / str(size) / "tokenizer/tokenizer.json"))
        hashes.append(cut_vocabulary(vocabulary, 300).hash)
    assert hashes[0] == hashes[1]


def test_scripts_and_long_tokens() -> None:
    tokens = ["the", " Ж", "中国", "カナ", "aЖ", "12", " \t", "=="]
    found = [script_of(token.encode()) for token in tokens]
    assert found == ["latin", "cyrillic", "cjk", "katakana", "mixed", "digits", "blanks", "symbols"]
    assert script_of("中".encode()[:2]) == "part of a character"
    assert count_scripts([b"a", b"b", b"1"]) == {"latin": 2, "digits": 1}
    assert longest_tokens([b"=====", b"ab", b"abc"], 2) == ["abc", "ab"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "en.txt").write_text("the quick brown fox\n" * 30)
    (tmp_path / "zh.txt").write_text("数据工程师的工作\n" * 30)
    files, path = [str(tmp_path / name) for name in ("en.txt", "zh.txt")], str(tmp_path / "t/tokenizer.json")
    assert main(["tokenizer", "train", *files, "--vocab-size", "300", "--out", path]) == 0
    options = ["--tokenizer", path, "--reference", f"same={path}", "--sizes", "250", "--out", str(tmp_path / "r.json")]
    assert main(["tokenizer", "evaluate", *files, *options]) == 0
    report = storage.read_json(str(tmp_path / "r.json"))
    assert report["fit"]["same"] == report["fit"]["this tokenizer"]
    assert set(report["fit"]["same"]["files"]) == {"en.txt", "zh.txt"}
    fits = [report["fit"][name]["files"]["zh.txt"]["bytes_per_token"] for name in ("its first 250 tokens", "same")]
    assert fits[0] < fits[1]
    (tmp_path / "more").mkdir()
    (tmp_path / "more/en.txt").write_text("jumps over\n")
    same_name = str(tmp_path / "more/en.txt")
    assert main(["tokenizer", "evaluate", *files, same_name, *options]) == 0
    assert set(storage.read_json(str(tmp_path / "r.json"))["fit"]["same"]["files"]) == {files[0], same_name, "zh.txt"}
    assert "longest tokens" in capsys.readouterr().out
    assert main(["tokenizer", "evaluate", *files, "--tokenizer", path, "--reference", path]) == 2
    assert main(["tokenizer", "evaluate", *files, "--tokenizer", path, "--sizes", "1000"]) == 2
