// <mooring-signs topic="signs:DEVICE">: what the platform has seen, in sentences, as it happens.
// Until something was seen, what is inside the element stays.

import { live } from "./live.js";
import { announce, make } from "./dom.js";
import { age, clean, utc } from "./words.js";

/** @typedef {{at: number, state: string, word: string, text: string}} Sign */

class MooringSigns extends HTMLElement {
  /** @type {(() => void) | null} */
  #stop = null;
  #newest = 0;

  connectedCallback() {
    const topic = this.getAttribute("topic");
    if (topic) this.#stop = live.watch(topic, (message) => this.#show(message.values));
  }

  disconnectedCallback() {
    this.#stop?.();
    this.#stop = null;
  }

  /** @param {Record<string, unknown>} values */
  #show(values) {
    const signs = /** @type {Sign[]} */ (Array.isArray(values.signs) ? values.signs : []);
    if (!signs.length) return;
    this.replaceChildren(make("ul", { class: "attention" }, ...signs.map(line)));
    const [first] = signs;
    if (first.at > this.#newest && this.#newest) announce(`${clean(first.word)}: ${clean(first.text)}`);
    this.#newest = first.at;
  }
}

/** @param {Sign} sign @returns {HTMLElement} */
function line(sign) {
  const time = make("time", { datetime: new Date(sign.at).toISOString(), title: utc(sign.at) }, age(sign.at, live.now()));
  return make("li", {},
    make("span", { class: `badge ${clean(sign.state)}` }, clean(sign.word)),
    make("p", {}, clean(sign.text)),
    make("mooring-age", {}, time));
}

customElements.define("mooring-signs", MooringSigns);
