"""Animations of trajectories and of comparisons."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.figure import Figure

from stencilnet.errors import unknown, whole_number
from stencilnet.report.methods import leading_methods
from stencilnet.report.style import (
    LABELS,
    WIDTH,
    labels,
    legend_below,
    line_styles,
    package_style,
    reference_colour,
)
from stencilnet.storage import CREATOR, local_path, new_store

ANIMATIONS = MappingProxyType({"gif": ".gif", "mp4": ".mp4"})
"""Suffixes of the formats of animations, by name.

Example:
    >>> from stencilnet.report import ANIMATIONS
    >>> dict(ANIMATIONS)
    {'gif': '.gif', 'mp4': '.mp4'}
"""

# What trajectories hold, in the order in which it is drawn.
_FIELDS = MappingProxyType(
    {"u_noisy": "with noise", "u": "u", "u_denoised": "denoised"}
)
# Of the range of the reference, above and below it.
_MARGIN = 0.15
_DPI = 120
# What ffmpeg cuts off where a side has an odd number of pixels.
_EVEN = "crop=trunc(iw/2)*2:trunc(ih/2)*2"


class _Gif(PillowWriter):
    """Frames in a GIF that says who made it, whatever the name of the file is."""

    def finish(self) -> None:
        first, *rest = self._frames  # type: ignore[attr-defined]
        first.save(
            self.outfile,
            format="GIF",
            save_all=True,
            append_images=rest,
            duration=int(1000 / self.fps),
            loop=0,
            comment=CREATOR.encode(),
        )


@package_style()
def animate(
    dataset: xr.Dataset,
    path: Path | str,
    methods: Sequence[str] | None = None,
    *,
    sample: int = 0,
    rate: int = 20,
    overwrite: bool = False,
) -> Path:
    """Writes the states of a sample one after another as GIF or MP4.

    Of a comparison the reference and methods move together, of trajectories `u` and
    what `denoise` added. The axis covers what the reference covers; what blows up
    leaves it.

    Args:
        dataset: a comparison, or trajectories.
        path: of the file, with the suffix .gif or .mp4.
        methods: of a comparison; `leading_methods`, learned and best classical ones, by
            default.
        sample: which one.
        rate: states per second, of at most 50.
        overwrite: whether to replace a file.

    Raises:
        FileExistsError: if the file exists and `overwrite` is false.
        ValueError: if the suffix is another one, there is no such sample or method, or
            an MP4 is asked for where there is no ffmpeg.

    Example:
        >>> import torch
        >>> from PIL import Image
        >>> from stencilnet import Grid
        >>> from stencilnet.report import animate
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 3)
        >>> u = (grid.points() - times.unsqueeze(-1)).sin()
        >>> wave = trajectories(u, times, grid)
        >>> with Image.open(animate(wave, "wave.gif")) as animation:
        ...     animation.n_frames, animation.format
        (3, 'GIF')
    """
    target = local_path(path)
    writer = _writer(target, whole_number("The rate of an animation", rate))
    if not 0 <= sample < dataset.sizes["sample"]:
        raise ValueError(
            f"There is no sample {sample}: take one from 0 to "
            f"{dataset.sizes['sample'] - 1}."
        )
    lines, truth = _lines(dataset.isel(sample=sample), methods)
    figure = Figure(figsize=(WIDTH / 2, 2.6), layout="constrained")
    axis = figure.subplots()
    x, times = dataset["x"].values, dataset["time"].values
    drawn = [axis.plot(x, values[0], **style)[0] for values, style in lines]
    known = truth[np.isfinite(truth)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    margin = _MARGIN * (high - low) or 1.0
    axis.set(xlabel="$x$", ylabel="$u$", ylim=(low - margin, high + margin))
    axis.margins(x=0)
    # As wide as the longest one, so that the layout of all frames is the same.
    title = axis.set_title(f"$t = {times[-1]:.2f}$", loc="left")
    legend_below(figure, drawn, columns=3)
    figure.canvas.draw()
    figure.set_layout_engine("none")
    with (
        new_store(target, kind="figure", overwrite=overwrite) as partial,
        writer.saving(figure, str(partial), _DPI),
    ):
        for index, time in enumerate(times):
            title.set_text(f"$t = {time:.2f}$")
            for line, (values, _) in zip(drawn, lines, strict=True):
                state = values[index]
                line.set_ydata(np.where(np.isfinite(state), state, np.nan))
            writer.grab_frame()
    return target


def _writer(path: Path, rate: int) -> AbstractMovieWriter:
    """What writes frames into a file of a suffix."""
    if rate > 50:
        raise ValueError(f"An animation shows at most 50 states a second, not {rate}.")
    if path.suffix == ".gif":
        return _Gif(fps=rate)
    if path.suffix != ".mp4":
        raise unknown("format of animations", path.suffix, ANIMATIONS.values())
    if not FFMpegWriter.isAvailable():
        raise ValueError(
            "An MP4 is written by the program ffmpeg, which is not here: install it, "
            "or write a .gif."
        )
    return FFMpegWriter(
        fps=rate,
        metadata={"comment": CREATOR},
        # Even sizes and these colours are what all players show.
        extra_args=["-f", "mp4", "-pix_fmt", "yuv420p", "-vf", _EVEN],
    )


def _lines(
    trajectory: xr.Dataset, methods: Sequence[str] | None
) -> tuple[list[tuple[np.ndarray, dict[str, Any]]], np.ndarray]:
    """Values `(time, x)` with their styles, and those that span the axis."""

    def states(field: xr.DataArray) -> np.ndarray:
        return np.asarray(field.transpose("time", "x").values)

    if "scheme" not in trajectory.dims:
        if methods is not None:
            raise ValueError("Trajectories have no methods to choose: leave them out.")
        present = [name for name in _FIELDS if name in trajectory]
        fields = {name: states(trajectory[name]) for name in present}
        styles = line_styles(fields, {"u": "black"})
        if "u" in styles:
            styles["u"]["color"] = reference_colour()
        faint = {"u_noisy": {"alpha": 0.4}}
        return [
            (values, {"label": _FIELDS[name], **styles[name], **faint.get(name, {})})
            for name, values in fields.items()
        ], fields.get("u", next(iter(fields.values())))
    everyone = [str(name) for name in trajectory["scheme"].values]
    if methods is None:
        methods = leading_methods(trajectory.expand_dims("sample"))
    for name in methods:
        if name not in everyone:
            raise unknown("method in the comparison", name, everyone)
    names, styles = labels(trajectory, "scheme"), line_styles(everyone)
    truth = states(trajectory["reference"].sel(scheme=methods[0]))
    black = {"color": reference_colour(), "label": LABELS["reference"]}
    lines = [(truth, {**black, "linewidth": 2.4, "alpha": 0.5})]
    for name, marker in zip(methods, cycle("osd^vP"), strict=False):
        style = {**styles[name], "marker": marker, "markerfacecolor": "none"}
        values = states(trajectory["u"].sel(scheme=name))
        lines.append((values, {"label": names[name], **style}))
    return lines, truth
