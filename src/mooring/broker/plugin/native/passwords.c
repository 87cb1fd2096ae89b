#include "passwords.h"

#include <string.h>

#include "libraries.h"

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(const char *text, size_t n, uint8_t *out, size_t most)
{
    if (n % 4 != 0)
        return -1;
    size_t digits = n;
    while (digits > 0 && n - digits < 2 && text[digits - 1] == '=')
        digits--;
    size_t used = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < digits; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0)
            return -1;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 == 0)
            continue; /* six bits are no byte yet */
        if (used == most)
            return -1;
        out[used++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    return (int)used;
}

/* Decimal digits up to '$'; at most nine of them, as the Python side reads them. */
static const char *rounds_of(const char *text, int *rounds)
{
    int n = 0;
    for (*rounds = 0; *text >= '0' && *text <= '9'; text++) {
        if (++n > 9)
            return NULL;
        *rounds = *rounds * 10 + (*text - '0');
    }
    return n > 0 && *text == '$' && *rounds >= 1 && *rounds <= VERIFIER_ROUNDS_MOST ? text + 1
                                                                                    : NULL;
}

bool verifier_parse(const char *text, struct verifier *out)
{
    if (text == NULL || strncmp(text, "$7$", 3) != 0)
        return false;
    const char *salt = rounds_of(text + 3, &out->rounds);
    if (salt == NULL)
        return false;
    size_t salt_len = strcspn(salt, "$");
    if (salt[salt_len] != '$')
        return false;
    const char *hash = salt + salt_len + 1;
    int n = base64_decode(salt, salt_len, out->salt, sizeof out->salt);
    if (n < 1 || base64_decode(hash, strlen(hash), out->hash, sizeof out->hash) != VERIFIER_HASH)
        return false;
    out->salt_len = (size_t)n;
    return true;
}

bool verifier_fits(const struct verifier *verifier, const char *password)
{
    uint8_t made[VERIFIER_HASH];
    size_t n = strlen(password);
    if (n > 65535 ||
        !crypto.PKCS5_PBKDF2_HMAC(password, (int)n, verifier->salt, (int)verifier->salt_len,
                                  verifier->rounds, crypto.EVP_sha512(), sizeof made, made))
        return false;
    return crypto.CRYPTO_memcmp(made, verifier->hash, sizeof made) == 0;
}

static uint8_t key[32];

bool tags_start(void)
{
    return crypto.RAND_bytes(key, sizeof key) == 1;
}

bool tag_of(const char *text, size_t n, struct tag *out)
{
    uint8_t made[64];
    unsigned int len = 0;
    if (crypto.HMAC(crypto.EVP_sha256(), key, sizeof key, (const unsigned char *)text, n, made,
                    &len) == NULL ||
        len < sizeof out->bytes)
        return false;
    memcpy(out->bytes, made, sizeof out->bytes);
    return true;
}

bool tag_equal(const struct tag *a, const struct tag *b)
{
    return crypto.CRYPTO_memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

uint64_t tag_short(const struct tag *tag)
{
    uint64_t number;
    memcpy(&number, tag->bytes, sizeof number);
    return number;
}
