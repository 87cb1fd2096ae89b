#include "sessions.h"

#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "clock.h"
#include "counters.h"
#include "hash.h"
#include "listening.h"
#include "rights.h"

enum { SLOTS = 1 << 16 };

static struct session **by_client, **by_id;
static struct ring settled, due, ending;
static uint32_t settled_n, due_n, ending_n, count;
static uint32_t settling; /* grows when all settled ones become due */
static bool kicking;

/* 2.0 closes a WebSocket connection only after its next wait. A second is more than that takes. */
enum { LEAVING_US = 1000000 };
static uint32_t leaving_n;
static uint64_t kicked_us;
static uint64_t number;
static uint32_t replayed_to = SLOTS; /* of the slots of `by_client` */

/* --- rings ----------------------------------------------------------------------------------- */

static void ring_start(struct ring *ring)
{
    ring->previous = ring->next = ring;
}

static void ring_out(struct ring *at)
{
    at->previous->next = at->next;
    at->next->previous = at->previous;
}

static void ring_in(struct ring *ring, struct ring *at)
{
    at->previous = ring->previous;
    at->next = ring;
    ring->previous->next = at;
    ring->previous = at;
}

static void ring_move_all(struct ring *from, struct ring *to)
{
    if (from->next == from)
        return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    ring_start(from);
}

static uint32_t *counter_of(const struct session *session)
{
    return session->ending ? &ending_n : session->settled_in == settling ? &settled_n : &due_n;
}

static void take_out(struct session *session)
{
    --*counter_of(session);
    ring_out(&session->ring);
}

static void settle(struct session *session)
{
    session->settled_in = settling;
    ring_in(&settled, &session->ring);
    settled_n++;
}

/* --- tables ---------------------------------------------------------------------------------- */

static struct session **client_slot(const struct mosquitto *client)
{
    uint64_t address = (uint64_t)(uintptr_t)client;
    return &by_client[(address >> 4 ^ address >> 20) % SLOTS];
}

struct session *sessions_of_client(const struct mosquitto *client)
{
    struct session *at = *client_slot(client);
    while (at != NULL && at->client != client)
        at = at->next_of_client;
    return at;
}

/* The next session under a client id, `after` one or from the beginning. */
static struct session *of_id(const char *client_id, uint32_t slot, struct session *after)
{
    struct session *at = after != NULL ? after->next_of_id : by_id[slot % SLOTS];
    while (at != NULL && (at->id_slot != slot || strcmp(session_id(at), client_id) != 0))
        at = at->next_of_id;
    return at;
}

bool sessions_id_of_another(const char *client_id, const struct account *account)
{
    uint32_t slot = hash_slot(client_id);
    for (struct session *at = of_id(client_id, slot, NULL); at != NULL;
         at = of_id(client_id, slot, at))
        if (at->account != account && !at->replaced)
            return true;
    return false;
}

uint32_t sessions_replaced_by(const char *client_id, const struct account *account)
{
    uint32_t slot = hash_slot(client_id), n = 0;
    for (struct session *at = of_id(client_id, slot, NULL); at != NULL;
         at = of_id(client_id, slot, at))
        n += at->account == account && !at->replaced;
    return n;
}

/* --- coming and going ------------------------------------------------------------------------ */

static void count_connections(struct account *account, uint32_t more)
{
    account->connections += more; /* more may be (uint32_t)-1 */
    if (account->tenant != NULL)
        account->tenant->connections += more;
}

static void replace(const char *client_id, uint32_t slot)
{
    for (struct session *at = of_id(client_id, slot, NULL); at != NULL;
         at = of_id(client_id, slot, at)) {
        if (at->replaced)
            continue;
        at->replaced = true;
        if (at->why == NULL)
            at->why = "taken_over";
        count_connections(at->account, (uint32_t)-1);
        if (at->ending) { /* its client id is about to be another session's: do not end that one */
            take_out(at);
            at->ending = false;
            settle(at);
        }
    }
}

struct session *sessions_add(struct mosquitto *client, struct account *account,
                             const char *client_id, const char *serial)
{
    struct session *old = sessions_of_client(client);
    if (old != NULL)
        sessions_remove(
            old); /* the broker gave the memory of a connection it never told the end of */
    size_t id_len = strlen(client_id) + 1, serial_len = serial != NULL ? strlen(serial) + 1 : 0;
    struct session *made = calloc(1, sizeof *made + id_len + serial_len);
    if (made == NULL)
        return NULL;
    memcpy(made->text, client_id, id_len);
    if (serial != NULL) {
        made->serial_at = (uint32_t)id_len;
        memcpy(made->text + id_len, serial, serial_len);
    }
    made->id_slot = hash_slot(client_id);
    replace(client_id, made->id_slot);
    made->number = ++number;
    made->at_ms = clock_wall_ms();
    made->client = client;
    made->account = account;
    made->epoch = account->epoch;
    made->next_of_client = *client_slot(client);
    *client_slot(client) = made;
    made->next_of_id = by_id[made->id_slot % SLOTS];
    by_id[made->id_slot % SLOTS] = made;
    made->next_of_account = account->sessions;
    if (account->sessions != NULL)
        account->sessions->previous_of_account = made;
    account->sessions = made;
    count_connections(account, 1);
    settle(made);
    count++;
    return made;
}

