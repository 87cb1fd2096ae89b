// Elements without markup in texts.

/**
 * @param {string} name
 * @param {Record<string, string | boolean | null>} [attributes] `true`: without a value
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** @param {string} text says it to screen readers */
export function announce(text) {
  const place = document.getElementById("announce");
  if (place) place.textContent = text;
}

const NO_TEXT = ["checkbox", "radio", "button", "submit", "reset", "file"];

/** @param {EventTarget | null} target @returns {boolean} whether letters are typed into it */
export function typesInto(target) {
  if (target instanceof HTMLInputElement) return !NO_TEXT.includes(target.type);
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("textarea, select"));
}

/** @type {HTMLElement | null} */
let visiting = null;

/** @param {string} href goes to a page of ours as a link would */
export function visit(href) {
  // htmx needs the link until it has put the page in: the address is pushed after that.
  visiting?.remove();
  visiting = make("a", { href, hidden: true });
  const place = document.getElementById("page") ?? document.body;
  place.append(visiting);
  /** @type {any} */ (window).htmx?.process?.(visiting);
  visiting.click();
}
