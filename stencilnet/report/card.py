"""The card of exported trajectories: what they are, for who has only the file."""

import json
from collections.abc import Mapping
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from stencilnet.report.style import WIDTH, package_style


def card(dataset: xr.Dataset, name: str, *, licence: str, files: list[str]) -> str:
    """What trajectories are, in Markdown.

    Args:
        dataset: trajectories.
        name: of the file that holds them.
        licence: under which they are given.
        files: others that belong to them, of which a figure is shown.

    Example:
        >>> import torch
        >>> from stencilnet import Grid
        >>> from stencilnet.report import card
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 3)
        >>> u = (grid.points() - times.unsqueeze(-1)).sin()
        >>> wave = trajectories(u, times, grid, averages=True)
        >>> print(card(wave, "wave.nc", licence="CC-BY-4.0", files=["wave.png"]))
        # wave.nc
        ...
        | content | `u` (sample, time, x) = (1, 3, 16), cell averages, float64 |
        ...
        | times | 0 to 1, 3 states |
        | forcing | none known |
        ...
        | licence | CC-BY-4.0 |
        ![Trajectories](wave.png)
    """
    u, x, times = dataset["u"], dataset["x"], dataset["time"].values
    kind = "cell averages" if u.attrs["averages"] else "point values"
    known = dataset.attrs
    rows = {
        "content": f"`u` ({', '.join(map(str, u.dims))}) = {tuple(u.shape)}, {kind}, "
        f"{u.dtype}",
        "range": f"{float(u.min()):.6g} to {float(u.max()):.6g}",
        "equation": _equation(known),
        "domain": _domain(x.attrs),
        "times": f"{times[0]:g} to {times[-1]:g}, {len(times)} states",
        "forcing": _forcing(dataset),
        "generator": _generator(known),
        "measured error": _error(known),
        "checksum": str(known.get("content_hash", "unknown")),
        "licence": licence,
    }
    lines = [f"# {name}", "", "| | |", "| --- | --- |"]
    lines += [f"| {key} | {value} |" for key, value in rows.items()]
    lines += ["", *(f"![Trajectories]({file})" for file in files)]
    for note in known.get("notes", []):
        lines.append(f"- {note}")
    return "\n".join(lines).rstrip() + "\n"


@package_style()
def trajectories_figure(dataset: xr.Dataset) -> Figure:
    """The first trajectory over space and time, and some of its states.

    Example:
        >>> import torch
        >>> from stencilnet import Grid
        >>> from stencilnet.report import trajectories_figure
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 3)
        >>> u = (grid.points() - times.unsqueeze(-1)).sin()
        >>> wave = trajectories(u, times, grid)
        >>> field, states, bar = trajectories_figure(wave).axes
        >>> [line.get_label() for line in states.get_lines()]
        ['t = 0', 't = 0.5', 't = 1']
    """
    u, times, x = (dataset[key].values for key in ("u", "time", "x"))
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    field, states = figure.subplots(1, 2)
    largest = abs(u[0]).max() or 1.0
    mesh = field.pcolormesh(
        x, times, u[0], cmap="RdBu_r", vmin=-largest, vmax=largest, rasterized=True
    )
    figure.colorbar(mesh, ax=field, label="u")
    field.set(xlabel="x", ylabel="t")
    for index in sorted({0, len(times) // 2, len(times) - 1}):
        states.plot(x, u[0, index], label=f"t = {times[index]:g}")
    states.set(xlabel="x", ylabel="u")
    states.legend()
    return figure


def _domain(known: Mapping[Any, Any]) -> str:
    origin = f"x from {known.get('origin', 0.0):g} on"
    if "boundaries" not in known:
        return f"periodic, length {known['period']!r}, {origin}"
    left, right = (_named(end) for end in json.loads(known["boundaries"]))
    return (
        f"length {known['length']!r}, {origin}, {left} at the left and {right} at the "
        f"right end"
    )


def _equation(known: Mapping[Any, Any]) -> str:
    if "equation" not in known:
        return "unknown"
    return _named(json.loads(known["equation"]))


def _named(spec: Mapping[str, Any]) -> str:
    """A name and the parameters that go with it."""
    parameters = ", ".join(f"{k} {v!r}" for k, v in spec.items() if k != "name")
    return f"{spec['name']} ({parameters})" if parameters else str(spec["name"])


def _forcing(dataset: xr.Dataset) -> str:
    if "forcing" in dataset:
        return "sampled in time, `forcing`"
    if "forcing_amplitude" not in dataset:
        return "none known"
    modes = dataset.sizes["mode"]
    return (
        f"sum of {modes} waves A sin(w t + 2 pi l x / L + phi), `forcing_amplitude`, "
        f"`_frequency`, `_wavenumber`, `_phase`"
    )


def _generator(known: Mapping[Any, Any]) -> str:
    versions = known.get("versions", {})
    versions = json.loads(versions) if isinstance(versions, str) else versions
    parts = [f"{k} {v}" for k, v in versions.items()] if versions else ["stencilnet"]
    for key in ("git_commit", "source", "method", "seed", "created"):
        if known.get(key) not in (None, ""):
            parts.append(f"{key} {known[key]}")
    return ", ".join(parts)


def _error(known: Mapping[Any, Any]) -> str:
    if "self_convergence" not in known:
        return "unknown"
    return f"self-convergence {float(known['self_convergence']):.2g}, relative"
