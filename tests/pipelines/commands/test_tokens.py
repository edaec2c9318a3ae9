"""`headwater tokenizer train` and `headwater tokens` on plain files: what they write, and what they refuse."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.cli import main
from tokenizer.shards import open_shards
from tokenizer.vocabulary import load_vocabulary

TEXTS = [f"hello wide world, number {number} 中国" * 5 for number in range(40)] + ["long " * 500, ""]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("plain")
    names = {name: str(folder / name) for name in ("documents.jsonl", "empty.jsonl", "tokenizer.json")}
    rows = [json.dumps({"id": f"d{number}", "text": text}) + "\n" for number, text in enumerate(TEXTS)]
    Path(names["documents.jsonl"]).write_text("".join(rows))
    Path(names["empty.jsonl"]).write_text("")
    options = ["--vocab-size", "300", "--out", names["tokenizer.json"]]
    assert main(["tokenizer", "train", names["documents.jsonl"], *options]) == 0
    return {name.split(".")[0]: path for name, path in names.items()}


@pytest.mark.parametrize(("shard_bytes", "shards"), [(1, 42), (1000, None), (1 << 30, 1)])
def test_shards_are_cut_between_documents(
    files: dict[str, str], tmp_path: Path, shard_bytes: int, shards: int | None
) -> None:
    options = ["--tokenizer", files["tokenizer"], "--out", str(tmp_path), "--shard-bytes", str(shard_bytes)]
    assert main(["tokens", files["documents"], *options]) == 0
    opened, vocabulary = open_shards(str(tmp_path), verify=True), load_vocabulary(files["tokenizer"])
    found: dict[str, str] = {}
    for number, shard in enumerate(opened.shards):
        tokens = opened.tokens(number)
        for row in pq.read_table(shard.path.replace(".bin", ".parquet")).to_pylist():
            part = tokens[row["offset"] : row["offset"] + row["tokens"]]
            assert part[-1] == vocabulary.eos
            found[row["id"]] = vocabulary.decode(part).decode()
        assert 4 * shard.num_tokens <= shard_bytes or shard.num_documents == 1
    assert list(found.values()) == TEXTS  # all, once, in the order of the input
    assert list(found) == [f"d{number}" for number in range(len(TEXTS))]
    assert len(opened.shards) == shards or (shards is None and 4 < len(opened.shards) < 42)


def test_fewer_shards_than_before_leave_none_behind(files: dict[str, str], tmp_path: Path) -> None:
    """What the new manifest does not name is not there; what is no shard is left alone."""
    command = ["tokens", files["documents"], "--tokenizer", files["tokenizer"], "--out", str(tmp_path)]
    assert main([*command, "--shard-bytes", "1000"]) == 0
    (tmp_path / "notes.parquet").write_text("mine")
    (tmp_path / "domain=other").mkdir()
    (tmp_path / "domain=other/00007.bin").write_text("another folder's")
    assert main(command) == 0
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    shard = {f"00000.{suffix}" for suffix in ("bin", "idx", "blocks", "parquet")}
    assert names == shard | {"manifest.json", "notes.parquet", "domain=other/00007.bin"}


def test_documents_in_the_way_are_not_replaced(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Documents have the names of provenance; a run into their folder, over them or over others, leaves them alone."""
    for number in (0, 7):
        pq.write_table(pa.table({"id": ["a"], "text": ["one text"]}), tmp_path / f"{number:05d}.parquet")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for source in (str(tmp_path / "00000.parquet"), files["documents"]):
        assert main(["tokens", source, "--tokenizer", files["tokenizer"], "--out", str(tmp_path)]) == 2
        assert "00000.parquet is there and belongs to no token shard" in capsys.readouterr().err
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("tokens {documents} --tokenizer {tokenizer} --out {out} --shard-bytes 0", 2, "--shard-bytes 0"),
        ("tokens {documents} --tokenizer {out}/none.json --out {out}", 1, "no such file"),
        ("tokens {documents} --tokenizer {tokenizer} --out {documents}", 1, "Not a directory"),
        ("tokens {out}/none.jsonl --tokenizer {tokenizer} --out {out}", 2, "no such file"),
        ("tokenizer train {documents} --vocab-size 242 --out {out}/t.json", 2, "from 243"),
        ("tokenizer train {documents} --vocab-size 20000000 --out {out}/t.json", 2, "to 16,777,216"),
        ("tokenizer train {documents} --vocab-size 300 --model-vocab-size 310 --out {out}/t.json", 2, "315 tokens"),
        ("tokenizer train {documents} --vocab-size 300 --min-frequency 0 --out {out}/t.json", 2, "1 or more"),
        ("tokenizer train {documents} --vocab-size 300 --min-count -1 --out {out}/t.json", 2, "1 or more"),
        ("tokenizer train {empty} --vocab-size 300 --out {out}/t.json", 1, "no text to train on"),
        ("tokenizer train {documents} --text-column x --vocab-size 300 --out {out}/t.json", 1, "no text to train on"),
        ("tokenizer train {documents} --vocab-size 300 --out {documents}/t.json", 1, "documents.jsonl"),
    ],
)
def test_what_cannot_be_done_is_said(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, status: int, message: str
) -> None:
    assert main([word.format(**files, out=tmp_path) for word in words.split()]) == status
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
