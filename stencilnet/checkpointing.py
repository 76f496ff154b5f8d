"""Long chains of steps whose gradients take memory for a few of them only."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Segment = Callable[[Tensor], tuple[Tensor, ...]]
"""`segment(u) -> (u after some steps, *states to keep)`."""


def leaves_of(output: Tensor) -> list[Tensor]:
    """The leaf tensors that `output` has gradients for, in a fixed order."""
    found: dict[int, Tensor] = {}
    seen, waiting = set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            found.setdefault(id(leaf), leaf)
        waiting.extend(parent for parent, _ in node.next_functions)
    return list(found.values())


def run_segment(
    segment: Segment, u: Tensor, leaves: list[Tensor]
) -> tuple[Tensor, ...]:
    """What a segment returns, without the graph of its inside.

    Backward computes the segment again, from `u`, and gives the gradients of `u` and of
    the leaves. Unlike `torch.utils.checkpoint` nothing of the graph lives in between,
    and the leaves need not be arguments of the segment.

    Args:
        segment: deterministic; what it reads beside `u` must depend on `leaves` only.
        u: state to start from.
        leaves: as `leaves_of` finds them.
    """
    results: tuple[Tensor, ...] = _Recomputed.apply(  # type: ignore[no-untyped-call]
        segment, u, *leaves
    )
    return results


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, segment: Segment, u: Tensor, *leaves: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.segment = segment
        ctx.save_for_backward(u, *leaves)
        end, *kept = segment(u)
        # The last state kept may be the end itself; outputs are distinct tensors.
        return (end.clone(), *kept)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        u, *leaves = ctx.saved_tensors
        start = u.detach().requires_grad_()
        with torch.enable_grad():
            outputs = ctx.segment(start)
        # Retained, as what the leaves were made into is shared by all segments.
        found = torch.autograd.grad(
            outputs,
            (start, *leaves),
            gradients,
            allow_unused=True,
            retain_graph=True,
        )
        return (None, *found)
