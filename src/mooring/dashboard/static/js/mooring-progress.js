// <mooring-progress topic="job:7" total="100">: how far a job is, as a bar and in words.

import { live } from "./live.js";
import { make } from "./dom.js";
import { number } from "./words.js";

class MooringProgress extends HTMLElement {
  /** @type {(() => void) | null} */
  #stop = null;

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
    const known = Object.assign(this.values, values);
    const total = Number(known.total ?? this.getAttribute("total") ?? 0);
    const done = Number(known.done ?? 0), failed = Number(known.failed ?? 0);
    let bar = this.querySelector("progress");
    let said = this.querySelector("output");
    if (!bar || !said) {
      bar = /** @type {HTMLProgressElement} */ (make("progress", { "aria-label": "Progress" }));
      said = /** @type {HTMLOutputElement} */ (make("output"));
      this.replaceChildren(bar, said);
    }
    bar.max = Math.max(1, total);
    bar.value = done + failed;
    const words = [`${number(done)} of ${number(total)} done`];
    if (failed) words.push(`${number(failed)} failed`);
    if (known.state && known.state !== "running") words.push(String(known.state));
    said.textContent = words.join(", ");
    if (total && done + failed >= total) this.dispatchEvent(new CustomEvent("finished", { bubbles: true }));
  }

  /** @type {Record<string, unknown>} */
  values = {};
}

customElements.define("mooring-progress", MooringProgress);
