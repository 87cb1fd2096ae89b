// The search field of the top line: devices by name, label, MAC, username and address, topics and
// pages, while one types. Without scripts the form opens the page /search.

import { make, typesInto, visit } from "./dom.js";
import { clean } from "./words.js";

const WAIT_MS = 120;

/** @typedef {{kind: string, word: string, about: string, href: string}} Found */

class MooringPalette extends HTMLElement {
  /** @type {HTMLInputElement | null} */
  #field = null;
  #list = make("ul", { id: "palette-list", role: "listbox", "aria-label": "Found" });
  #said = make("p", { class: "palette-said", role: "status" });
  #timer = 0;
  #at = -1;
  /** @type {AbortController | null} */
  #asking = null;

  connectedCallback() {
    this.#field = document.querySelector("form.search input[type=search]");
    const field = this.#field;
    if (!field) return;
    this.append(this.#list, this.#said);
    this.hidden = true;
    for (const [key, value] of Object.entries({
      role: "combobox", "aria-expanded": "false", "aria-controls": "palette-list", "aria-autocomplete": "list",
    })) field.setAttribute(key, value);
    field.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#search(), WAIT_MS);
    });
    field.addEventListener("keydown", (event) => this.#pressed(event));
    field.addEventListener("focus", () => { if (field.value.trim()) this.#search(); });
    document.addEventListener("keydown", this.#slash);
    document.addEventListener("click", this.#elsewhere);
  }

  disconnectedCallback() {
    document.removeEventListener("keydown", this.#slash);
    document.removeEventListener("click", this.#elsewhere);
  }

  /** @param {KeyboardEvent} event */
  #slash = (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (typesInto(event.target) || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    this.#field?.focus();
    this.#field?.select();
  };

  /** @param {MouseEvent} event */
  #elsewhere = (event) => {
    if (event.target instanceof Node && !this.contains(event.target) && event.target !== this.#field) this.#close();
  };

  async #search() {
    const text = this.#field?.value.trim() ?? "";
    this.#asking?.abort();
    if (!text) { this.#close(); return; }
    const asking = this.#asking = new AbortController();
    try {
      const response = await fetch(`/search.json?q=${encodeURIComponent(text)}`, { signal: asking.signal });
      if (!response.ok) throw new Error(String(response.status));
      this.#show(await response.json(), text);
    } catch (error) {
      if (/** @type {Error} */ (error).name === "AbortError") return;
      this.#show([], text, "The search does not answer now. Try again in a few seconds.");
    }
  }

  /** @param {Found[]} found @param {string} text @param {string} [problem] */
  #show(found, text, problem = "") {
    this.#at = -1;
    this.#list.replaceChildren(...found.map((one, at) => {
      const item = make("li", { role: "option", id: `palette-${at}`, "aria-selected": "false", "data-href": one.href },
        make("span", { class: "palette-kind" }, one.kind),
        make("strong", {}, clean(one.word)),
        make("span", { class: "palette-about" }, clean(one.about)));
      item.addEventListener("click", () => this.#open(one.href));
      return item;
    }));
    this.#said.textContent = problem || (found.length ? `${found.length} found` : `Nothing is called “${clean(text).slice(0, 60)}”.`);
    this.hidden = false;
    this.#field?.setAttribute("aria-expanded", "true");
    this.#mark();
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    const items = [...this.#list.children];
    if (event.key === "Escape") {
      if (this.hidden) this.#field?.blur();
      this.#close();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && !this.hidden && items.length) {
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.#at = (this.#at + step + items.length + (this.#at < 0 && step < 0 ? 1 : 0)) % items.length;
      this.#mark();
    } else if (event.key === "Enter" && this.#at >= 0 && !this.hidden) {
      this.#open(items[this.#at].getAttribute("data-href") ?? "/");
    } else {
      return;
    }
    event.preventDefault();
  }

  #mark() {
    const items = [...this.#list.children];
    items.forEach((item, at) => item.setAttribute("aria-selected", String(at === this.#at)));
    const at = items[this.#at];
    if (at) {
      this.#field?.setAttribute("aria-activedescendant", at.id);
      at.scrollIntoView({ block: "nearest" });
    } else {
      this.#field?.removeAttribute("aria-activedescendant");
    }
  }

  /** @param {string} href */
  #open(href) {
    this.#close();
    if (this.#field) { this.#field.value = ""; this.#field.blur(); }
    visit(href);
  }

  #close() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.hidden = true;
    this.#field?.setAttribute("aria-expanded", "false");
    this.#field?.removeAttribute("aria-activedescendant");
  }
}

customElements.define("mooring-palette", MooringPalette);
