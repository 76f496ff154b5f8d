"""What stores survive: kills, damage, malice; and how fast they are written and read.

- kills of a process that replaces a store, before and after each of its renamings and
  at random moments: names that lead to no whole store, and what stays behind; losses of
  power after each flush and renaming of a replacement that leave no whole store;
- bits that flip in trajectories, operators and datasets and are neither found nor
  harmless;
- reads during a replacement that mix the old store and the new one;
- stores made to do harm that are not refused in a sentence, with what refusing takes;
- speed of writing and of reading float64 trajectories of 512 points, relative to plain
  `to_zarr` and `open_zarr` with the same chunks, and to `to_zarr` with a flush to the
  disk, which is what `write_trajectories` takes care of;
- speed of `generate` with two workers relative to one, whose result has the same bits;
- time of an update of a training that reads its windows from disk, relative to one with
  the trajectories in memory, whose losses have the same bits;
- largest relative difference between the losses of a training in two processes and in
  one with two threads, over 200 updates in float64, and how many times as fast it is.

    python simulations/benchmarks/storage.py [--quick] [--json]

It runs the programs `tests/crashes.py` and `tests/hostile.py`.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import xarray as xr
import zarr
from zarr.codecs import ZstdCodec

import stencilnet
from stencilnet import Burgers, LearnedStencil, fit, generate, load_config
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.storage import (
    equidistant_times,
    read_dataset,
    read_operator,
    read_trajectories,
    save_dataset,
    trajectories,
    write_operator,
    write_trajectories,
)
from stencilnet.study.operators import operator_path

# Parameters

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--rounds", type=int, help="kills, flips, reads each (100)")
parser.add_argument("--megabytes", type=int, help="of timed trajectories (256)")
parser.add_argument("--quick", action="store_true", help="fewer and smaller ones")
parser.add_argument("--json", action="store_true", help="print one JSON object")
arguments = parser.parse_args()
quick = arguments.quick
arguments.rounds = arguments.rounds or (10 if quick else 100)
arguments.megabytes = arguments.megabytes or (32 if quick else 256)
torch.set_num_threads(1)
root = Path(__file__).resolve().parents[2]
package = Path(stencilnet.__file__).parent


def solution(samples: int, times: int, points: int, scale: float = 1.0) -> xr.Dataset:
    """Smooth trajectories."""
    grid = Grid.line(points)
    phase = torch.arange(samples * times, dtype=torch.float64).reshape(
        samples, times, 1
    )
    u = scale * (
        torch.sin(grid.points() + phase) + torch.cos(3 * grid.points() * phase)
    )
    return trajectories(
        u,
        equidistant_times(times - 1, 0.1),
        grid,
        RandomForcing.sample(samples, seed=0),
        averages=True,
    )


def program(name: str, *options: object) -> dict[str, Any]:
    """What a program of the tests found."""
    with tempfile.TemporaryDirectory() as folder:
        place = [str(package), folder] if name == "crashes" else [folder]
        command = [sys.executable, str(root / "tests" / f"{name}.py"), *place]
        text = subprocess.check_output([*command, *map(str, options)], text=True)
    found: dict[str, Any] = json.loads(text)
    return found


def silent_flips(read: Callable[[Path], Any], whole: Path, folder: Path) -> int:
    """Bits of which one flips that reading does not notice, though a value changes."""
    draws = np.random.default_rng(0)
    files = [path for path in sorted(whole.rglob("*")) if path.is_file()]
    expected, silent = values(read(whole)), 0
    for _ in range(arguments.rounds):
        bad = folder / "flipped.zarr"
        shutil.copytree(whole, bad)
        file = bad / files[draws.integers(len(files))].relative_to(whole)
        content = bytearray(file.read_bytes())
        content[draws.integers(len(content))] ^= 1 << draws.integers(8)
        file.write_bytes(bytes(content))
        with contextlib.suppress(OSError, ValueError):
            silent += values(read(bad)) != expected
        shutil.rmtree(bad)
    return silent


def values(stored: Any) -> dict[str, bytes]:
    """All that reading gives, as bytes."""
    if isinstance(stored, xr.Dataset):
        arrays = {str(name): stored[name].values for name in stored.variables}
    else:
        arrays = {**stored.arrays, **stored.history}
    return {name: array.tobytes() for name, array in arrays.items()}


def replaces(path: Path, ending: Any) -> None:
    """Writes one store and another under one name, in turn, until it is told to end."""
    stores = [solution(8, 20, 64, scale) for scale in (1.0, 2.0)]
    number = 0
    while not ending.is_set():
        write_trajectories(stores[number % 2], path, overwrite=True)
        number += 1


def mixed_reads(folder: Path) -> int:
    """Reads during replacements that give neither the old store nor the new one."""
    path = write_trajectories(solution(8, 20, 64), folder / "replaced.zarr")
    whole = [solution(8, 20, 64, scale)["u"].values.tobytes() for scale in (1.0, 2.0)]
    context = multiprocessing.get_context("spawn")
    ending = context.Event()
    writer = context.Process(target=replaces, args=(path, ending))
    writer.start()
    mixed = 0
    for _ in range(arguments.rounds):
        mixed += read_trajectories(path)["u"].values.tobytes() not in whole
    ending.set()
    writer.join()
    return mixed


def speed_ratio(work: Callable[[], object], plain: Callable[[], object]) -> float:
    """How many times as fast one is as the other, the median of five pairs.

    In turns, after one of each, which warms memory and the cache of files.
    """
    ratios = []
    for _ in range(6):
        took = []
        for each in (work, plain):
            begin = time.perf_counter()
            each()
            took.append(time.perf_counter() - begin)
        ratios.append(took[1] / took[0])
    return median(ratios[1:])


def speed_ratios(folder: Path) -> tuple[float, float, float]:
    """Speed relative to plain zarr with the same chunks.

    Of writing, of writing if plain zarr's files are flushed too, and of reading.
    """
    samples = max(arguments.megabytes * 2**20 // (256 * 512 * 8), 1)
    data = solution(samples, 256, 512)
    ours, plain = folder / "ours.zarr", folder / "plain.zarr"
    write_trajectories(data, ours)
    array: Any = zarr.open_group(ours, mode="r")["u"]
    chunks = {"chunks": array.chunks, "shards": array.shards}
    encoding = {"u": {**chunks, "compressors": (ZstdCodec(level=3, checksum=True),)}}
    settings: Any = {"zarr_format": 3, "consolidated": False, "encoding": encoding}

    def flushed() -> None:
        data.to_zarr(plain, mode="w", **settings)
        for path in plain.rglob("*"):
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def write() -> None:
        write_trajectories(data, ours, overwrite=True)

    write_ratio = speed_ratio(write, lambda: data.to_zarr(plain, mode="w", **settings))
    flushed_ratio = speed_ratio(write, flushed)
    read_ratio = speed_ratio(
        lambda: read_trajectories(ours),
        lambda: xr.open_zarr(plain, consolidated=False).load(),
    )
    return write_ratio, flushed_ratio, read_ratio


def workers_speedup(folder: Path) -> float:
    """How many times as fast two workers generate as one."""
    samples = 224 if quick else 3008
    config = load_config("demo", ["problem.duration=10.0", f"data.training={samples}"])
    took, contents = [], []
    for workers in (1, 2):
        begin = time.perf_counter()
        paths = generate(config, folder / f"{workers}-workers", workers=workers)
        took.append(time.perf_counter() - begin)
        contents.append([read_trajectories(p).attrs["content_hash"] for p in paths])
    if contents[0] != contents[1]:
        raise ValueError("Two workers and one end at different bits.")
    return took[0] / took[1]


def disk_training_ratio(folder: Path) -> float:
    """Time of an update with windows from disk, relative to windows in memory."""
    points, times = 64, 256
    samples = arguments.megabytes * 2**20 // (times * points * 8)
    data = solution(samples, times, points, 0.1)
    path = write_trajectories(data, folder / "many.zarr")
    updates, ratios = 10 if quick else 50, []
    validation = solution(2, 3, points, 0.1)
    for _ in range(3 if quick else 7):
        pace, losses = [], []
        # What is kept of the decoded trajectories is a quarter of them.
        for memory in (1.0, arguments.megabytes / 2**12):
            moments: list[float] = []

            def clock(_told: object, into: list[float] = moments) -> None:
                into.append(time.perf_counter())

            history = fit(
                LearnedStencil(Burgers(0.01), Grid.line(points), dtype=torch.float32),
                path,
                validation,
                iterations=updates,
                horizon=8,
                substeps=1,
                learning_rate=1e-6,
                validate_every=updates + 1,
                callbacks=[clock],
                memory=memory,
            )
            pace.append(float(np.median(np.diff(moments))))
            losses.append(history["loss"].tobytes())
        if losses[0] != losses[1]:
            raise ValueError("Windows from disk and from memory have different losses.")
        ratios.append(pace[1] / pace[0])
    return median(ratios)


def ranks(folder: Path) -> tuple[float, float]:
    """Largest difference of losses with two processes from one, and the speed-up."""
    updates = ["training.iterations=200", "training.dtype=float64"]
    updates += ["training.horizon=[2,4]", "comparison.methods=[weno_z]"]
    data = ["--data", str(folder / "data")]
    generate(load_config("demo"), folder / "data")
    took, losses = [], []
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for threads, launcher in ((2, []), (1, [*launch, "-m", "--"])):
        run = folder / f"{threads}-threads"
        command = [sys.executable, *launcher, *([] if launcher else ["-m"])]
        command += ["stencilnet", "train", "demo", *updates, "--run", str(run), *data]
        begin = time.perf_counter()
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        subprocess.run([*command, "--quiet"], check=True, env=environment)
        took.append(time.perf_counter() - begin)
        losses.append(read_operator(run / "operator.zarr").history["loss"])
    difference = np.abs(losses[1] / losses[0] - 1).max()
    return float(difference), took[0] / took[1]


def main() -> None:
    """Measures and prints."""
    crashes = program("crashes", arguments.rounds)
    hostile = program("hostile")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        operator = read_operator(operator_path("burgers-p1-32"))
        table = xr.Dataset({"a": ("x", np.arange(100.0))}, attrs={"b": 1})
        silent = (
            silent_flips(
                read_trajectories,
                write_trajectories(solution(4, 5, 16), folder / "a.zarr"),
                folder,
            )
            + silent_flips(
                read_operator, write_operator(operator, folder / "b.zarr"), folder
            )
            + silent_flips(read_dataset, save_dataset(table, folder / "c.zarr"), folder)
        )
        mixed = mixed_reads(folder)
        write_ratio, flushed_ratio, read_ratio = speed_ratios(folder)
        speedup = workers_speedup(folder)
        from_disk = disk_training_ratio(folder)
        difference, ranks_speedup = ranks(folder)
    result = {
        "kills_survived": crashes["kills"] - crashes["lost"],
        "kills": crashes["kills"],
        "leftovers": crashes["leftovers"],
        "power_losses_broken": crashes["power_losses_broken"],
        "mixed_reads": mixed,
        "flips_silent": silent,
        "hostile_refused": hostile["refused"],
        "hostile": hostile["hostile"],
        "hostile_worst_megabytes": round(hostile["megabytes"], 1),
        "hostile_worst_seconds": round(hostile["seconds"], 2),
        "write_ratio": round(write_ratio, 2),
        "write_ratio_flushed": round(flushed_ratio, 2),
        "read_ratio": round(read_ratio, 2),
        "disk_training_ratio": round(from_disk, 2),
        "workers_speedup": round(speedup, 2),
        "ranks_loss_difference": float(f"{difference:.2g}"),
        "ranks_speedup": round(ranks_speedup, 2),
    }
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
