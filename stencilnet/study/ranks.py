"""Processes that train one operator together, each on a share of every batch.

They are started by `torchrun`, or by a program that has made torch's process group. The
first of them, rank 0, writes whatever is written.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

# The others wait while the first one validates and writes.
_PATIENCE = timedelta(days=1)
_GONE = (
    "Another process of this training has ended, whose own words say why: repeat the "
    "command with --resume to go on."
)


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; one alone by default.

    Attributes:
        number: of this process, from 0.
        count: of all.
        device: that this process trains on.
    """

    number: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this process writes."""
        return self.number == 0

    def share(self, batch: int) -> slice:
        """The windows of a batch that this process follows.

        Raises:
            ValueError: if there are fewer windows than processes.
        """
        if batch < self.count:
            raise ValueError(
                f"A batch of {batch} cannot be shared by {self.count} processes: start "
                f"fewer, or raise training.batch to {self.count} or more."
            )
        one, last = (self.number + end for end in (0, 1))
        return slice(one * batch // self.count, last * batch // self.count)

    def average(self, loss: Tensor, parameters: Sequence[Tensor], batch: int) -> Tensor:
        """The loss over the whole batch, with its gradients in place of the own ones.

        Args:
            loss: mean over the share of this process.
            parameters: with its gradients.
            batch: windows of all processes.

        Raises:
            ConnectionError: if another process is gone.
        """
        if self.count == 1:
            return loss
        own = self.share(batch)
        trained = [each for each in parameters if each.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        # One sum of all numbers takes one message.
        numbers = torch.cat([part.detach().reshape(-1) for part in (loss, *gradients)])
        numbers = numbers * ((own.stop - own.start) / batch)
        with _connected():
            dist.all_reduce(numbers)
        sizes = [each.numel() for each in trained]
        total, *parts = numbers.split([1, *sizes])
        for parameter, part in zip(trained, parts, strict=True):
            parameter.grad = part.reshape(parameter.shape)
        return total.reshape(())

    def wait(self) -> None:
        """Returns when all processes are here.

        Raises:
            ConnectionError: if another process is gone.
        """
        if self.count > 1:
            with _connected():
                dist.barrier()

    @contextmanager
    def named(self) -> Iterator[None]:
        """A block whose errors tell that they are those of this process alone."""
        try:
            yield
        except (MemoryError, OSError, ValueError) as error:
            if not (self.first or isinstance(error, ConnectionError)):
                error.add_note(f"rank {self.number}")
            raise

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block that fails in all processes if it does in one.

        Raises:
            ChildProcessError: if it failed in others only, with the words of the first.
            ConnectionError: if another process is gone.
        """
        failure: Exception | None = None
        try:
            yield
        except Exception as error:  # Whatever it is, the others wait for it.
            failure = error
        texts: list[str | None] = [None] * self.count
        if self.count > 1:
            with _connected():
                dist.all_gather_object(texts, None if failure is None else str(failure))
        if failure is not None:
            raise failure
        for number, text in enumerate(texts):
            if text is not None:
                raise ChildProcessError(f"Rank {number}: {text}")


ALONE = Ranks()
"""A training in this process alone."""


@contextmanager
def joined(device: str = "cpu") -> Iterator[Ranks]:
    """The processes that were started together, this one among them.

    Args:
        device: to train on; "cuda" stands for one of each process.

    Raises:
        ConnectionError: if they do not find each other.
    """
    if not (dist.is_available() and (dist.is_initialized() or _started())):
        yield Ranks(device=device)
        return
    local = int(os.environ.get("LOCAL_RANK", 0))
    if device == "cuda":
        device = f"cuda:{local}"
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(device)
    made = not dist.is_initialized()
    if made:
        with _connected():
            dist.init_process_group("nccl" if on_gpu else "gloo", timeout=_PATIENCE)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), device)
    finally:
        if made:
            dist.destroy_process_group()


def _started() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ


@contextmanager
def _connected() -> Iterator[None]:
    """Words for what torch says when a process is gone."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise ConnectionError(_GONE) from error
