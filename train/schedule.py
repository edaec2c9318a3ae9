"""Learning-rate schedules: pure functions of the tokens seen, giving a multiple of the peak rate.

All begin with a linear warmup. `multi_step` is the paper's (section 2.3): the peak until 80% of the tokens, then 31.6%
of it (the square root of a tenth), then 10% from 90% on. The first 80% do not depend on the length of the run, so a
longer run may start from there. `cosine` falls to 10% as in LLaMA. `wsd` stays at the peak and falls linearly over the
last fifth. `tokens` includes those of the step that the rate is for.
"""

import math
from collections.abc import Callable

PHASE_ENDS = (0.8, 0.9)  # of the tokens; the paper keeps these so that the first phase can be reused
STEP_RATES = (1.0, 0.316, 0.1)
FLOOR = 0.1


def warmup(tokens: int, warmup_tokens: int) -> float:
    """Linear from nothing to 1 at `warmup_tokens`."""
    return min(1.0, tokens / warmup_tokens) if warmup_tokens > 0 else 1.0


def phase_ends(total_tokens: int) -> tuple[int, ...]:
    """The tokens after which the rate of the multi-step schedule drops."""
    return tuple(round(end * total_tokens) for end in PHASE_ENDS)


def last_constant_step(steps: int, tokens_per_step: int) -> int:
    """The last step at the peak rate of `multi_step` and `wsd`: so far, runs of any length are the same run."""
    return phase_ends(steps * tokens_per_step)[0] // tokens_per_step


def multi_step(tokens: int, total_tokens: int, warmup_tokens: int) -> float:
    """The paper's three steps."""
    passed = sum(tokens > end for end in phase_ends(total_tokens))
    return warmup(tokens, warmup_tokens) * STEP_RATES[passed]


def cosine(tokens: int, total_tokens: int, warmup_tokens: int) -> float:
    """Half a cosine wave from the end of the warmup down to 10% at the end (Loshchilov and Hutter 2017)."""
    progress = max(0.0, tokens - warmup_tokens) / max(1, total_tokens - warmup_tokens)
    return warmup(tokens, warmup_tokens) * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * min(1.0, progress))) / 2)


def wsd(tokens: int, total_tokens: int, warmup_tokens: int) -> float:
    """Warmup, stable, decay (Hu et al. 2024): the peak until 80%, then linear to 10%."""
    start = phase_ends(total_tokens)[0]
    progress = max(0, tokens - start) / max(1, total_tokens - start)
    return warmup(tokens, warmup_tokens) * (1 - (1 - FLOOR) * min(1.0, progress))


Schedule = Callable[[int, int, int], float]
SCHEDULES: dict[str, Schedule] = {"multi_step": multi_step, "cosine": cosine, "wsd": wsd}
