// What the ESP32's core does with a sketch: setup() once, then loop() for ever.
#include <Arduino.h>

#include <csignal>

static volatile std::sig_atomic_t stopping = 0;

int main() {
  std::signal(SIGTERM, [](int) { stopping = 1; });
  std::signal(SIGPIPE, SIG_IGN);
  srand(time(nullptr));
  setup();
  while (!stopping) loop();
}
