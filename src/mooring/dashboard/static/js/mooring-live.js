// <mooring-live topics="overview device:17">: what this page watches.
//
// Cells say data-live="TOPIC KEY" and, in data-as, how their value is written: text (default),
// number, rate, bytes, age, time, state, job (a job's state), flag (shown while the value is true).

import { live } from "./live.js";
import { make } from "./dom.js";
import * as words from "./words.js";

/**
 * Writes a value into a cell. The cell stays where it is.
 * @param {Element} cell @param {unknown} value
 */
export function write(cell, value) {
  const how = cell.getAttribute("data-as") ?? (cell.localName === "time" ? "age" : "text");
  if (how === "state") { writeState(cell, String(value), words.STATES); return; }
  if (how === "job") { writeState(cell, String(value), words.JOB_STATES); return; }
  if (how === "flag") { cell.toggleAttribute("hidden", !value); return; }
  if (how === "age" || how === "time") { writeTime(cell, value === null ? null : Number(value), how); return; }
  const as = /** @type {Record<string, (v: any) => string>} */ ({
    number: words.number, rate: words.rate, bytes: words.bytes, duration: words.duration,
  })[how];
  const text = as ? as(value) : words.shown(value);
  if (cell.textContent !== text) cell.textContent = text;
}

/** @param {Element} cell @param {string} state @param {Record<string, string[]>} known */
function writeState(cell, state, known) {
  const [look, word] = known[state] ?? ["off", words.clean(state)];
  for (const one of ["ok", "off", "warn", "bad"]) cell.classList.toggle(one, one === look);
  if (cell.textContent !== word) cell.textContent = word;
}

/** @param {Element} cell @param {number | null} ms @param {string} how */
function writeTime(cell, ms, how) {
  if (ms === null) { cell.textContent = "never"; return; }
  const now = live.now();
  const text = how === "age" ? words.age(ms, now) : words.moment(ms, now);
  if (cell.localName === "time") {
    cell.setAttribute("datetime", new Date(ms).toISOString());
    cell.setAttribute("title", words.utc(ms));
    cell.textContent = text;
    return;
  }
  cell.classList.remove("never");
  const time = make("time", { datetime: new Date(ms).toISOString(), title: words.utc(ms), "data-as": how }, text);
  cell.replaceChildren(how === "age" ? make("mooring-age", {}, time) : time);
}

/** @param {string} topic @param {Record<string, unknown>} values */
function spread(topic, values) {
  for (const [key, value] of Object.entries(values)) {
    const wanted = `${topic} ${key}`;
    for (const cell of document.querySelectorAll(`[data-live="${CSS.escape(wanted)}"]`)) write(cell, value);
  }
}

class MooringLive extends HTMLElement {
  static observedAttributes = ["topics"];
  /** @type {(() => void)[]} */
  #stops = [];

  connectedCallback() { this.#watch(); }

  disconnectedCallback() { this.#stop(); }

  attributeChangedCallback() { if (this.isConnected) this.#watch(); }

  #watch() {
    this.#stop();
    const topics = (this.getAttribute("topics") ?? "").split(/\s+/).filter(Boolean);
    this.#stops = topics.map((topic) => live.watch(topic, (message) => {
      spread(topic, message.values);
      document.dispatchEvent(new CustomEvent("mooring:live", { detail: message }));
    }));
  }

  #stop() {
    for (const stop of this.#stops) stop();
    this.#stops = [];
  }
}

customElements.define("mooring-live", MooringLive);

const WHAT = /** @type {Record<string, string>} */ ({
  database: "The database", broker: "The broker", ingest: "Ingest",
});

/** Says in the top line whether values are live; greys them while they are not. */
function state() {
  const place = document.getElementById("connection");
  const trouble = live.state === "live" ? live.trouble : null;
  const stale = trouble !== null || (live.state !== "live" && live.state !== "wait");
  document.documentElement.classList.toggle("stale", stale);
  if (!place) return;
  const said = trouble ? `${WHAT[trouble.what] ?? trouble.what} has not answered since ${words.clock(trouble.since)}` : {
    wait: "", live: "Live",
    lost: `Not connected since ${words.clock(live.since)}`,
    full: "Not live: too many tabs are open",
    over: `Signed out since ${words.clock(live.since)}`,
  }[live.state] ?? "";
  place.className = `connection ${trouble ? "bad" : { live: "ok", wait: "" }[live.state] ?? "bad"}`.trim();
  if (live.state === "over") {
    const link = make("a", { class: "sign-in-again", href: `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}` }, "Sign in again");
    place.replaceChildren(`${said}. `, link);
  } else if (place.textContent !== said) {
    place.textContent = said;
  }
}

live.addEventListener("state", state);
state();
