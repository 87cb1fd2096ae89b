"""The page of certificates while the CA is replaced."""

from __future__ import annotations

from mooring.app import App
from tests.support.dashboard import Browser


def test_a_rollover_from_its_start_to_its_end(platform: App, admin: Browser) -> None:
    assert "No CA yet." in admin.page("/certificates").text
    platform.pki.init()
    started = admin.do("/certificates/rollover", {"confirm": "rollover"})
    assert "both CAs are trusted now" in started.text
    assert "On the new CA 0" in started.text and "Not seen since 0" in started.text
    assert "0 devices would be locked out" in started.text
    finished = admin.do("/certificates/rollover/finish", {"confirm": "rollover"})
    assert "only the new CA is trusted" in finished.text
    assert "On the new CA" not in finished.text
