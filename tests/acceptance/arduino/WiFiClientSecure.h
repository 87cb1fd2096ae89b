// TLS through the `openssl` program: it ends the connection unless the certificate leads to the
// CA that was set and names the host, as mbedTLS does on the board.
#pragma once

#include <WiFi.h>
#include <csignal>
#include <sys/wait.h>

class WiFiClientSecure : public WiFiClient {
 public:
  void setCACert(const char *pem) {
    char name[] = "/tmp/mooring-ca-XXXXXX";
    int file = mkstemp(name);
    if (file < 0 || ::write(file, pem, strlen(pem)) < 0) abort();
    close(file);
    ca_ = name;
  }
  int connect(const char *host, uint16_t port) override {
    int to[2], from[2];
    if (pipe(to) != 0 || pipe(from) != 0) return 0;
    std::string where = std::string(host) + ":" + std::to_string(port);
    child_ = fork();
    if (child_ == 0) {
      dup2(to[0], 0);
      dup2(from[1], 1);
      for (int each : {to[0], to[1], from[0], from[1]}) close(each);
      execlp("openssl", "openssl", "s_client", "-quiet", "-verify_quiet", "-verify_return_error",
             "-verify_hostname", host, "-CAfile", ca_.c_str(), "-connect", where.c_str(), nullptr);
      _exit(127);
    }
    close(to[0]);
    close(from[1]);
    out_ = to[1];
    in_ = from[0];
    return child_ > 0;
  }
  void stop() override {
    WiFiClient::stop();
    if (child_ > 0) {
      kill(child_, SIGTERM);
      waitpid(child_, nullptr, 0);
    }
    child_ = -1;
  }
  ~WiFiClientSecure() override {
    stop();
    if (!ca_.empty()) unlink(ca_.c_str());
  }

 private:
  std::string ca_;
  pid_t child_ = -1;
};
