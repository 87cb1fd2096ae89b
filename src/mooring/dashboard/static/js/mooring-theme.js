// Light, dark or the system's choice: changed without a reload. The server keeps it in a cookie, so
// the next page has it from the start.

import { announce } from "./dom.js";

const THEMES = ["light", "dark", "system"];

/** @param {string} theme */
function apply(theme) {
  const root = document.documentElement;
  for (const one of THEMES) root.classList.toggle(`theme-${one}`, one === theme);
  document.querySelector('meta[name="color-scheme"]')
    ?.setAttribute("content", theme === "system" ? "light dark" : theme);
  for (const button of document.querySelectorAll('form.themes button[name="theme"]')) {
    button.setAttribute("aria-pressed", String(button.getAttribute("value") === theme));
  }
  document.dispatchEvent(new CustomEvent("mooring:theme"));
  announce(theme === "system" ? "The system's look" : `${theme} look`);
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  const button = /** @type {SubmitEvent} */ (event).submitter;
  if (!(form instanceof HTMLFormElement) || !form.matches("form.themes") || !button) return;
  const theme = button.getAttribute("value") ?? "";
  if (!THEMES.includes(theme)) return;
  event.preventDefault();
  const body = new URLSearchParams(/** @type {any} */ (new FormData(form)));
  body.set("theme", theme);
  apply(theme);
  fetch(form.action, { method: "POST", body, redirect: "manual" }).catch(() => {
    announce("The choice could not be stored; it holds for this page.");
  });
});

window.matchMedia("(prefers-color-scheme: dark)")
  .addEventListener("change", () => document.dispatchEvent(new CustomEvent("mooring:theme")));
