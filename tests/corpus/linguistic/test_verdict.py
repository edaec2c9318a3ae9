"""Verdicts: thresholds as published, reasons with values, and overriding them."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import smart_open

from corpus import signals as known
from corpus.linguistic.measure import measure
from corpus.linguistic.thresholds import TABLES, Bounds, check_rule, override, table_for
from corpus.linguistic.verdict import judge

PROSE = (
    "The committee met in the old town hall to discuss what should be done with the bridge that had carried "
    "travellers over the river for two hundred years. Some of them wanted to have it repaired, and others said "
    "that a new one would cost less and be safer. After a long evening they agreed to ask an engineer."
)
ZH = (
    "委员会在旧市政厅开会，讨论应该怎样处理那座两百年来一直供旅客过河的桥。有的人希望把它修好，也有人说造一座新的"
    "更便宜更安全。经过漫长的一晚，他们同意去请教一位工程师。他的报告将在明年春天公布。"
)


def verdicts(texts: list[str], languages: list[str], rules: str = "auto", **options: object) -> list[list[str]]:
    signals = measure(pa.array(texts, pa.large_string()))
    signals = signals.add_column(0, "id", pa.array([str(row) for row in range(len(texts))]))
    scores = np.asarray(options.get("scores", [1.0] * len(texts)), np.float32)
    tables = options.get("tables", TABLES)
    result = judge(signals, languages, scores, tables, rules, ("en", "zh"), 0.5)  # type: ignore[arg-type]
    assert result["keep"].to_pylist() == [not reasons for reasons in result["reasons"].to_pylist()]
    assert result["id"].to_pylist() == signals["id"].to_pylist()
    return result["reasons"].to_pylist()


def test_prose_is_kept_in_both_languages() -> None:
    assert verdicts([PROSE, ZH], ["en", "zh"]) == [[], []]


def test_a_reason_names_signal_value_and_threshold() -> None:
    words, repetition = verdicts(["the end of it", PROSE + (" the same words" * 40)], ["en", "en"])
    assert "words 4 < 50" in words
    top = next(reason for reason in repetition if reason.startswith("top_3_gram "))
    _, value, op, threshold = top.split(" ")
    assert op == ">"
    assert float(value) > float(threshold) == 0.18


def test_a_value_equal_to_its_threshold_passes_and_one_just_beyond_shows_it() -> None:
    tables = {"default": {"number_signs_per_word": Bounds(max=0.3)}}
    text = "# # # a b c d e f g"
    assert verdicts([text], ["en"], tables=tables) == [[]]
    beyond = {"default": {"number_signs_per_word": Bounds(max=0.29999)}}
    assert verdicts([text], ["en"], tables=beyond) == [["number_signs_per_word 0.3 > 0.29999"]]


def test_other_languages_and_unsure_ones_are_dropped_for_that_alone() -> None:
    reasons = verdicts(["kurz", "short", "short"], ["de", "en", "en"], scores=[0.9, 0.25, 0.5])
    assert reasons[0] == ["language de not in en,zh"]
    assert reasons[1] == ["language_score 0.25 < 0.5"]
    assert reasons[2][0] == "words 1 < 50"


def test_rules_of_an_input() -> None:
    code = "if (x) { return y; }"
    assert verdicts([code], ["und"], rules="none", scores=[0.0]) == [[]]
    assert "stop_words_zh 0 < 2" in verdicts([PROSE], ["en"], rules="zh")[0]


def test_overrides_change_drop_and_add_rules() -> None:
    tables = override({"en": {"words": Bounds(3, None), "stop_words_en": None, "han": Bounds(max=0.5)}, "de": {}})
    assert tables["en"]["words"] == Bounds(3, None)
    assert "stop_words_en" not in tables["en"]
    assert tables["en"]["han"] == Bounds(max=0.5)
    assert tables["de"] == dict(TABLES["default"]) == dict(table_for("fr", tables))
    assert TABLES["en"]["words"] == Bounds(50, 100_000)


def test_mistakes_in_rules_are_explained() -> None:
    with pytest.raises(ValueError, match="did you mean `top_2_gram`"):
        check_rule("en", "top2_gram")
    with pytest.raises(ValueError, match="no value is at least 3 and at most 2"):
        check_rule("en", "words", 3, 2)
    with pytest.raises(ValueError, match="`off` to drop the rule"):
        check_rule("en", "words", None, None)
    with pytest.raises(ValueError, match="nan is not one"):
        check_rule("en", "words", None, float("nan"))


def test_english_thresholds_are_those_of_gopher() -> None:
    published = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
    assert {n: TABLES["en"][f"duplicate_{n}_gram"].max for n in published} == published
    assert [TABLES["en"][f"top_{n}_gram"].max for n in (2, 3, 4)] == [0.20, 0.18, 0.16]
    assert all(signal in known.REGISTRY for table in TABLES.values() for signal in table)


@pytest.mark.parametrize(
    ("name", "language", "least"),
    [
        ("text/en/openstax", "en", 0.98),
        ("text/en/cia-factbook", "en", 0.98),
        ("text/en/python-peps", "en", 0.95),
        ("text/zh/laws-national", "zh", 0.96),
        ("text/zh/lctt-articles", "zh", 0.91),
        ("text/zh/cmrc2018-wiki", "zh", 0.98),
    ],
)
def test_clean_text_is_kept(headwater_data: Path, name: str, language: str, least: float) -> None:
    with smart_open.open(str(headwater_data / f"{name}.jsonl.zst"), "rb") as file:
        texts = [json.loads(line)["text"] for line in file]
    kept = [not reasons for reasons in verdicts(texts, [language] * len(texts))]
    assert sum(kept) / len(kept) >= least
