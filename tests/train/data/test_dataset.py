"""The stream in a torch DataLoader: one global order for any number of ranks and workers, resumed exactly."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from corpus.errors import UsageError
from tests.token_folders import write_shards
from train.data.dataset import TokenBatches, TokenLoader
from train.data.stream import TokenStream

GUIDE = Path(__file__).resolve().parents[3] / "docs/guide/streaming.md"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root, generator, made = tmp_path_factory.mktemp("loader"), np.random.default_rng(0), {}
    for name in ("web", "code"):
        documents = [generator.integers(0, 200, generator.integers(5, 300)) for _ in range(200)]
        made[name] = write_shards(root / f"tokens/domain={name}", [documents[:120], documents[120:]])
    return made


def stream_of(folders: dict[str, str]) -> TokenStream:
    return TokenStream(folders, sequence_length=16, seed=4, weights={"web": 0.7, "code": 0.3})


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_do_not_change_the_order(folders: dict[str, str], workers: int) -> None:
    stream = stream_of(folders)
    stream.samples = 24
    batches = DataLoader(TokenBatches(stream, batch_size=8, documents=True), batch_size=None, num_workers=workers)
    taken = list(itertools.islice(batches, 7))
    assert np.array_equal(torch.cat([batch["tokens"] for batch in taken]), stream.batch(24, 56))
    assert np.array_equal(torch.cat([batch["documents"] for batch in taken]), stream.documents(24, 56))


@settings(deadline=None, max_examples=4)
@given(st.lists(st.tuples(st.sampled_from([1, 2, 4]), st.sampled_from([0, 0, 1, 2]), st.integers(1, 3)), max_size=4))
def test_any_history_of_ranks_and_workers_reads_one_sequence(
    folders: dict[str, str], history: list[tuple[int, int, int]]
) -> None:
    """Each part of the history stops its workers, which have run ahead, and is gone on with elsewhere."""
    reference = stream_of(folders).batch(0, 8 * 3 * 4)
    state = stream_of(folders).state_dict()
    for ranks, workers, steps in history:
        at, parts, states = state["samples"], [], []
        for rank in range(ranks):
            loader = TokenLoader(stream_of(folders), batch_size=8, rank=rank, ranks=ranks, num_workers=workers)
            loader.load_state_dict(state)
            parts.append([batch["tokens"].numpy() for batch in itertools.islice(loader, steps)])
            states.append(loader.state_dict())
        assert all(other == states[0] for other in states)
        read = np.concatenate([part for step in zip(*parts) for part in step])
        assert np.array_equal(read, reference[at : at + 8 * steps])
        state = states[0]
        assert state["samples"] == at + 8 * steps


def test_ranks_must_divide_the_batch(folders: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="8 samples cannot be cut into 3"):
        TokenLoader(stream_of(folders), batch_size=8, ranks=3)
    with pytest.raises(UsageError, match="8 samples cannot be cut into 16"):
        TokenLoader(stream_of(folders), batch_size=8, ranks=16)


def test_the_guide_runs_as_it_is_written(
    folders: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tokens").symlink_to(Path(folders["web"]).parent)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(blocks) == 7
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)
    assert "headwater why RECIPE --token tokens/domain=" in capsys.readouterr().out
