"""Which meshes are refused, and what is said of them."""

import pytest

from corpus.errors import UsageError
from train.distributed.parallel_dims import ParallelDims
from train.distributed.parallel_plan import layers_of_stage
from train.model.config import MODELS, ModelConfig

BATCH = {"batch_size": 2304, "micro_batch": 1, "sequence_length": 4096}


def test_the_papers_models_fit_the_meshes_of_their_size() -> None:
    ParallelDims(pp=1, dp=256, tp=1).check(MODELS["7b"], **BATCH)
    ParallelDims(pp=8, dp=16, tp=8).check(MODELS["67b"], **BATCH | {"batch_size": 4608})
    assert ParallelDims(pp=8, dp=16, tp=8).world == 1024


@pytest.mark.parametrize(
    ("mesh", "batch", "said"),
    [
        ({"tp": 3}, {}, r"tp 3 does not divide 32 attention heads \(32 / 3 = 10\.66"),
        ({"tp": 3}, {}, r"102,400 rows of the vocabulary"),
        ({"tp": 64}, {}, r"64 does not divide 32 key-value heads"),
        ({"tp": 32}, {"sequence_length": 1000}, r"1,000 tokens of a sequence \(1,000 / 32 = 31.25\)"),
        ({"pp": 31}, {}, r"30 layers cannot be cut into 31 pipeline stages"),
        ({"dp": 5}, {}, r"batch of 2304 over dp 5 is 460.8 sequences per rank"),
        ({"dp": 2304}, {"micro_batch": 2}, r"is 1 sequences per rank, which is no multiple of the micro-batch of 2"),
        ({"pp": 4, "dp": 4}, {"micro_batch": 288}, r"at least 4 micro-batches.*2304 / \(dp 4 x micro-batch 288\) is 2"),
    ],
)
def test_impossible_ones_are_refused_with_the_arithmetic(mesh: dict, batch: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ParallelDims(**mesh).check(MODELS["7b"], **BATCH | batch)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(UsageError) as error:
        ParallelDims(pp=40, dp=7, tp=3).check(MODELS["7b"], **BATCH)
    assert len(str(error.value).splitlines()) == 8


def test_the_number_of_processes_must_be_the_meshs() -> None:
    ParallelDims(pp=2, dp=3).check_world(6)
    with pytest.raises(UsageError, match="2 x 3 x 1 = 6 processes, but 4"):
        ParallelDims(pp=2, dp=3).check_world(4)


@pytest.mark.parametrize("stages", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("model", ["nano", "mini", "7b", "67b"])
def test_every_layer_is_in_one_stage_and_the_work_is_even(model: str, stages: int) -> None:
    config = MODELS[model]
    if stages > config.num_layers:
        return
    cut = [layers_of_stage(config, stage, stages) for stage in range(stages)]
    assert [number for part in cut for number in part] == list(range(config.num_layers))
    assert all(cut[:-1])
    head = config.vocab_size / (12 * config.dim)
    work = [len(part) for part in cut[:-1]] + [len(cut[-1]) + head]
    if head < config.num_layers / stages:  # otherwise the head alone is more than a stage's part
        assert max(work) - min(work) < 2


def test_the_last_stage_may_hold_the_head_alone() -> None:
    small = ModelConfig(vocab_size=8192, dim=128, num_layers=4, num_heads=4)
    assert [len(layers_of_stage(small, stage, 2)) for stage in range(2)] == [4, 0]
