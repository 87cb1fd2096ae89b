"""Images for SWUpdate, signed as Debian's build requires."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["new_key", "swu"]


def new_key(folder: Path) -> Path:
    """Makes a key (``swu.key``) and its certificate, which is returned."""
    certificate = folder / "swu.crt"
    _openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=swu"),
        *("-addext", "keyUsage=digitalSignature", "-addext", "extendedKeyUsage=emailProtection"),
        *("-keyout", str(folder / "swu.key"), "-out", str(certificate)),
    )
    return certificate


def swu(folder: Path, version: str, target: Path, content: bytes) -> bytes:
    """An image that writes ``content`` to ``target``; signed with the key in ``folder``."""
    description = folder / "sw-description"
    description.write_text(
        "software = {\n"
        f'  version = "{version}";\n'
        '  hardware-compatibility: [ "1.0" ];\n'
        "  files: ( {\n"
        '    filename = "content";\n'
        f'    path = "{target}";\n'
        f'    sha256 = "{hashlib.sha256(content).hexdigest()}";\n'
        "  } );\n"
        "}\n"
    )
    signature = folder / "sw-description.sig"
    _openssl(
        *("cms", "-sign", "-binary", "-nosmimecap", "-outform", "DER"),
        *("-signer", str(folder / "swu.crt"), "-inkey", str(folder / "swu.key")),
        *("-in", str(description), "-out", str(signature)),
    )
    return _cpio(
        [
            ("sw-description", description.read_bytes()),
            ("sw-description.sig", signature.read_bytes()),
            ("content", content),
        ]
    )


def _cpio(files: Sequence[tuple[str, bytes]]) -> bytes:
    """The format ``crc`` of cpio."""
    out = b""
    for number, (name, data) in enumerate([*files, ("TRAILER!!!", b"")], 1):
        end = number > len(files)
        named = name.encode() + b"\0"
        fields = (
            *(0 if end else number, 0 if end else 0o100644, 0, 0, 1, 0, len(data)),
            *(0, 0, 0, 0, len(named), sum(data) & 0xFFFFFFFF),
        )
        out += b"070702" + b"".join(b"%08X" % field for field in fields) + named
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return out + b"\0" * (-len(out) % 512)


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)
