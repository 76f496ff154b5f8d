"""Where stages compute, and how precisely."""

from collections.abc import Mapping
from typing import Any

import torch

from stencilnet.errors import unknown

DTYPES = {"float32": torch.float32, "float64": torch.float64}
"""Precisions by their names in configs."""

# Keys of configs and of their sections that say where, not what.
_PLACE = "device"


def as_device(
    name: torch.device | str, *, needs: torch.dtype = torch.float32
) -> torch.device:
    """The device of a name, such as "cpu", "cuda", "cuda:1" or "mps".

    Args:
        name: of the device.
        needs: precision to compute in there.

    Raises:
        ValueError: if there is no such device, naming those that there are, or if it
            does not know the precision.
    """
    known = present()
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(
            f"{name!r} is no device of torch: write one of {', '.join(known)}."
        ) from None
    # Tensors on "meta" have no values, which shows where one was left behind.
    if device.type in ("cpu", "meta"):
        return device
    first = f"{device.type}:{device.index or 0}"
    if first not in known and device.type not in known:
        raise ValueError(
            f"There is no device {str(device)!r} here: take one of {', '.join(known)}."
        )
    if device.type == "mps" and needs == torch.float64:
        raise ValueError(
            "The device 'mps' knows no double precision, which this stage computes "
            "in: take cpu, or float32 where a stage has a dtype."
        )
    return device


def present() -> list[str]:
    """Names of the devices that are here."""
    return [
        "cpu",
        *(["mps"] if torch.backends.mps.is_available() else []),
        *(f"cuda:{index}" for index in range(torch.cuda.device_count())),
    ]


def as_dtype(value: torch.dtype | str) -> torch.dtype:
    """The precision of a name, "float32" or "float64", or itself.

    Raises:
        ValueError: if it is another one.
    """
    if value in DTYPES.values():
        return value  # type: ignore[return-value]
    if not isinstance(value, str) or value not in DTYPES:
        raise unknown("precision", str(value), DTYPES)
    return DTYPES[value]


def anywhere(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a config without its devices, which may not be here."""
    return {
        key: anywhere(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key != _PLACE
    }
