// <mooring-chart src="…json" live="device:17">: one chart for each curve, and one cursor over all.
//
// src answers {start, end, step_seconds, curves: [{metric, ts, min, mean, max}], marks: [{at, kind,
// text}]}; compare-src answers the same for what it is compared with. A span is chosen by dragging;
// it goes into the address as from and to, so Back and a link restore it. By keyboard: arrows (Page Up
// and Down, Home, End) move the cursor, with Shift they select, Enter zooms. What is inside the element
// (a link to the table or CSV) is shown where there are no scripts, or no answer.

import { live } from "./live.js";
import { announce, make, visit } from "./dom.js";
import { axisWords, colour, columns, faded, stepWords, summary } from "./chart-parts.js";
import { uplot } from "./uplot.js";
import { clean, moment, number } from "./words.js";

const HEIGHT = 184, SERIES = 6, TABLE_ROWS = 500, LIVE_POINTS = 5000;
const LEAST_SPAN_MS = 1000;
const JUMP = 10; // points, with Page Up and Page Down

/** The chart that has zoomed by keyboard gets the focus again. */
let zoomed = "";
const COLUMNS = ["Time", "Minimum", "Mean", "Maximum"];

class MooringChart extends HTMLElement {
  static observedAttributes = ["src", "compare-src"];
  /** @type {any[]} */
  #plots = [];
  /** @type {any} */
  #data = null;
  /** @type {any} */
  #other = null;
  /** @type {(() => void) | null} */
  #stop = null;
  /** @type {ResizeObserver | null} */
  #sizes = null;
  #place = make("div", { class: "chart-place" });
  /** @type {AbortController | null} */
  #asking = null;

