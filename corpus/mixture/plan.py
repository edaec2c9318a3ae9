"""The mixture: from how much there is of each domain to how much of each a model sees.

A plan gives every domain a weight, its share of the training tokens. It starts from target weights by one of four
methods and then honours a cap on epochs: seeing the same text more than about four times is worth little (Muennighoff
et al. 2023, arXiv 2305.16264). A domain whose target would repeat it more often is held at the cap. What it cannot
take is poured over the others in proportion to their targets, again and again until nothing overflows (water-filling).
If every domain is at its cap, the budget cannot be met: the plan says by how much.

- `natural`: in proportion to size.
- `given`: by the recipe's weights. Where these sum to less than 1, domains without one share the rest by size; else
  they are scaled to sum to 1, and domains without one are left out.
- `temperature`: in proportion to size ** (1 / temperature), as mT5 (arXiv 2010.11934) and XLM-R do for languages.
- `unimax`: equal, with the cap doing the rest: Chung et al. 2023 (arXiv 2304.09151).

Any method may also weigh documents by how often the crawls saw them. Deduplication keeps one document of a cluster,
and global deduplication alone can leave a worse corpus than it found (FineWeb, arXiv 2406.17557 section 3.4). What
many pages repeat is often what many people thought worth repeating. `cluster_weights` says how many times a document
of a cluster of at least so many counts. FineWeb-2 (arXiv 2506.20920) has {1: 1, 2: 2, 3: 3, 5: 5, 100: 8, 1000: 1} and
trusts the most repeated no more than what is seen once; TxT360 (its report's upsampling experiment) has {1: 1, 2: 3,
6: 5, 101: 8, 1001: 10}, which asks for an epoch cap of 10. Each such class is a domain of its own, named
`web-en.seen5`. A class has the share of its bytes times its weight in what the method gives to web-en, and the cap
holds for each class.

All arithmetic after the targets is on exact rationals, so that a plan does not depend on the order of its domains.
Floats appear when it is written out, each the nearest to its rational.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

Method = Literal["natural", "given", "temperature", "unimax"]
METHODS: tuple[Method, ...] = ("natural", "given", "temperature", "unimax")
_SEEN = ".seen"


def seen_class(domain: str, least: int) -> str:
    """The name of the documents of a domain whose clusters have at least `least` members: the domain's own for 1."""
    return f"{domain}{_SEEN}{least}" if least > 1 else domain


def _domain_of(name: str, cluster_weights: Mapping[int, float]) -> tuple[str, Fraction]:
    """`(domain, times)`: the domain that a class belongs to, and how often each of its documents counts."""
    domain, _, least = name.rpartition(_SEEN)
    if domain and least.isdigit() and int(least) in cluster_weights:
        return domain, Fraction(str(cluster_weights[int(least)]))
    return name, Fraction(str(cluster_weights.get(1, 1)))


def targets(
    sizes: Mapping[str, int],
    method: Method,
    weights: Mapping[str, float],
    temperature: float = 1.0,
    cluster_weights: Mapping[int, float] | None = None,
) -> dict[str, Fraction]:
    """The share of each domain of `sizes` or `weights` before any cap: exact, summing to 1 (all 0 if there is nothing).

    `sizes` are in bytes or tokens. Raises ValueError for a weight below 0 or a temperature that is not above 0.
    """
    if not cluster_weights:
        return _targets(sizes, method, weights, temperature)
    of = {name: _domain_of(name, cluster_weights) for name in sizes}
    counted = {name: sizes[name] * times for name, (_, times) in of.items()}
    whole: dict[str, Fraction] = {}
    for name, (domain, _) in of.items():
        whole[domain] = whole.get(domain, Fraction(0)) + counted[name]
    shares = _targets(whole, method, weights, temperature)
    named = {name: Fraction(0) for name in weights} if method == "given" else {}
    return named | {
        name: shares[domain] * counted[name] / whole[domain] if whole[domain] else Fraction(0)
        for name, (domain, _) in of.items()
    }


def _targets(
    sizes: Mapping[str, int] | Mapping[str, Fraction], method: Method, weights: Mapping[str, float], temperature: float
) -> dict[str, Fraction]:
    names = sorted({*sizes, *(weights if method == "given" else ())})
    size = {name: Fraction(sizes.get(name, 0)) for name in names}
    if method == "temperature":
        if not temperature > 0:
            raise ValueError(f"the temperature is {temperature}; it must be above 0")
        raw = {name: Fraction(float(n) ** (1 / temperature)) if n else Fraction(0) for name, n in size.items()}
    elif method == "unimax":
        raw = {name: Fraction(1 if n else 0) for name, n in size.items()}
    elif method == "given" and weights:
        raw = _given(size, weights)
    else:
        raw = size
    return _normalised(raw)


def _given(size: Mapping[str, Fraction], weights: Mapping[str, float]) -> dict[str, Fraction]:
    wanted = {name: Fraction(str(weight)) for name, weight in weights.items()}
    negative = [name for name, weight in wanted.items() if weight < 0]
    if negative:
        raise ValueError(f"the weight of {negative[0]} is {weights[negative[0]]}; a weight is 0 or more")
    rest = max(1 - sum(wanted.values()), Fraction(0))
    others = _normalised({name: n for name, n in size.items() if name not in wanted})
    return {name: wanted[name] if name in wanted else rest * others[name] for name in size}


def _normalised(raw: Mapping[str, Fraction]) -> dict[str, Fraction]:
    total = sum(raw.values())
    return {name: value / total if total else Fraction(0) for name, value in raw.items()}


