"""Certificate of a picture within cells: symmetry, conservation, error."""

import copy

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations import LearnedPicture, Picture
from stencilnet.forcing import SampledForcing, StoredForcing
from stencilnet.solver import STRANG, ColeHopf, rollout
from stencilnet.storage import forcing_of, tensor_of
from stencilnet.study.following import follow
from stencilnet.study.metrics import mean_drift, relative_l2
from stencilnet.study.transformations import mirrored_forcing, mirrored_states


def certify_picture(
    picture: Picture,
    data: xr.Dataset,
    integrator: ColeHopf,
    step: float | None,
    trajectories: int,
    fields: Float[Tensor, "state x"],
) -> xr.Dataset:
    """Measures, in float64, what a picture holds to on given data.

    Args:
        picture: on the grid of the data.
        data: trajectories of cell averages.
        integrator: of the rollouts.
        step: of the rollouts; half of `stable_step`, as recommended, by default.
        trajectories: how many of the data are rolled out at most.
        fields: states of the data, on the device of the picture.

    Returns:
        `mean_drift`, `relative_l2` and `blow_up` (sample) of rollouts over the data,
        with the `step`; `mirror_error`, by which a step from the mirror image under
        the mirrored forcing misses the mirror image of the step, and `boost_error`,
        likewise for a drift in a frame that moves by a whole number of cells, both
        relative to the largest value; of a learned picture the largest
        `stencil_residual` of a moment condition, dimensionless.
    """
    picture = copy.deepcopy(picture).double()
    u = tensor_of(data["u"], torch.float64)[:trajectories].to(fields.device)
    times = tensor_of(data["time"], torch.float64)
    forces = forcing_of(data).select(slice(len(u))).to(dtype=torch.float64)
    forcing = forces.to(fields.device)
    step = picture.stable_step(u, integrator) / 2 if step is None else step
    with torch.no_grad():
        solution, taken = follow(
            picture, u[:, 0], times, forcing, integrator=integrator, step=step
        )
        mirror = _mirror_error(picture, u[:, 0], forcing, integrator, taken)
        boost = _boost_error(picture, u[:, -1], integrator, taken)
    solution, u = solution.cpu(), u.cpu()
    finite = torch.isfinite(solution).all(-1).all(-1)
    measured = xr.Dataset(
        {
            "step": taken,
            "mean_drift": ("sample", mean_drift(solution, times, forces).numpy()),
            "relative_l2": ("sample", relative_l2(solution, u).numpy()),
            "blow_up": ("sample", (~finite).numpy()),
            "mirror_error": mirror,
            "boost_error": boost,
        }
    )
    if isinstance(picture, LearnedPicture):
        measured["stencil_residual"] = picture.moment_residual(fields)
    return measured


def _mirror_error(
    picture: Picture,
    u0: Float[Tensor, "sample x"],
    forcing: StoredForcing,
    integrator: ColeHopf,
    step: float,
) -> float:
    """How far a step is from commuting with the mirror."""

    def image(u: Tensor) -> Tensor:
        return mirrored_states(lambda _: u)(picture.grid)

    def after(start: Tensor, waves: StoredForcing) -> Tensor:
        force = waves.on(picture.grid, averages=True)
        times = torch.tensor([0.0, step], dtype=torch.float64)
        return rollout(picture, start, times, force, integrator=integrator)[:, -1]

    plain = after(u0, forcing)
    if isinstance(forcing, SampledForcing):
        mirrored: StoredForcing = forcing.mirrored()
    else:
        mirrored = mirrored_forcing(forcing)
    again = image(after(image(u0), mirrored))
    return float((again - plain).abs().max() / _size(u0))


def _boost_error(
    picture: Picture, u0: Float[Tensor, "sample x"], integrator: ColeHopf, step: float
) -> float:
    """How far a drift is from commuting with a boost by a whole number of cells."""
    times = torch.tensor([0.0, step], dtype=torch.float64)
    # One drift: each begins and ends where cells are.
    single = ColeHopf(STRANG, nodes=integrator.nodes)
    speed = picture.grid.spacing[-1] / step
    plain = rollout(picture, u0, times, integrator=single)[:, -1]
    boosted = rollout(picture, u0 + speed, times, integrator=single)[:, -1] - speed
    return float((boosted.roll(-1, -1) - plain).abs().max() / _size(u0))


def _size(u: Tensor) -> float:
    """The largest value; data at rest have none."""
    return float(u.abs().max()) or 1.0