  connectedCallback() {
    if (!this.contains(this.#place)) this.append(this.#place);
    this.#load();
    document.addEventListener("mooring:theme", this.#again);
    this.#sizes = new ResizeObserver(() => this.#fit());
    this.#sizes.observe(this);
    const topic = this.getAttribute("live");
    if (topic) this.#stop = live.watch(topic, (message) => this.#arrived(message));
  }

  disconnectedCallback() {
    document.removeEventListener("mooring:theme", this.#again);
    this.#asking?.abort();
    this.#sizes?.disconnect();
    this.#stop?.();
    this.#clear();
  }

  attributeChangedCallback() { if (this.isConnected && this.#sizes) this.#load(); }

  #again = () => { if (this.#data) this.#draw(); };

  #clear() {
    for (const plot of this.#plots) plot.destroy();
    this.#plots = [];
    this.#place.replaceChildren();
  }

  async #load() {
    const src = this.getAttribute("src");
    if (!src) return;
    this.#asking?.abort();
    const { signal } = this.#asking = new AbortController();
    this.setAttribute("aria-busy", "true");
    if (!this.#data) this.#place.replaceChildren(make("p", { class: "chart-said" }, "Loading values …"));
    /** @param {string} from */
    const fetched = async (from) => {
      const response = await fetch(from, { headers: { Accept: "application/json" }, signal });
      if (!response.ok) throw new Error(`answer ${response.status}`);
      return response.json();
    };
    try {
      const other = this.getAttribute("compare-src");
      const [data, compared] = await Promise.all([fetched(src), other ? fetched(other) : null, uplot()]);
      this.#data = data;
      this.#other = compared;
      this.classList.add("drawn");
      this.#draw();
    } catch (error) {
      if (/** @type {Error} */ (error).name === "AbortError") return;
      this.#clear();
      this.#data = null;
      const retry = make("button", { type: "button", class: "plain" }, "Try again");
      retry.addEventListener("click", () => this.#load());
      this.#place.replaceChildren(make("p", { class: "chart-said", role: "alert" },
        "The values could not be loaded. ", retry));
    } finally {
      this.removeAttribute("aria-busy");
    }
  }

  async #draw() {
    const Plot = await uplot();
    if (!this.isConnected) return;
    this.#clear();
    const { curves, marks = [] } = this.#data;
    if (!curves.some((/** @type {any} */ one) => one.ts.length)) {
      this.#place.replaceChildren(make("p", { class: "chart-said" },
        "No values in this span. They appear here when the device sends numbers."));
      return;
    }
    const sync = Plot.sync(this.getAttribute("sync") ?? "page");
    curves.forEach((/** @type {any} */ curve, /** @type {number} */ at) => {
      const figure = make("figure", { class: "chart", tabindex: "0", role: "group", "aria-label": summary(curve) });
      const value = make("output", { class: "chart-value", "aria-live": "off" });
      const body = make("div", { class: "chart-body", "aria-hidden": "true" });
      figure.append(make("figcaption", {},
        make("strong", { class: `series series-${(at % SERIES) + 1}` }, clean(curve.metric)),
        make("span", { class: "chart-step" }, stepWords(this.#data.step_seconds)), value), body,
      this.#table(curve));
      this.#place.append(figure);
      const other = this.#other?.curves.find((/** @type {any} */ one) => one.metric === curve.metric);
      this.#plots.push(this.#plot(Plot, sync, curve, other, marks, at, body, value, figure));
    });
    if (marks.length) this.#place.append(this.#listed(marks));
    const at = curves.findIndex((/** @type {any} */ one) => one.metric === zoomed);
    if (at >= 0) /** @type {HTMLElement | null} */ (this.#place.querySelectorAll("figure")[at])?.focus({ preventScroll: true });
    zoomed = "";
  }

  /** @param {any} Plot @param {any} sync @param {any} curve @param {any} other @param {any[]} marks
   *  @param {number} at @param {HTMLElement} body @param {HTMLElement} value @param {HTMLElement} figure */
  #plot(Plot, sync, curve, other, marks, at, body, value, figure) {
    const line = colour(this, `--series-${(at % SERIES) + 1}`);
    const ink = colour(this, "--ink-2"), grid = colour(this, "--line"), off = colour(this, "--ink-3");
    const states = { alert: colour(this, "--bad"), firmware: colour(this, "--accent") };
    const start = Date.parse(this.#data.start), end = Date.parse(this.#data.end);
    const shift = this.#other ? start - Date.parse(this.#other.start) : 0;
    const axis = { stroke: ink, font: "12px system-ui, sans-serif", grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 } };
    const edge = { stroke: faded(line, 0.65), width: 1, points: { show: false } };
    const series = [{}, { ...edge }, { ...edge }, { stroke: line, width: 1.5 }];
    if (other) series.push(/** @type {any} */ ({ stroke: off, width: 1.5, dash: [5, 4] }));
    const options = {
      width: Math.max(200, body.clientWidth), height: HEIGHT,
      legend: { show: false },
      scales: { x: { time: true, range: () => [start / 1000, Math.max(start + 1, this.#end(end)) / 1000] } },
      series,
      bands: [{ series: [1, 2], fill: faded(line, 0.18) }],
      axes: [
        { ...axis, size: 28, values: (/** @type {any} */ _u, /** @type {number[]} */ splits, /** @type {any} */ _a, /** @type {any} */ _s, /** @type {number} */ step) => axisWords(splits, step) },
        { ...axis, size: 56, values: (/** @type {any} */ _u, /** @type {number[]} */ splits) => splits.map((one) => number(one, 4)) },
      ],
      cursor: { sync: { key: sync.key, setSeries: false }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
      hooks: {
        draw: [(/** @type {any} */ plot) => this.#marks(plot, marks, states)],
        setCursor: [(/** @type {any} */ plot) => this.#says(plot, value, curve.unit ?? "")],
        setSelect: [(/** @type {any} */ plot) => this.#chosen(plot)],
      },
    };
    const plot = new Plot(options, columns(curve, other, shift), body);
    figure.addEventListener("keydown", (event) => {
      if (event.target === figure) this.#pressed(event, plot, value, curve.metric);
    });
    return plot;
  }

  /** @param {number} end ms @returns {number} a live chart goes to now */
  #end(end) { return this.hasAttribute("live") ? Math.max(end, live.now()) : end; }

  /** @param {any} plot @param {any[]} marks @param {Record<string, string>} colours */
  #marks(plot, marks, colours) {
    const { ctx, bbox } = plot;
    ctx.save();
    for (const mark of marks) {
      const x = Math.round(plot.valToPos(mark.at / 1000, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.strokeStyle = ctx.fillStyle = colours[mark.kind] ?? colours.firmware;
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash(mark.kind === "alert" ? [] : [4, 4]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const size = 4 * devicePixelRatio;
      ctx.beginPath();
      if (mark.kind === "alert") ctx.rect(x - size, bbox.top, 2 * size, 2 * size);
      else { ctx.moveTo(x, bbox.top + 2 * size); ctx.lineTo(x - size, bbox.top); ctx.lineTo(x + size, bbox.top); }
      ctx.fill();
    }
    ctx.restore();
  }

  /** @param {any[]} marks */
  #listed(marks) {
    const list = make("ul", { class: "chart-marks" });
    for (const mark of marks.slice(0, 50)) {
      const word = mark.kind === "alert" ? "■ Alert" : "▼ Firmware";
      list.append(make("li", {}, `${word} ${moment(mark.at, live.now())}: ${clean(mark.text)}`));
    }
    return list;
  }

  /** @param {any} plot @param {HTMLElement} place @param {string} unit */
  #says(plot, place, unit) {
    const at = plot.cursor.idx;
    const [times, high, low, mean] = plot.data;
    if (at === null || at === undefined || times[at] === undefined) { place.textContent = ""; return; }
    const when = moment(times[at] * 1000, live.now());
    if (mean[at] === null || mean[at] === undefined) { place.textContent = `${when}  no value`; return; }
    const span = low[at] === high[at] ? "" : `  (${number(low[at])} to ${number(high[at])})`;
    place.textContent = `${when}  ${number(mean[at])}${unit ? ` ${clean(unit)}` : ""}${span}`;
  }

  /** @param {any} plot */
  #chosen(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    const from = Math.round(plot.posToVal(left, "x") * 1000), to = Math.round(plot.posToVal(left + width, "x") * 1000);
    this.#unselect(plot);
    this.#zoom(from, to);
  }

  /** @param {any} plot */
  #unselect(plot) {
    plot.anchor = null;
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  }

  /** @param {number} from ms @param {number} to */
  #zoom(from, to) {
    if (to - from < LEAST_SPAN_MS) return;
    const address = new URL(location.href);
    for (const name of ["span", "cursor"]) address.searchParams.delete(name);
    address.searchParams.set("from", new Date(from).toISOString());
    address.searchParams.set("to", new Date(to).toISOString());
    visit(address.pathname + address.search);
  }

  /** @param {KeyboardEvent} event @param {any} plot @param {HTMLElement} value @param {string} metric */
  #pressed(event, plot, value, metric) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const times = plot.data[0];
    if (!times.length) return;
    const now = plot.at ?? null;
    if (plot.anchor !== null && plot.anchor !== undefined) {
      if (event.key === "Escape") { event.preventDefault(); this.#unselect(plot); return; }
      if (event.key === "Enter" && now !== null && now !== plot.anchor) {
        event.preventDefault();
        const [from, to] = [times[plot.anchor], times[now]].sort((a, b) => a - b);
        this.#unselect(plot);
        zoomed = metric;
        this.#zoom(Math.round(from * 1000), Math.round(to * 1000));
        return;
      }
    }
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -JUMP, PageDown: JUMP, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const at = Math.min(times.length - 1, Math.max(0, (now ?? (step > 0 ? -1 : times.length)) + step));
    if (event.shiftKey) this.#select(plot, now ?? at, at);
    else if (plot.anchor !== null && plot.anchor !== undefined) this.#unselect(plot);
    plot.at = at;
    plot.setCursor({ left: plot.valToPos(times[at], "x"), top: 0 }, true, true);
    announce(event.shiftKey ? `Selected to ${value.textContent ?? ""}. Enter zooms.` : value.textContent ?? "");
  }

  /** @param {any} plot @param {number} from where the selection begins, if it does now @param {number} to */
  #select(plot, from, to) {
    plot.anchor ??= from;
    const [left, right] = [plot.anchor, to].map((at) => plot.valToPos(plot.data[0][at], "x")).sort((a, b) => a - b);
    plot.setSelect({ left, width: right - left, top: 0, height: plot.bbox.height / devicePixelRatio }, false);
  }

  /** @param {any} curve @returns {HTMLElement} the values as a table, made when it is opened */
  #table(curve) {
    const details = make("details", { class: "chart-table" }, make("summary", {}, "Table"));
    details.addEventListener("toggle", () => {
      if (details.querySelector("table")) return;
      const body = make("tbody");
      const first = Math.max(0, curve.ts.length - TABLE_ROWS);
      for (let at = curve.ts.length - 1; at >= first; at -= 1) {
        const gap = curve.mean[at] === null;
        body.append(make("tr", {}, make("td", {}, moment(curve.ts[at], live.now())),
          ...(gap ? [make("td", { colspan: "3" }, "no values")]
            : [curve.min, curve.mean, curve.max].map((one, n) => make("td", { class: "right", "data-label": COLUMNS[n + 1] }, number(one[at]))))));
      }
      const head = make("tr", {}, ...COLUMNS.map((word, n) =>
        make("th", { scope: "col", class: n ? "right" : "" }, word)));
      const cut = first ? `The last ${number(TABLE_ROWS)} of ${number(curve.ts.length)} rows; the CSV file has all of them.` : "";
      details.append(make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Values of ${clean(curve.metric)}` },
        make("table", {}, make("thead", {}, head), body)), ...(cut ? [make("p", { class: "hint" }, cut)] : []));
    });
    return details;
  }

  #fit() {
    for (const plot of this.#plots) {
      const width = Math.max(200, plot.root.parentElement?.clientWidth ?? 0);
      if (width !== plot.width) plot.setSize({ width, height: HEIGHT });
    }
  }

  /** @param {{values: Record<string, unknown>, whole?: boolean}} message */
  #arrived(message) {
    if (!this.#data || message.whole) return;
    this.#data.curves.forEach((/** @type {any} */ curve, /** @type {number} */ at) => {
      const value = message.values[`${curve.metric}.value`], when = message.values[`${curve.metric}.at`];
      if (typeof value !== "number" || typeof when !== "number") return;
      if (curve.ts.length && when <= curve.ts[curve.ts.length - 1]) return;
      curve.ts.push(when);
      for (const column of [curve.min, curve.mean, curve.max]) column.push(value);
      if (curve.ts.length > LIVE_POINTS) for (const column of [curve.ts, curve.min, curve.mean, curve.max]) column.shift();
      if (!this.#other) this.#plots[at]?.setData(columns(curve));
    });
  }
}

customElements.define("mooring-chart", MooringChart);
