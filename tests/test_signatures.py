"""A signature vouches for what a checksum cannot: who made a store."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from stencilnet.cli.app import app
from stencilnet.storage import save_dataset
from stencilnet.study import sign, verify

pytest.importorskip("cryptography")
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

_PEM = serialization.Encoding.PEM
_OPENSSH = serialization.Encoding.OpenSSH


def key_files(folder, key, style="pem", passphrase=None):
    """Private and public key in files, as openssl or ssh-keygen write them."""
    ssh = style == "ssh"
    hidden = serialization.NoEncryption()
    if passphrase:
        hidden = serialization.BestAvailableEncryption(passphrase.encode())
    private = serialization.PrivateFormat
    public = serialization.PublicFormat
    texts = (
        key.private_bytes(_PEM, private.OpenSSH if ssh else private.PKCS8, hidden),
        key.public_key().public_bytes(
            _OPENSSH if ssh else _PEM,
            public.OpenSSH if ssh else public.SubjectPublicKeyInfo,
        ),
    )
    paths = [folder / f"{style}.private", folder / f"{style}.public"]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text)
    return paths


@pytest.fixture
def keys(tmp_path):
    return key_files(tmp_path, ed25519.Ed25519PrivateKey.generate())


@pytest.fixture
def store(tmp_path):
    table = xr.Dataset({"a": ("x", np.arange(9.0))}, attrs={"number": 1})
    return save_dataset(table, tmp_path / "a.zarr")


@pytest.mark.parametrize("style", ["pem", "ssh"])
def test_a_signature_is_checked_with_the_public_key(tmp_path, store, style):
    key = ed25519.Ed25519PrivateKey.generate()
    private, public = key_files(tmp_path, key, style)
    path = sign(store, private)
    assert path == tmp_path / "a.zarr.sig"
    assert verify(store, signature=path, key=public).attrs["number"] == 1
    # Anybody may check it without this package.
    document = json.loads(path.read_text())
    said = "\n".join(f"{name}: {value}" for name, value in document["signed"].items())
    assert document["schema"] in path.read_text()
    assert said.startswith("schema: stencilnet.dataset/1\ncontent_hash: ")


def test_who_can_write_the_store_cannot_sign_it(tmp_path, store, keys):
    private, public = keys
    path = sign(store, private)
    # The same name, whole and with a checksum of its own.
    other = xr.Dataset({"a": ("x", np.zeros(9))}, attrs={"number": 1})
    save_dataset(other, store, overwrite=True)
    verify(store)
    with pytest.raises(ValueError, match="signs another store"):
        verify(store, signature=path, key=public)
    # Nor by writing what the signature should say.
    document = json.loads(path.read_text())
    attributes = json.loads((store / "zarr.json").read_text())["attributes"]
    document["signed"] = {name: attributes[name] for name in document["signed"]}
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match="not signed with the private key"):
        verify(store, signature=path, key=public)
    # Nor by a key of their own.
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    theirs = key_files(stranger, ed25519.Ed25519PrivateKey.generate())
    sign(store, theirs[0], path, overwrite=True)
    verify(store, signature=path, key=theirs[1])
    with pytest.raises(ValueError, match="not signed with the private key"):
        verify(store, signature=path, key=public)


def test_every_byte_of_a_signature_counts(store, keys):
    private, public = keys
    path = sign(store, private)
    document = json.loads(path.read_text())
    text = document["signature"]
    for place in range(0, len(text) - 2, 7):
        other = "A" if text[place] != "A" else "B"
        changed = text[:place] + other + text[place + 1 :]
        path.write_text(json.dumps({**document, "signature": changed}))
        with pytest.raises(ValueError, match="not signed with the private key"):
            verify(store, signature=path, key=public)


def test_a_damaged_store_is_neither_signed_nor_verified(store, keys):
    private, public = keys
    path = sign(store, private)
    chunk = next(file for file in (store / "a").rglob("*") if file.name == "0")
    content = bytearray(chunk.read_bytes())
    content[-9] ^= 1
    chunk.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="damaged"):
        verify(store, signature=path, key=public)
    with pytest.raises(ValueError, match="damaged"):
        sign(store, private, overwrite=True)


def test_dates_and_versions_are_signed_too(store, keys):
    private, public = keys
    path = sign(store, private)
    document = json.loads((store / "zarr.json").read_text())
    document["attributes"]["origin"] = None
    (store / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match="origin"):
        verify(store, signature=path, key=public)


def test_what_is_no_key_and_no_signature_is_told(tmp_path, store, keys):
    private, public = keys
    path = sign(store, private)
    wrong = tmp_path / "wrong"
    wrong.write_text("nonsense")
    other = tmp_path / "other"
    other.mkdir()
    curve = key_files(other, ec.generate_private_key(ec.SECP256R1()))
    for key, message in ((wrong, "no private key"), (curve[0], "of Ed25519")):
        with pytest.raises(ValueError, match=f"{message}.*openssl genpkey"):
            sign(store, key, tmp_path / "b.sig")
    for key, message in ((wrong, "no public key"), (curve[1], "of Ed25519")):
        with pytest.raises(ValueError, match=message):
            verify(store, signature=path, key=key)
    with pytest.raises(ValueError, match="no signature of stencilnet"):
        verify(store, signature=wrong, key=public)
    with pytest.raises(ValueError, match="give both"):
        verify(store, signature=path)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        verify(store, signature=path, key=tmp_path / "none")
    with pytest.raises(FileExistsError, match="--overwrite"):
        sign(store, private)
    with pytest.raises(FileExistsError, match="no result of stencilnet"):
        sign(store, private, wrong, overwrite=True)
    assert not (tmp_path / "b.sig").exists()


def test_a_key_may_have_a_passphrase(tmp_path, store):
    key = ed25519.Ed25519PrivateKey.generate()
    private, public = key_files(tmp_path, key, passphrase="open sesame")
    with pytest.raises(ValueError, match="has a passphrase"):
        sign(store, private)
    with pytest.raises(ValueError, match="its passphrase is another"):
        sign(store, private, passphrase="sesame")
    command = ["sign", str(store), "--key", str(private), "--passphrase"]
    done = CliRunner().invoke(app, command, input="open sesame\n")
    assert not done.exit_code, done.output
    checks = ["--signature", f"{store}.sig", "--key", str(public)]
    assert not CliRunner().invoke(app, ["verify", str(store), *checks]).exit_code


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_keys_of_openssl_are_taken(tmp_path, store):
    private, public = tmp_path / "key.pem", tmp_path / "public.pem"
    for arguments in (
        ["genpkey", "-algorithm", "ed25519", "-out", private],
        ["pkey", "-in", private, "-pubout", "-out", public],
    ):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)
    verify(store, signature=sign(store, private), key=public)


def test_without_the_library_a_sentence_says_what_to_install(monkeypatch, store, keys):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    monkeypatch.setitem(
        sys.modules, "cryptography.hazmat.primitives.serialization", None
    )
    with pytest.raises(ValueError, match=r"pip install 'stencilnet\[sign\]'"):
        sign(store, keys[0])
