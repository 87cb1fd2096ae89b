// Menus (<details class="menu"> and "account") work without scripts; this closes them with Escape,
// with a click elsewhere, and when a page has been chosen.

const MENUS = "details.menu, details.account, details[data-menu]";

/** @param {Element | null} [except] */
export function closeMenus(except = null) {
  for (const one of document.querySelectorAll(MENUS)) {
    if (one !== except) one.removeAttribute("open");
  }
}

document.addEventListener("click", (event) => {
  const inside = event.target instanceof Element ? event.target.closest(MENUS) : null;
  closeMenus(inside);
  if (inside && event.target instanceof Element && event.target.closest("a[href]")) closeMenus();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.querySelector(":is(details.menu, details.account, details[data-menu])[open]");
  if (!open) return;
  closeMenus();
  open.querySelector("summary")?.focus();
});
