"""Real text for the tests of the tokenizer."""

import json
from pathlib import Path

from backports import zstd

# ruff: noqa: E501
MIXED = [
    "Hello, world! It's 2024-01-02; call f(x) := 3.14e-10 -- or don't.\n\n\tdef naïve_café(x):\r\n        return x**2\n",
    "数据工程师的工作，是让每一个“字节”都有来历。《红楼梦》第1回（２０２４年）\u3000\u3000完——北京：100%。\n",
    "Tiếng Việt có nhiều dấu. Ελληνικά, Русский язык; العربية والعبرية עברית हिन्दी ภาษาไทย 한국어 日本語カタカナ ქართული.",
    "emoji 👩‍👩‍👧‍👦🏳️‍🌈 e\u0301 \u200b\ufeff x² ½ Ⅷ ① 〇 \u2003wide\u00a0nbsp\u2028line\u2029 <｜end▁of▁sentence｜> ø ö ú ÿ ü À",
    "", " ", "\n", "a", "   a   ", "\u3000", "中" * 100, "=" * 200, "0123456789" * 20, "ab" * 500,
]  # fmt: skip


def read_texts(path: Path, limit: int) -> list[str]:
    """The texts of a .jsonl.zst file up to about `limit` bytes, spread over the whole file."""
    with zstd.open(path, "rb") as file:
        lines = file.read().split(b"\n")
    texts = [json.loads(line)["text"] for line in lines if line]
    size = sum(len(text.encode()) for text in texts)
    return texts[:: max(1, -(-size // limit))]
