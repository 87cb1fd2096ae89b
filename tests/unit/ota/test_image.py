"""What is read from the header of an image."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.ota.releases.image import CHIPS, Image, contradictions, read
from tests.support.images import esp32, mcuboot

LABEL = {"product": "trap", "version": "1.4.0", "hardware": (), "security_version": 0}


def test_an_esp32_image() -> None:
    found = read(esp32("1.4.0", "trap", chip=9, secure=7))
    assert found == Image("esp32", "1.4.0", "trap", "esp32-s3", 7)
    assert found.said == "ESP32 image: project trap, version 1.4.0, chip esp32-s3"


def test_an_image_of_the_arduino_core_names_only_its_chip() -> None:
    found = read(esp32("esp-idf: v4.4.7", "arduino-lib-builder"))
    assert found == Image("esp32", chip="esp32")
    assert contradictions(found, **LABEL) == []


def test_a_chip_that_is_not_known() -> None:
    found = read(esp32("1", "x", chip=77))
    assert found is not None
    assert found.chip == "esp chip 77"


@pytest.mark.parametrize(("build", "version"), [(0, "2.3.4"), (5, "2.3.4+5")])
def test_an_mcuboot_image(build: int, version: str) -> None:
    found = read(mcuboot(2, 3, 4, build))
    assert found == Image("mcuboot", version)


@given(st.binary(max_size=512))
def test_any_bytes(head: bytes) -> None:
    for start in (b"", b"\xe9", struct.pack("<I", 0x96F3B83D), esp32("1", "x")[:36]):
        found = read(start + head)
        assert found is None or found.said.isprintable()


def test_text_in_a_header_is_shown_as_text() -> None:
    found = read(esp32("1.0\x1b[2J", "a\u202eb"))
    assert found is not None
    assert (found.version, found.project) == ("1.0[2J", "ab")


@pytest.mark.parametrize(
    ("image", "label", "said"),
    [
        (Image("esp32", "1.4.1"), {}, ["the image is version 1.4.1, not 1.4.0"]),
        (Image("esp32", "v1.4"), {}, []),
        (Image("esp32", project="Trap"), {}, []),
        (Image("esp32", project="gate"), {}, ["the image is of the project gate, not trap"]),
        (Image("esp32", chip="esp32-c3"), {"hardware": ("board-2",)}, []),
        (Image("esp32", chip="esp32-c3"), {"hardware": ("ESP32C3", "esp32")}, []),
        (
            Image("esp32", chip="esp32-c3"),
            {"hardware": ("esp32-s3",)},
            ["the image is for esp32-c3, not for esp32-s3"],
        ),
        (Image("esp32", security_version=3), {}, []),
        (
            Image("esp32", security_version=3),
            {"security_version": 4},
            ["the image has the security version 3, not 4"],
        ),
    ],
)
def test_contradictions(image: Image, label: dict[str, object], said: list[str]) -> None:
    assert contradictions(image, **{**LABEL, **label}) == said  # type: ignore[arg-type]


def test_chips_have_one_name_each() -> None:
    assert len(set(CHIPS.values())) == len(CHIPS)
