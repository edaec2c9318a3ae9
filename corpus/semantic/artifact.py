"""A trained judge on disk: a folder with the model's file, `card.json` for machines and `README.md` for people.

The card says what the model was trained on (files by hash, documents, bytes), with which parameters, and how it did on
texts it has not seen. It holds the calibration too, so that a judge is one folder that can be copied. The folder's
fingerprint is that of the model's bytes and of whatever else decides a score. It goes into the fingerprints of the
tasks that score with it, so that a changed model recomputes its scores.
"""

import json
from pathlib import Path
from typing import Any

import xxhash

from corpus.errors import UsageError
from corpus.io.checksum import file_checksum

CARD, README = "card.json", "README.md"


def save_card(folder: str | Path, card: dict[str, Any]) -> None:
    """Write card.json and README.md; both depend on the card alone."""
    where = Path(folder)
    (where / README).write_text(_readme(card), "utf-8")
    text = json.dumps(card, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (where / CARD).write_text(text + "\n", "utf-8")


def load_card(folder: str | Path, kind: str, quality: bool = False) -> dict[str, Any]:
    """The card of a model of this kind (`classifier`, `perplexity`); raise UsageError where there is none.

    `quality`: refuse a classifier of topics, which has no positive label.
    """
    path = Path(folder) / CARD
    try:
        card = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{folder}: no model is there; `headwater {kind} train` makes one") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not a model card ({error})") from None
    if not isinstance(card, dict) or card.get("kind") != kind:
        found = card.get("kind") if isinstance(card, dict) else "no model"
        raise UsageError(f"{folder}: it holds a {found} and not a {kind} model")
    if quality and card["positive"] is None:
        raise UsageError(f"{folder}: it tells {', '.join(card['labels'])} apart and judges no quality")
    return card


def model_fingerprint(folder: str | Path, kind: str, quality: bool = False) -> str:
    """What identifies the scores of a model: its file as it is now, its labels and its calibration."""
    card = load_card(folder, kind, quality)
    path = Path(folder) / card["file"]
    if not path.is_file():
        raise UsageError(f"{path}: the model's file is missing; train it again")
    deciding = {key: card.get(key) for key in ("labels", "positive", "calibration", "quantiles")}
    return xxhash.xxh3_128_hexdigest((file_checksum(str(path)) + json.dumps(deciding, sort_keys=True)).encode())


def _readme(card: dict[str, Any]) -> str:
    """The card in words."""
    data = "\n".join(
        f"| {part['label']} | {part['documents']:,} | {part['bytes']:,} | "
        + "<br>".join(f"{file['name']} (`{file['xxh3']}`)" for file in part["files"])
        + " |"
        for part in card["data"]
    )
    parameters = "\n".join(f"- {name}: {value}" for name, value in sorted(card["parameters"].items()))
    figures = "\n".join(f"- {name}: {value}" for name, value in card["held_out"].items() if not _is_long(value))
    return (
        f"# {card['name']}\n\n{card['summary']}\n\n## Trained on\n\n"
        f"| label | documents | bytes | files |\n|---|---|---|---|\n{data}\n\n"
        f"## Parameters\n\n{parameters}\n\n## On texts held out\n\n{figures}\n\n"
        f"Model file `{card['file']}`, xxh3 `{card['xxh3']}`. Curves and calibration are in `{CARD}`.\n"
    )


def _is_long(value: Any) -> bool:
    return isinstance(value, list)
