// PubSubClient 2.8 as far as the example uses it: MQTT 3.1.1 over a Client, one buffer for both
// directions, publishing with QoS 0, hearing QoS 0 and 1.
#pragma once

#include <WiFi.h>

#include <functional>
#include <string>
#include <vector>

constexpr int MQTT_CONNECTION_TIMEOUT = -4, MQTT_CONNECTION_LOST = -3, MQTT_CONNECT_FAILED = -2,
              MQTT_DISCONNECTED = -1, MQTT_CONNECTED = 0;

class PubSubClient {
 public:
  using Callback = std::function<void(char *, uint8_t *, unsigned int)>;

  explicit PubSubClient(Client &client) : client_(client) {}

  PubSubClient &setServer(const char *host, uint16_t port) {
    host_ = host;
    port_ = port;
    return *this;
  }
  PubSubClient &setCallback(Callback callback) {
    callback_ = callback;
    return *this;
  }
  PubSubClient &setKeepAlive(uint16_t seconds) {
    keep_alive_ = seconds;
    return *this;
  }
  bool setBufferSize(uint16_t size) {
    buffer_.resize(size);
    return true;
  }

  bool connect(const char *id, const char *user, const char *password) {
    return connect(id, user, password, nullptr, 0, false, nullptr, true);
  }
  bool connect(const char *id, const char *user, const char *password, const char *will_topic,
               uint8_t will_qos, bool will_retain, const char *will_message, bool clean) {
    if (!client_.connect(host_.c_str(), port_)) return failed(MQTT_CONNECT_FAILED);
    // [MQTT-3.1.2]: name and level of the protocol, flags, keep alive; then the payload in order
    int will = will_topic == nullptr ? 0 : (will_retain << 5) | (will_qos << 3) | 0x04;
    std::string body = text("MQTT") + '\x04' + static_cast<char>(0xC0 | will | (clean << 1));
    body += number(keep_alive_) + text(id);
    if (will) body += text(will_topic) + text(will_message);
    body += text(user) + text(password);
    if (!write(0x10, body)) return failed(MQTT_CONNECT_FAILED);
    uint8_t kind;
    size_t length;
    if (!read(kind, length, 15000)) return failed(MQTT_CONNECTION_TIMEOUT);
    if (kind != 0x20 || length != 2) return failed(MQTT_CONNECT_FAILED);
    if (buffer_[1] != 0) return failed(buffer_[1]);  // [MQTT-3.2.2-4]: 1 to 5
    state_ = MQTT_CONNECTED;
    heard_at_ = sent_at_ = millis();
    return true;
  }
  bool connected() {
    if (state_ == MQTT_CONNECTED && !client_.connected()) state_ = MQTT_CONNECTION_LOST;
    return state_ == MQTT_CONNECTED;
  }
  int state() const { return state_; }
  void disconnect() {
    write(0xE0, "");
    failed(MQTT_DISCONNECTED);
  }

  bool publish(const char *topic, const uint8_t *payload, unsigned int length, bool retained) {
    if (!connected() || buffer_.size() < 5 + 2 + strlen(topic) + length) return false;
    std::string body = text(topic);
    body.append(reinterpret_cast<const char *>(payload), length);
    std::copy(body.begin(), body.end(), buffer_.begin());  // what was heard is overwritten
    return write(0x30 | retained, body);
  }
  bool publish(const char *topic, const char *payload, bool retained = false) {
    return publish(topic, reinterpret_cast<const uint8_t *>(payload), strlen(payload), retained);
  }
  bool subscribe(const char *topic, uint8_t qos = 0) {
    if (!connected() || qos > 1) return false;
    return write(0x82, number(next_id()) + text(topic) + static_cast<char>(qos));  // [MQTT-3.8.1-1]
  }

  bool loop() {
    if (!connected()) return false;
    uint32_t now = millis(), most = keep_alive_ * 1000u;
    if (now - heard_at_ > most + most / 2) return failed(MQTT_CONNECTION_TIMEOUT);
    if (now - sent_at_ > most / 2) write(0xC0, "");  // PINGREQ
    while (connected() && client_.available()) {
      uint8_t kind;
      size_t length;
      if (!read(kind, length, 5000)) return failed(MQTT_CONNECTION_LOST);
      heard_at_ = millis();
      if ((kind & 0xF0) == 0x30 && length != 0) heard(kind, length);
    }
    return connected();
  }

 private:
  static std::string number(uint16_t value) {
    return {static_cast<char>(value >> 8), static_cast<char>(value & 0xFF)};
  }
  static std::string text(const std::string &value) { return number(value.size()) + value; }
  uint16_t next_id() { return ++id_ ? id_ : ++id_; }  // [MQTT-2.3.1-1]: never 0

  bool failed(int state) {
    client_.stop();
    state_ = state;
    return false;
  }
  bool write(uint8_t kind, const std::string &body) {
    std::string packet(1, kind);
    size_t rest = body.size();
    do {  // [MQTT-2.2.3]: seven bits a byte, the highest says that more follow
      packet += static_cast<char>((rest & 0x7F) | (rest > 0x7F ? 0x80 : 0));
      rest >>= 7;
    } while (rest > 0);
    packet += body;
    sent_at_ = millis();
    auto *bytes = reinterpret_cast<const uint8_t *>(packet.data());
    return client_.write(bytes, packet.size()) == packet.size();
  }
  // A packet that does not fit into the buffer is read and dropped, and has length 0.
  bool read(uint8_t &kind, size_t &length, int wait_ms) {
    int first = client_.read(wait_ms), next = 0, shift = 0;
    if (first < 0) return false;
    length = 0;
    do {
      if ((next = client_.read(wait_ms)) < 0) return false;
      length |= static_cast<size_t>(next & 0x7F) << shift;
      shift += 7;
    } while (next & 0x80);
    bool fits = length <= buffer_.size();
    for (size_t at = 0; at < length; ++at) {
      if ((next = client_.read(wait_ms)) < 0) return false;
      if (fits) buffer_[at] = next;
    }
    if (!fits) length = 0;
    kind = first;
    return true;
  }
  void heard(uint8_t kind, size_t length) {
    size_t name = buffer_[0] << 8 | buffer_[1], at = 2 + name;
    std::string id;
    if ((kind & 0x06) != 0) {
      id.assign(buffer_.begin() + at, buffer_.begin() + at + 2);
      at += 2;
    }
    memmove(buffer_.data(), buffer_.data() + 2, name);  // room for the zero at its end
    buffer_[name] = 0;
    if (callback_) callback_(reinterpret_cast<char *>(buffer_.data()), buffer_.data() + at, length - at);
    if (!id.empty()) write(0x40, id);  // PUBACK [MQTT-4.3.2-2]
  }

  Client &client_;
  Callback callback_;
  std::string host_;
  uint16_t port_ = 0, keep_alive_ = 15, id_ = 0;
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(256);
  int state_ = MQTT_DISCONNECTED;
  uint32_t heard_at_ = 0, sent_at_ = 0;
};
