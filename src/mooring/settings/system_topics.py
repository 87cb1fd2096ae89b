"""Settings of what the platform publishes about itself."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["SystemTopicSettings"]


class SystemTopicSettings(Declared):
    """Units are in the names or descriptions."""

    system_topics_seconds: int = setting(
        30,
        "How often figures of the platform, the broker and groups are published, for dialects that "
        "have channels for them. 0: never.",
        ge=0,
        le=3600,
    )
