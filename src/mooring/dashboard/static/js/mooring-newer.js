// <mooring-newer topic="newest:audit" since="17">: offers the rows that came since. The topic's `ids`
// are compared with the largest number at the time of the page (since), or with the rows (data-id) of
// the element `list`, or of the page. Only the link changes the list.
// <mooring-newer topic="rollout:7" state="running" href="/rollouts/7">: the same where a state is not
// that of the page. href: what the link opens; without it, the page's own address.

import { live } from "./live.js";
import { announce, make } from "./dom.js";

class MooringNewer extends HTMLElement {
  /** @type {(() => void) | null} */
  #stop = null;
  #said = "";

  connectedCallback() {
    const topic = this.getAttribute("topic");
    if (topic) this.#stop = live.watch(topic, (message) => this.#look(message.values));
  }

  disconnectedCallback() {
    this.#stop?.();
    this.#stop = null;
  }

  /** @param {Record<string, any>} values */
  #look(values) {
    const state = this.getAttribute("state");
    if (state !== null) {
      if (typeof values.state === "string") this.#offer(values.state === state ? "" : "Changed: show what can be done now");
      return;
    }
    if (!Array.isArray(values.ids)) return;
    const ids = values.ids;
    const since = this.getAttribute("since");
    let count;
    if (since !== null) {
      count = ids.filter((one) => Number(one) > Number(since)).length;
    } else {
      const list = document.getElementById(this.getAttribute("list") || "page");
      const there = new Set([...list?.querySelectorAll("[data-id]") ?? []].map((one) => one.getAttribute("data-id")));
      count = ids.filter((one) => !there.has(String(one))).length;
    }
    const more = count > 0 && count === ids.length && count >= 50 ? " or more" : "";
    this.#offer(count ? `${count}${more} newer` : "");
  }

  /** @param {string} text empty: nothing */
  #offer(text) {
    if (text === this.#said) return;
    const first = this.#said === "";
    this.#said = text;
    const link = this.querySelector("a");
    if (!text) { this.replaceChildren(); return; }
    if (link) { link.textContent = text; return; } // it stays where it is, with the focus
    const made = make("a", { class: "button newer", href: this.getAttribute("href") || location.pathname + location.search }, text);
    this.replaceChildren(made);
    /** @type {any} */ (window).htmx?.process?.(made);
    if (first) announce(text);
  }
}

customElements.define("mooring-newer", MooringNewer);