def allocate(
    sizes: Mapping[str, int], shares: Mapping[str, Fraction], budget: Fraction, epoch_cap: Fraction
) -> dict[str, Fraction]:
    """How much of the budget each domain gets: its share, or `epoch_cap` times its size if that is less.

    What capped domains cannot take goes to the others in proportion to their shares. The sum is the budget, or less
    only if every domain with a share is capped.
    """
    given = {name: Fraction(0) for name in shares}
    open_domains = {name for name, share in shares.items() if share > 0}
    left = budget
    while open_domains:
        total = sum(shares[name] for name in open_domains)
        full = {name for name in open_domains if left * shares[name] / total > epoch_cap * sizes.get(name, 0)}
        if not full:
            for name in open_domains:
                given[name] = left * shares[name] / total
            break
        for name in full:
            given[name] = epoch_cap * sizes.get(name, 0)
        left -= sum(given[name] for name in full)
        open_domains -= full
    return given


def make_plan(
    sizes: Mapping[str, int],
    documents: Mapping[str, int],
    *,
    unit: Literal["bytes", "tokens"],
    method: Method,
    weights: Mapping[str, float],
    temperature: float,
    epoch_cap: float,
    budget: int | None,
    cluster_weights: Mapping[int, float] | None = None,
) -> dict[str, Any]:
    """The mixture as JSON-able values; `sizes` and `budget` (None: as much as there is, each
    document as often as its cluster counts) are in `unit`.

    For each domain: `documents` and its size under the name of the unit. `natural`, its share of what there is
    (before). `target`, its share before the cap. `weight`, its share of the training (after; the weights sum to 1).
    `epochs`, how often it is seen. `capped`, whether the cap gives it less than others get for the same target. `met`,
    what it gives of its target's share of the budget (at most 1). `shortfall` is how much of the budget cannot be met
    at `epoch_cap`.
    """
    cluster_weights = dict(cluster_weights or {})
    shares = targets(sizes, method, weights, temperature, cluster_weights)
    natural = _normalised({name: Fraction(sizes.get(name, 0)) for name in shares})
    everything = sum((size * _domain_of(name, cluster_weights)[1] for name, size in sizes.items()), Fraction(0))
    wanted = everything if budget is None else Fraction(budget)
    cap = Fraction(str(epoch_cap))
    given = allocate(sizes, shares, wanted, cap)
    total = sum(given.values(), Fraction(0))
    level = max((given[name] / share for name, share in shares.items() if share), default=Fraction(0))
    domains = [
        {
            "domain": name,
            "documents": documents.get(name, 0),
            unit: sizes.get(name, 0),
            "natural": float(natural[name]),
            "target": float(share),
            "weight": float(given[name] / total) if total else 0.0,
            "epochs": float(given[name] / sizes[name]) if sizes.get(name) else 0.0,
            "capped": share > 0 and (total < wanted or given[name] < level * share),
            "met": float(min(given[name] / (share * wanted), Fraction(1))) if share * wanted else 1.0,
        }
        for name, share in sorted(shares.items())
    ]
    return {
        "unit": unit,
        "method": method,
        "given": dict(weights),
        "temperature": temperature,
        "epoch_cap": epoch_cap,
        "cluster_weights": {str(least): weight for least, weight in sorted(cluster_weights.items())},
        "budget": int(wanted),
        "planned": int(total),
        "shortfall": int(wanted - total),
        "domains": domains,
    }


def resolve(plan: Mapping[str, Any], tokens: Mapping[str, int], budget: int | None = None) -> dict[str, Any]:
    """The same plan with real counts: `tokens` by domain, and the training budget in tokens (None: one pass over all).

    Targets are computed anew from token counts by the plan's method, and capped anew. A domain of the plan that has no
    tokens gets weight 0.
    """
    names = [domain["domain"] for domain in plan["domains"]]
    unknown = sorted(set(tokens) - set(names))
    if unknown:
        raise ValueError(f"the plan has no domain {unknown[0]}; it has {', '.join(names)}")
    return make_plan(
        {name: tokens.get(name, 0) for name in names},
        {domain["domain"]: domain["documents"] for domain in plan["domains"]},
        unit="tokens",
        method=plan["method"],
        weights=plan["given"],
        temperature=plan["temperature"],
        epoch_cap=plan["epoch_cap"],
        budget=budget,
        cluster_weights={int(least): weight for least, weight in plan["cluster_weights"].items()},
    )


def with_languages(plan: Mapping[str, Any], parts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """The plan with `languages` in each domain, what it holds of each language, and a list of the same name with a row
    for each language: its size, and `natural`, `target`, `weight` and `epochs` as a domain has them.

    `parts` are sizes by domain and language, in the plan's unit. Inside a domain all languages are read alike. A domain
    without text has no languages: where `given` weighs one, the targets of the languages sum to less than 1.
    """
    unit = plan["unit"]
    domains = [
        domain | {"languages": dict(sorted(parts.get(domain["domain"], {}).items()))} for domain in plan["domains"]
    ]
    rows = []
    for language in sorted({name for domain in domains for name in domain["languages"]}):
        sizes = [domain["languages"].get(language, 0) for domain in domains]
        shares = [size / domain[unit] if size else 0.0 for size, domain in zip(sizes, domains)]
        row = {"language": language, unit: sum(sizes)}
        for figure in ("natural", "target", "weight"):
            row[figure] = math.fsum(domain[figure] * share for domain, share in zip(domains, shares))
        epochs = math.fsum(domain["epochs"] * size for domain, size in zip(domains, sizes))
        rows.append(row | {"epochs": epochs / row[unit] if row[unit] else 0.0})
    return dict(plan) | {"domains": domains, "languages": rows}
