// Numbers, ages, times and states as people read them: the same rules as dashboard/words.py.
// Both are held to tests/data/dashboard/words.json.

const SECOND = 1000, MINUTE = 60_000, HOUR = 3_600_000, DAY = 86_400_000;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** @param {number} value @param {number} digits @returns {string} with thousands separated */
function fixed(value, digits) {
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: true,
  });
}

/**
 * As Python's `%g`.
 * @param {number} value @param {number} digits @returns {string}
 */
function general(value, digits) {
  if (value === 0) return "0";
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  const exponent = Number(power);
  const trimmed = (/** @type {string} */ text) =>
    text.includes(".") ? text.replace(/\.?0+$/, "") : text;
  if (exponent < -4 || exponent >= digits) {
    const size = String(Math.abs(exponent)).padStart(2, "0");
    return `${trimmed(mantissa)}e${exponent < 0 ? "-" : "+"}${size}`;
  }
  return trimmed(value.toFixed(digits - 1 - exponent));
}

/** @param {number | boolean | null | undefined} value @returns {string} `10412` → `10,412` */
export function number(value, digits = 6) {
  if (value === null || value === undefined) return "-";
  if (typeof value === "boolean") return value ? "on" : "off";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return fixed(value, 0);
  if (!Number.isFinite(value)) return "not a number";
  return Math.abs(value) >= 1000 ? fixed(value, 1) : general(value, digits);
}

/** @param {number} ms @returns {string} `90000` → `1 min`: one unit, rounded down */
export function duration(ms) {
  const left = Math.max(0, ms);
  if (left < 10) return `${left.toFixed(1)} ms`;
  if (left < SECOND) return `${left.toFixed(0)} ms`;
  for (const [size, word] of /** @type {const} */ ([[DAY, "d"], [HOUR, "h"], [MINUTE, "min"]])) {
    if (left >= size) return `${fixed(Math.floor(left / size), 0)} ${word}`;
  }
  return `${Math.floor(left / SECOND)} s`;
}

/** @param {number | null} ms @param {number} now @returns {string} `12 s ago`; `never` */
export function age(ms, now) {
  if (ms === null) return "never";
  if (ms > now + SECOND) return `in ${duration(ms - now)}`;
  return now - ms < SECOND ? "now" : `${duration(now - ms)} ago`;
}

/** @param {number} perSecond @returns {string} `214.3` → `214/s`; `0.05` → `3/min` */
export function rate(perSecond) {
  if (perSecond >= 10 || perSecond === 0) return `${fixed(Math.round(perSecond), 0)}/s`;
  if (perSecond >= 1) return `${perSecond.toFixed(1)}/s`;
  for (const [seconds, word] of /** @type {const} */ ([[60, "min"], [3600, "h"]])) {
    if (perSecond * seconds >= 1) return `${general(perSecond * seconds, 3)}/${word}`;
  }
  return `${general(perSecond * 86_400, 3)}/d`;
}

/** @param {number} value @returns {string} `1500` → `1.5 kB` */
export function bytes(value) {
  for (const [size, word] of /** @type {const} */ ([[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]])) {
    if (value >= size) return `${general(value / size, 3)} ${word}`;
  }
  return `${Math.trunc(value)} B`;
}

/** @param {number} value @returns {string} */
const two = (value) => String(value).padStart(2, "0");

/** @param {number | null} ms @param {number} now @returns {string} `14:02:11` of today */
export function moment(ms, now) {
  if (ms === null) return "never";
  const at = new Date(ms), today = new Date(now);
  if (Number.isNaN(at.getTime())) return "not a time";
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
  if (at.toDateString() === today.toDateString()) return `${clock}:${two(at.getSeconds())}`;
  const day = `${at.getDate()} ${MONTHS[at.getMonth()]}`;
  return at.getFullYear() === today.getFullYear() ? `${day} ${clock}` : `${day} ${at.getFullYear()}`;
}

/** @param {number | null} ms @returns {string} `2026-11-27 09:14:00 UTC` */
export function utc(ms) {
  if (ms === null) return "";
  const at = new Date(ms);
  return Number.isNaN(at.getTime()) ? `${ms} ms` : `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** @param {number} ms @returns {string} `14:02`, for sentences */
export function clock(ms) {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}`;
}

const HIDDEN = /[\p{Cf}\p{Cc}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

/** @param {unknown} text @returns {string} hidden and reordering characters by their number */
export function clean(text) {
  return String(text).replace(HIDDEN, (letter) => {
    if (letter === "\n" || letter === "\t") return letter;
    const code = /** @type {number} */ (letter.codePointAt(0));
    return `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
  });
}

/** @param {unknown} value @returns {string} a value of a metric */
export function shown(value) {
  return typeof value === "number" || typeof value === "boolean" || value === null
    ? number(value) : clean(value);
}

/** State of a job or rollout → its class and word. */
export const JOB_STATES = Object.freeze({
  preparing: ["off", "Preparing"],
  running: ["ok", "Running"],
  paused: ["warn", "Paused"],
  stopped: ["bad", "Stopped"],
  cancelling: ["warn", "Cancelling"],
  expiring: ["warn", "Expiring"],
  done: ["ok", "Done"],
  cancelled: ["off", "Cancelled"],
  expired: ["bad", "Expired"],
  not_approved: ["warn", "Not approved"],
});

/** State → its class and word: `●` ok, `○` off, `◆` warn, `■` bad (the shapes are in the CSS). */
export const STATES = Object.freeze({
  online: ["ok", "Connected"],
  offline: ["off", "Not connected"],
  never_seen: ["off", "Never seen"],
  silent: ["warn", "Silent"],
  flapping: ["warn", "Flapping"],
  updating: ["warn", "Updating"],
  disabled: ["off", "Disabled"],
  rejected: ["bad", "Rejected"],
  unknown: ["off", "Unknown"],
});
