#include "listening.h"

#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "broker.h"
#include "sessions.h"
#include "topics.h"

enum {
    FILTERS_MOST = 64,    /* of one session */
    BYTES_MOST = 8192,    /* of their texts */
    TOLD_MOST = 16,       /* subscriptions of one session in a second */
    PAIRS_MOST = 64,      /* in one question: as many as an answer has room for */
    NAME_ROOM = 65536 + 1 /* [MQTT-1.5.4] */
};

struct listened {
    struct listened *next;
    size_t len;
    char text[];
};

bool listening_subscribed(struct session *session, const char *filter, uint64_t now_ms)
{
    const char *plain = topics_unshared(filter);
    if (plain == NULL || plain != filter)
        return false; /* of a shared subscription only one member gets the message */
    struct listened *at = session->filters;
    while (at != NULL && strcmp(at->text, filter) != 0)
        at = at->next;
    if (at == NULL) {
        size_t len = strlen(filter);
        struct listened *made = NULL;
        if (session->filters_n < FILTERS_MOST && session->filters_bytes + len <= BYTES_MOST)
            made = malloc(sizeof *made + len + 1);
        if (made == NULL) {
            session->filters_lost = true;
            return false;
        }
        memcpy(made->text, filter, len + 1);
        made->len = len;
        made->next = session->filters;
        session->filters = made;
        session->filters_n++;
        session->filters_bytes += (uint32_t)len;
    }
    if (now_ms - session->told_ms >= 1000) {
        session->told_ms = now_ms;
        session->told = 0;
    }
    return session->told++ < TOLD_MOST;
}

void listening_unsubscribed(struct session *session, const char *filter)
{
    for (struct listened **at = &session->filters; *at != NULL; at = &(*at)->next) {
        struct listened *found = *at;
        if (strcmp(found->text, filter) != 0)
            continue;
        *at = found->next;
        session->filters_n--;
        session->filters_bytes -= (uint32_t)found->len;
        free(found);
        return;
    }
}

void listening_forget(struct session *session)
{
    while (session->filters != NULL) {
        struct listened *gone = session->filters;
        session->filters = gone->next;
        free(gone);
    }
}

static bool listens(const struct session *session, const char *topic)
{
    for (const struct listened *at = session->filters; at != NULL; at = at->next)
        if (topics_within(at->text, at->len, "", topic, false))
            return true;
    int known = session->filters_n > 0 ? (int)session->filters_n : 0;
    bool resumed = !session->clean && mosquitto_client_sub_count(session->client) > known;
    return session->filters_lost || resumed;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads hex until another character; false: it does not fit, or it is empty. */
static bool unhex(const char **at, const char *end, char *out, size_t room)
{
    size_t n = 0;
    while (end - *at >= 2 && hex_digit((*at)[0]) >= 0 && hex_digit((*at)[1]) >= 0) {
        char byte = (char)(hex_digit((*at)[0]) * 16 + hex_digit((*at)[1]));
        if (n + 1 >= room || byte == '\0')
            return false;
        out[n++] = byte;
        *at += 2;
    }
    out[n] = '\0';
    return n > 0;
}

static uint64_t listener(const char *username, const char *topic)
{
    const struct account *account = accounts_held(username);
    if (account == NULL)
        return 0;
    for (const struct session *at = account->sessions; at != NULL; at = at->next_of_account)
        if (!at->replaced && !at->ending && !at->leaving && listens(at, topic))
            return at->number;
    return 0;
}

void listening_answer(struct text *out, const char *request, size_t n)
{
    static const char NAME[] = "\"listening\"";
    static char username[NAME_ROOM], topic[NAME_ROOM];
    const char *at = request == NULL ? NULL : memmem(request, n, NAME, sizeof NAME - 1);
    if (at == NULL)
        return;
    const char *end = request + n;
    at += sizeof NAME - 1;
    while (at < end && (*at == ' ' || *at == ':'))
        at++;
    if (at == end || *at++ != '"')
        return;
    text_add(out, ",\"listening\":[");
    for (int pair = 0; pair < PAIRS_MOST && at < end && *at != '"'; pair++) {
        bool read = unhex(&at, end, username, sizeof username) && at < end && *at++ == '.' &&
                    unhex(&at, end, topic, sizeof topic);
        if (pair > 0)
            text_add(out, ",");
        text_number(out, read ? (int64_t)listener(username, topic) : -1);
        if (!read || at >= end || *at != '-')
            break;
        at++;
    }
    text_add(out, "]");
}
