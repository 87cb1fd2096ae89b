// <mooring-age><time datetime="…">: keeps "12 s ago" true. One timer for all of them.
// data-interval="10000": older than three times that, it is grey.

import { live } from "./live.js";
import { age } from "./words.js";

/** @type {Set<MooringAge>} */
const all = new Set();
const TICK_MS = 1000;

class MooringAge extends HTMLElement {
  connectedCallback() {
    all.add(this);
    this.tick(live.now());
  }

  disconnectedCallback() { all.delete(this); }

  /** @param {number} now */
  tick(now) {
    const time = this.querySelector("time");
    const at = time ? Date.parse(time.dateTime) : Number.NaN;
    if (!time || Number.isNaN(at)) return;
    const text = age(at, now);
    if (time.textContent !== text) time.textContent = text;
    const interval = Number(this.dataset.interval ?? 0);
    if (interval > 0) {
      const old = now - at > 3 * interval;
      this.classList.toggle("old", old);
      this.closest("tr")?.classList.toggle("old", old);
    }
  }
}

customElements.define("mooring-age", MooringAge);

setInterval(() => {
  if (document.hidden) return;
  const now = live.now();
  for (const one of all) one.tick(now);
}, TICK_MS);
