"""The mixture: weights that sum to one, caps that hold, and nothing that depends on order."""

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from corpus.mixture.plan import METHODS, allocate, make_plan, resolve, targets, with_languages

SIZES = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 10**13), min_size=1)
WEIGHTS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 2, allow_subnormal=False))
METHOD = st.sampled_from(METHODS)
CAP = st.floats(0.1, 20)


def plan(sizes: dict[str, int], **changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {
        "unit": "bytes", "method": "given", "weights": {}, "temperature": 1.0, "epoch_cap": 4.0, "budget": None,
    }  # fmt: skip
    return make_plan(sizes, dict.fromkeys(sizes, 1), **(options | changes))


def column(plan: dict[str, Any], name: str) -> dict[str, Any]:
    return {domain["domain"]: domain[name] for domain in plan["domains"]}


@given(SIZES, METHOD, WEIGHTS, CAP, st.integers(1, 10**14), st.floats(0.2, 10))
def test_weights_sum_to_one_and_caps_hold(
    sizes: dict[str, int], method: Any, weights: dict[str, float], cap: float, budget: int, temperature: float
) -> None:
    result = plan(sizes, method=method, weights=weights, epoch_cap=cap, budget=budget, temperature=temperature)
    total = math.fsum(column(result, "weight").values())
    assert math.isclose(total, 1.0, abs_tol=1e-12) if result["planned"] else total <= 1
    assert all(epochs <= cap * (1 + 1e-12) for epochs in column(result, "epochs").values())
    assert abs(result["planned"] + result["shortfall"] - budget) <= 1
    used = [d for d in result["domains"] if d["target"] > 0]
    if result["shortfall"] > 1:
        assert all(math.isclose(d["epochs"], cap, rel_tol=1e-9) or d["bytes"] == 0 for d in used)


@given(SIZES, WEIGHTS, CAP, st.integers(1, 10**14))
def test_allocation_is_exact_and_proportional_below_the_cap(
    sizes: dict[str, int], weights: dict[str, float], cap: float, budget: int
) -> None:
    shares = targets(sizes, "given", weights)
    assume(sum(shares.values()))
    assert sum(shares.values()) == 1
    limit = Fraction(str(cap))
    amounts = allocate(sizes, shares, Fraction(budget), limit)
    capacity = {name: limit * sizes.get(name, 0) for name in shares}
    assert all(amounts[name] <= capacity[name] for name in shares)
    assert sum(amounts.values()) == min(budget, sum(c for name, c in capacity.items() if shares[name]))
    rates = {amounts[name] / shares[name] for name in shares if shares[name] and amounts[name] < capacity[name]}
    assert len(rates) <= 1, "domains below their cap get the same amount per share"
    for name in shares:
        if shares[name] and amounts[name] == capacity[name] and rates:
            assert amounts[name] / shares[name] <= min(rates), "a capped domain would have got no less"


@given(st.permutations(list("abcde")), METHOD, st.data())
def test_order_does_not_matter(order: list[str], method: Any, data: st.DataObject) -> None:
    sizes = {name: data.draw(st.integers(0, 10**12)) for name in "abcde"}
    weights = {"c": 0.3, "a": 0.2}
    reordered = {name: sizes[name] for name in order}
    assert plan(sizes, method=method, weights=weights) == plan(reordered, method=method, weights=weights)


def test_given_weights_leave_the_rest_to_the_others_by_size() -> None:
    result = plan({"web": 600, "books": 100, "code": 300}, weights={"books": 0.2}, epoch_cap=10.0)
    assert column(result, "weight") == pytest.approx({"books": 0.2, "web": 0.8 * 2 / 3, "code": 0.8 / 3})
    assert column(result, "natural") == pytest.approx({"books": 0.1, "web": 0.6, "code": 0.3})
    assert column(result, "epochs") == pytest.approx({"books": 2.0, "web": 0.8 / 0.9, "code": 0.8 / 0.9})


def test_given_weights_that_sum_to_more_than_one_are_scaled_and_leave_others_out() -> None:
    result = plan({"web": 600, "books": 600, "code": 300}, weights={"web": 3, "books": 1})
    assert column(result, "weight") == {"web": 0.75, "books": 0.25, "code": 0.0}


def test_the_excess_of_a_capped_domain_goes_to_the_others_in_proportion() -> None:
    result = plan({"a": 10, "b": 1000, "c": 1000}, weights={"a": 0.5, "b": 0.4, "c": 0.1}, budget=1000)
    assert column(result, "capped") == {"a": True, "b": False, "c": False}
    assert column(result, "epochs") == {"a": 4.0, "b": 0.768, "c": 0.192}
    assert column(result, "weight") == {"a": 0.04, "b": 0.768, "c": 0.192}


def test_a_domain_that_fills_up_with_the_excess_of_another_is_capped() -> None:
    """b's own target would fit, but not with its part of what a cannot take. At the cap and not over is not capped."""
    result = plan({"a": 10, "b": 90, "c": 1000}, weights={"a": 0.5, "b": 0.3, "c": 0.2}, budget=1000)
    assert column(result, "epochs") == {"a": 4.0, "b": 4.0, "c": 0.6}
    assert column(result, "capped") == {"a": True, "b": True, "c": False}
    assert column(plan({"c": 30, "d": 70}, epoch_cap=1.0), "capped") == {"c": False, "d": False}


def test_a_budget_that_cannot_be_met_is_reduced_and_said() -> None:
    result = plan({"a": 10, "b": 30}, budget=1000)
    assert (result["budget"], result["planned"], result["shortfall"]) == (1000, 160, 840)
    assert column(result, "weight") == {"a": 0.25, "b": 0.75}


def test_a_target_without_text_gives_its_share_away() -> None:
    result = plan({"a": 100}, weights={"a": 0.5, "missing": 0.5})
    assert column(result, "weight") == {"a": 1.0, "missing": 0.0}
    assert column(result, "capped")["missing"]


def test_nothing_at_all_is_a_plan_of_zeros() -> None:
    assert plan({})["domains"] == []
    assert column(plan({"a": 0}, method="temperature"), "weight") == {"a": 0.0}


def test_temperature_and_unimax() -> None:
    sizes = {"big": 10_000, "small": 100}
    flat = targets(sizes, "temperature", {}, 2.0)
    assert float(flat["small"]) == pytest.approx(10 / 110)
    unimax = plan(sizes, method="unimax", budget=4_000)
    assert column(unimax, "weight") == {"big": 0.9, "small": 0.1}  # small is held at 4 epochs = 400 of 2,000


def test_mistakes_are_refused() -> None:
    with pytest.raises(ValueError, match="weight of a"):
        plan({"a": 1}, weights={"a": -1})
    with pytest.raises(ValueError, match="temperature"):
        plan({"a": 1}, method="temperature", temperature=0.0)
    with pytest.raises(ValueError, match="no domain b"):
        resolve(plan({"a": 1}), {"b": 1})


def test_resolving_with_token_counts_keeps_targets_and_caps_anew() -> None:
    in_bytes = plan({"en": 4000, "zh": 3000}, weights={"zh": 0.5})
    in_tokens = resolve(in_bytes, {"en": 1000, "zh": 100}, budget=1000)
    assert in_tokens["unit"] == "tokens"
    assert column(in_tokens, "tokens") == {"en": 1000, "zh": 100}
    assert column(in_tokens, "target") == {"en": 0.5, "zh": 0.5}
    assert column(in_tokens, "epochs") == {"en": 0.6, "zh": 4.0}
    assert column(resolve(in_bytes, {"en": 1000}), "weight") == {"en": 1.0, "zh": 0.0}


FINEWEB2 = {1: 1, 2: 2, 3: 3, 5: 5, 100: 8, 1000: 1}


def test_documents_count_as_often_as_their_clusters_say() -> None:
    sizes = {"web-en": 100, "web-en.seen5": 10, "web-en.seen1000": 50, "web-zh": 100, "web-zh.seen2": 50}
    result = plan(sizes, method="natural", cluster_weights=FINEWEB2, epoch_cap=10)
    assert result["budget"] == 100 + 50 + 50 + 100 + 100
    assert column(result, "epochs") == {
        "web-en": 1, "web-en.seen1000": 1, "web-en.seen5": 5, "web-zh": 1, "web-zh.seen2": 2,
    }  # fmt: skip
    capped = plan(sizes, method="natural", cluster_weights=FINEWEB2, epoch_cap=4)
    assert column(capped, "epochs")["web-en.seen5"] == 4
    given = plan(sizes, method="given", weights={"web-zh": 0.5}, cluster_weights=FINEWEB2, budget=100)
    zh = {name: share for name, share in column(given, "weight").items() if name.startswith("web-zh")}
    assert zh == {"web-zh": 0.25, "web-zh.seen2": 0.25}


@given(SIZES, METHOD, st.integers(1, 10**14))
def test_classes_of_a_domain_share_what_the_domain_gets(sizes: dict[str, int], method: Any, budget: int) -> None:
    parts = {f"{name}{suffix}": size for name, size in sizes.items() for suffix in ("", ".seen2", ".seen1000")}
    whole = targets({name: size * (1 + 2 + 1) for name, size in sizes.items()}, method, {}, 2.0)
    split = targets(parts, method, {}, 2.0, FINEWEB2)
    for name in sizes:
        got = sum(split[f"{name}{suffix}"] for suffix in ("", ".seen2", ".seen1000"))
        assert got == whole[name]


def test_classes_survive_the_count_of_tokens() -> None:
    in_bytes = plan({"a": 400, "a.seen2": 400}, method="natural", cluster_weights=FINEWEB2)
    in_tokens = resolve(in_bytes, {"a": 100, "a.seen2": 50})
    assert column(in_tokens, "epochs") == {"a": 1, "a.seen2": 2}


@given(st.dictionaries(st.sampled_from("abcd"), st.dictionaries(st.sampled_from(["en", "zh"]), st.integers(1, 10**9))))
def test_languages_share_what_their_domains_get(parts: dict[str, dict[str, int]]) -> None:
    sizes = {name: sum(languages.values()) for name, languages in parts.items()}
    found = with_languages(plan(sizes, method="unimax", budget=10**8), parts)
    assert [domain["languages"] for domain in found["domains"]] == [
        parts[domain["domain"]] for domain in found["domains"]
    ]
    for figure in ("natural", "target", "weight"):
        by_language = math.fsum(row[figure] for row in found["languages"])
        assert by_language == pytest.approx(math.fsum(column(found, figure).values()))
    read = math.fsum(row["bytes"] * row["epochs"] for row in found["languages"])
    assert read == pytest.approx(found["planned"], abs=1)


def test_a_target_says_how_far_it_is_met() -> None:
    result = plan({"big": 1000, "small": 100}, weights={"small": 0.5}, budget=1000, epoch_cap=2.0)
    assert column(result, "met") == {"big": 1.0, "small": 0.4}
    assert column(plan({"a": 100}, weights={"a": 0.5, "missing": 0.5}), "met") == {"a": 1.0, "missing": 0.0}
