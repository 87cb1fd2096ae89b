#include "evidence.h"

#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "clock.h"
#include "counters.h"
#include "hash.h"
#include "libraries.h"
#include "text.h"

enum {
    NAME_MOST = 256,
    TOPIC_MOST = 1024,
    DETAIL_MOST = 256,
    SAMPLE_MOST = 256,
    EVENT_ROOM = 16384, /* every field at its most, each byte escaped */
    BOOT_BYTES = 8,
    PEEK_MOST = 64, /* one account has fewer reasons, actions and groups of topics */
};

static char boot[2 * BOOT_BYTES + 1];
static uint64_t number;
static bool sent;

static const char *const KINDS[] = {"login", "refused", "denied", "gone", "trouble", "oversize"};

/* --- sending --------------------------------------------------------------------------------- */

static void field(struct text *out, const char *name, const char *value, size_t most)
{
    if (value == NULL)
        return;
    text_add(out, name);
    text_string(out, value, strlen(value), most);
}

static char buffer[EVENT_ROOM];

/* The event as JSON in `buffer`; the number of bytes. */
static size_t write_down(const struct event *event, uint64_t at_ms, uint32_t count)
{
    struct text out;
    text_start(&out, buffer, sizeof buffer);
    text_add(&out, "{\"boot\":\"");
    text_add(&out, boot);
    text_add(&out, "\",\"n\":");
    text_number(&out, (int64_t)number);
    text_add(&out, ",\"at\":");
    text_number(&out, (int64_t)at_ms);
    field(&out, ",\"kind\":", KINDS[event->kind], NAME_MOST);
    field(&out, ",\"why\":", event->why, NAME_MOST);
    field(&out, ",\"user\":", event->user, NAME_MOST);
    field(&out, ",\"client\":", event->client, NAME_MOST);
    field(&out, ",\"ip\":", event->ip, NAME_MOST);
    field(&out, ",\"topic\":", event->topic, TOPIC_MOST);
    field(&out, ",\"action\":", event->action, NAME_MOST);
    field(&out, ",\"with\":", event->with, NAME_MOST);
    field(&out, ",\"key\":", event->key, NAME_MOST);
    field(&out, ",\"detail\":", event->detail, DETAIL_MOST);
    if (event->sample != NULL) {
        text_add(&out, ",\"sample\":");
        text_base64(&out, event->sample, event->sample_len, SAMPLE_MOST);
        text_add(&out, ",\"size\":");
        text_number(&out, (int64_t)event->size);
    }
    if (event->session != 0) {
        text_add(&out, ",\"session\":");
        text_number(&out, (int64_t)event->session);
    }
    if (event->replay)
        text_add(&out, ",\"replay\":true");
    if (event->clean >= 0)
        text_add(&out, event->clean ? ",\"clean\":true" : ",\"clean\":false");
    if (event->kind == EVIDENCE_LOGIN) {
        text_add(&out, ",\"keepalive\":");
        text_number(&out, event->keepalive);
    }
    if (out.cut)
        text_add(&out, ",\"cut\":true");
    text_add(&out, ",\"count\":");
    text_number(&out, count);
    text_add(&out, "}");
    return out.used;
}

static void send(const struct event *event, uint64_t at_ms, uint32_t count)
{
    number++;
    size_t n = write_down(event, at_ms, count);
    if (mosquitto_broker_publish_copy(NULL, EVIDENCE_TOPIC, (int)n, buffer, 1, false, NULL) ==
        MOSQ_ERR_SUCCESS) {
        counters.events++;
        sent = true;
    }
}

bool evidence_sent(void)
{
    bool was = sent;
    sent = false;
    return was;
}

void evidence_wake(void)
{
    sent = true;
}

/* --- repetitions ----------------------------------------------------------------------------- */

/* An event with its strings. */
struct held {
    struct event event;
    uint64_t at_ms;
    char text[];
};

