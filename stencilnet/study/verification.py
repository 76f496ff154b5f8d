"""Whether a store is what was written, and what it vouches for."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import xarray as xr

from stencilnet.discretizations import CLASSICAL
from stencilnet.equations import Equation, equation_from_spec
from stencilnet.errors import unknown
from stencilnet.storage import (
    DATASET_SCHEMA,
    OPERATOR_SCHEMA,
    check_signature,
    grid_of,
    local_path,
    read_dataset,
    read_trajectories,
    refuse_existing,
    schema_of,
    sign_statement,
    statement,
)
from stencilnet.study.certificate import certify
from stencilnet.study.operators import habits, load_operator, moved, operator_path


def verify(
    store: Path | str,
    *,
    data: Path | str | None = None,
    extensions: Sequence[type] = (),
    signature: Path | str | None = None,
    key: Path | str | None = None,
    device: torch.device | str | None = None,
) -> xr.Dataset:
    """Checks a store against its checksum and returns what it vouches for.

    Args:
        store: of an operator, of trajectories or of another dataset, or the name of a
            pretrained operator.
        data: trajectories on which to certify an operator anew, with its own integrator
            and step, instead of returning the certificate that its training left.
        extensions: classes of your own that the store names, such as the equation.
        signature: file of a signature of the store, see `sign`.
        key: file of the public key that it has to be by.
        device: to certify on; the processor by default.

    Returns:
        The certificate of an operator, see `certificate.certify`, with the attributes
        that say where it comes from, or the dataset.

    Raises:
        FileNotFoundError: if there is no store.
        ValueError: if the store, or `data`, is damaged or of another schema; if an
            operator has no certificate and no data are given; if data are given for
            trajectories; or if the signature is of other content or by another key.

    Example:
        >>> from stencilnet import verify
        >>> certificate = verify("burgers")
        >>> str(certificate.attrs["schema"]).startswith("stencilnet.certificate")
        True
    """
    if device is not None and data is None:
        raise ValueError(
            "Only a certificate on data is computed: give data, or leave out the "
            "device."
        )
    if (signature is None) != (key is None):
        raise ValueError(
            "A signature is checked with the public key of who signed: give both, as "
            "in --signature FILE --key PUBLIC."
        )
    store = operator_path(store)
    if signature is None or key is None:
        return _verified(store, data, extensions, device or "cpu")
    signed = statement(store)
    check_signature(signed, signature, key)
    found = _verified(store, data, extensions, device or "cpu")
    _check_same(store, signed)
    return found


def sign(
    store: Path | str,
    key: Path | str,
    out: Path | str | None = None,
    *,
    passphrase: str | None = None,
    extensions: Sequence[type] = (),
    overwrite: bool = False,
) -> Path:
    """Checks a store and signs what it holds with a private key of yours.

    Args:
        store: of an operator, of trajectories or of another dataset.
        key: file of a private key of Ed25519.
        out: file of the signature; the name of the store with `.sig` by default.
        passphrase: of the key, if it has one.
        extensions: classes of your own that the store names.
        overwrite: whether to replace a signature.

    Returns:
        The path of the signature.

    Raises:
        FileExistsError: if `out` exists and is not to be replaced.
        FileNotFoundError, ValueError: if the store is damaged, or the key cannot be
            used.

    Example:
        >>> from pathlib import Path
        >>> import xarray as xr
        >>> from cryptography.hazmat.primitives import serialization as form
        >>> from cryptography.hazmat.primitives.asymmetric import ed25519
        >>> from stencilnet import verify
        >>> from stencilnet.storage import save_dataset
        >>> from stencilnet.study import sign
        >>> key, pem = ed25519.Ed25519PrivateKey.generate(), form.Encoding.PEM
        >>> secret = pem, form.PrivateFormat.PKCS8, form.NoEncryption()
        >>> public = pem, form.PublicFormat.SubjectPublicKeyInfo
        >>> _ = Path("key.pem").write_bytes(key.private_bytes(*secret))
        >>> _ = Path("public.pem").write_bytes(key.public_key().public_bytes(*public))
        >>> store = save_dataset(xr.Dataset({"error": 0.25}), "error.zarr")
        >>> path = sign(store, "key.pem")
        >>> path.name, float(verify(store, signature=path, key="public.pem")["error"])
        ('error.zarr.sig', 0.25)
    """
    store = operator_path(store)
    out = store.with_name(f"{store.name}.sig") if out is None else local_path(out)
    refuse_existing(out, overwrite=overwrite, kind="signature")
    signed = statement(store)
    _verified(store, None, extensions)
    _check_same(store, signed)
    return sign_statement(signed, key, out, passphrase=passphrase, overwrite=overwrite)


def _check_same(store: Path, signed: dict[str, str]) -> None:
    """Raises if a store was replaced while it was checked."""
    if statement(store) != signed:
        raise ValueError(f"{store} was replaced while it was checked: repeat it.")


def _verified(
    store: Path,
    data: Path | str | None,
    extensions: Sequence[type],
    device: torch.device | str = "cpu",
) -> xr.Dataset:
    """What a store that is whole vouches for, see `verify`."""
    data = None if data is None else local_path(data)
    # Of any version: reading it then says which one is needed.
    kind = schema_of(store).partition("/")[0]
    if kind != OPERATOR_SCHEMA.partition("/")[0]:
        if data is not None:
            raise ValueError(
                f"Only an operator is certified on data, but {store} is none: leave "
                f"out --data."
            )
        if kind == DATASET_SCHEMA.partition("/")[0]:
            return read_dataset(store)
        return read_trajectories(store, finite=False)
    operator, stored = load_operator(store, extensions=extensions)
    if data is None:
        if stored.certificate is None:
            raise ValueError(
                f"{store} holds no certificate: name trajectories to measure one on, "
                f"with --data."
            )
        lineage = {
            key: value
            for key, value in stored.attributes.items()
            if key in ("data_hash", "versions", "git_commit", "created", "origin")
        }
        return stored.certificate.assign_attrs(lineage=json.dumps(lineage))
    dataset, equation = _known_trajectories(data, extensions)
    integrator, step = habits(stored)
    return certify(
        moved(operator, grid_of(dataset, extensions), equation),
        dataset,
        integrator=integrator,
        step=step,
        device=device,
    )


def certify_beside(
    names: Sequence[str],
    data: Path | str,
    *,
    extensions: Sequence[type] = (),
    device: torch.device | str = "cpu",
) -> dict[str, xr.Dataset]:
    """Certificates of classical methods on trajectories, to compare an operator with.

    Args:
        names: in `CLASSICAL`.
        data: trajectories, with their equation.
        extensions: classes of your own that the store names.
        device: to certify on.

    Raises:
        ValueError: if there is no such method, it holds point values where the data
            are averages, or the reverse, or as `certify`.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers, Grid, write_trajectories
        >>> from stencilnet.storage import trajectories
        >>> from stencilnet.study import certify_beside
        >>> burgers, grid = Burgers(viscosity=0.1), Grid.line(16)
        >>> times = torch.arange(2.0)
        >>> wave = grid.points().sin().expand(2, -1)
        >>> data = trajectories(wave, times, grid, equation=burgers, averages=True)
        >>> beside = certify_beside(["weno_z"], write_trajectories(data, "waves.zarr"))
        >>> order = beside["weno_z"]["observed_order"].round(1)
        >>> dict(zip(order["derivative"].values.tolist(), order.values.tolist()))
        {'u_left': 5.0, 'u_right': 5.0, 'u_x': 4.0}
    """
    dataset, equation = _known_trajectories(local_path(data), extensions)
    for name in names:
        if name not in CLASSICAL:
            raise unknown("classical method", name, CLASSICAL)
    grid = grid_of(dataset, extensions)
    return {
        name: certify(
            CLASSICAL[name].build(equation, grid),
            dataset,
            trajectories=1,
            device=device,
        )
        for name in names
    }


def _known_trajectories(
    path: Path, extensions: Sequence[type]
) -> tuple[xr.Dataset, Equation]:
    """Trajectories and the equation that they solve."""
    dataset = read_trajectories(path)
    if "equation" not in dataset.attrs:
        raise ValueError(
            f"{path} does not state its equation: give trajectories that stencilnet "
            f"generated."
        )
    spec = json.loads(dataset.attrs["equation"])
    return dataset, equation_from_spec(spec, extensions)
