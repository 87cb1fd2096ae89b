// Wi-Fi that is always there, and a TCP client on the host's sockets.
#pragma once

#include <Arduino.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

enum wl_status_t { WL_CONNECTED = 3, WL_DISCONNECTED = 6 };
enum wifi_mode_t { WIFI_STA = 1 };

struct WiFiClass {
  void mode(wifi_mode_t) {}
  void begin(const char *, const char *) {}
  void setAutoReconnect(bool) {}
  void setSleep(bool) {}
  wl_status_t status() { return WL_CONNECTED; }
  int RSSI() { return -58; }
};
inline WiFiClass WiFi;

class Client {
 public:
  virtual ~Client() = default;
  virtual int connect(const char *host, uint16_t port) = 0;

  size_t write(const uint8_t *data, size_t length) {
    size_t done = 0;
    while (done < length) {
      ssize_t step = ::write(out_, data + done, length - done);
      if (step <= 0) {
        stop();
        break;
      }
      done += step;
    }
    return done;
  }
  // One byte within the time, or -1: nothing came, or the other side has ended.
  int read(int wait_ms) {
    pollfd waiting{in_, POLLIN, 0};
    if (in_ < 0 || poll(&waiting, 1, wait_ms) <= 0) return -1;
    uint8_t one;
    if (::read(in_, &one, 1) == 1) return one;
    stop();
    return -1;
  }
  bool available() {
    pollfd waiting{in_, POLLIN, 0};
    return in_ >= 0 && poll(&waiting, 1, 0) > 0;
  }
  bool connected() { return in_ >= 0; }
  virtual void stop() {
    if (in_ >= 0) close(in_);
    if (out_ >= 0 && out_ != in_) close(out_);
    in_ = out_ = -1;
  }

 protected:
  int in_ = -1, out_ = -1;
};

class WiFiClient : public Client {
 public:
  int connect(const char *host, uint16_t port) override {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host, std::to_string(port).c_str(), &hints, &found) != 0) return 0;
    for (addrinfo *each = found; each != nullptr && in_ < 0; each = each->ai_next) {
      int made = socket(each->ai_family, each->ai_socktype, each->ai_protocol);
      if (made >= 0 && ::connect(made, each->ai_addr, each->ai_addrlen) == 0) {
        in_ = out_ = made;
      } else if (made >= 0) {
        close(made);
      }
    }
    freeaddrinfo(found);
    return in_ >= 0;
  }
};
