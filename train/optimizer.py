"""AdamW as the paper sets it (section 2.3): betas 0.9 and 0.95, weight decay 0.1, gradient norm clipped to 1.

Decay applies to matrices (the embeddings are matrices) and not to the gains of the norms, which would only be
pulled towards zero. The paper does not say, and this is the custom of GPT-3's and LLaMA's open
reimplementations. eps is 1e-8, the algorithm's default, which the paper does not give either.
"""

import torch
from torch import nn

BETAS = (0.9, 0.95)
EPS = 1e-8
WEIGHT_DECAY = 0.1
CLIP_NORM = 1.0


def build_optimizer(model: nn.Module, learning_rate: float, weight_decay: float = WEIGHT_DECAY) -> torch.optim.AdamW:
    """Fused AdamW in two groups: matrices with decay, gains without."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=learning_rate, betas=BETAS, eps=EPS, fused=True)
