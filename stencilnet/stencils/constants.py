"""Constant tensors of a module that keep their full precision."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class ConstantModule(nn.Module):
    """A module whose constants follow its dtype and device without being rounded twice.

    A buffer that goes to float32 and back has lost half of its digits, and with them
    the moment conditions. Constants are therefore kept in float64 beside their copy in
    the module's precision, and each move starts from there. They are not part of the
    state dict: the constructor makes them anew.
    """

    def __init__(self) -> None:
        super().__init__()
        self._exact: dict[str, Tensor] = {}
        self._numbers: dict[str, Any] = {}

    def register_constant(self, name: str, value: Tensor) -> None:
        """Makes `value` an attribute that `get_constant` reads.

        Args:
            name: of the attribute.
            value: a float64 tensor.
        """
        self._exact[name] = value.to(torch.float64)
        self._numbers[name] = self._exact[name].tolist()
        self.register_buffer(name, self._exact[name].clone(), persistent=False)

    def get_constant(self, name: str, like: Tensor) -> Tensor:
        """The constant in the dtype and on the device of `like`.

        A constant in less precision than `like` starts from float64 again.
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
    """`sum_j w_j planes[j]` of fields with one shape, without the terms of weight zero.

    A field per term is what processors and compilers are fast with; a small matrix
    product along the last axis is not.
    """
    total: Tensor | None = None
    for weight, plane in zip(weights, planes, strict=True):
        if weight:
            total = plane * weight if total is None else total.add(plane, alpha=weight)
    return torch.zeros_like(planes[0]) if total is None else total
