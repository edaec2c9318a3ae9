"""The exported folder is what transformers calls a Llama: the same logits, and back without loss."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from corpus.errors import UsageError
from train.checkpoint.hugging_face import export_model, import_model
from train.model.config import ModelConfig
from train.model.init import initialise
from train.model.llama import Transformer

transformers = pytest.importorskip("transformers")


def make(kv_heads: int | None, dtype: torch.dtype = torch.float32) -> Transformer:
    model = Transformer(
        ModelConfig(
            vocab_size=120,
            dim=96,
            num_layers=3,
            num_heads=6,
            num_kv_heads=kv_heads,
            ffn_multiple=32,
            max_sequence_length=128,
            init_std=0.08,
        )
    )
    initialise(model, 3)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            torch.nn.init.uniform_(parameter, 0.5, 1.5, generator=torch.Generator().manual_seed(len(parameter)))
    return model.to(dtype)


def export(model: Transformer, folder: Path, **options: object) -> list[str]:
    return export_model(str(folder), model.config, dict(model.named_parameters()), bos=1, eos=2, **options)


@pytest.mark.parametrize("kv_heads", [None, 2, 1])
def test_logits_equal_transformers(tmp_path: Path, kv_heads: int | None) -> None:
    model = make(kv_heads)
    export(model, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(theirs).__name__ == "LlamaForCausalLM"
    assert theirs.dtype == torch.float32
    tokens = torch.randint(0, 120, (3, 128), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, expected = model(tokens), theirs(tokens).logits
    assert ours.std() > 0.1
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


def test_what_vllm_reads_of_the_configuration(tmp_path: Path) -> None:
    """The fields that vllm/model_executor/models/llama.py takes from the configuration that transformers loads."""
    export(make(2), tmp_path)
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    assert config.architectures == ["LlamaForCausalLM"]  # the name in vLLM's registry of models
    assert (config.hidden_size, config.intermediate_size, config.num_hidden_layers) == (96, 256, 3)
    assert (config.num_attention_heads, config.num_key_value_heads, config.head_dim) == (6, 2, 16)
    assert (config.vocab_size, config.max_position_embeddings, config.rms_norm_eps) == (120, 128, 1e-6)
    assert config.hidden_act == "silu"
    assert config.rope_parameters == {"rope_type": "default", "rope_theta": 10_000.0}
    assert not any((config.attention_bias, config.mlp_bias, config.tie_word_embeddings))
    assert not hasattr(config, "qkv_bias")
    assert getattr(config, "is_causal", True)


def test_generation_uses_the_end_mark(tmp_path: Path) -> None:
    export(make(2), tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert (theirs.generation_config.bos_token_id, theirs.generation_config.eos_token_id) == (1, 2)
    assert theirs.config.rope_parameters["rope_theta"] == 10_000.0
    out = theirs.generate(torch.tensor([[5, 6]]), max_new_tokens=4, pad_token_id=0)
    assert out.shape[1] <= 6


@pytest.mark.parametrize("limit", [10**9, 100_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_back_without_loss(tmp_path: Path, limit: int, dtype: torch.dtype) -> None:
    model = make(2, dtype)
    names = export(model, tmp_path, max_file_bytes=limit)
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert ("model.safetensors.index.json" in names) == (limit == 100_000)
    config, weights = import_model(str(tmp_path))
    again = Transformer(config).to(dtype)
    again.load_state_dict(weights)
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(theirs.lm_head.weight, model.output.weight)


def test_transformers_own_models_are_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=50, hidden_size=32, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4
        )
    )
    theirs.save_pretrained(tmp_path)
    config, weights = import_model(str(tmp_path))
    model = Transformer(config)
    model.load_state_dict(weights)
    tokens = torch.arange(40)[None]
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), theirs(tokens).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tie_word_embeddings": True}, "untied"),
        ({"model_type": "mistral"}, "Llama"),
        ({"head_dim": 24}, "width"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "unscaled"),
        ({"rope_parameters": None, "rope_scaling": {"type": "linear", "factor": 2.0}}, "unscaled"),
        ({"hidden_act": "gelu"}, "SiLU"),
        ({"num_hidden_layers": 4}, "lack"),
        ({"num_hidden_layers": 2}, "is unknown"),
    ],
)
def test_other_architectures_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    export(make(None), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UsageError, match=message):
        import_model(str(tmp_path))


def test_the_tokenizer_comes_along(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 3, "ab": 4}, [("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<begin>", "<end>"])
    (tmp_path / "tokenizer").mkdir()
    tokenizer.save(str(tmp_path / "tokenizer/tokenizer.json"))
    ends = {token.content: number for number, token in tokenizer.get_added_tokens_decoder().items()}
    model = make(None)
    export_model(
        str(tmp_path / "m"),
        model.config,
        dict(model.named_parameters()),
        bos=ends["<begin>"],
        eos=ends["<end>"],
        tokenizer_folder=str(tmp_path / "tokenizer"),
    )
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "m")
    assert (theirs.bos_token, theirs.eos_token) == ("<begin>", "<end>")
    assert theirs.encode("ab") == [4]


def test_of_an_earlier_model_nothing_is_left(tmp_path: Path) -> None:
    """A loader prefers one file of weights to an index, so an old one beside new parts would win."""
    (tmp_path / "README.md").write_text("mine")
    for seed, limit in ((1, 10**9), (2, 100_000), (3, 10**9)):
        model = make(2)
        with torch.no_grad():
            model.output.weight.fill_(seed)
        names = export(model, tmp_path, max_file_bytes=limit)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["README.md", *names])
        theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
        assert theirs.lm_head.weight.unique().tolist() == [seed]


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_embd": 768}))
    with pytest.raises(UsageError, match="plain Llama"):
        import_model(str(tmp_path))
