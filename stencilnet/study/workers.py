"""Work on several processes or machines, by Dask, an optional dependency."""

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any, TypeVar

import torch

from stencilnet.errors import optional_module, whole_number

Item = TypeVar("Item")
Result = TypeVar("Result")
# Seconds to wait for a scheduler, or for workers to return, before they are absent,
# and between two looks at them.
_PATIENCE, _LOOK = 20, 5


@contextmanager
def crew(workers: int | None = None, scheduler: str | None = None) -> Iterator[Any]:
    """The client of a Dask cluster, or None for work in this process.

    Args:
        workers: processes of one thread each, on this machine.
        scheduler: address of a cluster that runs, such as `tcp://host:8786`.

    Raises:
        ValueError: if both are given, if `workers` is no whole number of at least 1, or
            if Dask is not installed.
        ConnectionError: if no scheduler answers at the address.
    """
    if workers is None and scheduler is None:
        yield None
        return
    if workers is not None and scheduler is not None:
        raise ValueError(
            "Workers are those of this machine or of a cluster: give workers or "
            "scheduler, not both."
        )
    if workers is not None:
        workers = whole_number("workers", workers, least=1)
    distributed, dask = (
        optional_module(name, "Work on several processes", extra="scale")
        for name in ("distributed", "dask")
    )
    if scheduler is not None:
        try:
            # One that finds nobody stays the scheduler of all that Dask does.
            with dask.config.set(scheduler=None):
                client = distributed.Client(scheduler, timeout=_PATIENCE)
        except (OSError, ValueError) as error:
            raise ConnectionError(
                f"No Dask scheduler answers at {scheduler!r}: start one by "
                f"`dask scheduler`, and give the address that it prints."
            ) from error
        with client:
            yield client
        return
    # Ctrl-C reaches every process of a terminal, but only this one answers it: threads
    # and processes inherit what is blocked where they are started. The tracker would
    # end that if it were started with the first of them.
    if os.name != "nt":
        resource_tracker.ensure_running()
    former = _mask("SIG_BLOCK", {signal.SIGINT})
    try:
        with (
            distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                # Any free port: None would take a fixed one, on all interfaces.
                dashboard_address="127.0.0.1:0",
                # How much memory there is stays with whoever starts the command.
                memory_limit=None,
                silence_logs=logging.CRITICAL,
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            _mask("SIG_SETMASK", former)
            yield client
    finally:
        _mask("SIG_SETMASK", former)


def _mask(how: str, signals: set[Any]) -> set[Any]:
    """Changes which signals wait, where the system can; returns those that did."""
    change = getattr(signal, "pthread_sigmask", None)
    return set() if change is None else change(getattr(signal, how), signals)


def finished(
    client: Any, work: Callable[[Item], Result], items: Sequence[Item]
) -> Iterator[Result]:
    """Results of some work on items, in the order in which they come.

    What a worker did that died is done again by another one.

    Args:
        client: of `crew`, not None.
        work: a function of a module, of one item.
        items: what to work on.

    Raises:
        ChildProcessError: if a worker died several times at one item, or if no worker
            is left.
        Otherwise what `work` raises.
    """
    distributed = optional_module("distributed", "Workers", extra="scale")
    futures = [client.submit(_alone, work, item, pure=False) for item in items]
    waiting, alone = set(futures), 0
    try:
        while waiting:
            try:
                done = distributed.wait(waiting, _LOOK, "FIRST_COMPLETED").done
            except TimeoutError:
                alone = alone + 1 if _deserted(client) else 0
                if alone * _LOOK >= _PATIENCE:
                    raise ChildProcessError(
                        "All workers of this machine are gone, perhaps for lack of "
                        "memory: use fewer, and repeat the command to go on."
                    ) from None
                continue
            waiting -= done
            for future in done:
                try:
                    yield future.result()
                except distributed.KilledWorker as error:
                    raise ChildProcessError(
                        "Several workers died at the same block, perhaps for lack of "
                        "memory: give them more, or use fewer on each machine."
                    ) from error
    finally:
        client.cancel(futures)


def _deserted(client: Any) -> bool:
    """Whether a cluster of this machine, which gets no others, has no worker."""
    return client.cluster is not None and not client.scheduler_info()["workers"]


def _alone(work: Callable[[Item], Result], item: Item) -> Result:
    """The work with one thread, as the workers of a machine share its cores."""
    torch.set_num_threads(1)
    return work(item)
