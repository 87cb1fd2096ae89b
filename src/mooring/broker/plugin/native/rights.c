#include "rights.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "hash.h"
#include "limits.h"
#include "topics.h"

enum { SLOTS = 4096, FILTERS_MOST = UINT16_MAX };

static struct rights *rights_slots[SLOTS];
static struct tenant *tenant_slots[SLOTS];

/* --- filters --------------------------------------------------------------------------------- */

static size_t lines_of(const char *text, struct filter *out, size_t most)
{
    size_t n = 0;
    while (*text != '\0' && n < most) {
        size_t len = strcspn(text, "\n");
        if (len > 0) {
            if (out != NULL)
                out[n] = (struct filter){text, (uint32_t)len};
            n++;
        }
        text += len;
        text += *text == '\n';
    }
    return n;
}

static struct rights **rights_slot(int64_t id)
{
    return &rights_slots[(uint64_t)id % SLOTS];
}

struct rights *rights_hold(int64_t id, uint32_t generation, const char *publish,
                           const char *subscribe)
{
    for (struct rights *at = *rights_slot(id); at != NULL; at = at->next)
        if (at->id == id && at->generation == generation) {
            at->references++;
            return at;
        }
    size_t publishes = lines_of(publish, NULL, FILTERS_MOST);
    size_t subscribes = lines_of(subscribe, NULL, FILTERS_MOST);
    size_t head = sizeof(struct rights) + (publishes + subscribes) * sizeof(struct filter);
    size_t publish_len = strlen(publish) + 1, subscribe_len = strlen(subscribe) + 1;
    struct rights *made = malloc(head + publish_len + subscribe_len);
    if (made == NULL)
        return NULL;
    char *text = (char *)made + head;
    memcpy(text, publish, publish_len);
    memcpy(text + publish_len, subscribe, subscribe_len);
    *made = (struct rights){
        .next = *rights_slot(id),
        .id = id,
        .generation = generation,
        .references = 1,
        .publishes = (uint16_t)publishes,
        .subscribes = (uint16_t)subscribes,
    };
    lines_of(text, made->filters, publishes);
    lines_of(text + publish_len, made->filters + publishes, subscribes);
    *rights_slot(id) = made;
    return made;
}

void rights_release(struct rights *rights)
{
    if (rights == NULL || --rights->references > 0)
        return;
    struct rights **at = rights_slot(rights->id);
    while (*at != rights)
        at = &(*at)->next;
    *at = rights->next;
    free(rights);
}

/* --- tenants --------------------------------------------------------------------------------- */

static void read_limits(struct tenant *tenant, uint32_t generation, bool *unread)
{
    struct limits limits = {-1, -1, -1};
    if (tenant->generation == generation)
        return;
    if (file_tenant(tenant->name, &limits) == FILE_UNREADABLE) {
        *unread = true;
        return;
    }
    if (tenant->generation == 0)
        limits_fill(&tenant->bucket, &limits, clock_ms());
    tenant->limits = limits;
    tenant->generation = generation;
}

struct tenant *tenants_hold(const char *name, uint32_t generation, bool *unread)
{
    struct tenant **slot = &tenant_slots[hash_slot(name) % SLOTS];
    struct tenant *at = *slot;
    while (at != NULL && strcmp(at->name, name) != 0)
        at = at->next;
    if (at == NULL) {
        at = calloc(1, sizeof *at + strlen(name) + 1);
        if (at == NULL) {
            *unread = true;
            return NULL;
        }
        memcpy(at->name, name, strlen(name) + 1);
        at->next = *slot;
        *slot = at;
    }
    at->references++;
    read_limits(at, generation, unread);
    return at;
}

void tenants_release(struct tenant *tenant)
{
    if (tenant == NULL || --tenant->references > 0)
        return;
    struct tenant **at = &tenant_slots[hash_slot(tenant->name) % SLOTS];
    while (*at != tenant)
        at = &(*at)->next;
    *at = tenant->next;
    free(tenant);
}

void tenants_move(struct tenant *from, struct tenant *to, uint32_t connections)
{
    if (from != NULL)
        from->connections -= connections;
    if (to != NULL)
        to->connections += connections;
}

/* --- topics ---------------------------------------------------------------------------------- */

static bool allows(const struct filter *filter, const struct account *account, const char *topic,
                   enum action action)
{
    return topics_within(filter->text, filter->len, account_values(account), topic,
                         action == ACTION_SUBSCRIBE);
}

const char *rights_refusal(struct account *account, enum action action, const char *topic)
{
    if (account->gone)
        return "unknown_username";
    if (account->locked)
        return "locked";
    if (account->service)
        return NULL;
    if (action == ACTION_SUBSCRIBE && (topic = topics_unshared(topic)) == NULL)
        return "invalid_topic";
    if (*topic == '$' && topics_reserved(topic))
        return "reserved";
    const struct rights *rights = account->rights;
    bool publish = action == ACTION_PUBLISH;
    const struct filter *filters = rights->filters + (publish ? 0 : rights->publishes);
    uint16_t n = publish ? rights->publishes : rights->subscribes;
    uint16_t *last = publish ? &account->last_publish : &account->last_subscribe;
    /* A device repeats its topics: the filter that allowed the last one comes first. */
    if (*last < n && allows(&filters[*last], account, topic, action))
        return NULL;
    for (uint16_t i = 0; i < n; i++)
        if (allows(&filters[i], account, topic, action)) {
            *last = i;
            return NULL;
        }
    return "no_right";
}
