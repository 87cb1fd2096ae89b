#include "accounts.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "hash.h"
#include "limits.h"
#include "rights.h"
#include "sessions.h"

enum { SLOTS = 1 << 17 }; /* a megabyte: never grown, so no login waits for that */

static struct account **slots;
static uint32_t count, generation, tidied_to, tidied_generation;

/* --- building -------------------------------------------------------------------------------- */

/* Which verifier this is; unlike every other one but for a chance of 2^-64. */
static uint64_t mark_of(const char *verifier)
{
    struct verifier parsed;
    if (!verifier_parse(verifier, &parsed))
        return 0;
    uint64_t mark = hash_text(hash_start(), verifier);
    return mark != 0 ? mark : 1;
}

static void key_of(const char *verifier, char *out)
{
    const char *salt =
        verifier != NULL && strncmp(verifier, "$7$", 3) == 0 ? strchr(verifier + 3, '$') : NULL;
    size_t n = salt != NULL ? strcspn(salt + 1, "$") : 0;
    if (n >= KEY_TEXT)
        n = KEY_TEXT - 1;
    if (n > 0)
        memcpy(out, salt + 1, n);
    out[n] = '\0';
}

static struct meter *meter_of(const struct account_row *row, const struct account *before)
{
    const struct limits *limits = &row->limits;
    if (limits->connections < 0 && limits->messages < 0 && limits->bytes < 0)
        return NULL;
    struct meter *meter = malloc(sizeof *meter);
    if (meter == NULL)
        return NULL;
    meter->limits = *limits;
    if (before != NULL && before->meter != NULL) {
        meter->bucket = before->meter->bucket; /* a change of limits fills nothing up */
        if (memcmp(&before->meter->limits, limits, sizeof *limits) != 0)
            limits_clamp(&meter->bucket, limits);
    } else
        limits_fill(&meter->bucket, limits, clock_ms());
    return meter;
}

static void let_go(struct account *account)
{
    rights_release(account->rights);
    tenants_release(account->tenant);
    free(account->meter);
    free(account);
}

/* Keeps what was learned by answering: sessions, proofs of verifiers that are still the same. */
static void inherit(struct account *made, const struct account *before)
{
    made->sessions = before->sessions;
    made->connections = before->connections;
    made->last_client = before->last_client;
    made->last_serial = before->last_serial;
    made->wants = before->wants;
    bool same = true;
    for (int i = 0; i < 2; i++) {
        same = same && made->marks[i] == before->marks[i];
        for (int j = 0; j < 2; j++) /* the next password may have become the password */
            if (made->marks[i] != 0 && made->marks[i] == before->marks[j] && before->proved[j]) {
                made->proofs[i] = before->proofs[j];
                made->proved[i] = true;
            }
    }
    if (same)
        made->wrong = before->wrong;
    if (made->tenant != before->tenant)
        tenants_move(before->tenant, made->tenant, made->connections);
    for (struct session *s = made->sessions; s != NULL; s = s->next_of_account)
        s->account = made;
}

static struct account *build(const char *username, uint32_t slot, const struct account_row *row,
                             const struct account *before)
{
    size_t name = strlen(username) + 1, values = strlen(row->values) + 1;
    size_t client = row->client_id != NULL ? strlen(row->client_id) + 1 : 0;
    struct account *made = calloc(1, sizeof *made + name + client + values);
    if (made == NULL)
        return NULL;
    memcpy(made->text, username, name);
    made->client_at = (uint32_t)name;
    made->values_at = (uint32_t)(name + client);
    if (client > 0)
        memcpy(made->text + made->client_at, row->client_id, client);
    memcpy(made->text + made->values_at, row->values, values);
    made->fixed_client = client > 0;
    made->locked = row->locked;
    made->service = row->service;
    made->epoch = row->epoch;
    made->slot = slot;
    made->marks[0] = mark_of(row->verifier);
    made->marks[1] = mark_of(row->next_verifier);
    key_of(row->verifier, made->keys[0]);
    key_of(row->next_verifier, made->keys[1]);
    made->rights = rights_hold(row->rights, generation, row->publish, row->subscribe);
    made->meter = meter_of(row, before);
    bool unread = false;
    if (row->tenant[0] != '\0')
        made->tenant = tenants_hold(row->tenant, generation, &unread);
    bool metered =
        row->limits.connections >= 0 || row->limits.messages >= 0 || row->limits.bytes >= 0;
    if (made->rights == NULL || unread || (metered && made->meter == NULL)) {
        let_go(made);
        return NULL;
    }
    return made;
}

/* --- the table ------------------------------------------------------------------------------- */

static struct account **place_of(const struct account *account)
{
    struct account **at = &slots[account->slot % SLOTS];
    while (*at != account)
        at = &(*at)->next;
    return at;
}

static struct account *find(const char *username, uint32_t slot)
{
    for (struct account *at = slots[slot % SLOTS]; at != NULL; at = at->next)
        if (at->slot == slot && strcmp(at->text, username) == 0)
            return at;
    return NULL;
}

struct account *accounts_held(const char *username)
{
    return find(username, hash_slot(username));
}

static bool fresh(const struct account *account)
{
    return account->generation == generation && !account->stale;
}

static void now_fresh(struct account *account)
{
    account->generation = generation;
    account->stale = false;
}