/* One key inside its window. An event that was not sent is held to be sent with the count when the
 * window ends. */
struct repeat {
    struct repeat *same_slot, *next; /* next: in the order in which windows end */
    uint64_t key, ends_ms;
    uint32_t told, untold;
    struct held *held;
};

enum { SLOTS = 1024 };

struct repeats {
    uint64_t window_ms;
    uint32_t at_once; /* events of a window that are sent as they come */
    size_t most, used;
    struct repeat *slots[SLOTS], *first, *last;
};

static struct repeats refusals = {.window_ms = 60000, .at_once = 1, .most = 2048};
static struct repeats presence = {.window_ms = 1000, .at_once = 4, .most = 65536};

static struct repeats *repeats_of(enum evidence_kind kind)
{
    return kind == EVIDENCE_LOGIN || kind == EVIDENCE_GONE ? &presence : &refusals;
}

static struct repeat **slot_of(struct repeats *all, uint64_t key)
{
    return &all->slots[key % SLOTS];
}

static void append(struct repeats *all, struct repeat *repeat, uint64_t now_ms)
{
    repeat->ends_ms = now_ms + all->window_ms;
    repeat->next = NULL;
    if (all->last != NULL)
        all->last->next = repeat;
    else
        all->first = repeat;
    all->last = repeat;
}

static struct repeat *repeat_of(struct repeats *all, uint64_t key, uint64_t now_ms)
{
    struct repeat **slot = slot_of(all, key);
    for (struct repeat *at = *slot; at != NULL; at = at->same_slot)
        if (at->key == key)
            return at;
    struct repeat *made = all->used < all->most ? calloc(1, sizeof *made) : NULL;
    if (made == NULL)
        return NULL;
    made->key = key;
    made->same_slot = *slot;
    *slot = made;
    all->used++;
    append(all, made, now_ms);
    return made;
}

static void forget(struct repeats *all, struct repeat *repeat)
{
    struct repeat **at = slot_of(all, repeat->key);
    while (*at != repeat)
        at = &(*at)->same_slot;
    *at = repeat->same_slot;
    all->used--;
    free(repeat->held);
    free(repeat);
}

static const char *keep(char **to, const char *text, size_t most)
{
    if (text == NULL)
        return NULL;
    size_t n = strnlen(text, most + 1); /* one more, so that the event still says "cut" */
    char *kept = memcpy(*to, text, n);
    kept[n] = '\0';
    *to += n + 1;
    return kept;
}

static size_t room_for(const char *text, size_t most)
{
    return text == NULL ? 0 : strnlen(text, most + 1) + 1;
}

/* Copies what the event points to. `action` and `with` are constants. */
static void hold(struct repeat *repeat, const struct event *event)
{
    size_t sample = event->sample == NULL             ? 0
                    : event->sample_len < SAMPLE_MOST ? event->sample_len
                                                      : SAMPLE_MOST;
    struct held *held =
        malloc(sizeof *held + room_for(event->why, NAME_MOST) + room_for(event->user, NAME_MOST) +
               room_for(event->client, NAME_MOST) + room_for(event->ip, NAME_MOST) +
               room_for(event->topic, TOPIC_MOST) + room_for(event->detail, DETAIL_MOST) +
               room_for(event->key, NAME_MOST) + sample + 1);
    if (held == NULL)
        return; /* the count is kept, the older event stays */
    free(repeat->held);
    repeat->held = held;
    held->event = *event;
    held->at_ms = clock_wall_ms();
    char *text = held->text;
    held->event.why = keep(&text, event->why, NAME_MOST);
    held->event.user = keep(&text, event->user, NAME_MOST);
    held->event.client = keep(&text, event->client, NAME_MOST);
    held->event.ip = keep(&text, event->ip, NAME_MOST);
    held->event.topic = keep(&text, event->topic, TOPIC_MOST);
    held->event.detail = keep(&text, event->detail, DETAIL_MOST);
    held->event.key = keep(&text, event->key, NAME_MOST);
    if (event->sample != NULL) {
        held->event.sample = memcpy(text, event->sample, sample);
        held->event.sample_len = sample;
    }
}

