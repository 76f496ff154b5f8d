"""Cost and exactness of moment-constrained coefficients.

Compares, each pair in one run, on one thread, with medians of several runs:

- a training step with a closed-form layer and without any constraint;
- the gradient of a rollout of P2 on 32 cells through the native convex layer, and
  through the null-space layer;
- the closed form, and the native path with inequalities, with cvxpylayers as the paper
  uses it (its own conic form, Clarabel at 1e-12) and with the quadratic form of
  `CvxpyConvexLayer`.

    python simulations/benchmarks/coefficients.py [--json]
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import cvxpy
import torch
from cvxpylayers.torch import CvxpyLayer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from stencilnet import (
    Burgers,
    Grid,
    LearnedStencil,
    RandomForcing,
    rollout,
)
from stencilnet.stencils import (
    Bounds,
    CoefficientLayer,
    Constraint,
    Convex,
    ConvexLayer,
    Dissipation,
    Linear,
    MomentConditions,
    NullSpace,
    NullSpaceLayer,
    PolyhedralLayer,
    ProjectionLayer,
    Sign,
    UpwindBias,
)
from stencilnet.stencils.cvxpy_convex import CvxpyConvexLayer
from stencilnet.stencils.polyhedron import active_inequalities

# Parameters

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--json", action="store_true", help="print one JSON object")
arguments = parser.parse_args()
torch.set_num_threads(1)
# cvxpylayers and diffcp call what numpy 2.4 deprecates.
warnings.simplefilter("ignore", DeprecationWarning)
rows = 512
side_conditions = (
    Sign(0, -1),
    UpwindBias(-1),
    Sign(2, -1),
    Linear(((1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0),), (0.3,)),
)
# Seven points, four moments.
conditions = MomentConditions([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0], 1, 3)


def draws(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def paired_seconds(
    calls: Sequence[Callable[[], object]], *, repeats: int, times: int = 1
) -> list[list[float]]:
    """Seconds of each call; they take turns, so that drifts affect all alike."""
    seconds: list[list[float]] = [[] for _ in calls]
    for repeat in range(repeats + 1):
        for call, durations in zip(calls, seconds, strict=True):
            begin = time.perf_counter()
            for _ in range(times):
                call()
            if repeat:  # The first round warms up.
                durations.append((time.perf_counter() - begin) / times)
    return seconds


def median_seconds(calls: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    pairs = paired_seconds(calls, repeats=repeats)
    return [median(durations) for durations in pairs]


def median_ratio(some: Sequence[float], others: Sequence[float]) -> float:
    """Median over the turns of the ratio of two calls' times."""
    return median(one / other for one, other in zip(some, others, strict=True))


# Residuals


def largest_residual(dtype: torch.dtype) -> float:
    """Over centred stencils of 2 to 9 points, each derivative and order that fits."""
    largest = 0.0
    for points in range(2, 10):
        offsets = [j - (points - 1) / 2 for j in range(points)]
        for derivative in range(points):
            for order in range(1, points - derivative + 1):
                one = MomentConditions(offsets, derivative, order)
                for layer in (NullSpaceLayer(one), ProjectionLayer(one)):
                    raw = draws(1000, layer.inputs, seed=points).to(dtype)
                    residual = layer.residual(layer.to(dtype)(raw))
                    largest = max(largest, float(residual.max()))
    return largest


# Training steps


def training_step(layer: CoefficientLayer | None, batch: int) -> Callable[[], object]:
    """A step of the paper's network for four points, with or without a layer.

    The network has as many outputs as the layer has inputs: four coefficients, or two
    coordinates in the null space.
    """
    torch.manual_seed(0)
    size = 4 if layer is None else layer.inputs
    parts = [nn.Linear(4, 16), nn.ELU(), nn.Linear(16, size), nn.ELU()]
    network = nn.Sequential(*parts, *([] if layer is None else [layer]))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    values = draws(batch, 4).float()
    target = values.mean(-1)

    def step() -> None:
        optimizer.zero_grad()
        prediction = (network(values) * values).sum(-1)
        (prediction - target).square().mean().backward()
        optimizer.step()

    return step


def step_ratios(batch: int) -> tuple[float, float]:
    """Of the null-space layer, and of the projection, to no layer."""
    four = MomentConditions([-2.0, -1.0, 1.0, 2.0], 0, 2)
    layers = (None, NullSpaceLayer(four).float(), ProjectionLayer(four).float())
    free, null_space, projection = paired_seconds(
        [training_step(layer, batch) for layer in layers], repeats=61, times=30
    )
    return median_ratio(null_space, free), median_ratio(projection, free)


# Rollouts


def rollout_gradient(
    constraint: Constraint | Mapping[str, Constraint],
) -> Callable[[], object]:
    """The gradient of 64 windows of P2 over 8 intervals, some way into a training."""
    grid, windows = Grid.line(32), 64
    operator = LearnedStencil(
        Burgers(0.02), grid, constraint=constraint, dtype=torch.float32
    )
    weights = list(operator.parameters())
    with torch.no_grad():
        weights[-2].copy_(0.2 * draws(*weights[-2].shape))
    forcing = RandomForcing.sample(windows, seed=0).to(dtype=torch.float32)
    force = forcing.on(grid, averages=True)
    u0 = 0.3 * torch.sin(grid.points() + draws(windows, 1)).float()
    times = 0.1 * torch.arange(9, dtype=torch.float64)

    def run() -> None:
        loss = rollout(operator, u0, times, force).square().mean()
        gradients = torch.autograd.grad(loss, weights)
        assert all(torch.isfinite(gradient).all() for gradient in gradients)

    return run


