"""Synthetic results: what the stages of a study hand to tables and figures."""

import json

import numpy as np
import pytest
import xarray as xr

from stencilnet.study.metrics import METRICS

COLUMNS = {
    "step": {"heading": "dt", "format": "{:.3g}"},
    **{name: metric.column for name, metric in METRICS.items()},
}
"""What `compare` declares of its variables."""

SCHEMES = {
    "learned": 0.004,
    "weno_z": 0.02,
    "spectral": 0.5,
    "central_2": 0.06,
    "mine": 0.01,
    "other": 0.03,
}
"""Methods and the errors of the synthetic comparison; two are not the package's."""


def _comparison(
    schemes=None, *, points=32, samples=4, times=41, blow_ups=(), metrics=COLUMNS
):
    """Waves that steepen, and per method the same with an error of its size."""
    schemes = SCHEMES if schemes is None else schemes
    generator = np.random.default_rng(3)
    time = np.linspace(0, 8, times)
    x = 2 * np.pi * np.arange(points) / points
    shift = generator.uniform(0, 6, (samples, 1, 1))
    phase = x - shift - 0.3 * time[:, np.newaxis]
    truth = np.tanh(4 * np.sin(phase) + np.cos(2 * phase)) * (
        1 - 0.05 * time[:, np.newaxis]
    )
    waves = np.sin(5 * phase + shift) + 0.3 * np.cos(11 * phase)
    grown = (1 - np.exp(-time))[:, np.newaxis]
    waves = waves * grown * np.linspace(0.4, 1.6, samples)[:, np.newaxis, np.newaxis]
    u = np.stack([truth + error * waves for error in schemes.values()])
    for index, name in enumerate(schemes):
        if name in blow_ups:
            u[index, :, times // 2 :] = np.inf
    reference = np.broadcast_to(truth, u.shape)
    difference = np.where(np.isfinite(u), u - reference, np.inf)
    norm = np.sqrt((reference**2).sum(-1))
    error = np.sqrt((difference**2).sum(-1)) / norm
    wrong = error > 0.2
    first = np.where(wrong.any(-1), wrong.argmax(-1), times - 1)
    finite = np.isfinite(u).all((-1, -2))
    with np.errstate(invalid="ignore"):
        energy = np.abs(np.fft.rfft(u, norm="forward")) ** 2
    per_sample = ("scheme", "sample")
    field = (*per_sample, "time", "x")
    result = xr.Dataset(
        {
            "u": (field, u),
            "reference": (field, reference),
            "relative_l2": (
                per_sample,
                np.sqrt((difference**2).sum((-1, -2)) / (norm**2).sum(-1)),
            ),
            "mean_absolute_error": (per_sample, np.abs(difference).mean((-1, -2))),
            "error": ((*per_sample, "time"), error),
            "valid_time": (per_sample, time[first]),
            "mean_drift": (per_sample, np.where(finite, 3e-15, np.inf)),
            "spectrum": (("scheme", "k"), energy.mean((1, 2))),
            "reference_spectrum": (
                ("scheme", "k"),
                (np.abs(np.fft.rfft(reference, norm="forward")) ** 2).mean((1, 2)),
            ),
            "blow_up": (per_sample, ~finite),
            "step": ("scheme", np.linspace(0.05, 0.02, len(schemes))),
        },
        coords={
            "scheme": np.array(list(schemes), dtype=np.dtypes.StringDType()),
            "time": time,
            "x": x,
            "k": np.arange(points // 2 + 1.0),
        },
        attrs={"points": points, "period": 2 * np.pi, "threshold": 0.2},
    )
    for position, (name, attributes) in enumerate(metrics.items()):
        result[name].attrs.update(attributes, position=position)
    return result


def _certificate(derivatives=("u", "u_x"), *, learned=True, seed=0, spec=None):
    """What `certify` measures, of stencils that stray about the exact symbol."""
    generator = np.random.default_rng(seed)
    k_dx = np.linspace(0.1, np.pi, 32)
    quantiles = [0.0, 0.05, 0.5, 0.95, 1.0]
    orders = [1 + index for index in range(len(derivatives))]
    spread = np.array([-1, -0.4, 0, 0.3, 1.2])[:, np.newaxis]
    damping = np.linspace(0.9, 1.1, 2)[seed % 2]
    symbols = [
        np.stack(
            [
                damping * np.sin(k_dx) * k_dx ** (order - 1) + spread * k_dx**4 / 60,
                -0.1 * damping * k_dx**3 / 6 + spread * k_dx**4 / 80,
            ]
        )
        for order in orders
    ]
    spacing = 0.2 / 2.0 ** np.arange(6)
    real, imaginary = np.linspace(-4, 1, 41), np.linspace(-4, 4, 65)
    z = real + 1j * imaginary[:, np.newaxis]
    per_sample, count = {"sample": 2}, len(derivatives)
    variables = {
        "moment_residual": ("derivative", np.full(count, 3e-15)),
        "modified_order": ("derivative", np.array(orders, dtype=int)),
        "observed_order": ("derivative", np.full(count, 1.98)),
        "resolved_k_dx": ("derivative", np.full(count, 0.7)),
        "reversed_share": ("derivative", np.full(count, 0.02)),
        "refinement_error": (
            ("derivative", "spacing"),
            np.array([spacing**2 * (1 + row) for row in range(count)]).reshape(
                count, len(spacing)
            ),
        ),
        "refinement_error_u_t": ("spacing", spacing**2 * 0.5),
        "observed_order_u_t": ((), 2.01),
        "step": ((), 0.05),
        "stable_step": ((), 0.11),
        "stable_step_of_data": ((), 0.12),
        "growth_rate": ((), -1e-13),
        "mean_drift": (tuple(per_sample), np.array([1e-15, 2e-15])),
        "relative_l2": (tuple(per_sample), np.array([0.01, 0.03])),
        "blow_up": (tuple(per_sample), np.array([False, False])),
        "eigenvalue_real": (
            ("state", "mode"),
            -np.abs(generator.normal(6, 4, (4, 32))),
        ),
        "eigenvalue_imaginary": (("state", "mode"), generator.normal(0, 8, (4, 32))),
        "amplification": (
            ("z_imaginary", "z_real"),
            np.abs(1 + z + z**2 / 2 + z**3 / 6),
        ),
    }
    if count:
        variables["modified_wavenumber"] = (
            ("derivative", "part", "quantile", "k_dx"),
            np.stack(symbols),
        )
    if learned:
        variables["lipschitz"] = ("derivative", np.full(count, 1.7))
        variables["lipschitz_bound"] = ((), 12.5)
    if spec is None:
        spec = {
            "equation": {"name": "Burgers", "viscosity": 0.02},
            "form": "CentralFlux",
            "grid": {"shape": [32], "extent": [2 * np.pi]},
            "width": 6,
            "window": 6,
            "constraint": {"kind": "null_space", "order": 1, "limit": 10.0},
            "network": {"kind": "mlp", "hidden": [32, 32]},
            "scale": 0.7,
            "seed": 0,
            "dtype": "float32",
        }
    return xr.Dataset(
        variables,
        coords={
            "derivative": np.array(list(derivatives), dtype=np.dtypes.StringDType()),
            "quantile": quantiles,
            "k_dx": k_dx,
            "spacing": spacing,
            "z_real": real,
            "z_imaginary": imaginary,
        },
        attrs={"spec": json.dumps(spec), "points": 32, "period": 2 * np.pi},
    )


def _filters(*, clean=True):
    """What `compare_denoisers` gives: a ramp with a jump, under several filters."""
    names = ["none", "gaussian", "savitzky_golay", "tikhonov", "total_variation"]
    names = names if clean else [names[0], names[-1]]
    generator = np.random.default_rng(1)
    x = 2 * np.pi * np.arange(64) / 64
    truth = np.broadcast_to(np.where(x < 3, x / 3, x / 3 - 1.5), (2, 3, 64))
    noise = generator.normal(0, 0.1, truth.shape)
    dims = ("sample", "time", "x")
    result = xr.Dataset(
        {
            "field": (
                ("filter", *dims),
                np.stack([truth + noise / (1 + 3 * row) for row in range(len(names))]),
            ),
            "setting": ("filter", ["", *["width 1"] * (len(names) - 1)]),
        },
        coords={"filter": names, "x": x, "time": [0.0, 1.0, 2.0]},
    )
    if not clean:
        return result
    errors = np.array([[0.1, 0.9, 3.0]]) / (1 + np.arange(5.0))[:, np.newaxis]
    return result.assign(
        clean=(dims, truth),
        error=(("filter", "quantity"), errors),
        snr_gain=("filter", 3 * np.arange(5.0)),
    ).assign_coords(quantity=["u", "u_x", "u_xx"])


def _history():
    """Losses and validations of a training whose window grows once."""
    updates = 200
    generator = np.random.default_rng(2)
    return {
        "loss": 1e-2 * np.exp(-np.arange(updates) / 60)
        + 1e-3 * generator.random(updates),
        "horizon": np.repeat([1, 4], updates // 2),
        "validation_iteration": np.arange(20, updates + 1, 20),
        "validation_relative_l2": 0.05 * np.exp(-np.arange(10) / 4) + 0.004,
    }


@pytest.fixture
def make_comparison():
    return _comparison


@pytest.fixture
def make_certificate():
    return _certificate


@pytest.fixture
def make_filters():
    return _filters


@pytest.fixture
def make_history():
    return _history
