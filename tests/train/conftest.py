"""Token folders that a small model can learn from."""

import numpy as np
import pytest

from tests.token_folders import write_shards


@pytest.fixture(scope="session")
def text_shards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two domains and their held-out parts, of bytes as tokens, with a structure that a model can learn."""
    root = tmp_path_factory.mktemp("shards")
    generator = np.random.default_rng(0)
    words = [generator.integers(1, 256, generator.integers(2, 7)) for _ in range(60)]

    def documents(count: int, offset: int) -> list[np.ndarray]:
        chosen = (generator.integers(offset, offset + 30, generator.integers(5, 40)) for _ in range(count))
        return [np.concatenate([*(words[i] for i in indices), [0]]) for indices in chosen]

    folders = {}
    for name, offset in (("web", 0), ("code", 30)):
        folders[name] = write_shards(root / f"tokens/domain={name}", [documents(60, offset), documents(45, offset)])
        folders[f"held-out {name}"] = write_shards(root / f"validation/domain={name}", [documents(12, offset)])
    return folders
