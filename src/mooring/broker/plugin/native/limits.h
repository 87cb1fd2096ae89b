/* How many messages and bytes an account and its tenant may send: token buckets. */
#ifndef MOORING_LIMITS_H
#define MOORING_LIMITS_H

#include <stdint.h>

#include "accounts.h"

enum {
    LIMITS_BURST_SECONDS = 10,    /* what may be sent at once after silence, in seconds of the rate */
    LIMITS_OFFLINE_SECONDS = 3600, /* the same after a time without a connection */
    LIMITS_WAIT_SECONDS = 1 /* of the rate that there must be when a client comes back */
};

/* No more than a burst of new limits: a change of limits fills nothing up. */
void limits_clamp(struct bucket *bucket, const struct limits *limits);

void limits_fill(struct bucket *bucket, const struct limits *limits, uint64_t now_ms);

/* An account without a session logs in: for the time in which it sent nothing, it may send what it
 * has kept meanwhile. In the long run it sends no more than its rate. */
void limits_back(struct account *account, uint64_t now_ms);

/* Takes one message of `bytes` off the buckets of the account and its tenant. NULL: it may be
 * sent; otherwise "limit_messages" or "limit_bytes", or "limit_tenant_messages" or
 * "limit_tenant_bytes" if it is within its own limit. */
const char *limits_charge(struct account *account, uint64_t bytes, uint64_t now_ms);

/* A client that exceeded a limit comes back: as long as it may send less than a second of the rate,
 * and less than the message that was too much, its next message would end the session again. Whether
 * it has to wait. */
_Bool limits_wait(struct account *account, uint64_t now_ms);

/* Whether there is anything to charge. */
static inline _Bool limits_any(const struct account *account)
{
    return account->meter != NULL ||
           (account->tenant != NULL &&
            (account->tenant->limits.messages >= 0 || account->tenant->limits.bytes >= 0));
}

#endif
