"""Firmware images with real headers and nothing behind them."""

from __future__ import annotations

import struct

__all__ = ["esp32", "mcuboot"]


def esp32(version: str, project: str, *, chip: int = 0, secure: int = 0, size: int = 512) -> bytes:
    """An image as ESP-IDF writes it: header, segment header, description, then ``size`` bytes."""
    header = struct.pack("<BBBBIB3sHBHH4sB", 0xE9, 1, 2, 0x20, 0, 0, b"", chip, 0, 0, 99, b"", 1)
    segment = struct.pack("<II", 0x3F400020, 256 + size)
    description = struct.pack(
        "<II8s32s32s16s16s32s",
        *(0xABCD5432, secure, b"", version.encode(), project.encode()),
        *(b"12:00:00", b"Nov 29 2026", b"v5.3"),
    )
    return header + segment + description.ljust(256, b"\0") + bytes(size)


def mcuboot(major: int, minor: int, revision: int, build: int = 0) -> bytes:
    """An image with a header of MCUboot."""
    return struct.pack(
        "<IIHHIIBBHII", *(0x96F3B83D, 0, 32, 0, 512, 0), major, minor, revision, build, 0
    ) + bytes(512)
