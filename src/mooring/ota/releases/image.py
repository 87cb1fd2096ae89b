"""What the header of a firmware image says about it. Pure.

Sources: ESP-IDF ``esp_app_format.h`` and ``esp_app_desc.h`` (an image header of 24 bytes, a
segment header of 8, then the application's description), MCUboot ``image.h`` (version 1 header,
32 bytes). All numbers are little-endian.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection
from typing import NamedTuple

from mooring.store.version_key import version_key

__all__ = ["CHIPS", "HEAD_BYTES", "Image", "contradictions", "read"]

HEAD_BYTES = 4096
"""Bytes from the start of a file that are looked at."""

CHIPS = {
    0: "esp32",
    2: "esp32-s2",
    5: "esp32-c3",
    9: "esp32-s3",
    12: "esp32-c2",
    13: "esp32-c6",
    16: "esp32-h2",
    18: "esp32-p4",
    20: "esp32-c61",
    23: "esp32-c5",
}

_ESP_MAGIC, _ESP_DESCRIPTION, _ESP_AT = 0xE9, 0xABCD5432, 32
_ESP_DESC = struct.Struct("<II8s32s32s16s16s32s")
_MCUBOOT_MAGIC = 0x96F3B83D
_MCUBOOT = struct.Struct("<IIHHIIBBHII")

# The Arduino core links a description of itself, not of the program.
_NO_PROJECT = frozenset({"arduino-lib-builder"})


class Image(NamedTuple):
    """What a header says; an empty text or ``None``: nothing.

    Attributes:
        form: ``esp32`` or ``mcuboot``.
        security_version: ``secure_version`` of an ESP32 image.
    """

    form: str
    version: str = ""
    project: str = ""
    chip: str = ""
    security_version: int | None = None

    @property
    def said(self) -> str:
        """One line for people."""
        name = {"esp32": "ESP32 image", "mcuboot": "MCUboot image"}[self.form]
        parts = [
            *([f"project {self.project}"] if self.project else []),
            *([f"version {self.version}"] if self.version else []),
            *([f"chip {self.chip}"] if self.chip else []),
        ]
        return f"{name}: {', '.join(parts)}" if parts else name


def read(head: bytes) -> Image | None:
    """What the first bytes of a file say; ``None``: they are of no image that is known."""
    return _esp32(head) or _mcuboot(head)


def _esp32(head: bytes) -> Image | None:
    if len(head) < _ESP_AT + _ESP_DESC.size or head[0] != _ESP_MAGIC:
        return None
    magic, secure, _, version, project, *_ = _ESP_DESC.unpack_from(head, _ESP_AT)
    if magic != _ESP_DESCRIPTION:
        return None
    chip_id = struct.unpack_from("<H", head, 12)[0]
    chip = CHIPS.get(chip_id, f"esp chip {chip_id}")
    name = _text(project)
    if name in _NO_PROJECT:
        return Image("esp32", chip=chip)
    return Image("esp32", _text(version), name, chip, secure)


def _mcuboot(head: bytes) -> Image | None:
    if len(head) < _MCUBOOT.size:
        return None
    magic, _, size, _, _, _, major, minor, revision, build, _ = _MCUBOOT.unpack_from(head)
    if magic != _MCUBOOT_MAGIC or size < _MCUBOOT.size:
        return None
    return Image("mcuboot", f"{major}.{minor}.{revision}" + (f"+{build}" if build else ""))


def _text(field: bytes) -> str:
    text = field.partition(b"\0")[0].decode("utf-8", "replace")
    return "".join(one for one in text if one.isprintable()).strip()


def contradictions(
    image: Image,
    *,
    product: str,
    version: str,
    hardware: Collection[str],
    security_version: int,
) -> list[str]:
    """Where the label of a release says something else than the image; sentences without a dot.

    Hardware is compared where its names are those of chips.
    """
    found = []
    if image.version and version_key(image.version) != version_key(version):
        found.append(f"the image is version {image.version}, not {version}")
    if image.project and _plain(image.project) != _plain(product):
        found.append(f"the image is of the project {image.project}, not {product}")
    known = {_plain(chip): chip for chip in CHIPS.values()}
    chips = {known[_plain(one)] for one in hardware if _plain(one) in known}
    if image.chip and chips and image.chip not in chips:
        found.append(f"the image is for {image.chip}, not for {' or '.join(sorted(chips))}")
    if image.security_version and security_version not in (0, image.security_version):
        found.append(
            f"the image has the security version {image.security_version}, not {security_version}"
        )
    return found


def _plain(name: str) -> str:
    return re.sub(r"[-_ .]", "", name.casefold())
