/* Live sessions: who is connected as whom, and which of them have to end.
 *
 * A session is settled, or due (its account may have changed: to be looked at), or ending (the
 * broker is to be asked to end it). Changing everything makes all of them due in one step. */
#ifndef MOORING_SESSIONS_H
#define MOORING_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "accounts.h"

struct mosquitto;

struct ring {
    struct ring *previous, *next;
};

struct session {
    struct ring ring; /* must be first */
    struct mosquitto *client;
    struct account *account;
    struct session *next_of_client, *next_of_id; /* in their slots */
    struct session *previous_of_account, *next_of_account;
    int64_t epoch;      /* of the account when this session was accepted */
    uint64_t number;    /* of this start of the broker */
    uint64_t at_ms;     /* when the login was accepted */
    const char *with;   /* what the login showed: a constant */
    char key[KEY_TEXT]; /* which password it was; empty: none was shown */
    const char *why;    /* it ends, if the plugin knows: a constant */
    uint32_t id_slot, settled_in;
    bool ending, leaving, replaced, clean, over_rate;
    bool filters_lost; /* there were too many to remember */
    uint32_t filters_n, filters_bytes, told;
    uint64_t told_ms;       /* when the second began in which `told` were told */
    struct listened *filters; /* what it is subscribed to: listening.c */
    uint32_t serial_at; /* in text: the certificate it showed; 0: none */
    char text[];        /* client id, serial */
};

static inline const char *session_id(const struct session *session)
{
    return session->text;
}

static inline const char *session_serial(const struct session *session)
{
    return session->serial_at > 0 ? session->text + session->serial_at : NULL;
}

/* A login was accepted. An older session of the same client id is about to be replaced. NULL: out
 * of memory. */
struct session *sessions_add(struct mosquitto *client, struct account *account,
                             const char *client_id, const char *serial);
void sessions_remove(struct session *session);

/* Begins to tell of every live session again; until the time is up, and whether some are left. */
void sessions_replay_start(void);
bool sessions_replay(uint64_t until_us, void (*tell)(const struct session *));

struct session *sessions_of_client(const struct mosquitto *client);

/* Another account is connected under this client id. */
bool sessions_id_of_another(const char *client_id, const struct account *account);
/* Sessions of the account under this client id that a login with it replaces. */
uint32_t sessions_replaced_by(const char *client_id, const struct account *account);

void sessions_due(struct account *account);
void sessions_all_due(void);

/* Looks at due sessions and ends those that must end, until the time is up. `handled` is the client
 * whose packet is being handled: it is left for later, since the broker still needs it. */
void sessions_work(uint64_t until_us, const struct mosquitto *handled);

/* Due, ending, or ended without the broker having told so yet. */
uint32_t sessions_pending(void);
uint32_t sessions_count(void);
/* The broker is ending a session because this plugin asked for it. */
bool sessions_kicking(void);

bool sessions_start(void);
void sessions_stop(void);

#endif
