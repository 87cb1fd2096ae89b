#include "topics.h"

#include <string.h>

/* The value of a number, 1 first. NULL when there is none or it is empty. */
static const char *value_of(const char *values, unsigned number, size_t *len)
{
    for (; number > 1; number--) {
        values = strchr(values, '\n');
        if (values == NULL)
            return NULL;
        values++;
    }
    *len = strcspn(values, "\n");
    return *len > 0 ? values : NULL;
}

static bool is_level(const char *level, char wildcard)
{
    return level[0] == wildcard && (level[1] == '/' || level[1] == '\0');
}

static bool wildcard_level(const char *level)
{
    return is_level(level, '+') || is_level(level, '#');
}

/* Takes `n` literal bytes off `*wanted`. A wildcard level of a filter is not literal. */
static bool take(const char **wanted, const char *bytes, size_t n, bool subscribing)
{
    const char *w = *wanted;
    for (size_t i = 0; i < n; i++, w++) {
        if (*w != bytes[i])
            return false; /* also at the end: the bytes hold no NUL */
        if (*w == '/' && subscribing && wildcard_level(w + 1))
            return false;
    }
    *wanted = w;
    return true;
}

/* Takes one level of the rule that is no wildcard; with '/' in a value, several of `*wanted`. */
static bool take_level(const char **rule, const char *end, const char *values, const char **wanted,
                       bool subscribing)
{
    if (subscribing && wildcard_level(*wanted))
        return false;
    for (; *rule < end && **rule != '/'; (*rule)++) {
        unsigned char c = (unsigned char)**rule;
        const char *bytes = *rule;
        size_t n = 1;
        if (c >= 1 && c <= TOPICS_VALUES && (bytes = value_of(values, c, &n)) == NULL)
            return false;
        if (!take(wanted, bytes, n, subscribing))
            return false;
    }
    return **wanted == '/' || **wanted == '\0';
}

static bool rule_level_is(const char *rule, const char *end, char wildcard)
{
    return rule < end && *rule == wildcard && (rule + 1 == end || rule[1] == '/');
}

bool topics_within(const char *rule, size_t rule_len, const char *values, const char *wanted,
                   bool subscribing)
{
    const char *end = rule + rule_len;
    if (*wanted == '$' && (rule_len == 0 || *rule != '$'))
        return false;
    for (;;) {
        if (rule_level_is(rule, end, '#'))
            return true;
        if (rule_level_is(rule, end, '+')) {
            if (subscribing && is_level(wanted, '#'))
                return false;
            rule++;
            wanted += strcspn(wanted, "/");
        } else if (!take_level(&rule, end, values, &wanted, subscribing)) {
            return false;
        }
        if (rule == end)
            return *wanted == '\0';
        rule++;
        if (*wanted == '\0')
            return rule_level_is(rule, end, '#'); /* a/# includes a [MQTT-4.7.1-2] */
        wanted++;
    }
}

const char *topics_unshared(const char *filter)
{
    if (strncmp(filter, "$share/", 7) != 0)
        return filter;
    const char *group = filter + 7;
    size_t n = strcspn(group, "/");
    if (n == 0 || group[n] == '\0' || group[n + 1] == '\0' || strcspn(group, "+#") < n)
        return NULL;
    return group + n + 1;
}

bool topics_reserved(const char *topic)
{
    size_t n = strcspn(topic, "/");
    return (n == 8 && (memcmp(topic, "$CONTROL", 8) == 0 || memcmp(topic, "$mooring", 8) == 0));
}
