"""Gradients of long chains of steps in the memory of a few."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

Segment = Callable[[Tensor], tuple[Tensor, ...]]
"""`segment(u) -> (u after some steps, *states to return)`."""


def leaves_of(outputs: Sequence[Tensor]) -> list[Tensor]:
    """The leaf tensors that `outputs` depend on, in a fixed order."""
    leaves: dict[int, Tensor] = {}
    visited, stack = set(), [output.grad_fn for output in outputs]
    while stack:
        node = stack.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            leaves.setdefault(id(leaf), leaf)
        stack.extend(parent for parent, _ in node.next_functions)
    return list(leaves.values())


def run_segment(segment: Segment, u: Tensor) -> tuple[Tensor, ...]:
    """The outputs of a segment, without the graph of its inside.

    Backward recomputes the segment from `u`, in the precision mode (autocast) of the
    forward pass, and gives the gradients of `u` and of all leaves that the segment
    reads, whether they are arguments of it or not. Unlike `torch.utils.checkpoint` it
    stores no graph in between.

    Args:
        segment: deterministic.
        u: state to start from.

    Raises:
        RuntimeError: within a transform of `torch.func` or forward-mode derivatives;
            and in backward, if it is to be differentiated itself.
    """
    try:
        start = u.detach().requires_grad_()
    except RuntimeError as error:
        raise RuntimeError(
            "Checkpoints do not compose with the transforms of torch.func: use "
            "torch.autograd, or drop checkpoint."
        ) from error
    with torch.enable_grad():
        outputs = segment(start)
    if any(_has_tangent(value) for value in (u, *outputs)):
        raise RuntimeError(
            "Forward-mode derivatives do not pass through checkpoints: drop checkpoint."
        )
    leaves = [leaf for leaf in leaves_of(outputs) if leaf is not start]
    values = tuple(output.detach() for output in outputs)
    recompute = _in_mode(segment, _autocast_modes(u.device.type))
    results: tuple[Tensor, ...] = _Recomputed.apply(  # type: ignore[no-untyped-call]
        recompute, values, u, *leaves
    )
    return results


def _has_tangent(value: Tensor) -> bool:
    dual = unpack_dual(value)  # type: ignore[no-untyped-call]
    return dual.tangent is not None


Modes = list[tuple[str, bool, torch.dtype]]
"""Kind of device, whether autocast is on there, and its precision."""


def _autocast_modes(device: str) -> Modes:
    """The precision modes that steps on a device run in, also those on the CPU."""
    kinds = [kind for kind in {"cpu", device} if torch.amp.is_autocast_available(kind)]
    return [
        (kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
        for kind in kinds
    ]


def _in_mode(segment: Segment, modes: Modes) -> Segment:
    """A segment that always runs in the same precision modes."""

    def recompute(u: Tensor) -> tuple[Tensor, ...]:
        with _entered(modes):
            return segment(u)

    return recompute


@contextmanager
def _entered(modes: Modes) -> Iterator[None]:
    with ExitStack() as stack:
        for kind, enabled, dtype in modes:
            stack.enter_context(torch.autocast(kind, dtype=dtype, enabled=enabled))
        yield


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        segment: Segment,
        values: tuple[Tensor, ...],
        u: Tensor,
        *leaves: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.segment = segment
        ctx.save_for_backward(u, *leaves)
        end, *states = values
        # The last state may be the end itself; outputs are distinct tensors.
        return (end.clone(), *states)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "Second derivatives do not pass through checkpoints: call rollout with "
                "checkpoint=False, or differentiate without create_graph."
            )
        u, *leaves = ctx.saved_tensors
        start = u.detach().requires_grad_()
        with torch.enable_grad():
            outputs = ctx.segment(start)
        # Segments share what the leaves were made into, so its graph is retained.
        slopes = torch.autograd.grad(
            outputs,
            (start, *leaves),
            gradients,
            allow_unused=True,
            retain_graph=True,
        )
        return (None, None, *slopes)
