"""A graphics card that is none: a device of its own whose tensors have values.

Tensors on torch's device "meta" have no values, so stages that look at one fail on it.
Those of `card()` are on "meta" too and hold theirs on the processor; but what they meet
has to be there as well, and numpy does not take them, as with a card. That shows what
any stage leaves behind.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# The one kind beside the processor that torch looks for no driver of.
NAME = "meta"
# What takes tensors of both devices on a card as well.
_MIXED = {"copy_", "index", "index_put_", "index_put", "_index_put_impl_"}


class _OnCard(torch.Tensor):
    """A tensor on the card; `held` has its values."""

    @staticmethod
    def __new__(cls, held: Tensor) -> "_OnCard":
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=NAME,
        )

    def __init__(self, held: Tensor) -> None:
        # Lazy conjugates are a matter of the tensor outside.
        self.held = held.resolve_conj().resolve_neg()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f"{func} of a tensor whose card is gone")


class _Move(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, there: bool) -> Tensor:
        ctx.there = there
        return _OnCard(tensor.clone()) if there else tensor.held.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Move.apply(gradient, not ctx.there), None


class _Moves(TorchFunctionMode):
    """Copies between the devices, which torch would look for a driver for."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.tolist:
            return func(args[0].cpu())
        if getattr(func, "__self__", None) is torch.Tensor.is_meta:
            return False
        if func in (torch.tensor, torch.as_tensor) and "device" in kwargs:
            place = kwargs.pop("device")
            return self._moved(func(*args, **kwargs), place)
        if func is torch.Tensor.cpu:
            return self._moved(args[0], "cpu")
        if func is not torch.Tensor.to:
            return func(*args, **kwargs)
        tensor, *settings = args
        settings += [kwargs[name] for name in ("device", "dtype") if name in kwargs]
        place = None
        for setting in settings:
            if isinstance(setting, Tensor):
                tensor, place = func(tensor, setting.dtype), setting.device
            elif isinstance(setting, torch.dtype):
                tensor = func(tensor, setting)
            elif isinstance(setting, str | torch.device):
                place = setting
        return tensor if place is None else self._moved(tensor, place)

    @staticmethod
    def _moved(tensor: Tensor, place: Any) -> Tensor:
        kind = torch.device(place).type
        if kind == tensor.device.type:
            return tensor
        return _Move.apply(tensor, kind == torch.device(NAME).type)


class _Computes(TorchDispatchMode):
    """What is computed of tensors on the card is there too."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if _is_tensor(leaf)]
        held = {id(leaf.held): leaf for leaf in tensors if _is_there(leaf)}
        there = bool(held)
        name = func.overloadpacket.__name__
        if kwargs.get("device") is not None:
            there = torch.device(kwargs["device"]) == torch.device(NAME)
            kwargs["device"] = torch.device("cpu")
        elif there and name not in _MIXED:
            for leaf in tensors:
                if leaf.ndim and not _is_there(leaf):
                    raise RuntimeError(f"{name} of tensors on the card and on cpu")
        plain = tree_map(
            lambda leaf: leaf.held if _is_there(leaf) else leaf, (args, kwargs)
        )
        for leaf in tree_leaves(plain):
            if _is_tensor(leaf) and leaf.device.type == "meta":
                raise RuntimeError(f"{name} of a tensor on meta without values")
        result = func(*plain[0], **plain[1])

        def placed(leaf: Any) -> Any:
            if not _is_tensor(leaf) or not there:
                return leaf
            # What works in place returns what it was given.
            known = held.get(id(leaf))
            return _OnCard(leaf) if known is None else known

        return tree_map(placed, result)


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, Tensor)


def _is_there(leaf: Any) -> bool:
    return isinstance(leaf, _OnCard)


@contextmanager
def card() -> Iterator[str]:
    """Name of the card, which is there within."""
    with pytest.MonkeyPatch.context() as patch, _Moves(), _Computes():
        # Views of tensors that hold others need what inference leaves out.
        patch.setattr(
            torch,
            "inference_mode",
            lambda mode=True: torch.no_grad() if mode else nullcontext(),
        )
        yield NAME
