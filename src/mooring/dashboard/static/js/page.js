// After htmx has put another page into #page: title, focus, navigation and a word about it.

import { announce } from "./dom.js";
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
  announce("The server does not answer. Nothing was changed; try again.");
  const place = document.getElementById("connection");
  if (place && !place.textContent) place.textContent = "The server does not answer";
});
