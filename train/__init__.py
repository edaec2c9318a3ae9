"""Pretraining: the stream of tokens, the model, and the loop. `headwater[train]` brings the torch that it needs.

Some token shards to read, as `headwater tokens` or a run makes them:

>>> import tokenizer, train
>>> texts = {"web": ["The river is wide. " * 40, "The bridge is old. " * 40], "web-zh": ["河很宽，桥很老。" * 60]}
>>> vocabulary = tokenizer.train_vocabulary({"text": [text for some in texts.values() for text in some]}, 300)
>>> folders = {name: f"tokens/domain={name}" for name in texts}
>>> for name, folder in folders.items():
...     manifest = tokenizer.write_tokens({"text": texts[name]}, vocabulary, folder, domain=name)

A `TokenStream` reads them in a shuffled, mixed, endless order, in which sample k depends on shards, weights and seed
alone, so that its whole state is one number. It needs no torch:

>>> weights = {"web": 0.75, "web-zh": 0.25}  # shares of tokens
>>> stream = train.TokenStream(folders, weights=weights, sequence_length=16, seed=1)
>>> stream.batch(first=0, count=4).shape  # inputs are [:, :-1], targets [:, 1:]
(4, 17)
>>> stream.counts(100)
{'web': 75, 'web-zh': 25}
>>> documents = stream.documents(first=0, count=4)  # to attend within documents only
>>> assert train.positions(documents).max() < 16 and train.cumulative_lengths(documents)[-1] == documents.size

For a PyTorch loop, a `TokenLoader` is a DataLoader that counts what it handed out:

>>> loader = train.TokenLoader(stream, batch_size=4, num_workers=0)
>>> next(iter(loader))["tokens"].shape
torch.Size([4, 17])
>>> loader.state_dict()["samples"]
4

And a whole run: checkpoints, metrics and a model for Hugging Face. The same call goes on where it was stopped:

>>> settings = train.TrainSettings(model="nano", steps=2, batch_size=2, sequence_length=16, warmup_steps=1)
>>> data = train.RunData(tokens=folders, weights=weights)
>>> summary = train.pretrain_model(settings, data, "runs/nano")
>>> summary["steps"], summary["tokens"]
(2, 64)
>>> config, parameters = train.import_model("runs/nano/export")
>>> config.num_layers, sum(value.numel() for value in parameters.values()) == config.num_parameters
(4, True)
"""

from typing import TYPE_CHECKING

from corpus.lazy import lazy_exports

if TYPE_CHECKING:
    from train.checkpoint.hugging_face import export_model as export_model
    from train.checkpoint.hugging_face import import_model as import_model
    from train.data.boundaries import cumulative_lengths as cumulative_lengths
    from train.data.boundaries import positions as positions
    from train.data.dataset import TokenBatches as TokenBatches
    from train.data.dataset import TokenLoader as TokenLoader
    from train.data.stream import StreamMismatch as StreamMismatch
    from train.data.stream import TokenStream as TokenStream
    from train.model.config import ModelConfig as ModelConfig
    from train.model.config import named_model as named_model
    from train.pretrain import RunData as RunData
    from train.pretrain import pretrain as pretrain_model  # noqa: F401
    from train.settings import TrainSettings as TrainSettings
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "train.checkpoint.hugging_face": ["export_model", "import_model"],
            "train.data.boundaries": ["cumulative_lengths", "positions"],
            "train.data.dataset": ["TokenBatches", "TokenLoader"],
            "train.data.stream": ["StreamMismatch", "TokenStream"],
            "train.model.config": ["ModelConfig", "named_model"],
            "train.pretrain": ["RunData", "pretrain as pretrain_model"],  # train.pretrain is the module
            "train.settings": ["TrainSettings"],
        },
    )
