// A board of a smart home on an ESP32: readings, status with a Last Will, heartbeat, commands and
// settings, over TLS, in the dialect `smarthome`.
//
// Libraries, from the Arduino library manager: PubSubClient 2.8, ArduinoJson 7, and Adafruit's
// DHT sensor library. Copy secrets.example.h to secrets.h and fill it in.
//
// PubSubClient sends with QoS 0: what is sent while the network is just breaking is lost. Where
// no reading may be lost, use a board that runs the Python SDK, which has a queue on disk.

#include <ArduinoJson.h>
#include <DHT.h>
#include <PubSubClient.h>
#include <WiFi.h>
#include <WiFiClientSecure.h>
#include <sys/time.h>
#include <time.h>

#include "secrets.h"

#define TOPIC(kind) "smarthome/" HOME_ID "/" DEVICE_ID "/" kind

#ifndef SAMPLE_SECONDS
#define SAMPLE_SECONDS 30
#endif
#ifndef HEARTBEAT_SECONDS
#define HEARTBEAT_SECONDS 60
#endif
#ifndef MQTT_TLS
#define MQTT_TLS 1  // 0 for a bench where the broker is on loopback
#endif

constexpr char FIRMWARE[] = "v1.0.0";
constexpr uint8_t DHT_PIN = 4;
constexpr uint8_t RELAY_PIN = 26;
constexpr uint8_t FLAME_PIN = 27;
constexpr uint8_t GAS_PIN = 34;  // on ADC1: ADC2 does not work while Wi-Fi does

constexpr uint32_t RETRY_FIRST_MS = 1000;
constexpr uint32_t RETRY_MOST_MS = 120000;
constexpr size_t BUFFER_BYTES = 1024;  // PubSubClient's 256 are too few for these messages
constexpr time_t CLOCK_IS_SET = 1700000000;

#if MQTT_TLS
WiFiClientSecure net;
#else
WiFiClient net;
#endif
PubSubClient mqtt(net);
DHT dht(DHT_PIN, DHT22);

struct Settings {
  uint32_t sampleSeconds = SAMPLE_SECONDS;
  int gasLimit = 800;
  float temperatureLimit = 35;
} settings;

bool power = false;
bool statusDue = false;   // sent from loop(): publishing in the callback overwrites its buffer
bool restartDue = false;  // after the command is acknowledged, or it would come again
char trouble[64] = "";    // the last thing that was wrong, shown in the status

// ------------------------------------------------------------------ sending

// Every message has the device's id, and the time once the clock is set. Without one the
// platform takes the time it received the message.
void head(JsonDocument &doc) {
  doc["deviceId"] = DEVICE_ID;
  timeval now;
  gettimeofday(&now, nullptr);
  if (now.tv_sec < CLOCK_IS_SET) return;
  char text[32];
  size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime(&now.tv_sec));
  snprintf(text + length, sizeof text - length, ".%03dZ", static_cast<int>(now.tv_usec / 1000));
  doc["timestamp"] = text;
}

bool publish(const char *topic, const JsonDocument &doc) {
  static char payload[BUFFER_BYTES];
  if (measureJson(doc) >= sizeof payload) {
    Serial.printf("%s: too long, not sent\n", topic);
    return false;
  }
  size_t length = serializeJson(doc, payload, sizeof payload);
  bool sent = mqtt.publish(topic, reinterpret_cast<const uint8_t *>(payload), length, false);
  Serial.printf("%s: %s\n", topic, sent ? "sent" : "not sent");
  return sent;
}

void sendTelemetry() {
  JsonDocument doc;
  head(doc);
  JsonObject sensors = doc["sensors"].to<JsonObject>();
  float temperature = dht.readTemperature();
  float humidity = dht.readHumidity();
  int gas = analogRead(GAS_PIN);
  if (!isnan(temperature)) sensors["temperature"] = temperature;
  if (!isnan(humidity)) sensors["humidity"] = humidity;
  sensors["gasPpm"] = gas;
  sensors["flame"] = digitalRead(FLAME_PIN) == LOW;
  JsonObject metadata = doc["metadata"].to<JsonObject>();
  metadata["firmwareVersion"] = FIRMWARE;
  metadata["signalStrength"] = WiFi.RSSI();
  publish(TOPIC("telemetry"), doc);

  static bool high = false;
  if (high != (gas > settings.gasLimit || temperature > settings.temperatureLimit)) {
    high = !high;
    snprintf(trouble, sizeof trouble, "%s", high ? "above a limit" : "");
    statusDue = true;
  }
}

void sendStatus() {
  JsonDocument doc;
  head(doc);
  doc["online"] = true;
  JsonObject status = doc["status"].to<JsonObject>();
  status["uptime"] = millis() / 1000;
  status["freeMemory"] = ESP.getFreeHeap();
  status["wifiSignal"] = WiFi.RSSI();
  status["firmwareVersion"] = FIRMWARE;
  status["power"] = power;
  status["sampleRate"] = settings.sampleSeconds;
  JsonArray errors = doc["errors"].to<JsonArray>();
  if (trouble[0] != '\0') errors.add(trouble);
  publish(TOPIC("status"), doc);
}

void sendHeartbeat() {
  JsonDocument doc;
  head(doc);
  doc["uptime"] = millis() / 1000;
  doc["freeMemory"] = ESP.getFreeHeap();
  doc["wifiSignal"] = WiFi.RSSI();
  publish(TOPIC("heartbeat"), doc);
}

