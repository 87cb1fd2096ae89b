// uPlot, loaded with the first chart of a tab.

/** @type {Promise<any> | null} */
let loading = null;

/** @returns {Promise<any>} the class uPlot; rejected where it cannot be loaded */
export function uplot() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("../vendor/uplot/uPlot.iife.min.js", import.meta.url).href;
    script.addEventListener("load", () => resolve(/** @type {any} */ (window).uPlot));
    script.addEventListener("error", () => {
      loading = null;
      reject(new Error("uPlot could not be loaded"));
    });
    document.head.append(script);
  });
  return loading;
}
