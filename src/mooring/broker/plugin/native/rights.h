/* Filters, tenants, and what an account may do with a topic. */
#ifndef MOORING_RIGHTS_H
#define MOORING_RIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "accounts.h"

/* Rights with this id, shared by the accounts that have them; NULL: out of memory. A later
 * generation is made again from the texts: filters, one a line. */
struct rights *rights_hold(int64_t id, uint32_t generation, const char *publish,
                           const char *subscribe);
void rights_release(struct rights *rights);

/* The tenant of this name with its limits, read again in a later generation. `*unread` when the
 * file did not say. */
struct tenant *tenants_hold(const char *name, uint32_t generation, bool *unread);
void tenants_release(struct tenant *tenant);
/* Connections of an account that now belongs to another tenant. Either may be NULL. */
void tenants_move(struct tenant *from, struct tenant *to, uint32_t connections);

enum action { ACTION_PUBLISH, ACTION_SUBSCRIBE, ACTION_READ };

/* NULL: it may; otherwise why not. The same rules as may() in mooring/broker/access_rules.py. */
const char *rights_refusal(struct account *account, enum action action, const char *topic);

#endif
