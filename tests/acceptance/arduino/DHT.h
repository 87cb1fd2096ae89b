// A DHT22 in a pleasant room.
#pragma once

#include <Arduino.h>

constexpr uint8_t DHT22 = 22;

struct DHT {
  DHT(uint8_t, uint8_t) {}
  void begin() {}
  float readTemperature() { return 21.5f; }
  float readHumidity() { return 48.0f; }
};
