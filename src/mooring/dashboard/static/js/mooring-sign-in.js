// <mooring-sign-in name="ada">: signs in again over the page, which stays as it is. What could not be
// done without a session, a form or a page, is done then.

import { live } from "./live.js";
import { announce, make } from "./dom.js";

const OWN = ["/sign-in", "/sign-out", "/theme"]; // forms that need no session

class MooringSignIn extends HTMLElement {
  /** @type {(() => void) | null} */
  #then = null;
  /** @type {HTMLDialogElement | null} */
  #dialog = null;

  connectedCallback() {
    document.addEventListener("htmx:before:response", this.#answered);
    document.addEventListener("submit", this.#sent, true);
    document.addEventListener("click", this.#clicked);
  }

  disconnectedCallback() {
    document.removeEventListener("htmx:before:response", this.#answered);
    document.removeEventListener("submit", this.#sent, true);
    document.removeEventListener("click", this.#clicked);
  }

  /** @param {Event} event an answer that htmx has got: not shown where it asks to sign in */
  #answered = (event) => {
    const { ctx } = /** @type {CustomEvent} */ (event).detail;
    const raw = /** @type {Response} */ (ctx.response.raw);
    const asked = raw.redirected && new URL(raw.url).pathname === "/sign-in";
    if (!asked && !raw.headers.has("Mooring-Sign-In")) return;
    event.preventDefault();
    const { sourceElement: from, request } = ctx;
    this.#ask(() => {
      if (from instanceof HTMLFormElement) from.requestSubmit(from.contains(request.submitter) ? request.submitter : null);
      else if (from instanceof HTMLElement && from.isConnected) from.click();
      else location.reload();
    });
  };

  /** @param {SubmitEvent} event a form, sent when the page knows already that the session is over */
  #sent = (event) => {
    const form = event.target;
    if (live.state !== "over" || !(form instanceof HTMLFormElement) || this.contains(form)) return;
    // Not form.action: a control may be called that.
    const to = new URL(form.getAttribute("action") ?? "", location.href).pathname;
    if (form.getAttribute("method") !== "post" || OWN.includes(to)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const { submitter } = event;
    this.#ask(() => form.requestSubmit(submitter));
  };

  /** @param {MouseEvent} event */
  #clicked = (event) => {
    if (!(event.target instanceof Element) || !event.target.closest("a.sign-in-again")) return;
    event.preventDefault();
    this.#ask(null);
  };

  /** @param {(() => void) | null} then what waits for a session */
  #ask(then) {
    this.#then = then ?? this.#then;
    if (this.#dialog) return;
    const name = this.#field("name", "Name", "username", "text");
    const password = this.#field("password", "Password", "current-password", "password");
    const input = /** @type {HTMLInputElement} */ (name.querySelector("input"));
    input.value = this.getAttribute("name") ?? "";
    const wrong = make("p", { role: "alert" });
    const close = make("button", { type: "button", class: "plain" }, "Not now");
    const form = /** @type {HTMLFormElement} */ (make("form", { method: "post", action: "/sign-in" },
      make("h2", { id: "again-title" }, "Sign in again"),
      make("p", {}, `Your session has ended. This page stays as it is${then ? ", and what you sent is sent again" : ""}.`),
      wrong, name, password,
      make("div", { class: "acts" }, make("button", { class: "first" }, "Sign in"), close),
      make("p", { class: "hint" }, make("a", { href: "/sign-in", target: "_blank" }, "Sign in in another way, in a new tab"))));
    const dialog = /** @type {HTMLDialogElement} */ (make("dialog", { class: "over", "aria-labelledby": "again-title" }, form));
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => { dialog.remove(); this.#dialog = null; this.#then = null; });
    form.addEventListener("submit", (event) => { event.preventDefault(); this.#send(form, wrong); });
    this.#dialog = dialog;
    this.append(dialog);
    dialog.showModal();
    /** @type {HTMLElement} */ (password.querySelector("input")).focus();
  }

  /** @param {string} name @param {string} label @param {string} fills @param {string} type */
  #field(name, label, fills, type) {
    const id = `again-${name}`;
    return make("div", { class: "field" }, make("label", { for: id }, label),
      make("input", { id, name, type, autocomplete: fills, required: true, maxlength: "1024", autocapitalize: "none", spellcheck: "false" }));
  }

  /** @param {HTMLFormElement} form @param {HTMLElement} wrong */
  async #send(form, wrong) {
    const given = new FormData(form);
    const body = new URLSearchParams(/** @type {any} */ (given));
    try {
      const answer = await fetch("/sign-in", { method: "POST", body, redirect: "manual" });
      if (answer.type !== "opaqueredirect") {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        wrong.textContent = page.querySelector(".notice.bad, .failure p")?.textContent?.trim() ?? "The login was rejected.";
        form.querySelector("#again-password")?.select();
        return;
      }
    } catch {
      wrong.textContent = "The server does not answer. Try again in a few seconds.";
      return;
    }
    const then = this.#then;
    this.#then = null;
    this.#dialog?.close();
    if (given.get("name") !== this.getAttribute("name")) { location.reload(); return; }
    live.signedIn();
    announce("Signed in again.");
    then?.();
  }
}

customElements.define("mooring-sign-in", MooringSignIn);