// ------------------------------------------------------------------ hearing

// A command may come twice (QoS 1); it is carried out once.
bool isNew(const char *id) {
  static char seen[8][40];
  static size_t next = 0;
  if (id[0] == '\0') return true;
  for (auto &each : seen) {
    if (strncmp(each, id, sizeof each - 1) == 0) return false;
  }
  snprintf(seen[next], sizeof seen[next], "%s", id);
  next = (next + 1) % 8;
  return true;
}

void onCommand(const JsonDocument &doc) {
  if (!isNew(doc["commandId"] | "")) return;
  const char *type = doc["type"] | "";
  trouble[0] = '\0';
  if (strcmp(type, "SET_POWER") == 0 && doc["payload"]["power"].is<bool>()) {
    power = doc["payload"]["power"].as<bool>();
    digitalWrite(RELAY_PIN, power ? HIGH : LOW);
  } else if (strcmp(type, "RESET") == 0) {
    restartDue = true;
  } else {
    snprintf(trouble, sizeof trouble, "cannot do command '%.32s'", type);
  }
  statusDue = true;
}

void onConfig(const JsonDocument &doc) {
  trouble[0] = '\0';
  int rate = doc["config"]["sampleRate"] | static_cast<int>(settings.sampleSeconds);
  if (rate >= 1 && rate <= 3600) {
    settings.sampleSeconds = rate;
  } else {
    snprintf(trouble, sizeof trouble, "sampleRate must be 1 to 3600, not %d", rate);
  }
  settings.gasLimit = doc["config"]["alertThresholds"]["gas"] | settings.gasLimit;
  settings.temperatureLimit =
      doc["config"]["alertThresholds"]["temperature"] | settings.temperatureLimit;
  WiFi.setSleep(doc["config"]["powerSaving"] | false);
  statusDue = true;
}

void onMessage(char *topic, byte *payload, unsigned int length) {
  JsonDocument doc;
  DeserializationError error = deserializeJson(doc, payload, length);
  if (error) {
    Serial.printf("%s: not understood: %s\n", topic, error.c_str());
  } else if (strcmp(topic, TOPIC("commands")) == 0) {
    onCommand(doc);
  } else if (strcmp(topic, TOPIC("config")) == 0) {
    onConfig(doc);
  }
}

// ------------------------------------------------------------------ being there

// One try at a time, then a pause that doubles from 1 s to 2 min, with jitter: ten thousand
// boards must not come back in the same second.
void connectMqtt() {
  static uint32_t triedAt = 0;
  static uint32_t pauseMs = 0;
  static uint32_t mostMs = RETRY_FIRST_MS;
  if (WiFi.status() != WL_CONNECTED || millis() - triedAt < pauseMs) return;

  const char *gone = "{\"deviceId\":\"" DEVICE_ID "\",\"online\":false}";
  bool there = mqtt.connect(MQTT_CLIENT_ID, MQTT_USERNAME, MQTT_PASSWORD, TOPIC("status"), 1,
                            false, gone, false);  // false: commands wait while we are away
  triedAt = millis();
  if (there) {
    Serial.printf("MQTT: connected to %s\n", MQTT_HOST);
    pauseMs = 0;
    mostMs = RETRY_FIRST_MS;
    mqtt.subscribe(TOPIC("commands"), 1);
    mqtt.subscribe(TOPIC("config"), 1);
    statusDue = true;
    return;
  }
  pauseMs = random(mostMs / 2, mostMs);
  mostMs = min(mostMs * 2, RETRY_MOST_MS);
  // 5: the broker does not know this username with this password; -2: it could not be reached,
  // or its certificate was not signed by MQTT_CA.
  Serial.printf("MQTT: not connected (%d), next try in %u ms\n", mqtt.state(),
                static_cast<unsigned>(pauseMs));
}

void setup() {
  Serial.begin(115200);
  pinMode(FLAME_PIN, INPUT);
  pinMode(RELAY_PIN, OUTPUT);
  dht.begin();
  WiFi.mode(WIFI_STA);
  WiFi.setAutoReconnect(true);
  WiFi.begin(WIFI_SSID, WIFI_PASSWORD);
  configTime(0, 0, "pool.ntp.org");
#if MQTT_TLS
  net.setCACert(MQTT_CA);
#endif
  mqtt.setServer(MQTT_HOST, MQTT_PORT);
  mqtt.setBufferSize(BUFFER_BYTES);
  mqtt.setKeepAlive(60);
  mqtt.setCallback(onMessage);
}

void loop() {
  if (!mqtt.connected()) connectMqtt();
  mqtt.loop();

  if (mqtt.connected()) {
    static uint32_t telemetryAt = 0;
    static uint32_t heartbeatAt = 0;
    static bool first = true;
    if (statusDue) {
      statusDue = false;
      sendStatus();
    }
    if (first || millis() - telemetryAt >= settings.sampleSeconds * 1000) {
      telemetryAt = millis();
      sendTelemetry();
    }
    if (first || millis() - heartbeatAt >= HEARTBEAT_SECONDS * 1000) {
      heartbeatAt = millis();
      sendHeartbeat();
    }
    first = false;
  }
  if (restartDue) {
    mqtt.disconnect();
    ESP.restart();
  }
  delay(10);
}
