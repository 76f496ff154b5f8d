"""Signals to denoise, and their solutions by dense matrices."""

import contextlib
import math
import warnings

import cvxpy
import numpy as np
import pytest
from jaxtyping import config
from scipy.optimize import brentq

from stencilnet.denoising import L1, L2, L2Squared
from stencilnet.denoising.cvxpy_layer import difference_matrix

ORDERS = (1, 2, 3)
PENALTIES = (L1(), L2(), L2Squared())
each_order = pytest.mark.parametrize("order", ORDERS)
each_penalty = pytest.mark.parametrize("penalty", PENALTIES, ids=lambda p: p.kind)
each_end = pytest.mark.parametrize("periodic", [False, True], ids=["free", "periodic"])
# One worker compiles the kernels; the others need not wait for it.
kernels = pytest.mark.xdist_group("kernels")


def walk(*shape, seed=0):
    generator = np.random.default_rng(seed)
    steps = generator.standard_normal(shape)
    return steps.cumsum(-1) / 2 + generator.standard_normal(shape)


SIGNALS = {
    "random": walk(60),
    "ramp": np.linspace(-3, 5, 60),
    "noisy ramp": np.linspace(-3, 5, 60) + 0.1 * walk(60, seed=1),
    "spikes": np.where(np.arange(60) % 13 == 5, 40.0, 0.0),
    "constant": np.full(60, 2.5),
    "steps": np.repeat([1.0, -2.0, 7.0], 20),
    "ties": np.round(walk(60, seed=2)),
    "tiny": 1e-9 * walk(60),
    "huge": 1e9 * walk(60),
}


# Multipliers and differences vanish together: cone solvers stay 1e-6 away.
DEGENERATE = ("ramp", "spikes", "constant", "steps", "ties")


def independently(x, weight, order, penalty, *, periodic=False, precision=None):
    """The solution by dense matrices: Clarabel on the dual, or a root of one equation.

    The dual of `l1` is `min_u |W**-1/2 (D.T u - W x)|**2`, `|u| <= weight`, and its
    solution `x - W**-1 D.T u`. Cone solvers know that of `l2` to 1e-5 only; it is the
    smoother whose `stiffness |D y|` is the weight.
    """
    precision = np.ones(len(x)) if precision is None else precision
    matrix = difference_matrix(len(x), order, periodic=periodic)
    if penalty == L1():
        scale = np.abs(x).max() or 1.0
        u = cvxpy.Variable(len(matrix))
        scaled = matrix / np.sqrt(precision)
        distance = cvxpy.sum_squares(scaled.T @ u - np.sqrt(precision) * x / scale)
        inside = [u <= weight / scale, u >= -weight / scale]
        problem = cvxpy.Problem(cvxpy.Minimize(distance), inside)
        tight = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
        with warnings.catch_warnings():
            # It is the best that the solver can do; the comparison judges it.
            warnings.simplefilter("ignore")
            problem.solve(solver=cvxpy.CLARABEL, **tight)
        return x - scale * (scaled.T @ u.value) / np.sqrt(precision)

    def smoothed(stiffness):
        # Stacked rows instead of normal equations.
        rows = np.vstack([np.diag(np.sqrt(precision)), np.sqrt(stiffness) * matrix])
        right = np.concatenate([np.sqrt(precision) * x, np.zeros(len(matrix))])
        return np.linalg.lstsq(rows, right, rcond=None)[0]

    def excess(logarithm):
        stiffness = math.exp(logarithm)
        return stiffness * np.linalg.norm(matrix @ smoothed(stiffness)) - weight

    if penalty == L2Squared() or weight == 0:
        return smoothed(2 * weight)
    if excess(30.0) <= 0:
        degree = 0 if periodic else order - 1
        place = np.linspace(-1, 1, len(x))
        return np.polynomial.Polynomial.fit(place, x, degree)(place)
    return smoothed(math.exp(brentq(excess, -40.0, 30.0, xtol=1e-14, rtol=1e-14)))


@contextlib.contextmanager
def unchecked():
    """Without the checks of types in this process, which would come first."""
    before = config.jaxtyping_disable
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", before)
