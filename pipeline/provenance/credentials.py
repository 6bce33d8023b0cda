"""Content credentials: a signed C2PA manifest in a rendered file, which states that a trained model created it."""

import io
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import UserError, first_line, name_install
from pipeline.files import atomic_write
from pipeline.provenance.media import Media

Algorithm = Literal["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"]

CONTAINERS = {".png": "image/png", ".gif": "image/gif", ".mp4": "video/mp4"}
MADE_BY_A_MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
FACTS = "org.t2v.provenance"  # label of the assertion with the file's own provenance
TRUSTED, VALID = "Trusted", "Valid"  # validation states of a manifest that matches the file


@dataclass(frozen=True)
class Signature:
    """The result of checking a manifest."""

    signer: str  # the names in the certificate
    is_valid: bool  # it matches the bytes, and was signed while the certificate was valid
    is_trusted: bool  # the certificate is one of the trusted ones, or issued by one
    problems: tuple[str, ...]
    facts: dict[str, Any] | None  # the provenance in the manifest


def sign_media(media: Media, out: Path, certificates: Path, key: Path, algorithm: Algorithm) -> None:
    """Write the file atomically with a manifest of its provenance, which replaces an existing one.

    `certificates` is the chain in PEM, the signer's first. Raises UserError if the key, the certificate or the file
    type is not suitable.
    """
    c2pa = _import_c2pa()
    if media.kind not in CONTAINERS:
        raise UserError(f"{media.path}: C2PA does not support {media.kind} files; sign one of {', '.join(CONTAINERS)}")
    pem, secret = (_read_pem(path) for path in (certificates, key))
    signed = io.BytesIO()
    try:
        context = c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})
        info = c2pa.C2paSignerInfo(alg=algorithm.encode(), sign_cert=pem, private_key=secret, ta_url=None)
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder(_build_manifest(media), context) as builder:
            builder.sign(signer, CONTAINERS[media.kind], io.BytesIO(media.payload), signed)
    except c2pa.C2paError as error:
        raise UserError(f"{certificates}: {_explain(first_line(error), key, algorithm)}") from None
    with atomic_write(out) as temporary:
        temporary.write_bytes(signed.getvalue())


def _build_manifest(media: Media) -> dict[str, Any]:
    """The signed claims: a trained model created the file, and its provenance."""
    created = {"action": "c2pa.created", "digitalSourceType": MADE_BY_A_MODEL}
    return {
        "claim_generator_info": [{"name": "t2v", "version": version("t2v")}],
        "title": media.path.name,
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [created]}},
            {"label": FACTS, "data": media.require_facts()},
        ],
    }


def read_signature(media: Media, trusted: Path | None) -> Signature:
    """Check the manifest of a signed file; `trusted` has the trusted certificates in PEM.

    Raises UserError if the extra is not installed.
    """
    c2pa = _import_c2pa()
    settings: dict[str, Any] = {"verify": {"verify_trust": True}}
    if trusted is not None:
        settings["trust"] = {"trust_anchors": _read_pem(trusted).decode()}
    try:
        context = c2pa.Context.from_dict(settings)
        with c2pa.Reader(CONTAINERS[media.kind], io.BytesIO(media.data), context=context) as reader:
            state, tree = reader.get_validation_state(), json.loads(reader.json())
    except c2pa.C2paError as error:
        return Signature("nobody", False, False, (first_line(error),), None)
    manifest = tree["manifests"].get(tree["active_manifest"], {})  # the reader leaves out one that it cannot parse
    names = manifest.get("signature_info") or {}
    signer = (
        ", ".join(names[key] for key in ("common_name", "issuer") if names.get(key)) or "a certificate without names"
    )
    facts = [one["data"] for one in manifest.get("assertions", []) if one["label"] == FACTS]
    codes = [status["code"] for status in tree.get("validation_status") or []]
    problems = tuple(code for code in codes if code != "signingCredential.untrusted")
    return Signature(signer, state in (TRUSTED, VALID), state == TRUSTED, problems, facts[0] if facts else None)


def _import_c2pa() -> Any:
    try:
        import c2pa
    except ImportError:
        raise UserError(f"content credentials need the extra c2pa: {name_install('c2pa')}") from None
    return c2pa


def _read_pem(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such file") from None
    if b"-----BEGIN " not in data:
        raise UserError(f"{path}: not a PEM file (-----BEGIN ...); convert it with openssl")
    return data


def _explain(message: str, key: Path, algorithm: str) -> str:
    if "not valid at time of signing" in message:
        return "the certificate has expired, or is not valid yet; ask for a new one"
    return f"cannot sign with this certificate, the key {key} and --algorithm {algorithm}: {message}"
