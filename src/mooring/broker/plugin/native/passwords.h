/* Verifiers ($7$, PBKDF2-SHA512) and quick proofs of passwords that were right before. */
#ifndef MOORING_PASSWORDS_H
#define MOORING_PASSWORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VERIFIER_SALT_MOST = 64, VERIFIER_HASH = 64, VERIFIER_ROUNDS_MOST = 10000000 };

struct verifier {
    int rounds;
    size_t salt_len;
    uint8_t salt[VERIFIER_SALT_MOST], hash[VERIFIER_HASH];
};

/* Reads `$7$rounds$salt$hash`. Anything else, also base64 without its padding, is none. */
bool verifier_parse(const char *text, struct verifier *out);

/* Whether it is the password behind the verifier: takes as long as the rounds ask. */
bool verifier_fits(const struct verifier *verifier, const char *password);

/* Decodes canonical base64. Returns the number of bytes, or -1: not base64, or more than `most`. */
int base64_decode(const char *text, size_t n, uint8_t *out, size_t most);

/* A text under a key that never leaves this process: equal texts have equal tags, and nobody can
 * find two with the same one, nor a text from its tag. */
struct tag {
    uint8_t bytes[16];
};
bool tags_start(void);                                    /* false: no randomness */
bool tag_of(const char *text, size_t n, struct tag *out); /* false: libcrypto failed */
bool tag_equal(const struct tag *a, const struct tag *b);
uint64_t tag_short(const struct tag *tag);

#endif
