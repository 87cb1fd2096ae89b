// A device of a smart home in Node.js: readings, status with a Last Will, commands and settings,
// over TLS, in the dialect `smarthome`.
//
//     npm ci
//     (umask 077; mooring device add plug-7 --dialect smarthome --tenant home-1 --json > plug-7.json)
//     node device.js plug-7.json
//
// INTERVAL sets the seconds between two readings, 5 by default. On another machine than the
// platform's, MQTT_BROKER names the platform.

import { readFileSync } from "node:fs";
import mqtt from "mqtt";

const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 120_000;
const COMMANDS_REMEMBERED = 100;

const [file] = process.argv.slice(2);
if (file === undefined) {
  console.error("Say which device: node device.js CREDENTIALS.json");
  process.exit(2);
}
// What `mooring device add --json` printed: the login, the topics by kind, and where the broker is.
const { device, username, password, client_id: clientId, topics, broker } = JSON.parse(
  readFileSync(file, "utf8"),
);

const host = process.env.MQTT_BROKER ?? broker.host;
const started = Date.now();
let interval = Number(process.env.INTERVAL ?? 5);
let power = false;
let trouble = [];
let timer;

const client = mqtt.connect(`mqtts://${host}:${broker.tls_port}`, {
  clientId,
  username,
  password,
  ca: broker.ca_pem ?? undefined, // without one: the CAs that every system trusts
  keepalive: 60,
  clean: false, // the broker keeps commands for us while we are away
  reconnectPeriod: RETRY_FIRST_MS,
  reconnectOnConnackError: true, // a refused login may be a password that is just being changed
  will: { topic: topics.status, payload: JSON.stringify(status(false)), qos: 1 },
});

function status(online) {
  const told = { deviceId: device, online, errors: trouble };
  // A Last Will is written long before it is sent, so it says no time.
  if (online) {
    told.timestamp = new Date().toISOString();
    told.status = { uptime: Math.round((Date.now() - started) / 1000), power, interval };
  }
  return told;
}

function publish(topic, message) {
  // Without a connection the library would queue in memory without end. Where no reading may be
  // lost, use the Python SDK, which has a bounded queue on disk.
  if (!client.connected) {
    console.log("not sent, no connection");
    return;
  }
  client.publish(topic, JSON.stringify(message), { qos: 1 }, (error) => {
    console.log(error ? `not sent: ${error.message}` : `acknowledged by the broker: ${topic}`);
  });
}

function measure() {
  publish(topics.telemetry, {
    timestamp: new Date().toISOString(),
    deviceId: device,
    sensors: {
      temperature: Number((21 + Math.random()).toFixed(2)),
      humidity: Number((50 + 5 * Math.random()).toFixed(1)),
      powerW: power ? 38.2 : 0,
    },
    metadata: { firmwareVersion: "v1.0.0" },
  });
}

function every(seconds) {
  interval = seconds;
  clearInterval(timer);
  timer = setInterval(measure, seconds * 1000);
}

// A command may come twice (QoS 1); it is carried out once.
const done = new Set();

function onCommand({ commandId, type, payload }) {
  if (commandId !== undefined) {
    if (done.has(commandId)) return;
    done.add(commandId);
    if (done.size > COMMANDS_REMEMBERED) done.delete(done.values().next().value);
  }
  trouble = [];
  if (type === "SET_POWER" && typeof payload?.power === "boolean") {
    power = payload.power;
  } else {
    trouble = [`cannot do command '${type}'`];
  }
}

function onConfig({ config }) {
  trouble = [];
  const rate = config?.sampleRate ?? interval;
  if (Number.isFinite(rate) && rate >= 1 && rate <= 3600) {
    every(rate);
  } else {
    trouble = [`sampleRate must be 1 to 3600, not ${rate}`];
  }
}

client.on("connect", () => {
  console.log(`connected to ${host}:${broker.tls_port} as ${username}`);
  client.options.reconnectPeriod = RETRY_FIRST_MS;
  client.subscribe([topics.command, topics.config], { qos: 1 }, (error) => {
    if (error) console.error(`not subscribed: ${error.message}`);
  });
  publish(topics.status, status(true));
  measure();
  every(interval);
});

client.on("message", (topic, message) => {
  console.log(`${topic}: ${message}`);
  let body;
  try {
    body = JSON.parse(message);
  } catch (error) {
    console.error(`not JSON: ${error.message}`);
    return;
  }
  if (topic === topics.command) onCommand(body ?? {});
  if (topic === topics.config) onConfig(body ?? {});
  publish(topics.status, status(true));
});

client.on("reconnect", () => {
  // Twice as long each time, with jitter: a fleet must not come back in the same second.
  const longest = Math.min(client.options.reconnectPeriod * 2, RETRY_MOST_MS);
  client.options.reconnectPeriod = longest * (0.5 + Math.random() / 2);
});

client.on("error", (error) => console.error(`error: ${error.message}`));
client.on("close", () => clearInterval(timer));

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    clearInterval(timer);
    // Said ourselves: the broker sends no Last Will after an orderly end.
    if (client.connected) client.publish(topics.status, JSON.stringify(status(false)), { qos: 1 });
    client.end(false, {}, () => process.exit(0));
    setTimeout(() => process.exit(0), 2000).unref();
  });
}
