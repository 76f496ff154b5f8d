"""The way out: trajectories and operators for other programs."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stencilnet.discretizations import (
    LearnedStencil,
    c_code,
    numpy_code,
    take_apart,
)
from stencilnet.errors import optional_module, unknown
from stencilnet.report import (
    ANIMATIONS,
    animate,
    card,
    figure_paths,
    save,
    trajectories_figure,
)
from stencilnet.storage import (
    DATASET_SCHEMA,
    LAYOUTS,
    OPERATOR_SCHEMA,
    TABLE_MARK,
    local_path,
    new_store,
    read_dataset,
    read_trajectories,
    refuse_existing,
    schema_of,
    write_foreign,
)
from stencilnet.study.operators import load_operator, operator_path

CODE = {"numpy": ".py", "c": ".h", "torch": ".pt2", "onnx": ".onnx"}
"""Suffixes of the formats of operators, by name."""

# Largest difference between exported and own right-hand side, in units of its size.
_TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def export(
    store: Path | str,
    out: Path | str | None = None,
    *,
    format: str,  # noqa: A002
    licence: str = "not stated",
    network: torch.nn.Module | None = None,
    extensions: Iterable[type] = (),
    overwrite: bool = False,
) -> list[Path]:
    """Writes a store for other programs.

    Trajectories go to a file that needs none of this package, beside a card in Markdown
    and a figure of them; or they move, as those of a comparison do, in an animation.
    An operator becomes source code in Python with numpy or in C, or a graph of torch or
    ONNX; it is run once where that is possible, and refused if it differs from the
    operator.

    Args:
        store: of trajectories, of a comparison, or of an operator, or the name of a
            pretrained one.
        out: file to write; by default the name of the store with the usual suffix, in
            the current folder.
        format: of trajectories npz, mat, hdf5 (as PDEBench), well (as The Well),
            netcdf, csv, gif or mp4; of a comparison gif or mp4; of an operator numpy,
            c, torch (`torch.export`) or onnx.
        licence: of the data, for the card.
        network: as for `load_operator`.
        extensions: as for `load_operator`.
        overwrite: whether to replace files.

    Returns:
        The files that were written.

    Raises:
        FileExistsError: if one exists and `overwrite` is false.
        FileNotFoundError: if there is no store.
        ValueError: if the format is unknown, needs a package that is missing, or the
            operator has no such form.

    Example:
        >>> from stencilnet import Burgers, Grid, LearnedStencil, save_operator
        >>> from stencilnet.study import export
        >>> learned = LearnedStencil(Burgers(viscosity=0.02), Grid.line(16))
        >>> (header,) = export(save_operator(learned, "mine.zarr"), format="c")
        >>> header.name, "mine_time_derivative" in header.read_text()
        ('mine.h', True)
    """
    source = operator_path(store)
    schema = schema_of(source)
    learned, compared = schema == OPERATOR_SCHEMA, schema == DATASET_SCHEMA
    kind, known = "data", {name: LAYOUTS[name][0] for name in LAYOUTS} | ANIMATIONS
    if learned or compared:
        kind = "an operator" if learned else "a comparison"
        known = CODE if learned else dict(ANIMATIONS)
    if format not in known:
        raise unknown(f"format of {kind}", format, known)
    target = local_path(f"{source.stem}{known[format]}" if out is None else out)
    if format in ANIMATIONS:
        target = target.with_suffix(known[format])
        refuse_existing(target, overwrite=overwrite, kind="figure")
        moving = read_dataset(source) if compared else read_trajectories(source)
        if compared and not {"u", "reference"} <= set(moving):
            raise ValueError(f"{source} holds no comparison that could be animated.")
        return [animate(moving, target, overwrite=overwrite)]
    kind = "code" if learned else "table"
    refuse_existing(target, overwrite=overwrite, kind=kind)
    if learned:
        operator, _ = load_operator(source, network=network, extensions=extensions)
        return [export_operator(operator, target, format=format, overwrite=overwrite)]
    dataset = read_trajectories(source)
    about, drawn = target.with_suffix(".md"), target.with_suffix("")
    refuse_existing(about, overwrite=overwrite, kind="table")
    for path in figure_paths(drawn):
        refuse_existing(path, overwrite=overwrite, kind="figure")
    with new_store(target, overwrite=overwrite, kind="table") as partial:
        write_foreign(dataset, partial, format)
    figures = save(trajectories_figure(dataset), drawn)
    shown = [path.name for path in figures if path.suffix == ".png"]
    text = card(dataset, target.name, licence=licence, files=shown)
    with new_store(about, overwrite=overwrite, kind="table") as partial:
        partial.write_text(text + TABLE_MARK, encoding="utf-8")
    return [target, about, *figures]


def export_operator(
    operator: Any,
    out: Path | str,
    *,
    format: str,  # noqa: A002
    overwrite: bool = False,
) -> Path:
    """Writes an operator for other programs, see `export`.

    Example:
        >>> import runpy
        >>> import torch
        >>> from stencilnet import Burgers, Grid, LearnedStencil
        >>> from stencilnet.study import export_operator
        >>> burgers, grid = Burgers(viscosity=0.02), Grid.line(16)
        >>> learned = LearnedStencil(burgers, grid, dtype=torch.float64)
        >>> path = export_operator(learned, "mine.py", format="numpy")
        >>> u, mine = grid.points().sin(), runpy.run_path(str(path))
        >>> u_t = torch.from_numpy(mine["time_derivative"](u.numpy()))
        >>> torch.allclose(u_t, learned(u))
        True
    """
    target = local_path(out)
    if not isinstance(operator, LearnedStencil):
        raise ValueError(
            f"Only learned stencils are exported, not {type(operator).__name__}: exact "
            f"evolution needs this package."
        )
    if format not in CODE:
        raise unknown("format of an operator", format, CODE)
    with new_store(target, overwrite=overwrite, kind="code") as partial:
        if format == "numpy":
            text = numpy_code(take_apart(operator))
            _check_numpy(text, operator)
            partial.write_text(text, encoding="utf-8")
        elif format == "c":
            name = re.sub(r"\W", "_", target.stem)
            name = name if name[:1].isalpha() else f"operator_{name}"
            partial.write_text(c_code(take_apart(operator), name), encoding="utf-8")
        elif format == "torch":
            torch.export.save(_graph(operator), partial)
        else:
            _write_onnx(operator, partial)
    return target


def _example(operator: LearnedStencil) -> torch.Tensor:
    x = operator.grid.points() * (2 * np.pi / operator.grid.extent[-1])
    waves = torch.stack([x.sin(), (2 * x).cos() - 0.3 * (3 * x).sin()])
    return (operator.scale * waves).to(operator.dtype)


def _check_numpy(text: str, operator: LearnedStencil) -> None:
    """Raises unless generated code computes what the operator does."""
    found: dict[str, Any] = {}
    exec(compile(text, "exported operator", "exec"), found)
    u = _example(operator)
    with torch.no_grad():
        own = operator(u).numpy()
    size = float(np.abs(own).max()) or 1.0
    error = float(np.abs(found["time_derivative"](u.numpy()) - own).max()) / size
    if not error <= _TOLERANCE[str(operator.dtype).removeprefix("torch.")]:
        raise ValueError(
            f"The exported operator differs from its own by {error:.1e}, relative: it "
            f"has layers or settings that export does not know."
        )


def _graph(operator: LearnedStencil) -> Any:
    """The right-hand side as a graph of torch, for batches of any size."""
    u = _example(operator)
    batch = torch.export.Dim("batch", min=1)
    operator = operator.eval()
    try:
        return torch.export.export(operator, (u,), dynamic_shapes=({0: batch},))
    except Exception as error:
        text = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"torch.export cannot trace this operator ({text[0][:200]}): export it as "
            f"numpy or c, or take a network without control flow on values."
        ) from error


def _write_onnx(operator: LearnedStencil, path: Path) -> None:
    # Convex layers iterate over an active set, which no graph of ONNX holds.
    take_apart(operator)
    optional_module("onnxscript", "Writing ONNX", extra="onnx")
    program = torch.onnx.export(
        operator.eval(),
        (_example(operator),),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        verbose=False,
    )
    if program is None:
        raise ValueError("torch made no ONNX graph: export to torch instead.")
    program.save(str(path))
