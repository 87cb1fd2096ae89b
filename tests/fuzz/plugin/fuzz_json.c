/* Any bytes become a JSON string that stays inside its limits. */
#include <stdlib.h>
#include <string.h>

#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2)
    return 0;
  size_t most = data[0] * 4u, room = 1 + data[1] * 16u;
  char *bytes = malloc(size), *buffer = malloc(room);
  memcpy(bytes, data + 2, size - 2);
  struct text out;
  text_start(&out, buffer, room);
  text_string(&out, bytes, size - 2, most);
  if (out.used >= room || buffer[out.used] != '\0' ||
      strlen(buffer) != out.used)
    abort();
  if (!out.full) {
    if (out.used < 2 || buffer[0] != '"' || buffer[out.used - 1] != '"')
      abort();
    for (size_t i = 1, n; i + 1 < out.used; i += n) {
      n = text_utf8(buffer + i, out.used - i);
      if (n == 0 || (uint8_t)buffer[i] < 0x20 || buffer[i] == '"')
        abort();
      if (buffer[i] == '\\')
        n = buffer[i + 1] == 'u' ? 6 : 2;
    }
    if (!out.cut && size - 2 > most)
      abort();
  }
  free(bytes);
  free(buffer);
  return 0;
}
