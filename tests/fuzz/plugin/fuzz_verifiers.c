/* Base64 and verifiers: never read or write outside, and what is read is
 * written the same again. */
#include <stdlib.h>
#include <string.h>

#include "passwords.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_base64(const char *text, size_t n) {
  size_t most = n / 4 * 3;
  uint8_t *raw = malloc(most + 1);
  int len = base64_decode(text, n, raw, most);
  if (len >= 0) {
    size_t room = n + 8;
    char *again = malloc(room);
    struct text out;
    text_start(&out, again, room);
    text_base64(&out, raw, (size_t)len, (size_t)len);
    if (out.full || out.used != n + 2)
      abort();
    uint8_t *second = malloc(most + 1);
    if (base64_decode(again + 1, n, second, most) != len ||
        memcmp(raw, second, (size_t)len) != 0)
      abort();
    free(second);
    free(again);
  }
  free(raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  memcpy(text, data, size);
  text[size] = '\0';
  check_base64(text, size);
  struct verifier verifier;
  if (verifier_parse(text, &verifier) &&
      (verifier.rounds < 1 || verifier.rounds > VERIFIER_ROUNDS_MOST ||
       verifier.salt_len < 1 || verifier.salt_len > VERIFIER_SALT_MOST))
    abort();
  free(text);
  return 0;
}
