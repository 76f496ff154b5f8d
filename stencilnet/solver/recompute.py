"""Long chains of steps whose gradients take memory for a few of them only."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Segment = Callable[[Tensor], tuple[Tensor, ...]]
"""`segment(u) -> (u after some steps, *states to keep)`."""


def leaves_of(outputs: Sequence[Tensor]) -> list[Tensor]:
    """The leaf tensors that `outputs` have gradients for, in a fixed order."""
    found: dict[int, Tensor] = {}
    seen, waiting = set(), [output.grad_fn for output in outputs]
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


def run_segment(segment: Segment, u: Tensor) -> tuple[Tensor, ...]:
    """What a segment returns, without the graph of its inside.

    Backward computes the segment again, from `u`, and gives the gradients of `u` and of
    all leaves that the segment reads, whether they are arguments of it or not. Unlike
    `torch.utils.checkpoint` nothing of the graph lives in between.

    Args:
        segment: deterministic.
        u: state to start from.

    Raises:
        RuntimeError: in backward, if it is to be differentiated itself.
    """
    start = u.detach().requires_grad_()
    with torch.enable_grad():
        outputs = segment(start)
    leaves = [leaf for leaf in leaves_of(outputs) if leaf is not start]
    values = tuple(output.detach() for output in outputs)
    results: tuple[Tensor, ...] = _Recomputed.apply(  # type: ignore[no-untyped-call]
        segment, values, u, *leaves
    )
    return results


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
        end, *kept = values
        # The last state kept may be the end itself; outputs are distinct tensors.
        return (end.clone(), *kept)

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
        # Retained, as what the leaves were made into is shared by all segments.
        found = torch.autograd.grad(
            outputs,
            (start, *leaves),
            gradients,
            allow_unused=True,
            retain_graph=True,
        )
        return (None, None, *found)
