"""Proxy runs: the same small model trained on one mixture after another, to see what the mixture does to the loss.

A proxy is an ordinary training run on the token shards of a recipe. What was measured stays in NNN.json with a hash of
all that decides it. So a proxy that is done is not trained again, and one of other settings or shards is. Weights and
checkpoints lie in a folder, `working`, that the next proxy takes over; one that was cut off goes on from there.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xxhash

from corpus.io import storage
from corpus.mixture.fit import Floats, Law, best_mixture, design, fit, leave_one_out
from train.loop import Display
from train.pretrain import RunData, pretrain
from train.settings import OPERATIONAL, TrainSettings


@dataclass(frozen=True)
class Corpus:
    """What proxies read: folders of token shards by domain, tokens by domain, folders of the targets' held-out text."""

    folders: Mapping[str, str]
    sizes: Mapping[str, int]
    targets: Mapping[str, str]


@dataclass(frozen=True)
class Proxy:
    """What was measured of one: shares of its tokens, and bits per byte, by domain and by target."""

    weights: dict[str, float]
    bits_per_byte: dict[str, float]


def run_proxy(folder: str, name: str, weights: Mapping[str, float], corpus: Corpus, settings: TrainSettings) -> Proxy:
    """Train a proxy and write what it measured to FOLDER/NAME.json; or read it there, if it was the same."""
    decisive = {
        "settings": settings.model_dump(mode="json", exclude=set(OPERATIONAL)),
        "weights": dict(weights),
        "shards": {
            path: storage.read_json(storage.join(path, "manifest.json"))["files"]
            for path in [*corpus.folders.values(), *corpus.targets.values()]
        },
    }
    identity = xxhash.xxh3_128_hexdigest(json.dumps(decisive, sort_keys=True).encode())
    record = storage.join(folder, f"{name}.json")
    if storage.exists(record) and (done := storage.read_json(record))["identity"] == identity:
        return Proxy(done["weights"], done["bits_per_byte"])
    data = RunData(tokens=corpus.folders, weights=weights, validation=corpus.targets)
    bits = pretrain(settings, data, storage.join(folder, "working"), Display(), replace=True)["bits_per_byte"]
    proxy = Proxy(dict(weights), {name: bits[name] for name in corpus.targets})
    storage.write_json(record, {"identity": identity} | asdict(proxy))
    return proxy


class Fitting:
    """A mixture fitted from proxies in `folder`, step by step, so that a person can be told of each."""

    def __init__(
        self, folder: str, corpus: Corpus, settings: TrainSettings, *, budget: int, epoch_cap: float, runs: int
    ) -> None:
        """`budget` is in tokens: what the large run reads, which decides how much of a domain the cap allows."""
        self.folder, self.corpus, self.settings = folder, corpus, settings
        self.names = sorted(corpus.sizes)
        sizes = np.array([corpus.sizes[name] for name in self.names], np.float64)
        self.most = np.minimum(1.0, epoch_cap * sizes / budget)
        self.shares = design(sizes / sizes.sum(), self.most, runs, settings.seed)
        self.proxies: list[Proxy] = []

    def train(self, run: int) -> Proxy:
        """Train the next proxy; `run` counts from 0, the natural mixture."""
        self.proxies.append(self._proxy(f"{run:03d}", self.shares[run]))
        return self.proxies[-1]

    def _proxy(self, name: str, shares: Floats) -> Proxy:
        return run_proxy(self.folder, name, self.named(shares), self.corpus, self.settings)

    def named(self, shares: Floats) -> dict[str, float]:
        """Shares by domain, to four digits, as a recipe has them."""
        return {name: round(float(share), 4) for name, share in zip(self.names, shares, strict=True)}

    def result(self) -> dict[str, Any]:
        """Fit the law, choose the mixture, train one more proxy on it to see; all of it as JSON-able values."""
        shares = np.array([[proxy.weights[name] for name in self.names] for proxy in self.proxies])
        losses = {name: np.array([proxy.bits_per_byte[name] for proxy in self.proxies]) for name in self.corpus.targets}
        laws = {name: fit(shares, values) for name, values in losses.items()}
        errors = {name: leave_one_out(shares, values) for name, values in losses.items()}
        best = best_mixture(list(laws.values()), shares)
        confirmed = self._proxy("chosen", best)
        return {
            "domains": {name: {"tokens": self.corpus.sizes[name], "most": most} for name, most in self._most().items()},
            "settings": self.settings.model_dump(mode="json", exclude=set(OPERATIONAL)),
            "runs": [asdict(proxy) for proxy in self.proxies],
            "law": {name: self._law(law) for name, law in laws.items()},
            "error": {
                name: {
                    "leave_one_out": float(np.abs(errors[name]).mean()),
                    "deviation": float(losses[name].std(ddof=1)),
                }
                for name in errors
            },
            "mean_error": float(np.abs(np.mean(list(errors.values()), axis=0)).mean()),
            "weights": confirmed.weights,
            "predicted": {name: float(law.predict(best)) for name, law in laws.items()},
            "measured": confirmed.bits_per_byte,
            "natural": asdict(self.proxies[0]),
        }

    def _most(self) -> dict[str, float]:
        return dict(zip(self.names, map(float, self.most), strict=True))

    def _law(self, law: Law) -> dict[str, Any]:
        return {"floor": law.floor, "rates": dict(zip(self.names, map(float, law.rates), strict=True))}
