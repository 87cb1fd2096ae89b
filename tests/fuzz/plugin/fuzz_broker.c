/* The whole plugin, driven as a broker does: logins, topics, requests, ends, in
 * any order and with any bytes. MOORING_FUZZ_ACCOUNTS names an accounts file.
 */
#include <stdlib.h>
#include <string.h>

#include <stdint.h>

struct mosquitto;
int stub_start(char *accounts);
void stub_stop(void);
const char *stub_take(int *len);
struct mosquitto *stub_client(const char *id, const char *username,
                              _Bool clean);
int stub_login(struct mosquitto *client, char *password);
int stub_gone(struct mosquitto *client);
int stub_acl(struct mosquitto *client, int access, const char *topic,
             const void *payload, int len);
long stub_tick(void);
int stub_control(struct mosquitto *client, const char *payload);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENTS = 8 };

static char *text_of(const uint8_t **data, size_t *size) {
  size_t n = *size > 0 ? **data % 64 : 0;
  if (*size > 0)
    ++*data, --*size;
  n = n < *size ? n : *size;
  char *text = malloc(n + 1);
  memcpy(text, *data, n);
  text[n] = '\0';
  *data += n;
  *size -= n;
  return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const NAMES[] = {"pump", "fan", "shut", "mooring-service"};
  static const char *const PASSWORDS[] = {"secret", "next", "service", "wrong"};
  static const int ACCESS[] = {1, 2, 4, 8};
  struct mosquitto *clients[CLIENTS] = {NULL};
  _Bool accepted[CLIENTS] = {0};
  int len;
  stub_start(getenv("MOORING_FUZZ_ACCOUNTS"));
  while (size > 1) {
    unsigned what = data[0], which = data[1] % CLIENTS;
    data += 2, size -= 2;
    char *text = text_of(&data, &size);
    switch (what % 8) {
    case 0: /* a login by a known name */
    case 1:
      if (accepted[which])
        stub_gone(clients[which]);
      clients[which] = stub_client(text, NAMES[what / 8 % 4], what & 128);
      accepted[which] =
          stub_login(clients[which], (char *)PASSWORDS[what / 32 % 4]) == 0;
      break;
    case 2: /* by any */
      if (accepted[which])
        stub_gone(clients[which]);
      clients[which] = stub_client("id", text, 1);
      accepted[which] = stub_login(clients[which], text) == 0;
      break;
    case 3:
      if (accepted[which])
        stub_gone(clients[which]);
      accepted[which] = 0;
      break;
    case 4:
      stub_control(clients[which], text);
      break;
    case 5:
      stub_tick();
      break;
    default:
      if (clients[which] != NULL)
        stub_acl(clients[which], ACCESS[what / 8 % 4], text, text,
                 (int)strlen(text));
    }
    free(text);
    while (stub_take(&len) != NULL)
      ;
  }
  stub_stop();
  return 0;
}
