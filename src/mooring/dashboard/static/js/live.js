// One WebSocket for the tab. Elements say what they watch; it says whether it is connected.
//
// The server sends something at least every two seconds, so a connection that is half open, or a
// laptop that slept, is noticed. A hidden tab has no connection.

/** @typedef {{topic: string, values: Record<string, unknown>, whole?: boolean}} Message */
/** @typedef {(message: Message) => void} Listener */

const QUIET_MS = 4000; // without a message: the connection is lost
const OPEN_MS = 3000; // for a connection to open, before another one is tried
const RETRY_MS = [250, 500, 1000];
const LOOK_MS = 250;
const SESSION_OVER = 4401, FULL = 4429;

class Live extends EventTarget {
  /** @type {Map<string, Set<Listener>>} */
  #topics = new Map();
  /** @type {Map<string, Record<string, unknown>>} */
  #known = new Map();
  /** @type {WebSocket | null} */
  #socket = null;
  #heardAt = Date.now();
  #triedAt = 0;
  #attempts = 0;
  #asked = "";
  #retry = 0;
  #look = 0;

  /** "wait", "live", "lost", "over" (no session) or "full" */
  state = "wait";
  /** Since when it is not connected, epoch milliseconds. */
  since = Date.now();
  /** What does not answer although we are connected: "database" or "broker", and since when. */
  trouble = /** @type {{what: string, since: number} | null} */ (null);
  /** The server's clock minus ours, milliseconds. */
  ahead = 0;

  constructor() {
    super();
    document.addEventListener("visibilitychange", () => this.#visible());
    window.addEventListener("focus", () => { if (this.state === "over") this.signedIn(); });
    window.addEventListener("online", () => this.#again());
    window.addEventListener("pagehide", () => this.#drop());
    window.addEventListener("pageshow", (event) => { if (event.persisted) this.#visible(); });
  }

  /** The server's time, epoch milliseconds. */
  now() { return Date.now() + this.ahead; }

  /** Somebody may have signed in again, here or in another tab. */
  signedIn() {
    if (this.state !== "over") return;
    this.state = "lost";
    this.#attempts = 0;
    this.#again();
  }

  /**
   * @param {string} topic @param {Listener} listener
   * @returns {() => void} stops
   */
  watch(topic, listener) {
    const listeners = this.#topics.get(topic) ?? new Set();
    this.#topics.set(topic, listeners);
    listeners.add(listener);
    const known = this.#known.get(topic);
    if (known) listener({ topic, values: known, whole: true });
    queueMicrotask(() => this.#ask());
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#topics.get(topic) === listeners) {
        this.#topics.delete(topic);
        this.#known.delete(topic);
        queueMicrotask(() => this.#ask());
      }
    };
  }

  #ask() {
    if (document.hidden) return;
    if (this.#topics.size === 0 && this.#socket === null) return;
    if (this.#socket === null) { this.#connect(); return; }
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    const asked = JSON.stringify({ watch: [...this.#topics.keys()].sort() });
    if (asked !== this.#asked) {
      this.#asked = asked;
      this.#socket.send(asked);
    }
  }

  #connect() {
    clearTimeout(this.#retry);
    if (this.#socket !== null || this.state === "over") return;
    const address = new URL("/live", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    this.#socket = socket;
    this.#asked = "";
    this.#triedAt = Date.now();
    let quiet = OPEN_MS;
    socket.addEventListener("open", () => { this.#triedAt = Date.now(); quiet = QUIET_MS; this.#ask(); });
    socket.addEventListener("message", (event) => {
      if (this.#socket === socket) this.#heard(JSON.parse(event.data));
    });
    socket.addEventListener("close", (event) => {
      if (this.#socket === socket) this.#lost(event.code);
    });
    clearInterval(this.#look);
    this.#look = setInterval(() => {
      if (Date.now() - Math.max(this.#heardAt, this.#triedAt) > quiet && this.#socket !== null) this.#lost(0);
    }, LOOK_MS);
  }

  /** @param {any} message */
  #heard(message) {
    this.#heardAt = Date.now();
    if (typeof message.now === "number") this.ahead = message.now - Date.now();
    if (this.state !== "live") {
      this.#attempts = 0;
      this.#turn("live");
    }
    const trouble = message.trouble ?? null;
    if (trouble?.what !== this.trouble?.what) {
      this.trouble = trouble;
      this.dispatchEvent(new Event("state"));
    }
    if (message.error) this.dispatchEvent(new CustomEvent("fault", { detail: message.error }));
    if (typeof message.topic !== "string") return;
    const known = message.whole ? {} : this.#known.get(message.topic) ?? {};
    for (const [name, value] of Object.entries(message.values)) {
      // What is gone is not kept: a device may send other metrics with each message.
      if (value === null) delete known[name];
      else known[name] = value;
    }
    this.#known.set(message.topic, known);
    for (const listener of this.#topics.get(message.topic) ?? []) listener(message);
  }

  /** @param {number} code */
  #lost(code) {
    const socket = this.#socket;
    this.#socket = null;
    clearInterval(this.#look);
    socket?.close();
    if (code === SESSION_OVER) { this.#turn("over"); return; }
    this.#turn(code === FULL ? "full" : "lost");
    if (document.hidden) return;
    const wait = code === FULL ? 5000 : RETRY_MS[Math.min(this.#attempts, RETRY_MS.length - 1)];
    this.#attempts += 1;
    // Not all tabs at the same time after a restart.
    this.#retry = setTimeout(() => this.#connect(), wait * (0.75 + Math.random() / 2));
  }

  #again() {
    if (this.#socket === null && this.#topics.size && !document.hidden) this.#connect();
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#retry);
    clearInterval(this.#look);
    socket?.close();
  }

  #visible() {
    if (document.hidden) { this.#drop(); return; }
    if (this.state === "live") this.#turn("wait");
    this.#again();
  }

  /** @param {string} state */
  #turn(state) {
    if (state === this.state) return;
    if (this.state === "live" || (this.state === "wait" && state !== "live")) this.since = this.#heardAt;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}

/** Of this tab. */
export const live = new Live();
