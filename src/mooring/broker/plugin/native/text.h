/* Text for people and programs: JSON that is valid whatever bytes a client sent. */
#ifndef MOORING_TEXT_H
#define MOORING_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A buffer that is written from its beginning. What does not fit is left out and `full` is set;
 * a NUL always follows what was written. */
struct text {
    char *at;
    size_t room, used;
    bool full;
    bool cut; /* a string was longer than its limit */
};

void text_start(struct text *out, char *buffer, size_t room);
void text_add(struct text *out, const char *plain);
void text_number(struct text *out, int64_t number);

/* A JSON string, quotes included, of at most `most` bytes of `bytes`. Bytes that are not UTF-8
 * become U+FFFD; a character is never divided. */
void text_string(struct text *out, const char *bytes, size_t n, size_t most);

/* A JSON string with the base64 of the first `most` bytes. */
void text_base64(struct text *out, const void *bytes, size_t n, size_t most);

/* How many bytes the UTF-8 character at `at` takes; 0 if it is none. `n` > 0 bytes are there. */
size_t text_utf8(const char *at, size_t n);

#endif
