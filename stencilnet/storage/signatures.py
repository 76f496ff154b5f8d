"""Detached signatures of stores, by a key of the user's.

Checksums tell what changed by accident. Who can write a store can write its checksums
too; what such a person cannot write is a signature by a key that they do not have. What
is signed are the schema of a store, the hash of its content and that of the
circumstances of its writing. Keys are those of Ed25519, in files as openssl or
ssh-keygen write them.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stencilnet.errors import optional_module
from stencilnet.storage.atomic import new_store
from stencilnet.storage.guard import read_regular
from stencilnet.storage.ownership import SIGNATURE_SCHEMA
from stencilnet.storage.paths import local_path
from stencilnet.storage.provenance import open_attributes

_SIGNED = ("schema", "content_hash", "origin")
# Bytes of a key or a signature, at most.
_LARGEST = 2**16
_KEYS = (
    "make one by `openssl genpkey -algorithm ed25519 -out key.pem` and "
    "`openssl pkey -in key.pem -pubout -out public.pem`, or by `ssh-keygen -t ed25519`"
)


def statement(store: Path | str) -> dict[str, str]:
    """What a signature of a store says.

    Raises:
        FileNotFoundError, TypeError, ValueError: if there is no store of the package.

    Example:
        >>> import xarray as xr
        >>> from stencilnet.storage import read_dataset, save_dataset, statement
        >>> path = save_dataset(xr.Dataset({"error": 0.25}), "error.zarr")
        >>> signed = statement(path)
        >>> sorted(signed), signed["content_hash"] == read_dataset(path).content_hash
        (['content_hash', 'origin', 'schema'], True)
    """
    attributes = open_attributes(store)
    found = {name: attributes.get(name) for name in _SIGNED}
    for name, value in found.items():
        if not isinstance(value, str):
            raise ValueError(
                f"{store} has no {name}, which a signature covers: give a store that "
                f"this version of stencilnet wrote."
            )
    return {name: str(value) for name, value in found.items()}


def sign_statement(
    signed: Mapping[str, str],
    key: Path | str,
    out: Path | str,
    *,
    passphrase: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a signature.

    Args:
        signed: what it says, see `statement`.
        key: file of the private key.
        out: file to write, JSON.
        passphrase: of the key, if it has one.
        overwrite: whether to replace a signature.

    Raises:
        FileExistsError: if `out` exists and is not to be replaced.
        FileNotFoundError, ValueError: if the key cannot be read, or cryptography is not
            installed.

    Example:
        >>> import json
        >>> from pathlib import Path
        >>> import xarray as xr
        >>> from cryptography.hazmat.primitives import serialization as form
        >>> from cryptography.hazmat.primitives.asymmetric import ed25519
        >>> from stencilnet.storage import save_dataset, sign_statement, statement
        >>> pem = form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
        >>> secret = ed25519.Ed25519PrivateKey.generate().private_bytes(*pem)
        >>> _ = Path("key.pem").write_bytes(secret)
        >>> signed = statement(save_dataset(xr.Dataset({"error": 0.25}), "error.zarr"))
        >>> path = sign_statement(signed, key="key.pem", out="error.zarr.sig")
        >>> json.loads(path.read_text())["signed"] == signed
        True
    """
    private = _private_key(local_path(key), passphrase)
    signature = base64.b64encode(private.sign(_message(signed))).decode()
    out = local_path(out)
    document = {"schema": SIGNATURE_SCHEMA, "signed": dict(signed)}
    with new_store(out, kind="signature", overwrite=overwrite) as staged:
        text = json.dumps({**document, "signature": signature}, indent=2)
        staged.write_text(text + "\n", encoding="utf-8")
    return out


