/* The broker's side of the plugin interface, for tests inside one process.
 *
 * Compiled together with the plugin's sources. What the plugin publishes is kept until a test takes
 * it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "broker.h"
#include "control.h"
#include "libraries.h"
#include "login.h"
#include "rights.h"
#include "sessions.h"

struct mosquitto {
    char *id, *username;
    bool clean, connected;
    void *certificate;
    struct mosquitto *next, *next_connected;
};

struct message {
    struct message *next;
    char *topic, *payload;
    int len;
};

static MOSQ_FUNC_generic_callback callbacks[64];
static struct mosquitto *clients, *connected[4096]; /* the latter by the end of their client id */
static struct message *first, *last;
static char identifier;
int stub_kicks;

/* --- what the plugin calls ------------------------------------------------------------------ */

int mosquitto_callback_register(mosquitto_plugin_id_t *id, int event,
                                MOSQ_FUNC_generic_callback callback, const void *data, void *user)
{
    (void)id, (void)data, (void)user;
    callbacks[event] = callback;
    return 0;
}

int mosquitto_callback_unregister(mosquitto_plugin_id_t *id, int event,
                                  MOSQ_FUNC_generic_callback callback, const void *data)
{
    (void)id, (void)callback, (void)data;
    callbacks[event] = NULL;
    return 0;
}

void mosquitto_log_printf(int level, const char *format, ...)
{
    (void)level, (void)format;
}

const char *mosquitto_client_address(const struct mosquitto *client)
{
    (void)client;
    return "127.0.0.1";
}

int mosquitto_client_sub_count(const struct mosquitto *client)
{
    (void)client;
    return 0;
}

int mosquitto_client_protocol(const struct mosquitto *client)
{
    (void)client;
    return mp_mqtt;
}

bool mosquitto_client_clean_session(const struct mosquitto *client)
{
    return client->clean;
}

int mosquitto_client_keepalive(const struct mosquitto *client)
{
    (void)client;
    return 60;
}

const char *mosquitto_client_id(const struct mosquitto *client)
{
    return client->id;
}

const char *mosquitto_client_username(const struct mosquitto *client)
{
    return client->username;
}

void *mosquitto_client_certificate(const struct mosquitto *client)
{
    return client->certificate;
}

int mosquitto_set_username(struct mosquitto *client, const char *username)
{
    char *copy = strdup(username);
    free(client->username);
    client->username = copy;
    return 0;
}

int mosquitto_broker_publish_copy(const char *client, const char *topic, int len,
                                  const void *payload, int qos, bool retain,
                                  mosquitto_property *properties)
{
    (void)client, (void)qos, (void)retain, (void)properties;
    struct message *made = calloc(1, sizeof *made);
    made->topic = strdup(topic);
    made->payload = malloc((size_t)len + 1);
    memcpy(made->payload, payload, (size_t)len);
    made->payload[len] = '\0';
    made->len = len;
    if (last != NULL)
        last->next = made;
    else
        first = made;
    last = made;
    return 0;
}

static struct mosquitto **slot_of(const char *id)
{
    unsigned slot = 0;
    for (; *id != '\0'; id++)
        slot = slot * 31 + (unsigned char)*id;
    return &connected[slot % 4096];
}

static struct mosquitto *connected_as(const char *id)
{
    struct mosquitto *at = *slot_of(id);
    while (at != NULL && strcmp(at->id, id) != 0)
        at = at->next_connected;
    return at;
}

static int gone(struct mosquitto *client, int reason)
{
    struct mosquitto_evt_disconnect event = {.client = client, .reason = reason};
    struct mosquitto **at = slot_of(client->id);
    while (*at != client)
        at = &(*at)->next_connected;
    *at = client->next_connected;
    client->connected = false;
    return callbacks[MOSQ_EVT_DISCONNECT](MOSQ_EVT_DISCONNECT, &event, NULL);
}

int mosquitto_kick_client_by_clientid(const char *id, bool with_will)
{
    (void)with_will;
    struct mosquitto *client = connected_as(id);
    if (client == NULL)
        return 6;
    stub_kicks++;
    return gone(client, -1);
}