def rollout_ratio() -> float:
    """Of the convex layer with dissipation and bounds to the null-space layer."""
    sides = {
        "u": Convex(side_conditions=(Bounds(-1.0, 1.5),)),
        "u_x": Convex(side_conditions=(Dissipation(1, at=0.5),)),
    }
    convex, null_space = paired_seconds(
        [
            rollout_gradient(sides),
            rollout_gradient(NullSpace()),
        ],
        repeats=7,
    )
    return median_ratio(convex, null_space)


# Closed form and native path against cvxpylayers


def as_the_paper_does(layer: PolyhedralLayer) -> Callable[[Tensor], Tensor]:
    """In cvxpylayers' own conic form with its derivative, and Clarabel at 1e-12."""
    z, target = cvxpy.Variable(7), cvxpy.Parameter(7)
    constraints = [conditions.matrix.numpy() @ z == conditions.target.numpy()]
    if len(layer.bounds):
        constraints.append(layer.matrix.numpy() @ z <= layer.bounds.numpy())
    objective = cvxpy.Minimize(cvxpy.sum_squares(z - target))
    solve = CvxpyLayer(cvxpy.Problem(objective, constraints), [target], [z])
    tight = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
    jobs = {"n_jobs_forward": 1, "n_jobs_backward": 1}
    settings = {"solve_method": "Clarabel", "mode": "dense", **tight, **jobs}

    def forward(raw: Tensor) -> Tensor:
        solution: Tensor = solve(layer.reference + raw, solver_args=settings)[0]
        return solution

    return forward


def forward_and_backward(
    layer: Callable[[Tensor], Tensor],
) -> Callable[[], tuple[Tensor, Tensor]]:
    raw = draws(rows, 7).requires_grad_()
    weights = torch.linspace(0.5, 1.5, 7, dtype=torch.float64)

    def run() -> tuple[Tensor, Tensor]:
        coefficients = layer(raw)
        loss = (coefficients * weights).square().sum()
        return coefficients.detach(), torch.autograd.grad(loss, raw)[0]

    return run


def strictly_active(layer: ConvexLayer) -> Tensor:
    """Rows where no inequality is on the verge of being active, by 1e-4."""
    raw = draws(rows, 7)
    slack = layer.bounds - layer(raw) @ layer.matrix.mT
    points, bounds = layer._coordinates(raw)
    active, _ = active_inequalities(points, layer._normals(points), bounds)
    nearly, _ = active_inequalities(points, layer._normals(points), bounds + 1e-4)
    inactive = torch.where(active, torch.inf, slack).amin(-1) > 1e-4
    return inactive & (active == nearly).all(-1)


def largest(difference: Tensor) -> float:
    return float(difference.abs().max())


free_of_inequalities = CvxpyConvexLayer(conditions)
convex = ConvexLayer(conditions, side_conditions=side_conditions)
quadratic = CvxpyConvexLayer(conditions, side_conditions=side_conditions)
closed = [
    forward_and_backward(layer)
    for layer in (
        ProjectionLayer(conditions),
        free_of_inequalities,
        as_the_paper_does(free_of_inequalities),
    )
]
bounded = [
    forward_and_backward(layer)
    for layer in (convex, quadratic, as_the_paper_does(quadratic))
]

# Run

(ours, gradient), (theirs, their_gradient), (papers, _) = (run() for run in closed)
agreement_closed = largest(ours - theirs)
agreement_closed_conic = largest(ours - papers)
gradient_closed = largest(gradient - their_gradient)
(ours, gradient), (theirs, their_gradient), (papers, _) = (run() for run in bounded)
strict = strictly_active(convex)
closed_quadratic, closed_conic = median_seconds(closed[1:], 3)
bounded_quadratic, bounded_conic = median_seconds(bounded[1:], 3)
(closed_ours,) = median_seconds(closed[:1], 41)
(bounded_ours,) = median_seconds(bounded[:1], 41)
ratio_100, projection_100 = step_ratios(100)
ratio_4096, projection_4096 = step_ratios(4096)
result = {
    "residual_float64": largest_residual(torch.float64),
    "residual_float32": largest_residual(torch.float32),
    "train_step_ratio_100": ratio_100,
    "train_step_ratio_4096": ratio_4096,
    "train_step_ratio_100_projection": projection_100,
    "train_step_ratio_4096_projection": projection_4096,
    "rollout_ratio_convex": rollout_ratio(),
    "speedup_closed_form": closed_conic / closed_ours,
    "speedup_closed_form_quadratic": closed_quadratic / closed_ours,
    "agreement_closed_form": agreement_closed,
    "agreement_closed_form_conic": agreement_closed_conic,
    "gradient_closed_form": gradient_closed,
    "speedup_inequality": bounded_conic / bounded_ours,
    "speedup_inequality_quadratic": bounded_quadratic / bounded_ours,
    "agreement_inequality": largest(ours - theirs),
    "agreement_inequality_conic": largest(ours - papers),
    "gradient_inequality": largest((gradient - their_gradient)[strict]),
    "strict_rows": int(strict.sum()),
    "rows": rows,
}

# Print

if arguments.json:
    print(json.dumps(result))
else:
    table = Table("quantity", "value")
    for name, value in result.items():
        table.add_row(name, f"{value:.3g}")
    Console().print(table)
