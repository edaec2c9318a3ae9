"""Model FLOPs utilisation: the share of the devices' peak that goes into the model's own arithmetic.

As in PaLM's appendix B (Chowdhery et al. 2022), the forward and backward pass are counted once, even where
something is recomputed: 6 FLOPs per token for each weight that multiplies (the embedding only looks up), and 12 l d for
attention in each layer. The peaks are the makers' figures for dense bf16 matrix products; a CPU's is not
known.
"""

from train.model.config import ModelConfig

# FLOP/s, dense bf16 (fp16 for V100), by a part of the name that torch gives the device; the first that fits counts
PEAKS = {
    "H200": 989e12,  # NVIDIA H200 data sheet: 1,979 with sparsity
    "H100 PCIe": 756e12,  # NVIDIA H100 data sheet: 1,513 with sparsity
    "H100 NVL": 835.5e12,  # NVIDIA H100 data sheet: 1,671 with sparsity
    "H100": 989e12,  # NVIDIA H100 data sheet (SXM): 1,979 with sparsity
    "H800": 989e12,  # the H100's cores with a narrower NVLink
    "H20": 148e12,  # NVIDIA H20 data sheet
    "GB200": 2500e12,  # NVIDIA GB200 data sheet: 5,000 per GPU with sparsity
    "B200": 2250e12,  # NVIDIA HGX B200 data sheet: 4,500 with sparsity
    "A100": 312e12,  # NVIDIA A100 data sheet
    "A800": 312e12,  # the A100's cores with a narrower NVLink
    "L40S": 362e12,  # NVIDIA L40S data sheet: 733 with sparsity, 362.05 without
    "L40": 181e12,  # NVIDIA L40 data sheet
    "L4": 121e12,  # NVIDIA L4 data sheet: 242 with sparsity
    "RTX 4090": 165.2e12,  # NVIDIA Ada architecture white paper, fp32 accumulation
    "V100": 125e12,  # NVIDIA V100 data sheet
    "MI300X": 1307e12,  # AMD Instinct MI300X data sheet
    "MI250X": 191.5e12,  # AMD Instinct MI250X data sheet: 383 for its two dies, each a device
}


def peak_flops(device_name: str) -> float | None:
    """The peak of a device by its name; None where it is not known."""
    return next((peak for part, peak in PEAKS.items() if part in device_name), None)


def model_flops_per_token(config: ModelConfig, sequence_length: int) -> int:
    """FLOPs of a training step for each token."""
    multiplying = config.num_parameters - config.vocab_size * config.dim
    return 6 * multiplying + 12 * config.num_layers * config.dim * sequence_length


def utilisation(config: ModelConfig, sequence_length: int, tokens_per_second: float, peak: float) -> float:
    """The share of `peak` (FLOP/s of all devices together) that the model's arithmetic takes."""
    return model_flops_per_token(config, sequence_length) * tokens_per_second / peak
