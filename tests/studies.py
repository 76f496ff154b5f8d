"""A study small enough to run whole in seconds."""

from pathlib import Path

from stencilnet import Config, generate
from stencilnet.study.loading import validate_config

SMALL = {
    "name": "small",
    "problem": {
        "equation": {"name": "Burgers", "viscosity": 0.1},
        "initial": "Bump",
        "warm_up": 0.2,
        "duration": 1.0,
        "interval": 0.1,
    },
    "forcing": {"modes": 4, "wavenumbers": [1, 2]},
    "reference": {"points": 64, "tolerance": 1e-5, "checked": 2},
    "data": {
        "seed": 3,
        "training": 3,
        "validation": 2,
        "test": 2,
        "averages": [16, 32],
        "values": [16],
    },
    "operator": {"points": 16, "network": {"kind": "mlp", "hidden": [8]}},
    "training": {
        "iterations": 6,
        "batch": 4,
        "horizon": [1, 2],
        "validate_every": 3,
        "checkpoint_every": 2,
    },
    "comparison": {
        "methods": ["weno_z", "central_2", "spectral"],
        "points": [16],
    },
}


def small(**sections: dict) -> Config:
    """The small study with some keys of some sections changed."""
    values = {
        name: {**section, **sections.get(name, {})}
        if isinstance(section, dict) and sections.get(name, {}) is not None
        else sections.get(name, section)
        for name, section in SMALL.items()
    }
    return validate_config(values, "small")


def generated(run: Path, **sections: dict) -> Config:
    """The small study, with its data in `run`."""
    config = small(**sections)
    generate(config, run)
    return config
