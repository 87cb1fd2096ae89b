/* What lies inside a topic filter that has an account's values in it.
 *
 * The same rules as mooring/broker/topic_rules.py. */
#ifndef MOORING_TOPICS_H
#define MOORING_TOPICS_H

#include <stdbool.h>
#include <stddef.h>

enum { TOPICS_VALUES = 8 }; /* bytes \x01 to \x08 of a filter stand for values 1 to 8 */

/* Whether a topic, or with `subscribing` every topic of a filter, lies inside `rule`.
 *
 * rule: a filter of `rule_len` bytes. values: the account's, one a line. wanted: NUL-terminated,
 * valid as MQTT says. A wildcard counts only where the rule itself has it, never in a value; a
 * value may hold '/'; a missing or empty value matches nothing. A topic that begins with '$' is
 * inside only if the rule begins with '$'. [MQTT-4.7.2-1] */
bool topics_within(const char *rule, size_t rule_len, const char *values, const char *wanted,
                   bool subscribing);

/* The filter inside `$share/group/filter`; the filter itself if it is not shared; NULL if the
 * group or the filter is missing or the group has a wildcard. */
const char *topics_unshared(const char *filter);

/* Whether it is under a first level that only the service account may use. */
bool topics_reserved(const char *topic);

#endif
