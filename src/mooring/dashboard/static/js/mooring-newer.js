// <mooring-newer topic="alerts">: offers a reload when the topic's `ids` has some the page lacks.

import { live } from "./live.js";
import { make } from "./dom.js";

class MooringNewer extends HTMLElement {
  /** @type {(() => void) | null} */
  #stop = null;

  connectedCallback() {
    const topic = this.getAttribute("topic");
    if (topic) this.#stop = live.watch(topic, (message) => this.#look(message.values));
  }

  disconnectedCallback() { this.#stop?.(); }

  /** @param {Record<string, any>} values */
  #look(values) {
    if (!Array.isArray(values.ids)) return;
    const there = new Set([...document.querySelectorAll("#page [data-id]")].map((one) => one.getAttribute("data-id")));
    const count = values.ids.filter((one) => !there.has(String(one))).length;
    if (!count) { this.replaceChildren(); return; }
    const link = make("a", { class: "button newer", href: location.pathname + location.search }, `${count} newer`);
    this.replaceChildren(link);
    /** @type {any} */ (window).htmx?.process?.(link);
  }
}

customElements.define("mooring-newer", MooringNewer);
