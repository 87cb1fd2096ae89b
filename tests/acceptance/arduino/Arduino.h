// The part of the ESP32's Arduino core that the example needs, on the host.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <thread>

using byte = uint8_t;
using std::isnan;
using std::min;

constexpr int LOW = 0, HIGH = 1, INPUT = 0, OUTPUT = 1;

inline uint32_t millis() {
  static const auto started = std::chrono::steady_clock::now();
  auto passed = std::chrono::steady_clock::now() - started;
  return std::chrono::duration_cast<std::chrono::milliseconds>(passed).count();
}
inline void delay(uint32_t ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

inline long random(long from, long below) { return from >= below ? from : from + rand() % (below - from); }
inline void pinMode(uint8_t, int) {}
inline int digitalRead(uint8_t) { return HIGH; }
inline void digitalWrite(uint8_t pin, int level) { printf("pin %d is %s\n", pin, level ? "HIGH" : "LOW"); }
inline int analogRead(uint8_t) { return 120; }
inline void configTime(long, int, const char *) {}  // the host's clock is set

struct HardwareSerial {
  void begin(unsigned long) { setvbuf(stdout, nullptr, _IOLBF, 0); }
  void printf(const char *format, ...) __attribute__((format(printf, 2, 3))) {
    va_list words;
    va_start(words, format);
    vprintf(format, words);
    va_end(words);
  }
  void println(const char *text) { puts(text); }
};
inline HardwareSerial Serial;

struct EspClass {
  uint32_t getFreeHeap() const { return 240000; }
  [[noreturn]] void restart() {
    fflush(stdout);
    exit(42);
  }
};
inline EspClass ESP;

void setup();
void loop();
