"""Where stages compute."""

import torch

DTYPES = {"float32": torch.float32, "float64": torch.float64}
"""Precisions, by their names in configs."""


def as_device(name: torch.device | str) -> torch.device:
    """The device of a name, such as "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        ValueError: if there is no such device, naming those that there are.
    """
    present = ["cpu", *(["mps"] if torch.backends.mps.is_available() else [])]
    present += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(
            f"{name!r} is no device of torch: write one of {', '.join(present)}."
        ) from None
    # Tensors on "meta" have no values, which shows where one was left behind.
    if device.type in ("cpu", "meta"):
        return device
    first = f"{device.type}:{device.index or 0}"
    if first not in present and device.type not in present:
        raise ValueError(
            f"There is no device {str(device)!r} here: take one of "
            f"{', '.join(present)}."
        )
    return device