static enum file_answer load(const char *username, uint32_t slot, struct account **out)
{
    struct account_row row;
    *out = NULL;
    enum file_answer answer = file_account(username, &row);
    if (answer != FILE_ROW)
        return answer;
    struct account *made = build(username, slot, &row, NULL);
    file_release();
    if (made == NULL)
        return FILE_UNREADABLE;
    now_fresh(made);
    made->next = slots[slot % SLOTS];
    slots[slot % SLOTS] = made;
    count++;
    *out = made;
    return FILE_ROW;
}

static enum file_answer reload(struct account *held, struct account **out)
{
    struct account_row row;
    *out = held;
    enum file_answer answer = file_account(held->text, &row);
    if (answer == FILE_UNREADABLE)
        return answer;
    if (answer == FILE_NONE) {
        held->gone = true;
        now_fresh(held);
        return FILE_NONE;
    }
    struct account *made = build(held->text, held->slot, &row, held);
    file_release();
    if (made == NULL)
        return FILE_UNREADABLE;
    inherit(made, held);
    now_fresh(made);
    struct account **place = place_of(held);
    made->next = held->next;
    *place = made;
    let_go(held);
    *out = made;
    return FILE_ROW;
}

enum file_answer accounts_again(struct account *held, struct account **out)
{
    if (!fresh(held))
        return reload(held, out);
    *out = held;
    return held->gone ? FILE_NONE : FILE_ROW;
}

enum file_answer accounts_get(const char *username, struct account **out)
{
    uint32_t slot = hash_slot(username);
    struct account *held = find(username, slot);
    return held != NULL ? accounts_again(held, out) : load(username, slot, out);
}

/* Messages for the kept session of a removed account would ask the file each time. */
static struct absent {
    uint64_t name; /* its hash */
    int64_t change;
    uint32_t generation;
} absent[256];

enum file_answer accounts_get_for_topic(const char *username, struct account **out)
{
    struct account *held = accounts_held(username);
    if (held != NULL)
        return accounts_again(held, out);
    uint64_t name = hash_text(hash_start(), username);
    struct absent *known = &absent[name % 256];
    *out = NULL;
    if (known->name == name && known->generation == generation && known->change == file_change())
        return FILE_NONE;
    enum file_answer answer = accounts_get(username, out);
    if (answer == FILE_NONE)
        *known = (struct absent){name, file_change(), generation};
    return answer;
}

void accounts_changed(struct account *account)
{
    account->stale = true;
}

void accounts_all_changed(void)
{
    generation++;
    tidied_to = 0;
}

void accounts_forget_if_gone(struct account *account)
{
    if (!account->gone || account->sessions != NULL)
        return;
    *place_of(account) = account->next;
    count--;
    let_go(account);
}

bool accounts_tidy(uint64_t until_us)
{
    if (tidied_generation == generation)
        return false;
    while (tidied_to < SLOTS) {
        for (struct account *at = slots[tidied_to], *next; at != NULL; at = next) {
            next = at->next;
            struct account *again;
            if (at->sessions != NULL)
                continue; /* its sessions are looked at */
            if (accounts_again(at, &again) == FILE_UNREADABLE)
                return false; /* another time */
            accounts_forget_if_gone(again);
        }
        tidied_to++;
        if (tidied_to % 16 == 0 && clock_us() >= until_us)
            return true;
    }
    tidied_generation = generation;
    return false;
}

/* --- passwords ------------------------------------------------------------------------------- */

static bool proves(const struct account *account, int which, const struct tag *tag)
{
    return account->proved[which] && tag_equal(&account->proofs[which], tag);
}

enum password accounts_password(struct account *account, const char *password)
{
    struct tag tag;
    if (!tag_of(password, strlen(password), &tag))
        return PASSWORD_UNREADABLE;
    for (int i = 0; i < 2; i++)
        if (proves(account, i, &tag))
            return i == 0 ? PASSWORD_OWN : PASSWORD_NEXT;
    bool open = (account->marks[0] != 0 && !account->proved[0]) ||
                (account->marks[1] != 0 && !account->proved[1]);
    if (!open || (account->wrong != 0 && account->wrong == tag_short(&tag)))
        return PASSWORD_WRONG;
    /* Verifiers are not held: they are read for the first password that is compared with them. */
    struct account_row row;
    if (file_account(account->text, &row) != FILE_ROW)
        return PASSWORD_UNREADABLE;
    struct verifier verifiers[2];
    const char *texts[2] = {row.verifier, row.next_verifier};
    bool changed = false;
    for (int i = 0; i < 2; i++) {
        changed = changed || mark_of(texts[i]) != account->marks[i];
        verifier_parse(texts[i], &verifiers[i]);
    }
    file_release();
    if (changed)
        return PASSWORD_CHANGED;
    for (int i = 0; i < 2; i++)
        if (account->marks[i] != 0 && !account->proved[i] &&
            verifier_fits(&verifiers[i], password)) {
            account->proofs[i] = tag;
            account->proved[i] = true;
            return i == 0 ? PASSWORD_OWN : PASSWORD_NEXT;
        }
    account->wrong = tag_short(&tag);
    return PASSWORD_WRONG;
}

/* --- beginning and end ----------------------------------------------------------------------- */

uint32_t accounts_count(void)
{
    return count;
}

bool accounts_start(void)
{
    slots = calloc(SLOTS, sizeof *slots);
    count = 0;
    memset(absent, 0, sizeof absent);
    generation = tidied_generation = 1;
    return slots != NULL;
}

void accounts_stop(void)
{
    for (size_t i = 0; slots != NULL && i < SLOTS; i++)
        for (struct account *at = slots[i], *next; at != NULL; at = next) {
            next = at->next;
            let_go(at);
        }
    free(slots);
    slots = NULL;
}
