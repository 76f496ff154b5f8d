"""Cell averages and point values of the same trajectories."""

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from stencilnet.storage import grid_of, tensor_of

# Largest mode of the upper eighth, relative to the largest of all, of data that their
# own grid resolves.
_RESOLVED = 1e-8
_KINDS = ("point values", "cell averages")


def in_kind(
    name: str, averages: bool, reference: xr.Dataset, other: xr.Dataset | None = None
) -> Float[Tensor, "sample time x"]:
    """Trajectories as a method holds them, in double precision.

    Averages and point values on one grid determine each other by the Fourier symbol
    `sinc(k dx / 2)` if the grid resolves the solution.

    Args:
        name: of the method, for messages.
        averages: whether it holds cell averages.
        reference: the trajectories.
        other: the same ones of the other kind, if there are any.

    Raises:
        ValueError: if neither is of the kind and the grid does not resolve them.
    """
    for dataset in (reference, other):
        if dataset is not None and bool(dataset["u"].attrs["averages"]) == averages:
            return tensor_of(dataset["u"], torch.float64)
    if "boundaries" in reference["x"].attrs:
        raise ValueError(
            f"{name} holds {_KINDS[averages]}, which do not follow from "
            f"{_KINDS[not averages]} between boundaries: give data or a method of the "
            f"same kind, such as form=CentralFlux for averages."
        )
    u = tensor_of(reference["u"], torch.float64)
    modes = torch.fft.rfft(u)
    size = modes.abs().flatten(end_dim=-2).amax(0)
    tail = float(size[-max(len(size) // 8, 1) :].max())
    if tail > _RESOLVED * float(size.max()):
        raise ValueError(
            f"{name} holds {_KINDS[averages]}, which do not follow from the "
            f"reference's {_KINDS[not averages]}, as {u.shape[-1]} points do not "
            f"resolve them: generate both, with data.averages and data.values."
        )
    grid = grid_of(reference)
    k = grid.wavenumbers()
    damping = torch.sinc(k * grid.spacing[-1] / (2 * torch.pi))
    factor = damping if averages else 1 / damping
    return torch.fft.irfft(modes * factor, n=u.shape[-1])
