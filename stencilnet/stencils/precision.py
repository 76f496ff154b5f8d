"""Products in full precision, whatever autocast and TF32 allow."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def in_full_precision(product: Callable[..., Tensor], *operands: Tensor) -> Tensor:
    """`product(*operands)`, such as a matrix product, without rounding of operands.

    Under `torch.autocast`, or where `torch.set_float32_matmul_precision` and its like
    allow TF32 or bfloat16, a product has an error of 1e-3 or more, which stencils and
    reconstructions cannot afford. It is then computed in float64, which these modes
    leave alone, in the backward pass too.

    Args:
        product: of real tensors.
        operands: of one dtype and device.

    Returns:
        The product in the dtype of the operands.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import in_full_precision
        >>> a = torch.full((8, 8), 1 / 3)
        >>> with torch.autocast("cpu"):
        ...     rounded, exact = a @ a, in_full_precision(torch.matmul, a, a)
        >>> [bool((c.double() - 8 / 9).abs().max() < 1e-6) for c in (rounded, exact)]
        [False, True]
    """
    if not any(map(is_rounded, operands)):
        return product(*operands)
    exact = (operand.double() for operand in operands)
    return product(*exact).to(operands[0].dtype)


def is_rounded(operand: Tensor) -> bool:
    """Whether the modes in force would round `operand` in a matrix product."""
    if not operand.is_floating_point() or operand.dtype == torch.float64:
        return False
    device = operand.device.type
    if is_autocast(device):
        return True
    return operand.dtype == torch.float32 and _rounds_float32(device)


def is_autocast(device: str) -> bool:
    """Whether autocast is on for a type of device."""
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


# A compiler cannot read the setting, but compiles again when it changes.
@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _rounds_float32(device: str) -> bool:
    backends: Any = torch.backends
    if device == "cuda":
        setting = backends.cuda.matmul.fp32_precision
    elif device == "cpu":
        setting = backends.mkldnn.matmul.fp32_precision
    else:
        return False
    return setting in ("tf32", "bf16")
