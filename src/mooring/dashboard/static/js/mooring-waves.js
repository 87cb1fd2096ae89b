// <mooring-waves topic="rollout:7">: keeps a drawing of waves as far as they are. Bars keep their
// places and widths; only how far they are filled changes.

import { live } from "./live.js";
import { number } from "./words.js";

class MooringWaves extends HTMLElement {
  /** @type {(() => void) | null} */
  #stop = null;
  /** @type {Record<string, any>} */
  #known = {};

  connectedCallback() {
    const topic = this.getAttribute("topic");
    if (topic) this.#stop = live.watch(topic, (message) => this.#show(message.values));
  }

  disconnectedCallback() {
    this.#stop?.();
    this.#stop = null;
  }

  /** @param {Record<string, any>} values */
  #show(values) {
    const known = Object.assign(this.#known, values);
    this.querySelectorAll("g.wave").forEach((group, at) => {
      const name = `w${at + 1}`, size = Number(known[`${name}.size`] ?? 0);
      if (!(`${name}.size` in known)) return;
      const done = Number(known[`${name}.done`] ?? 0), failed = Number(known[`${name}.failed`] ?? 0);
      group.classList.toggle("wave-current", !known.over && known.wave === at + 1);
      const rest = group.querySelector(".wave-rest"), filled = group.querySelector(".wave-done");
      const lost = group.querySelector(".wave-failed"), title = group.querySelector("title");
      if (!rest || !filled || !lost) return;
      const x = Number(rest.getAttribute("x")), wide = Number(rest.getAttribute("width"));
      const share = size > 0 ? wide / size : 0;
      const first = Math.min(wide, done * share), second = Math.min(wide - first, failed * share);
      filled.setAttribute("width", String(first));
      lost.setAttribute("x", String(x + first));
      lost.setAttribute("width", String(second));
      if (title) title.textContent = `Wave ${at + 1}: ${number(done)} of ${number(size)} done, ${number(failed)} failed`;
    });
  }
}

customElements.define("mooring-waves", MooringWaves);
