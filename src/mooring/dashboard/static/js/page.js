// After htmx has put another page into #page: title, focus, navigation and a word about it.

import { announce, make } from "./dom.js";
import { closeMenus } from "./mooring-menu.js";

let place = location.pathname;

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
  }
}

// The address is pushed before the swap.
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
