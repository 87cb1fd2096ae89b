"""What a person sees and no address shows: how to get there, for pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex

from playwright.sync_api import Page

from tests.support.browser import Tab

__all__ = ["MOMENTS", "Moment"]

Steps = Callable[[Tab], None]


@dataclass(frozen=True)
class Moment:
    """One picture.

    Attributes:
        kind: of the platform: ``empty`` or ``full``.
        whole: the whole page, not just the window.
    """

    kind: str
    steps: Steps
    signed_in: bool = True
    whole: bool = False

    @property
    def name(self) -> str:
        """As in the file's name."""
        return self.steps.__name__.replace("_", "-")


MOMENTS: list[Moment] = []


def moment(kind: str, *, signed_in: bool = True, whole: bool = False) -> Callable[[Steps], Steps]:
    """Lists the steps."""

    def noted(steps: Steps) -> Steps:
        MOMENTS.append(Moment(kind, steps, signed_in, whole))
        return steps

    return noted


def opened(page: Page, words: str) -> None:
    """Opens what is folded behind these words, the first one that is visible."""
    page.locator("main summary", has_text=words).locator("visible=true").first.click()


# ---------------------------------------------------------------------- signing in


@moment("empty", signed_in=False)
def sign_in(tab: Tab) -> None:
    tab.go("/")


@moment("empty", signed_in=False)
def wrong_password(tab: Tab) -> None:
    page = tab.go("/sign-in")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    page.locator(".notice.bad").wait_for()


@moment("empty")
def session_over(tab: Tab) -> None:
    page = tab.go("/first-device")
    tab.live()
    page.get_by_label("Name").first.fill("kitchen")
    tab.page.context.clear_cookies()
    page.get_by_role("button", name="Add device").click()
    page.get_by_role("dialog").wait_for()


# ---------------------------------------------------------------------- the first device


@moment("empty", whole=True)
def first_device_wrong(tab: Tab) -> None:
    page = tab.go("/first-device")
    page.get_by_label("Name").first.fill("a/b +#")
    page.get_by_role("button", name="Add device").click()
    page.locator("main [role=alert], main .error").first.wait_for()


@moment("full", whole=True)
def first_device_added(tab: Tab) -> None:
    page = tab.go("/first-device")
    page.get_by_label("Name").first.fill(f"kitchen-{token_hex(2)}")
    page.get_by_role("button", name="Add device").click()
    page.locator("mooring-copy pre").first.wait_for()


# ---------------------------------------------------------------------- the frame


@moment("full")
def palette(tab: Tab) -> None:
    page = tab.go("/")
    tab.live()
    page.keyboard.press("/")
    page.keyboard.type("sensor")
    page.locator("mooring-palette li").first.wait_for()
    page.keyboard.press("ArrowDown")


@moment("full")
def palette_nothing(tab: Tab) -> None:
    page = tab.go("/")
    tab.live()
    page.keyboard.press("/")
    page.keyboard.type("no such thing")
    page.get_by_text("Nothing is called").wait_for()


@moment("full")
def keys(tab: Tab) -> None:
    page = tab.go("/")
    tab.live()
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()


@moment("full")
def menu(tab: Tab) -> None:
    page = tab.go("/")
    tab.live()
    phone = page.locator("details.menu > summary").is_visible()
    page.locator("details.menu > summary" if phone else "details.account > summary").click()


@moment("empty")
def not_found(tab: Tab) -> None:
    tab.go("/devices/nothing-here")


@moment("empty")
def no_such_page(tab: Tab) -> None:
    tab.go("/nowhere")


# ---------------------------------------------------------------------- acting


@moment("full")
def devices_acting(tab: Tab) -> None:
    page = tab.go("/devices?state=online")
    tab.live()
    for box in page.locator("td input[type=checkbox]").all()[:3]:
        box.check()
    opened(page, "Act on several")
    page.locator(".bulk .first").first.scroll_into_view_if_needed()


