/* Events for Mooring on `$mooring/authority/event`: JSON, QoS 1, in order with the messages.
 *
 * Repetitions are counted and not sent. A refusal is sent when it happens first and then at most
 * once a minute with its count; logins and ends of one client id that come faster than four a
 * second are sent as their last state, at most a second late. */
#ifndef MOORING_EVIDENCE_H
#define MOORING_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum evidence_kind {
    EVIDENCE_LOGIN,
    EVIDENCE_REFUSED,
    EVIDENCE_DENIED,
    EVIDENCE_GONE,
    EVIDENCE_TROUBLE,
    EVIDENCE_OVERSIZE,
};

/* Strings may be NULL: then the field is left out. */
struct event {
    enum evidence_kind kind;
    const char *why;
    const char *user, *client, *ip, *topic;
    const char *action, *with, *detail;
    const char *key;         /* which password a login used */
    const void *sample;      /* payload of a denied message */
    size_t sample_len, size; /* of what is told of it, and of all of it */
    uint64_t session;        /* its number; 0: of none */
    uint64_t at_ms;          /* when it happened; 0: now */
    bool replay;             /* a login that was told before, perhaps to nobody */
    int clean;               /* -1: left out */
    int keepalive;           /* of a login, in seconds; 0: none is asked for */
};

#define EVIDENCE_TOPIC "$mooring/authority/event"

/* Starts numbering; `boot` tells one start of the broker from another. */
bool evidence_start(void);
const char *evidence_boot(void);

/* Sends the event, or counts it when one of the same key was sent lately. `key` says what counts
 * as the same: see evidence_key. */
void evidence_tell(const struct event *event, uint64_t key, uint64_t now_ms);

/* Sends the event whatever was sent before. */
void evidence_send(const struct event *event);

/* A key from the kind, the reason and whom it is about. */
uint64_t evidence_key(const struct event *event, const char *whom, const char *what);

/* Publishes on `topic` what is counted of an account and was not sent yet. It stays counted, and is
 * sent when it is due. */
void evidence_peek(const char *user, const char *topic);

/* Sends what was counted and is due. Cheap when nothing is. */
void evidence_flush(uint64_t now_ms);

/* Whether something was sent since the last call: 2.1 has to be woken for it. */
bool evidence_sent(void);
/* As if something was sent: another message was published. */
void evidence_wake(void);

void evidence_stop(void);

#endif
