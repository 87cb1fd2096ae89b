// <mooring-tail topic="messages:…"><table>…</table></mooring-tail>: new rows of a list. A list never
// moves under the pointer: rows are offered ("3 newer"), and put in when they are asked for or while
// "Follow" is on. A row is {key, href, cells: [text or {text, href, at, state}]}.

import { live } from "./live.js";
import { announce, make } from "./dom.js";
import { clean, moment, utc } from "./words.js";

const HELD = 200; // rows that wait, and rows of the table

class MooringTail extends HTMLElement {
  /** @type {any[]} */
  #waiting = [];
  /** @type {(() => void) | null} */
  #stop = null;
  #offer = make("button", { type: "button", class: "plain newer" });
  #dropped = 0;

  connectedCallback() {
    const bar = make("div", { class: "tail-bar" });
    this.#offer.hidden = true;
    this.#offer.addEventListener("click", () => this.#show());
    const box = /** @type {HTMLInputElement} */ (make("input", { type: "checkbox", name: "follow" }));
    box.checked = this.hasAttribute("follow");
    box.addEventListener("change", () => {
      this.toggleAttribute("follow", box.checked);
      if (box.checked) this.#show();
    });
    bar.append(make("label", {}, box, " Follow"), this.#offer);
    this.prepend(bar);
    const topic = this.getAttribute("topic");
    if (topic) this.#stop = live.watch(topic, (message) => this.#arrived(message));
  }

  disconnectedCallback() {
    this.#stop?.();
    this.querySelector(".tail-bar")?.remove();
  }

  /** @param {{values: Record<string, any>, whole?: boolean}} message */
  #arrived(message) {
    if (message.whole) return;
    this.#waiting.push(...(message.values.rows ?? []));
    this.#dropped += Number(message.values.dropped ?? 0);
    if (this.#waiting.length > HELD) {
      this.#dropped += this.#waiting.length - HELD;
      this.#waiting.splice(0, this.#waiting.length - HELD);
    }
    const held = this.matches(":hover") && this.querySelector("tbody:hover") !== null;
    if (this.hasAttribute("follow") && !held && !this.querySelector("tbody :focus")) this.#show();
    else this.#say();
  }

  #say() {
    const count = this.#waiting.length + this.#dropped;
    this.#offer.hidden = count === 0;
    this.#offer.textContent = `${count} newer`;
  }

  #show() {
    const body = this.querySelector("tbody");
    if (!body) return;
    const words = [...this.querySelectorAll("thead th")].map((one) => one.textContent ?? "");
    for (const row of this.#waiting) body.prepend(line(row, words));
    while (body.rows.length > HELD) body.deleteRow(-1);
    this.querySelector(".empty")?.remove();
    if (this.#dropped) announce(`${this.#dropped} messages are not shown: they came faster than a page can show.`);
    this.#waiting = [];
    this.#dropped = 0;
    this.#say();
  }
}

/** @param {any} row @param {string[]} words headings of the columns @returns {HTMLElement} */
function line(row, words) {
  return make("tr", { "data-id": String(row.key ?? ""), class: "new" }, ...row.cells.map((/** @type {any} */ cell, /** @type {number} */ at) => {
    const place = make("td", { "data-label": words[at] ?? "", ...(cell?.class ? { class: cell.class } : {}) });
    if (cell === null || typeof cell !== "object") {
      place.textContent = clean(cell ?? "");
    } else if (cell.at) {
      place.append(make("time", { datetime: new Date(cell.at).toISOString(), title: utc(cell.at) }, moment(cell.at, live.now())));
    } else if (cell.state) {
      const badge = make("span", { class: `badge ${cell.state}` }, clean(cell.text));
      place.append(badge);
    } else if (cell.href) {
      place.append(make("a", { href: cell.href }, clean(cell.text)));
    } else if (cell.code) {
      place.append(make("code", {}, clean(cell.text)));
    } else {
      place.textContent = clean(cell.text ?? "");
    }
    return place;
  }));
}

customElements.define("mooring-tail", MooringTail);