@moment("full", whole=True)
def devices_columns(tab: Tab) -> None:
    page = tab.go("/devices?by=firmware&q=sensor&col=label&col=tenant&col=firmware&col=problems"
                  "&col=groups&col=mac&col=username&col=address&col=added")  # fmt: skip
    opened(page, "Columns and grouping")
    opened(page, "More filters")
    opened(page, "Save this view")


@moment("full")
def devices_no_match(tab: Tab) -> None:
    tab.go("/devices?q=nothing-is-called-that")


@moment("full", whole=True)
def map_of_devices(tab: Tab) -> None:
    tab.go("/map")


@moment("full", whole=True)
def messages_rejected(tab: Tab) -> None:
    tab.go("/messages?tab=rejected")


@moment("full", whole=True)
def messages_unknown(tab: Tab) -> None:
    tab.go("/messages?tab=unknown")


@moment("full", whole=True)
def chart_compared(tab: Tab) -> None:
    page = tab.go("/devices/default:kiln/charts?span=24h&compare=before")
    page.locator(".u-over").first.wait_for()
    page.locator(".u-over").first.hover()


@moment("full", whole=True)
def command_rejected(tab: Tab) -> None:
    page = tab.go("/devices/default:default-sensor-000/commands")
    page.get_by_label("Command", exact=True).fill("reboot")
    page.get_by_label("Parameters").fill("{level: 3}")
    page.get_by_role("button", name="Send", exact=True).click()
    page.locator(".field.wrong").first.wait_for()


@moment("full", whole=True)
def settings_of_a_sensor(tab: Tab) -> None:
    tab.go("/devices/default:default-sensor-000/settings")


@moment("full", whole=True)
def now_of_a_rejected_one(tab: Tab) -> None:
    tab.go("/devices/default:default-sensor-001")


@moment("full", whole=True)
def connection_of_a_rejected_one(tab: Tab) -> None:
    tab.go("/devices/default:default-sensor-001/connection")


@moment("full", whole=True)
def may_it_publish(tab: Tab) -> None:
    page = tab.go("/devices/default:default-sensor-000/credentials?action=publish&topic=a/b")
    opened(page, "New password")
    opened(page, "Issue a certificate")
    opened(page, "Remove")


@moment("full", whole=True)
def claim_codes(tab: Tab) -> None:
    page = tab.go("/claiming")
    page.get_by_label("Number of codes").fill("6")
    page.get_by_label("Label").first.fill("Hall 3")
    page.get_by_role("button", name="Create codes").click()
    page.locator(".labels").wait_for()


@moment("full", whole=True)
def secret(tab: Tab) -> None:
    page = tab.go("/people")
    opened(page, "Create an API key")
    page.locator("form[action='/keys']").get_by_label("Name").fill("backup")
    page.get_by_role("button", name="Create key").click()
    page.locator("mooring-copy pre").first.wait_for()


@moment("full", whole=True)
def people_changing(tab: Tab) -> None:
    page = tab.go("/people")
    opened(page, "Change")
    opened(page, "Remove")
    opened(page, "Add a person")


@moment("full", whole=True)
def rule_tried(tab: Tab) -> None:
    page = tab.go("/rules/new")
    page.get_by_label("Condition").first.fill("temperature > 30 clear 28")
    page.get_by_role("button", name="Try on").click()
    page.get_by_text("would have").first.wait_for()


@moment("full", whole=True)
def rule_wrong(tab: Tab) -> None:
    page = tab.go("/rules/new")
    page.get_by_label("Name").first.fill("odd")
    page.get_by_label("Condition").first.fill("temperature is high")
    page.get_by_role("button", name="Add rule").click()
    page.locator("main [role=alert], main .error").first.wait_for()


@moment("full", whole=True)
def search_found(tab: Tab) -> None:
    tab.go("/search?q=sensor")


@moment("full", whole=True)
def rollout_changing(tab: Tab) -> None:
    page = tab.go("/rollouts")
    page.locator("main table a").first.click()
    page.wait_for_url("**/rollouts/*")
    page.wait_for_timeout(300)
    opened(page, "Change pace")