/* --- what a test calls ---------------------------------------------------------------------- */

int stub_start(char *accounts)
{
    struct mosquitto_opt option = {"accounts", accounts};
    void *user = NULL;
    stub_kicks = 0;
    return mosquitto_plugin_init((mosquitto_plugin_id_t *)&identifier, &user, &option, 1);
}

static void drop_first(void)
{
    struct message *old = first;
    first = old->next;
    if (first == NULL)
        last = NULL;
    free(old->topic);
    free(old->payload);
    free(old);
}

void stub_stop(void)
{
    mosquitto_plugin_cleanup(NULL, NULL, 0);
    while (first != NULL)
        drop_first();
    memset(connected, 0, sizeof connected);
    while (clients != NULL) {
        struct mosquitto *next = clients->next;
        free(clients->id);
        free(clients->username);
        free(clients);
        clients = next;
    }
}

/* The oldest message not yet taken; NULL: none. Valid until the next call. */
const char *stub_take(int *len)
{
    static char *taken;
    free(taken);
    taken = NULL;
    if (first == NULL)
        return NULL;
    taken = first->payload;
    *len = first->len;
    first->payload = NULL;
    drop_first();
    return taken;
}

struct mosquitto *stub_client(const char *id, const char *username, bool clean)
{
    struct mosquitto *made = calloc(1, sizeof *made);
    made->id = strdup(id);
    made->username = username != NULL ? strdup(username) : NULL;
    made->clean = clean;
    made->next = clients;
    clients = made;
    return made;
}

/* "+password", "+new_password", "+certificate", or why it is refused. Changes nothing. */
const char *stub_decide(const char *username, const char *password, const char *client_id,
                        const char *name, const char *serial)
{
    static char said[64];
    struct certificate certificate = {.shown = name != NULL};
    if (name != NULL) {
        snprintf(certificate.name, sizeof certificate.name, "%s", name);
        snprintf(certificate.serial, sizeof certificate.serial, "%s", serial);
    }
    struct login login = {username, password, client_id, &certificate};
    struct login_verdict verdict = login_decide(&login);
    if (verdict.refused != NULL)
        return verdict.refused;
    snprintf(said, sizeof said, "+%s", verdict.with);
    return said;
}

int stub_login(struct mosquitto *client, char *password)
{
    struct mosquitto_evt_basic_auth event = {
        .client = client, .username = client->username, .password = password};
    int answer = callbacks[MOSQ_EVT_BASIC_AUTH](MOSQ_EVT_BASIC_AUTH, &event, NULL);
    if (answer != 0)
        return answer;
    struct mosquitto *older = connected_as(client->id);
    if (older != NULL)
        gone(older, 0); /* as the broker does: after the login was accepted */
    client->next_connected = *slot_of(client->id);
    *slot_of(client->id) = client;
    client->connected = true;
    return 0;
}

int stub_gone(struct mosquitto *client)
{
    return client->connected ? gone(client, 7) : 0;
}

/* NULL: it may; otherwise why not. */
const char *stub_may(const char *username, int action, const char *topic)
{
    struct account *account;
    accounts_get(username, &account);
    return account == NULL ? "unknown_username"
                           : rights_refusal(account, (enum action)action, topic);
}

int stub_acl(struct mosquitto *client, int access, const char *topic, const void *payload, int len)
{
    struct mosquitto_evt_acl_check event = {.client = client,
                                            .access = access,
                                            .topic = topic,
                                            .payload = payload,
                                            .payloadlen = (uint32_t)len};
    return callbacks[MOSQ_EVT_ACL_CHECK](MOSQ_EVT_ACL_CHECK, &event, NULL);
}

long stub_tick(void)
{
    struct mosquitto_evt_tick event = {0};
    callbacks[MOSQ_EVT_TICK](MOSQ_EVT_TICK, &event, NULL);
    return event.next_ns;
}

int stub_control(struct mosquitto *client, const char *payload)
{
    struct mosquitto_evt_control event = {
        .client = client, .payload = payload, .payloadlen = (uint32_t)strlen(payload)};
    return callbacks[MOSQ_EVT_CONTROL](MOSQ_EVT_CONTROL, &event, NULL);
}
