// What a chart is made of, without the page: columns, axes, colours, words.

import { clean, clock, duration, number } from "./words.js";

/**
 * @typedef {{metric: string, ts: number[], min: (number | null)[], mean: (number | null)[],
 *   max: (number | null)[], count?: (number | null)[], unit?: string}} Curve
 * @typedef {{at: number, kind: string, text: string}} Mark
 */

/**
 * Columns for uPlot: seconds, maximum, minimum, mean; `null` is a gap. With `other`, its mean is the
 * fifth column, at its own times moved by `shift`.
 * @param {Curve} curve @param {Curve | undefined} [other] @param {number} [shift] ms
 * @returns {(number | null)[][]}
 */
export function columns(curve, other, shift = 0) {
  if (!other) return [curve.ts.map((ms) => ms / 1000), curve.max, curve.min, curve.mean];
  const times = [...new Set([...curve.ts, ...other.ts.map((ms) => ms + shift)])].sort((a, b) => a - b);
  const place = new Map(times.map((ms, at) => [ms, at]));
  /** @param {number[]} ts @param {(number | null)[]} values @param {number} by */
  const spread = (ts, values, by) => {
    // What the curve says nothing about is not a gap of it.
    const found = /** @type {any[]} */ (new Array(times.length).fill(undefined));
    ts.forEach((ms, at) => { found[/** @type {number} */ (place.get(ms + by))] = values[at]; });
    return found;
  };
  return [
    times.map((ms) => ms / 1000),
    spread(curve.ts, curve.max, 0), spread(curve.ts, curve.min, 0), spread(curve.ts, curve.mean, 0),
    spread(other.ts, other.mean, shift),
  ];
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** @param {number[]} splits seconds @param {number} step seconds @returns {string[]} */
export function axisWords(splits, step) {
  let day = "";
  return splits.map((seconds) => {
    const at = new Date(seconds * 1000);
    const date = `${at.getDate()} ${MONTHS[at.getMonth()]}`;
    if (step >= 28 * 86400) return `${MONTHS[at.getMonth()]} ${at.getFullYear()}`;
    if (step >= 86400) return date;
    const time = step < 60 ? `${clock(seconds * 1000)}:${String(at.getSeconds()).padStart(2, "0")}` : clock(seconds * 1000);
    if (date === day) return time;
    const first = day === "";
    day = date;
    return first && time !== "00:00" ? time : date;
  });
}

/** @param {(number | null | undefined)[]} values @returns {number[]} */
const known = (values) => /** @type {number[]} */ (values.filter((one) => typeof one === "number"));

/** @param {Curve} curve @returns {string} what the curve shows, for those who do not see it */
export function summary(curve) {
  const low = known(curve.min), high = known(curve.max), mean = known(curve.mean);
  if (!mean.length) return `${clean(curve.metric)}: no values in this span.`;
  const least = low.reduce((a, b) => Math.min(a, b)), most = high.reduce((a, b) => Math.max(a, b));
  const gaps = curve.mean.filter((one) => one === null).length;
  const gap = gaps ? ` ${gaps} ${gaps === 1 ? "gap" : "gaps"}.` : "";
  return `${clean(curve.metric)}: from ${number(least)} to ${number(most)}, last ${number(mean[mean.length - 1])}.${gap}`;
}

/** @param {number | null | undefined} step seconds @returns {string} */
export function stepWords(step) {
  return step ? `minimum, mean and maximum of each ${duration(step * 1000)}` : "each message";
}

/**
 * A colour of the look, as canvas understands it: `light-dark()` is resolved by the browser.
 * @param {Element} where @param {string} name of a custom property
 * @returns {string}
 */
export function colour(where, name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  where.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** @param {string} rgb `rgb(1, 2, 3)` @param {number} alpha @returns {string} */
export function faded(rgb, alpha) {
  return rgb.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
}
