// Keys: g and a letter opens a page (data-key in the navigation), j and k move through the rows of
// the list, x ticks one, Enter opens it, / searches, ? lists the keys.

import { make, typesInto, visit } from "./dom.js";

const AFTER_G_MS = 1500;
let afterG = 0;

/** @returns {HTMLElement[]} */
function rows() {
  return [.../** @type {NodeListOf<HTMLElement>} */ (
    document.querySelectorAll("#page table tbody tr"))].filter((row) => row.querySelector("a[href], input"));
}

/** @param {number} step */
function move(step) {
  const all = rows();
  if (!all.length) return;
  const now = all.findIndex((row) => row.classList.contains("at") || row.contains(document.activeElement));
  const next = all[Math.min(all.length - 1, Math.max(0, now < 0 ? (step > 0 ? 0 : all.length - 1) : now + step))];
  for (const row of all) row.classList.toggle("at", row === next);
  const link = /** @type {HTMLElement | null} */ (next.querySelector("a[href]") ?? next.querySelector("input"));
  link?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

function tick() {
  const row = rows().find((one) => one.classList.contains("at") || one.contains(document.activeElement));
  const box = row?.querySelector('input[type="checkbox"]');
  if (box instanceof HTMLInputElement && !box.disabled) box.click();
}

class MooringKeys extends HTMLElement {
  connectedCallback() {
    document.addEventListener("keydown", this.#pressed);
  }

  disconnectedCallback() {
    document.removeEventListener("keydown", this.#pressed);
  }

  /** @param {KeyboardEvent} event */
  #pressed = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (typesInto(event.target) || document.querySelector("dialog[open]")) return;
    if (Date.now() - afterG < AFTER_G_MS) {
      afterG = 0;
      const link = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); visit(/** @type {string} */ (link.getAttribute("href"))); }
      return;
    }
    const known = /** @type {Record<string, () => void>} */ ({
      g: () => { afterG = Date.now(); },
      j: () => move(1),
      k: () => move(-1),
      x: tick,
      "?": () => this.#help(),
    })[event.key];
    if (known) { event.preventDefault(); known(); }
  };

  #help() {
    const pages = [...document.querySelectorAll("#nav [data-key]")].map((link) => [
      `g ${link.getAttribute("data-key")}`, link.firstChild?.textContent?.trim() ?? ""]);
    const listed = [
      ["/", "Search devices, topics and pages"],
      ["j", "Next row"], ["k", "Previous row"], ["x", "Tick the row"], ["Enter", "Open the row"],
      ...pages,
      ["?", "This list"],
    ];
    const list = make("dl", { class: "keys" });
    for (const [key, what] of listed) {
      list.append(make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, what)));
    }
    const close = make("button", { type: "button", class: "plain" }, "Close");
    const dialog = /** @type {HTMLDialogElement} */ (make("dialog", { class: "keys-help", "aria-labelledby": "keys-title" },
      make("h2", { id: "keys-title" }, "Keys"), list, close));
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    this.append(dialog);
    dialog.showModal();
  }
}

customElements.define("mooring-keys", MooringKeys);
