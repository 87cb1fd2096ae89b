/* Hashes for tables and for noticing changes, mixed with a number of this process. Not for secrets.
 */
#ifndef MOORING_HASH_H
#define MOORING_HASH_H

#include <stddef.h>
#include <stdint.h>

extern uint64_t hash_seed; /* random since libraries were loaded */

static inline uint64_t hash_start(void)
{
    return 14695981039346656037u ^ hash_seed;
}

static inline uint64_t hash_more(uint64_t hash, const void *bytes, size_t n)
{
    const uint8_t *b = bytes;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ b[i]) * 1099511628211u; /* FNV-1a */
    return hash;
}

/* With its end, so that ("a", "bc") and ("ab", "c") differ. NULL is as empty. */
static inline uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * 1099511628211u;
    return (hash ^ 0xFF) * 1099511628211u;
}

static inline uint32_t hash_slot(const char *text)
{
    uint64_t hash = hash_text(hash_start(), text);
    return (uint32_t)(hash ^ hash >> 32);
}

#endif
