"""Peak memory of each stage of a study against the size of its trajectories.

Each stage is a command of its own, whose largest resident memory the system tells; that
of the libraries alone is that of `stencilnet config show`.

    python simulations/benchmarks/memory.py [--samples 512 2048 8192] [--json]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Parameters

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--samples", type=int, nargs="+", default=[512, 2048, 8192])
parser.add_argument("--json", action="store_true", help="print one JSON object")
arguments = parser.parse_args()
settings = [
    "problem.equation.viscosity=0.1",
    "problem.duration=40.0",
    "data.validation=16",
    "data.averages=[64]",
    "data.values=[]",
    "reference.points=64",
    "reference.courant=2.0",
    "reference.tolerance=1e-2",
    "forcing.modes=4",
    "operator.points=64",
    "training.iterations=60",
    "training.horizon=[4]",
    "training.memory=0.25",
    "comparison.methods=[upwind_3]",
    "comparison.points=[64]",
    "comparison.memory=0.25",
]


def command(*words: str) -> dict[str, float]:
    """MiB at the peak of a command, and the seconds that it took."""
    line = [sys.executable, "-m", "stencilnet", *words, "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    begin = time.perf_counter()
    process = subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ChildProcessError(f"It failed: {' '.join(line)}")
    seconds = round(time.perf_counter() - begin, 1)
    return {"megabytes": round(usage.ru_maxrss / 1024), "seconds": seconds}


def study(samples: int, folder: Path) -> dict[str, object]:
    """All stages of a study with as many trajectories."""
    run = ["--run", str(folder)]
    sizes = [f"data.training={samples * 3 // 4}", f"data.test={samples // 4}"]
    found: dict[str, object] = {"samples": samples}
    for stage in ("generate", "train", "compare"):
        found[stage] = command(stage, "demo", *settings, *sizes, *run)
    store = folder / "data" / "training" / "averages-64.zarr"
    files = [path for path in store.rglob("*") if path.is_file()]
    found["stored_megabytes"] = sum(path.stat().st_size for path in files) >> 20
    found["u_megabytes"] = samples * 3 // 4 * 401 * 64 * 8 >> 20
    cheap = ["--penalty", "l2_squared", "--weight", "1.0", "--out"]
    out = str(folder / "denoised.zarr")
    found["denoise"] = command("denoise", str(store), *cheap, out)
    return found


def main() -> None:
    """Measures and prints."""
    result: dict[str, object] = {"libraries": command("config", "show", "demo")}
    for samples in arguments.samples:
        with tempfile.TemporaryDirectory() as name:
            result[str(samples)] = study(samples, Path(name) / "run")
        print(json.dumps(result), file=sys.stderr, flush=True)
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