void evidence_tell(const struct event *event, uint64_t key, uint64_t now_ms)
{
    struct repeats *all = repeats_of(event->kind);
    struct repeat *repeat = repeat_of(all, key, now_ms);
    if (repeat == NULL && all == &refusals) {
        /* Too many different ones: the rest of a kind and reason is counted together. */
        repeat = repeat_of(all, evidence_key(event, "", ""), now_ms);
        if (repeat == NULL) {
            counters.repeated++;
            return;
        }
    }
    if (repeat == NULL || repeat->told < all->at_once) {
        send(event, clock_wall_ms(), 1);
        if (repeat != NULL)
            repeat->told++;
        return;
    }
    counters.repeated++;
    repeat->untold++;
    /* Of refusals, the first after the one that was sent is as telling as the last but for its
     * time. */
    if (all == &presence || repeat->held == NULL)
        hold(repeat, event);
    else
        repeat->held->at_ms = clock_wall_ms();
}

void evidence_peek(const char *user, const char *topic)
{
    unsigned left = PEEK_MOST;
    for (const struct repeat *at = refusals.first; at != NULL && left > 0; at = at->next) {
        if (at->held == NULL || at->held->event.user == NULL ||
            strncmp(at->held->event.user, user, NAME_MOST) != 0)
            continue;
        size_t n = write_down(&at->held->event, at->held->at_ms, at->untold);
        mosquitto_broker_publish_copy(NULL, topic, (int)n, buffer, 0, false, NULL);
        left--;
    }
}

void evidence_send(const struct event *event)
{
    send(event, event->at_ms != 0 ? event->at_ms : clock_wall_ms(), 1);
}

uint64_t evidence_key(const struct event *event, const char *whom, const char *what)
{
    uint64_t key = hash_more(hash_start(), &event->kind, sizeof event->kind);
    if (repeats_of(event->kind) == &presence)
        key = hash_start(); /* the end of a session replaces its login */
    else if (event->why != NULL)
        key = hash_text(key, event->why);
    return hash_text(hash_text(key, whom), what);
}

static void flush(struct repeats *all, uint64_t now_ms)
{
    while (all->first != NULL && all->first->ends_ms <= now_ms) {
        struct repeat *repeat = all->first;
        all->first = repeat->next;
        if (all->first == NULL)
            all->last = NULL;
        if (repeat->untold == 0 || repeat->held == NULL) {
            forget(all, repeat);
            continue;
        }
        send(&repeat->held->event, repeat->held->at_ms, repeat->untold);
        free(repeat->held);
        repeat->held = NULL;
        repeat->untold = 0;
        repeat->told = all->at_once; /* the next one waits for the end of this new window */
        append(all, repeat, now_ms);
    }
}

void evidence_flush(uint64_t now_ms)
{
    flush(&presence, now_ms);
    flush(&refusals, now_ms);
}

/* --- beginning and end ----------------------------------------------------------------------- */

bool evidence_start(void)
{
    uint8_t random[BOOT_BYTES];
    if (crypto.RAND_bytes(random, sizeof random) != 1)
        return false;
    for (size_t i = 0; i < sizeof random; i++) {
        boot[2 * i] = "0123456789abcdef"[random[i] >> 4];
        boot[2 * i + 1] = "0123456789abcdef"[random[i] & 15];
    }
    number = 0;
    return true;
}

const char *evidence_boot(void)
{
    return boot;
}

static void empty(struct repeats *all)
{
    for (struct repeat *at = all->first, *next; at != NULL; at = next) {
        next = at->next;
        forget(all, at);
    }
    all->first = all->last = NULL;
}

void evidence_stop(void)
{
    empty(&presence);
    empty(&refusals);
}