void sessions_replay_start(void)
{
    replayed_to = 0;
}

bool sessions_replay(uint64_t until_us, void (*tell)(const struct session *))
{
    for (; replayed_to < SLOTS; replayed_to++) {
        if (replayed_to % 64 == 0 && clock_us() >= until_us)
            return true;
        for (const struct session *at = by_client[replayed_to]; at != NULL; at = at->next_of_client)
            if (!at->replaced && !at->ending)
                tell(at);
    }
    return false;
}

void sessions_remove(struct session *session)
{
    take_out(session);
    struct session **at = client_slot(session->client);
    while (*at != session)
        at = &(*at)->next_of_client;
    *at = session->next_of_client;
    for (at = &by_id[session->id_slot % SLOTS]; *at != session;)
        at = &(*at)->next_of_id;
    *at = session->next_of_id;
    if (session->previous_of_account != NULL)
        session->previous_of_account->next_of_account = session->next_of_account;
    else
        session->account->sessions = session->next_of_account;
    if (session->next_of_account != NULL)
        session->next_of_account->previous_of_account = session->previous_of_account;
    if (!session->replaced)
        count_connections(session->account, (uint32_t)-1);
    leaving_n -= session->leaving;
    accounts_forget_if_gone(session->account);
    count--;
    listening_forget(session);
    free(session);
}

/* --- what has to end ------------------------------------------------------------------------- */

static void make_due(struct session *session)
{
    if (session->ending || session->settled_in != settling)
        return;
    take_out(session);
    session->settled_in = settling - 1;
    ring_in(&due, &session->ring);
    due_n++;
}

void sessions_due(struct account *account)
{
    for (struct session *at = account->sessions; at != NULL; at = at->next_of_account)
        make_due(at);
}

void sessions_all_due(void)
{
    ring_move_all(&settled, &due);
    due_n += settled_n;
    settled_n = 0;
    settling++;
}

/* Why it must end; NULL: it may stay. `*unread` when the file does not say. */
static const char *why_end(struct session *session, bool *unread)
{
    struct account *account;
    enum file_answer answer = accounts_again(session->account, &account);
    if (answer == FILE_UNREADABLE) {
        *unread = true;
        return NULL;
    }
    if (answer == FILE_NONE)
        return "removed";
    if (account->locked)
        return "locked";
    if (account->epoch > session->epoch)
        return "kicked";
    session->epoch = account->epoch;
    if (account->fixed_client && strcmp(account_client_id(account), session_id(session)) != 0)
        return "wrong_client_id";
    if (session_serial(session) == NULL)
        return NULL;
    answer = file_certificate(session_serial(session), account->text);
    *unread = answer == FILE_UNREADABLE;
    return answer == FILE_NONE ? "certificate_unknown" : NULL;
}

/* False when the file cannot be read: all the rest would have the same answer. */
static bool look_at(struct session *session)
{
    bool unread = false;
    const char *why = session->replaced ? NULL : why_end(session, &unread);
    if (unread)
        return false;
    take_out(session);
    if (why == NULL) {
        settle(session);
        return true;
    }
    session->why = why;
    session->ending = true;
    ring_in(&ending, &session->ring);
    ending_n++;
    return true;
}

static void end(struct session *session)
{
    take_out(session);
    session->ending = false;
    settle(session);
    counters.kicked++;
    kicking = true;
    const struct mosquitto *client = session->client;
    mosquitto_kick_client_by_clientid(session_id(session), true); /* frees the session, mostly */
    kicking = false;
    kicked_us = clock_us();
    struct session *left = sessions_of_client(client);
    if (left != NULL && !left->leaving) {
        left->leaving = true;
        leaving_n++;
    }
}

void sessions_work(uint64_t until_us, const struct mosquitto *handled)
{
    while (due.next != &due && clock_us() < until_us)
        if (!look_at((struct session *)due.next))
            break;
    struct ring *at = ending.next;
    while (at != &ending && clock_us() < until_us) {
        struct session *session = (struct session *)at;
        at = at->next;
        if (session->client == handled)
            continue;
        end(session);
        at = ending.next; /* ending one may end others: their wills, their duplicates */
        while (at != &ending && ((struct session *)at)->client == handled)
            at = at->next;
    }
}

uint32_t sessions_pending(void)
{
    bool lately = leaving_n > 0 && clock_us() - kicked_us < LEAVING_US;
    return due_n + ending_n + (lately ? leaving_n : 0);
}

uint32_t sessions_count(void)
{
    return count;
}

bool sessions_kicking(void)
{
    return kicking;
}

/* --- beginning and end ----------------------------------------------------------------------- */

bool sessions_start(void)
{
    by_client = calloc(SLOTS, sizeof *by_client);
    by_id = calloc(SLOTS, sizeof *by_id);
    ring_start(&settled);
    ring_start(&due);
    ring_start(&ending);
    settled_n = due_n = ending_n = leaving_n = count = 0;
    settling = 1;
    return by_client != NULL && by_id != NULL;
}

void sessions_stop(void)
{
    ring_move_all(&due, &settled);
    ring_move_all(&ending, &settled);
    while (settled.next != &settled) {
        struct session *session = (struct session *)settled.next;
        ring_out(&session->ring);
        listening_forget(session);
        free(session);
    }
    free(by_client);
    free(by_id);
    by_client = by_id = NULL;
}
