"""Constant tensors of a module that keep their full precision."""

from collections.abc import Callable
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

    def register_constant(self, name: str, value: Tensor) -> None:
        """Makes `value` an attribute that `get_constant` reads.

        Args:
            name: of the attribute.
            value: a float64 tensor.
        """
        self._exact[name] = value.to(torch.float64)
        self.register_buffer(name, self._exact[name].clone(), persistent=False)

    def get_constant(self, name: str, like: Tensor) -> Tensor:
        """The constant in the dtype and on the device of `like`.

        A constant in less precision than `like` starts from float64 again.
        """
        constant: Tensor = getattr(self, name)
        if constant.dtype == like.dtype and constant.device == like.device:
            return constant
        return self._exact[name].to(like)

    def _apply(
        self, fn: Callable[[Tensor], Tensor], recurse: bool = True
    ) -> "ConstantModule":
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, exact in self._exact.items():
            moved: Any = getattr(self, name)
            setattr(self, name, exact.to(moved))
        return self


def contract(values: Tensor, matrix: Tensor) -> Tensor:
    """`values @ matrix` for a small matrix.

    A compiler fuses it with what stands around it if it is spelled out; otherwise one
    call of a library is faster.
    """
    if torch.compiler.is_compiling():
        return (values.unsqueeze(-1) * matrix).sum(-2)
    return values @ matrix
