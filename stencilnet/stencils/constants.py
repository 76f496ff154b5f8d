"""Constants of a module that keep full precision through changes of dtype."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class ConstantModule(nn.Module):
    """A module whose constants follow its dtype and device, each time from float64.

    A buffer that goes to float32 and back loses half of its digits, and with them the
    moment conditions. The module therefore stores its constants in float64 beside their
    copies in its own precision, and every conversion starts from float64. They are not
    part of the state dict, as the constructor computes them again.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import ConstantModule
        >>> module, third = ConstantModule(), torch.ones(1).double() / 3
        >>> module.register_constant("third", third)
        >>> module.float().third.dtype, bool(third.float().double() == third)
        (torch.float32, False)
        >>> bool(module.double().third == third)  # all digits are back
        True
    """

    def __init__(self) -> None:
        super().__init__()
        self._exact: dict[str, Tensor] = {}
        self._numbers: dict[str, Any] = {}

    def register_constant(self, name: str, value: Tensor) -> None:
        """Stores `value`, a float64 tensor, as the attribute `name`."""
        self._exact[name] = value.to(torch.float64)
        self._numbers[name] = self._exact[name].tolist()
        self.register_buffer(name, self._exact[name].clone(), persistent=False)

    def get_constant(self, name: str, like: Tensor) -> Tensor:
        """The constant in the dtype and on the device of `like`.

        Where they differ from the module's, it is converted from float64.
        """
        constant: Tensor = getattr(self, name)
        if constant.dtype == like.dtype and constant.device == like.device:
            return constant
        return self._exact[name].to(like)

    def get_numbers(self, name: str) -> Any:
        """The constant as a float, or as nested lists of them."""
        return self._numbers[name]

    def _apply(
        self, fn: Callable[[Tensor], Tensor], recurse: bool = True
    ) -> "ConstantModule":
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, exact in self._exact.items():
            moved: Any = getattr(self, name)
            setattr(self, name, exact.to(moved))
        return self


def weighted_sum(weights: Sequence[float], planes: Sequence[Tensor]) -> Tensor:
    """`sum_j w_j planes[j]` of fields of one shape; terms of weight zero are skipped.

    Whole fields vectorize and compile well, unlike a small matrix product along the
    last axis.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import weighted_sum
        >>> u = torch.tensor([0.0, 1.0, 4.0, 9.0])
        >>> weighted_sum((1.0, -2.0, 1.0), (u.roll(1), u, u.roll(-1))).tolist()
        [10.0, 2.0, 2.0, -14.0]
    """
    total: Tensor | None = None
    for weight, plane in zip(weights, planes, strict=True):
        if weight:
            total = plane * weight if total is None else total.add(plane, alpha=weight)
    return torch.zeros_like(planes[0]) if total is None else total
