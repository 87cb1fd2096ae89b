#include "limits.h"

enum { THOUSAND = 1000 };

/* More than any rate can use: a limit that large is none, and the sums below stay in range. */
#define RATE_MOST ((int64_t)1 << 40)

static int64_t rate_of(int64_t limit)
{
    return limit < RATE_MOST ? limit : RATE_MOST;
}

static int64_t room_of(int64_t limit, int64_t seconds)
{
    return rate_of(limit) * seconds * THOUSAND;
}

void limits_fill(struct bucket *bucket, const struct limits *limits, uint64_t now_ms)
{
    bucket->messages = limits->messages < 0 ? 0 : room_of(limits->messages, LIMITS_BURST_SECONDS);
    bucket->bytes = limits->bytes < 0 ? 0 : room_of(limits->bytes, LIMITS_BURST_SECONDS);
    bucket->at_ms = now_ms;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void limits_clamp(struct bucket *bucket, const struct limits *limits)
{
    if (limits->messages >= 0)
        bucket->messages = least(bucket->messages, room_of(limits->messages, LIMITS_BURST_SECONDS));
    if (limits->bytes >= 0)
        bucket->bytes = least(bucket->bytes, room_of(limits->bytes, LIMITS_BURST_SECONDS));
}

/* Thousandths per second are tokens per millisecond: a rate times milliseconds. */
static int64_t refilled(int64_t held, int64_t limit, int64_t passed_ms, int64_t seconds)
{
    int64_t room = room_of(limit, seconds);
    if (held > room) /* what is left of a larger allowance */
        return held;
    return least(held + rate_of(limit) * passed_ms, room);
}

static void refill(struct bucket *bucket, const struct limits *limits, uint64_t now_ms,
                   int64_t seconds)
{
    uint64_t passed = now_ms - bucket->at_ms, full = (uint64_t)seconds * THOUSAND;
    int64_t passed_ms = (int64_t)(passed < full ? passed : full);
    bucket->at_ms = now_ms;
    if (limits->messages >= 0)
        bucket->messages = refilled(bucket->messages, limits->messages, passed_ms, seconds);
    if (limits->bytes >= 0)
        bucket->bytes = refilled(bucket->bytes, limits->bytes, passed_ms, seconds);
}

static const char over_messages[] = "limit_messages";

/* Takes both or neither; a debt, from what may not be refused, is paid first. */
static const char *charge(struct bucket *bucket, const struct limits *limits, int64_t bytes,
                          uint64_t now_ms)
{
    refill(bucket, limits, now_ms, LIMITS_BURST_SECONDS);
    if (limits->messages >= 0 && bucket->messages < THOUSAND)
        return over_messages;
    if (limits->bytes >= 0 && bucket->bytes < bytes * THOUSAND)
        return "limit_bytes";
    if (limits->messages >= 0)
        bucket->messages -= THOUSAND;
    if (limits->bytes >= 0)
        bucket->bytes -= bytes * THOUSAND;
    return 0;
}

void limits_back(struct account *account, uint64_t now_ms)
{
    if (account->meter != 0 && account->connections == 0)
        refill(&account->meter->bucket, &account->meter->limits, now_ms, LIMITS_OFFLINE_SECONDS);
}

const char *limits_charge(struct account *account, uint64_t bytes, uint64_t now_ms)
{
    const char *refused = 0;
    struct tenant *tenant = account->tenant;
    if (account->meter != 0)
        refused = charge(&account->meter->bucket, &account->meter->limits, (int64_t)bytes, now_ms);
    /* Only for its own limit: another device may have used up the tenant's. */
    account->wants = refused != NULL ? bytes + 1 : 0;
    if (refused == 0 && tenant != 0) {
        refused = charge(&tenant->bucket, &tenant->limits, (int64_t)bytes, now_ms);
        if (refused != 0)
            refused = refused == over_messages ? "limit_tenant_messages" : "limit_tenant_bytes";
    }
    return refused;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool too_little(const struct bucket *bucket, const struct limits *limits, int64_t bytes)
{
    if (limits->messages >= 0 && bucket->messages < room_of(limits->messages, LIMITS_WAIT_SECONDS))
        return true;
    return limits->bytes >= 0 &&
           bucket->bytes < least(most(room_of(limits->bytes, LIMITS_WAIT_SECONDS), bytes * THOUSAND),
                                 room_of(limits->bytes, LIMITS_BURST_SECONDS));
}

bool limits_wait(struct account *account, uint64_t now_ms)
{
    struct meter *meter = account->meter;
    if (account->wants == 0 || meter == NULL)
        return false;
    refill(&meter->bucket, &meter->limits, now_ms, LIMITS_BURST_SECONDS);
    return too_little(&meter->bucket, &meter->limits, (int64_t)(account->wants - 1));
}