def check_signature(
    signed: Mapping[str, str], signature: Path | str, key: Path | str
) -> None:
    """Raises unless a signature of a store is by the private key to a public one.

    Args:
        signed: what it should say, see `statement`.
        signature: its file.
        key: file of the public key, which is that of whom you trust.

    Raises:
        FileNotFoundError: if a file is not there.
        ValueError: if the signature is of other content or by another key, or a file
            cannot be used.

    Example:
        >>> from pathlib import Path
        >>> import xarray as xr
        >>> from cryptography.hazmat.primitives import serialization as form
        >>> from cryptography.hazmat.primitives.asymmetric import ed25519
        >>> from stencilnet.storage import check_signature, save_dataset
        >>> from stencilnet.storage import sign_statement, statement
        >>> key, pem = ed25519.Ed25519PrivateKey.generate(), form.Encoding.PEM
        >>> secret = pem, form.PrivateFormat.PKCS8, form.NoEncryption()
        >>> public = pem, form.PublicFormat.SubjectPublicKeyInfo
        >>> _ = Path("key.pem").write_bytes(key.private_bytes(*secret))
        >>> _ = Path("public.pem").write_bytes(key.public_key().public_bytes(*public))
        >>> signed = statement(save_dataset(xr.Dataset({"error": 0.25}), "error.zarr"))
        >>> path = sign_statement(signed, key="key.pem", out="error.zarr.sig")
        >>> check_signature(signed, path, key="public.pem")
        >>> check_signature(signed | {"content_hash": "c"}, path, key="public.pem")
        Traceback (most recent call last):
        ...
        ValueError: error.zarr.sig signs another store, or what the store was before ...
    """
    path = local_path(signature)
    public = _public_key(local_path(key))
    found = _document(path)
    if found.get("signed") != dict(signed):
        raise ValueError(
            f"{path} signs another store, or what the store was before it was changed: "
            f"ask whom it comes from for both, and trust neither until then."
        )
    try:
        text = base64.b64decode(str(found.get("signature")), validate=True)
    except (binascii.Error, ValueError):
        text = b""
    exceptions = _module("exceptions")
    try:
        public.verify(text, _message(signed))
    except exceptions.InvalidSignature:
        raise ValueError(
            f"{path} is not signed with the private key to {key}: do not trust the "
            f"store, and ask whom it comes from."
        ) from None


def _message(signed: Mapping[str, str]) -> bytes:
    lines = [SIGNATURE_SCHEMA, *(f"{name}: {signed[name]}" for name in _SIGNED)]
    return "\n".join(lines).encode()


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(_content(path))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("schema") != SIGNATURE_SCHEMA:
        raise ValueError(
            f"{path} is no signature of stencilnet: give the file that "
            f"`stencilnet sign` wrote."
        )
    return document


def _content(path: Path) -> bytes:
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}: name one that exists.")
    return read_regular(path.resolve(), _LARGEST)


def _private_key(path: Path, passphrase: str | None) -> Any:
    content = _content(path)
    loads = _module("hazmat.primitives.serialization")
    openssh = b"OPENSSH PRIVATE KEY" in content
    load = loads.load_ssh_private_key if openssh else loads.load_pem_private_key
    secret = None if passphrase is None else passphrase.encode()
    try:
        key = load(content, secret)
    except TypeError:
        words = "has a passphrase" if secret is None else "has no passphrase"
        raise ValueError(f"The key {path} {words}: give it as it is.") from None
    except Exception as error:  # The library has a class for each way to be wrong.
        raise ValueError(
            f"{path} is no private key that can be used, or its passphrase is another "
            f"({error}): {_KEYS}."
        ) from None
    return _of_kind("private", key, path)


def _public_key(path: Path) -> Any:
    content = _content(path)
    loads = _module("hazmat.primitives.serialization")
    pem = content.lstrip().startswith(b"-----")
    load = loads.load_pem_public_key if pem else loads.load_ssh_public_key
    try:
        key = load(content)
    except Exception:  # As above.
        raise ValueError(
            f"{path} is no public key that can be used: give the public part of an "
            f"Ed25519 key, or {_KEYS}."
        ) from None
    return _of_kind("public", key, path)


def _of_kind(kind: str, key: Any, path: Path) -> Any:
    known = _module("hazmat.primitives.asymmetric.ed25519")
    if not isinstance(key, getattr(known, f"Ed25519{kind.title()}Key")):
        raise ValueError(f"{path} is no {kind} key of Ed25519: {_KEYS}.")
    return key


def _module(name: str) -> Any:
    return optional_module(f"cryptography.{name}", "A signature", extra="sign")
