"""An ensemble solved block by block, here or by workers, and what it is worth."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stencilnet.progress import Progress
from stencilnet.storage import BlockWriter
from stencilnet.study.bounded import coarse_averages, solution_of
from stencilnet.study.ensemble import Ensemble, Told
from stencilnet.study.problem import domain_of, problem_of_samples
from stencilnet.study.resolution import (
    Accuracy,
    ReferenceQuality,
    check_converged,
    check_resolved,
    relative_difference,
)
from stencilnet.study.workers import finished

# Samples of a trial, which tells early whether a grid resolves the solution.
_TRIAL = 2


def solve_ensemble(
    ensemble: Ensemble, accuracy: Accuracy, client: Any, progress: Progress
) -> ReferenceQuality:
    """Solves for the blocks that are missing and measures the quality of all.

    A trial of the first samples tells early if the grid is too coarse.

    Args:
        ensemble: the samples, and the folder of their blocks.
        accuracy: what to ask of the solution.
        client: of workers, see `crew`; None to solve in this process.
        progress: told about the intervals.

    Raises:
        UnresolvedError: if the solution is not finite, not resolved, or misses the
            tolerance of self-convergence, with a remedy.
        OSError: if blocks that workers wrote are not here.
    """
    times = len(problem_of_samples(ensemble.config, range(1)).times)
    if ensemble.samples > 2 * _TRIAL and not ensemble.folder.exists():
        told = _tally(progress, "trying", 0, times)
        tried = ensemble.solution(range(_TRIAL), told=told)
        tail = _spectral_tail(tried["tail"].values, tried["largest"].values)
        check_resolved(tail, ensemble.points)
    writer = ensemble.blocks()
    missing = writer.missing
    total = times * (writer.blocks + 1)
    done = times * (writer.blocks - len(missing))
    told = _tally(progress, "solving the reference", done, total)
    if client is None:
        for number in missing:
            ensemble.solve(number, writer, told)
    else:
        for _ in finished(client, ensemble.solve, missing):
            told(times)
    # What workers wrote is compared with its checksums here.
    if writer.missing:
        raise OSError(
            f"Blocks that workers wrote are not in {ensemble.folder}, or damaged: give "
            f"the workers a file system that they share with this process."
        )
    told = _tally(progress, "checking the resolution", total - times, total)
    return _quality(ensemble, writer, accuracy, told)


def _quality(
    ensemble: Ensemble, writer: BlockWriter, accuracy: Accuracy, told: Told
) -> ReferenceQuality:
    """The quality of an ensemble whose blocks are all there; raises if it is poor."""
    everything = slice(None)
    tail = _spectral_tail(
        writer.read("tail", everything), writer.read("largest", everything)
    )
    check_resolved(tail, ensemble.points)
    # Steep trajectories are the hard ones.
    steepness = torch.from_numpy(writer.read("steepness", everything))
    order = steepness.argsort(descending=True, stable=True)
    hardest = order[: accuracy.checked].tolist()
    error = relative_difference(_beside_finer(ensemble, writer, hardest, told))
    if ensemble.grid.boundaries is not None:
        # Steps shrink with the cells, so that points are the remedy.
        tail = error
    check_converged(error, tail, ensemble.points, accuracy)
    starts = {ensemble.batch(sample).start for sample in range(ensemble.samples)}
    taken = sum(int(_steps(writer, start).sum()) for start in starts)
    return ReferenceQuality(error, tail, taken, ensemble.courant)


def _beside_finer(
    ensemble: Ensemble, writer: BlockWriter, samples: list[int], told: Told
) -> Iterator[tuple[Tensor, Tensor]]:
    """Modes of some samples, and on twice the points with half the step, by times.

    Their modes are not kept: those of samples of one batch are solved for once more,
    in the steps of that batch.
    """
    together: dict[int, list[int]] = {}
    for place, sample in enumerate(samples):
        together.setdefault(ensemble.batch(sample).start, []).append(place)
    again = [
        (
            places,
            solution_of(
                problem_of_samples(ensemble.config, [samples[n] for n in places]),
                ensemble.grid,
                steps=_steps(writer, start).tolist(),
                device=ensemble.config.device,
            ),
        )
        for start, places in together.items()
    ]
    problem = problem_of_samples(ensemble.config, samples)
    finer = solution_of(
        problem,
        domain_of(ensemble.config, 2 * ensemble.points),
        courant=ensemble.courant / 2,
        device=ensemble.config.device,
    )
    for index, (state, _) in enumerate(finer):
        fine = _modes(ensemble, state.cpu())
        modes = fine.new_zeros(len(samples), ensemble.points // 2 + 1)
        for places, solution in again:
            part = _modes(ensemble, next(solution)[0].cpu())
            modes = modes[:, : part.shape[-1]]
            modes[places] = part
        told(1)
        if index >= problem.start:
            yield modes, fine


def _modes(ensemble: Ensemble, state: Tensor) -> Tensor:
    """The modes of a state; of averages between boundaries those on its grid."""
    if ensemble.grid.boundaries is None:
        return state
    finer = domain_of(ensemble.config, state.shape[-1])
    return torch.fft.rfft(coarse_averages(state, finer, ensemble.points))


def _steps(writer: BlockWriter, sample: int) -> np.ndarray:
    return writer.read("steps", slice(sample, sample + 1))[0]


def _spectral_tail(tail: np.ndarray, largest: np.ndarray) -> float:
    """The largest mode in the upper eighth of the spectrum, relative to the largest."""
    return float(tail.max() / max(largest.max(), np.finfo(np.float64).tiny))


def _tally(progress: Progress, note: str, done: int, total: int) -> Told:
    """Counts what is done, and tells it."""

    def told(intervals: int) -> None:
        nonlocal done
        done += intervals
        progress(done, total, note)

    return told
