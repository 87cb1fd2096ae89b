// After htmx has put another page into #page: title, focus, navigation and a word about it.

import { announce, make } from "./dom.js";
import { closeMenus } from "./mooring-menu.js";

let place = location.pathname;

/** Where the focus was before a swap: what names its element, in the order of what is tried.
 * @type {string[][]} */
let focused = [];

/** @param {Element} one @returns {string[][]} */
function names(one) {
  const said = (one.getAttribute("aria-label") ?? one.textContent ?? "").trim();
  const kind = one.localName;
  return [
    ["id", kind, one.id],
    ["field", kind, one.getAttribute("name") ?? "", one.getAttribute("value") ?? ""],
    ["link", kind, one.getAttribute("href") ?? "", said],
    ["said", kind, said],
  ].filter((name) => name.slice(2).some(Boolean));
}

function remember() {
  const one = document.activeElement;
  focused = one instanceof HTMLElement && one.closest("#page") && one.id !== "page" ? names(one) : [];
}

/** Gives the focus to the element that had it, or to the page: it is never lost.
 * @param {HTMLElement} page */
function refocus(page) {
  const lost = document.activeElement === null || document.activeElement === document.body;
  if (!lost || !focused.length) return;
  const there = /** @type {HTMLElement[]} */ ([...page.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]);
  for (const wanted of focused) {
    const same = there.find((one) => names(one).some((name) => name.join("\n") === wanted.join("\n")));
    if (same) { same.focus({ preventScroll: true }); if (document.activeElement === same) return; }
  }
  page.focus({ preventScroll: true });
}

function changed() {
  const page = document.getElementById("page");
  if (!page) return;
  const title = page.dataset.title;
  if (title) document.title = title;
  for (const link of document.querySelectorAll("#nav li a[href], #menu li a[href]")) {
    if (link.getAttribute("href") === page.dataset.place) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (location.pathname !== place) {
    place = location.pathname;
    closeMenus();
    page.focus({ preventScroll: true });
    window.scrollTo(0, 0);
    announce(title ?? "");
  } else {
    refocus(page);
  }
  focused = [];
}

// The address is pushed before the swap.
document.addEventListener("htmx:before:swap", remember);
document.addEventListener("htmx:after:swap", changed);

/** A page that could not be loaded: said where it happened; what was typed stays. */
document.addEventListener("htmx:error", (event) => {
  const error = /** @type {CustomEvent} */ (event).detail?.error;
  if (error?.name === "AbortError") return;
  const sent = /** @type {CustomEvent} */ (event).detail?.ctx?.request?.method === "POST";
  const text = sent
    ? "The server did not answer. What you entered is kept. Look whether the change was made before you send it again."
    : "The server did not answer, so the page was not opened. Try again.";
  document.getElementById("unanswered")?.remove();
  document.getElementById("page")?.prepend(
    make("div", { class: "notice bad", id: "unanswered", role: "alert" }, make("p", {}, text)));
});
