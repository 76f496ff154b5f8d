"""The page of a run: everything that its folder holds, in one file."""

import json
from pathlib import Path

from stencilnet.report import report_page, write_page
from stencilnet.storage import local_path, read_dataset, read_operator


def run_page(
    run: Path | str, out: Path | str | None = None, *, overwrite: bool = False
) -> Path:
    """Writes a run or a comparison as one HTML page, which opens offline.

    Args:
        run: folder of a run, or of a comparison within.
        out: the file; `report.html` in the folder by default.
        overwrite: whether to replace it.

    Raises:
        FileExistsError: if the file exists and `overwrite` is false.
        FileNotFoundError: if there is neither a comparison nor an operator.
        ValueError: if the plotting library is not installed, see `report_page`.
    """
    run = local_path(run)
    folder = run if any(run.glob("comparison-*.zarr")) else run / "comparison"
    paths = sorted(
        folder.glob("comparison-*.zarr"),
        key=lambda path: int(path.stem.rpartition("-")[2]),
    )
    operator = run / "operator.zarr"
    if not paths and not operator.exists():
        raise FileNotFoundError(
            f"{run} holds neither a comparison nor an operator: run `stencilnet train` "
            f"or `stencilnet compare` first."
        )
    comparisons = [read_dataset(path) for path in paths]
    stored = read_operator(operator) if operator.exists() else None
    attributes = dict(stored.attributes) if stored else dict(comparisons[0].attrs)
    about = {"folder": str(run)}
    for name in ("created", "git_commit", "data_hash", "versions"):
        if name in attributes:
            about[name.replace("_", " ")] = str(attributes[name])
    title = str(run)
    if "config" in attributes:
        values = json.loads(str(attributes["config"]))
        title = values["name"]
        about |= {
            name: ", ".join(f"{key}: {entry}" for key, entry in section.items())
            for name, section in values.items()
            if isinstance(section, dict)
        }
    text = report_page(
        f"stencilnet: {title}",
        about,
        comparisons,
        certificate=stored.certificate if stored else None,
        history=stored.history if stored else None,
    )
    return write_page(text, out or run / "report.html", overwrite=overwrite)
