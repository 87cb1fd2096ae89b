// <mooring-copy label="Copy"><pre>…</pre></mooring-copy>: a button that copies the text.
// navigator.clipboard is missing at a plain http:// address of a LAN, so there is a second way.

import { announce, make } from "./dom.js";

/** @param {string} text @returns {Promise<boolean>} whether it is on the clipboard */
export async function copy(text) {
  if (window.isSecureContext && navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Not allowed by the browser: the second way may be.
    }
  }
  const area = /** @type {HTMLTextAreaElement} */ (make("textarea", { class: "offscreen", "aria-hidden": "true", readonly: true }));
  const before = document.activeElement;
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (before instanceof HTMLElement) before.focus();
  return copied;
}

class MooringCopy extends HTMLElement {
  connectedCallback() {
    if (this.querySelector("button.copy")) return;
    const label = this.getAttribute("label") ?? "Copy";
    const button = make("button", { type: "button", class: "copy quiet" }, label);
    button.addEventListener("click", async () => {
      const source = this.querySelector("pre, code, input, output");
      const text = source instanceof HTMLInputElement ? source.value : source?.textContent ?? "";
      const done = await copy(text);
      if (!done && source) window.getSelection()?.selectAllChildren(source);
      button.textContent = done ? "Copied" : "Press Ctrl+C";
      announce(done ? "Copied" : "The text is selected: press Ctrl+C");
      setTimeout(() => { button.textContent = label; }, 2000);
    });
    this.append(button);
  }
}

customElements.define("mooring-copy", MooringCopy);
