"""A secrets file that a power cut left damaged: a sentence, and nothing is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.errors import InvalidSetting
from mooring.secrets.instance import FILE, open_instance


@pytest.mark.parametrize("kept", [0, 1, 20, 100, -2])
def test_cut_short(tmp_path: Path, kept: int) -> None:
    open_instance(tmp_path)
    path = tmp_path / FILE
    torn = path.read_bytes()[:kept]
    path.write_bytes(torn)
    with pytest.raises(InvalidSetting, match=FILE) as caught:
        open_instance(tmp_path)
    assert "backup" in caught.value.hint
    assert path.read_bytes() == torn


@pytest.mark.parametrize("content", ["[]", "null", '"text"', "{}", '{"instance_key": "short"}'])
def test_something_else(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(InvalidSetting, match=FILE):
        open_instance(tmp_path)


def test_a_key_that_is_none(tmp_path: Path) -> None:
    instance = open_instance(tmp_path)
    path = tmp_path / FILE
    path.write_text(path.read_text().replace(instance.instance_key, "x" * 44))
    with pytest.raises(InvalidSetting, match=FILE):
        open_instance(tmp_path)
