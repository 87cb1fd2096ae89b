/* The matcher: never reads outside, and agrees with what a filter means. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "topics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The four texts are parts of the input, divided by NUL; each in memory of its
 * own. */
static char *part(const uint8_t **data, size_t *size) {
  size_t n = 0;
  while (n < *size && (*data)[n] != '\0')
    n++;
  char *text = malloc(n + 1);
  memcpy(text, *data, n);
  text[n] = '\0';
  size_t used = n < *size ? n + 1 : n;
  *data += used;
  *size -= used;
  return text;
}

static bool valid_filter(const char *text) {
  for (const char *c = text; *c != '\0'; c++) {
    if (*c != '+' && *c != '#')
      continue;
    if ((c > text && c[-1] != '/') ||
        (c[1] != '\0' && (c[1] != '/' || *c == '#')))
      return false;
  }
  return *text != '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *rule = part(&data, &size), *values = part(&data, &size),
       *filter = part(&data, &size), *topic = part(&data, &size);
  size_t n = strlen(rule);
  char *exact =
      malloc(n + 1); /* the rule is not NUL-terminated where it is held */
  memcpy(exact, rule, n);
  bool filter_inside = topics_within(exact, n, values, filter, true);
  bool topic_inside = topics_within(exact, n, values, topic, false);
  topics_reserved(topic);
  topics_unshared(filter);
  if (valid_filter(rule) && valid_filter(filter) &&
      strpbrk(topic, "+#") == NULL && *topic != '\0') {
    /* What a filter inside the rule lets through, the rule lets through. */
    if (filter_inside &&
        topics_within(filter, strlen(filter), "", topic, false) &&
        strpbrk(filter, "\1\2\3\4\5\6\7\10") == NULL && !topic_inside)
      abort();
    if (n > 0 && strpbrk(rule, "\1\2\3\4\5\6\7\10") == NULL &&
        !topics_within(exact, n, values, rule, true))
      abort(); /* it lies inside itself */
  }
  free(rule);
  free(values);
  free(filter);
  free(topic);
  free(exact);
  return 0;
}
