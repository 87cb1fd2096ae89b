/* The plugin's entry: what the broker asks, and the answers.
 *
 * Sessions are ended from the tick and from a control message of another client, never while the
 * packet of that client is handled. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "accounts_file.h"
#include "broker.h"
#include "clock.h"
#include "control.h"
#include "counters.h"
#include "evidence.h"
#include "libraries.h"
#include "limits.h"
#include "listening.h"
#include "login.h"
#include "rights.h"
#include "sessions.h"

enum {
    REPLAY_US = 1000,
    LOOK_MS = 500,
    FLUSH_MS = 100,
    SOON_MS = 1,
    IDLE_MS = 100,
    USERNAME_ROOM = 1024
};

#define CONTROL_DEFAULT "$CONTROL/mooring-authority/v1"

#define EXPORT __attribute__((visibility("default")))

static struct {
    mosquitto_plugin_id_t *id;
    char *control, *response;
    uint64_t size_most; /* of a payload; 0: no limit */
    uint64_t looked_ms, flushed_ms;
    bool ticks_each_turn; /* of the broker's loop, as 2.0 does */
    bool reloading;       /* from a reload to the next tick, if that is in the same turn */
} plugin;

/* --- logins ---------------------------------------------------------------------------------- */

static int refuse(const struct mosquitto *client, const char *why, const char *username, bool known)
{
    const char *address = mosquitto_client_address(client);
    struct event event = {
        .kind = EVIDENCE_REFUSED,
        .why = why,
        .user = username,
        .client = mosquitto_client_id(client),
        .ip = address,
        .clean = mosquitto_client_clean_session(client),
    };
    counters.refused++;
    /* Of an account: once for it. Otherwise once for the address, whatever names it tries. */
    evidence_tell(&event, evidence_key(&event, known ? username : NULL, known ? NULL : address),
                  clock_ms());
    return MOSQ_ERR_AUTH;
}

static struct event login_of(const struct session *session)
{
    return (struct event){
        .kind = EVIDENCE_LOGIN,
        .user = session->account->text,
        .client = session_id(session),
        .ip = mosquitto_client_address(session->client),
        .with = session->with,
        .key = session->key[0] != '\0' ? session->key : NULL,
        .session = session->number,
        .clean = session->clean,
        .keepalive = mosquitto_client_keepalive(session->client),
    };
}

static void welcome(const struct session *session)
{
    struct event event = login_of(session);
    counters.logins++;
    if (!session->account->service) /* which asks every now and then */
        evidence_tell(&event, evidence_key(&event, event.user, event.client), clock_ms());
}

static void tell_again(const struct session *session)
{
    struct event event = login_of(session);
    event.at_ms = session->at_ms;
    event.replay = true;
    if (!session->account->service)
        evidence_send(&event);
}

/* 2.0 asks again for everybody at each reload; nobody has come. */
static bool asked_again(const struct session *session, const struct login *login,
                        const struct login_verdict *verdict)
{
    if (session == NULL || session->account != verdict->account ||
        strcmp(session_id(session), login->client_id) != 0)
        return false;
    const char *serial = session_serial(session);
    if (login->certificate->shown)
        return serial != NULL && strcmp(serial, login->certificate->serial) == 0;
    return serial == NULL && strcmp(session->key, verdict->key) == 0;
}

/* It also asks for clients that are absent and whose session it keeps; so does 2.1. None of them has
 * come, and 2.0 disconnects one that is rejected a second time, which corrupts its list of sessions
 * that expire. 2.1 says who is a client already. Between a reload and the tick at the end of that
 * turn 2.0 reads no packet but those of WebSockets, so whoever it asks about then, is none of these
 * and has no session here, is absent. */
static bool absent(const struct mosquitto *client, const char *client_id)
{
    if (sessions_of_client(client) != NULL)
        return false;
    if (find_client != NULL)
        return find_client(client_id) == client;
    return plugin.reloading && mosquitto_client_protocol(client) != mp_websockets;
}

static int on_login(int kind, void *data, void *userdata)
{
    (void)kind, (void)userdata;
    struct mosquitto_evt_basic_auth *event = data;
    struct certificate certificate;
    certificate_of(event->client, &certificate);
    struct login login = {event->username, event->password, mosquitto_client_id(event->client),
                          &certificate};
    if (login.client_id == NULL)
        return MOSQ_ERR_AUTH;
    if (absent(event->client, login.client_id))
        return MOSQ_ERR_SUCCESS;
    struct login_verdict verdict = login_decide(&login);
    const char *username =
        certificate.shown && certificate.name[0] != '\0' ? certificate.name : login.username;
    if (verdict.refused != NULL)
        return refuse(event->client, verdict.refused, username, verdict.account != NULL);
    if (certificate.shown &&
        mosquitto_set_username(event->client, certificate.name) != MOSQ_ERR_SUCCESS)
        return MOSQ_ERR_NOMEM;
    if (asked_again(sessions_of_client(event->client), &login, &verdict))
        return MOSQ_ERR_SUCCESS;
    uint64_t now_ms = clock_ms();
    limits_back(verdict.account, now_ms);
    if (limits_wait(verdict.account, now_ms)) {
        counters.put_off++;
        return MOSQ_ERR_UNKNOWN; /* closed without an answer: its login is right, it tries again */
    }
    struct session *session = sessions_add(event->client, verdict.account, login.client_id,
                                           certificate.shown ? certificate.serial : NULL);
    if (session == NULL)
        return MOSQ_ERR_NOMEM;
    session->with = verdict.with;
    if (verdict.key != NULL)
        memcpy(session->key, verdict.key, sizeof session->key);
    session->clean = mosquitto_client_clean_session(event->client);
    login_remember(verdict.account, &login);
    welcome(session);
    return MOSQ_ERR_SUCCESS;
}

static int on_gone(int kind, void *data, void *userdata)
{
    (void)kind, (void)userdata;
    struct mosquitto_evt_disconnect *gone = data;
    struct session *session = sessions_of_client(gone->client);
    if (session == NULL)
        return MOSQ_ERR_SUCCESS; /* its login was refused, or it ended before */
    char number[16];
    snprintf(number, sizeof number, "%d", gone->reason);
    struct event event = {
        .kind = EVIDENCE_GONE,
        .why = session->why != NULL ? session->why : number,
        .user = session->account->text,
        .client = session_id(session),
        .ip = mosquitto_client_address(gone->client),
        .with = session->with,
        .session = session->number,
        .clean = session->clean,
    };
    uint64_t key = evidence_key(&event, event.user, event.client);
    if (session->replaced)
        key = ~key; /* its client id is still connected: this must not be told in place of the login
                     */
    if (!session->account->service)
        evidence_tell(&event, key, clock_ms());
    sessions_remove(session);
    return MOSQ_ERR_SUCCESS;
}

/* --- topics ---------------------------------------------------------------------------------- */

/* What an event says of a topic. */
struct asked {
    const struct mosquitto *client;
    const struct mosquitto_evt_acl_check *check;
    const char *username;
    enum action action;
};

static void tell(const struct asked *asked, enum evidence_kind kind, const char *why)
{
    static const char *const ACTIONS[] = {"publish", "subscribe", "read"};
    struct event event = {
        .kind = kind,
        .why = why,
        .user = asked->username,
        .client = mosquitto_client_id(asked->client),
        .ip = mosquitto_client_address(asked->client),
        .topic = asked->check->topic,
        .action = ACTIONS[asked->action],
        .clean = -1,
    };
    if (asked->action == ACTION_PUBLISH && asked->check->payloadlen > 0) {
        event.sample = asked->check->payload;
        event.sample_len = event.size = asked->check->payloadlen;
    }
    /* A device that invents topics has eight groups of them, not an event for each. */
    char what[3] = {(char)('a' + asked->action), 0, 0};
    for (const char *c = event.topic; *c != '\0'; c++)
        what[1] = (char)(what[1] * 31 + *c);
    what[1] = (char)('0' + (what[1] & 7));
    evidence_tell(&event, evidence_key(&event, asked->username, what), clock_ms());
}

/* The broker also asks for those who are not connected: for wills, for queued messages, for who
 * sent a retained message once. That is counted and no evidence of what a device does. */
static int deny(const struct asked *asked, const char *why)
{
    counters.denied++;
    if (sessions_of_client(asked->client) != NULL && !sessions_kicking())
        tell(asked, EVIDENCE_DENIED, why);
    return MOSQ_ERR_ACL_DENIED;
}

static int over_limit(const struct asked *asked, struct session *session, const char *why)
{
    counters.limited++;
    session->why = why;
    tell(asked, EVIDENCE_DENIED, why);
    return MOSQ_ERR_UNKNOWN; /* not ACL_DENIED, which acknowledges a message that nobody gets */
}

static int charge(const struct asked *asked, struct account *account)
{
    struct session *session = sessions_of_client(asked->client);
    if (session == NULL)
        return MOSQ_ERR_SUCCESS; /* a will, or a retained message of long ago */
    const char *why =
        limits_charge(account, strlen(asked->check->topic) + asked->check->payloadlen, clock_ms());
    return why == NULL ? MOSQ_ERR_SUCCESS : over_limit(asked, session, why);
}

/* The broker sends it after it has handled the whole packet, and so all its filters. */
static void subscribed(const struct asked *asked)
{
    struct session *session = sessions_of_client(asked->client);
    if (session == NULL || !listening_subscribed(session, asked->check->topic, clock_ms()))
        return;
    mosquitto_broker_publish_copy(NULL, LISTENING_TOPIC, (int)strlen(asked->username),
                                  asked->username, 0, false, NULL);
    evidence_wake();
}

static int on_topic(int kind, void *data, void *userdata)
{
    (void)kind, (void)userdata;
    struct mosquitto_evt_acl_check *check = data;
    if (check->access == MOSQ_ACL_UNSUBSCRIBE) {
        struct session *session = sessions_of_client(check->client);
        if (session != NULL)
            listening_unsubscribed(session, check->topic);
        return MOSQ_ERR_SUCCESS;
    }
    struct asked asked = {check->client, check, mosquitto_client_username(check->client),
                          check->access == MOSQ_ACL_WRITE       ? ACTION_PUBLISH
                          : check->access == MOSQ_ACL_SUBSCRIBE ? ACTION_SUBSCRIBE
                                                                : ACTION_READ};
    if (asked.username == NULL)
        return deny(&asked, "no_username");
    struct account *account;
    if (accounts_get_for_topic(asked.username, &account) == FILE_UNREADABLE && account == NULL)
        return deny(&asked, "accounts_unreadable");
    if (account == NULL)
        return deny(&asked, "unknown_username");
    const char *why = rights_refusal(account, asked.action, check->topic);
    if (why != NULL)
        return deny(&asked, why);
    if (asked.action == ACTION_SUBSCRIBE && !account->service)
        subscribed(&asked);
    if (asked.action != ACTION_PUBLISH || account->service)
        return MOSQ_ERR_SUCCESS;
    if (plugin.size_most > 0 && check->payloadlen > plugin.size_most) {
        counters.oversize++;
        if (sessions_of_client(check->client) != NULL)
            tell(&asked, EVIDENCE_OVERSIZE, "message_size_limit");
        return MOSQ_ERR_ACL_DENIED; /* as the broker's own limit does it */
    }
    return limits_any(account) ? charge(&asked, account) : MOSQ_ERR_SUCCESS;
}

/* --- changes --------------------------------------------------------------------------------- */

static int on_tick(int kind, void *data, void *userdata)
{
    (void)kind, (void)userdata;
    struct mosquitto_evt_tick *tick = data;
    plugin.reloading = false;
    plugin.ticks_each_turn = tick->now_s == 0 && tick->now_ns == 0; /* 2.1 tells the time */
    uint64_t now_ms = clock_ms();
    if (now_ms - plugin.looked_ms >= LOOK_MS) {
        plugin.looked_ms = now_ms;
        file_look(now_ms);
    }
    bool more = control_work(NULL);
    more = sessions_replay(clock_us() + REPLAY_US, tell_again) || more;
    if (now_ms - plugin.flushed_ms >= FLUSH_MS) {
        plugin.flushed_ms = now_ms;
        evidence_flush(now_ms);
    }
    /* 2.1 reads milliseconds here, and sends what was published only after its next wait. 2.0
     * calls every 100 ms at the latest and reads nothing. */
    tick->next_ns = more || evidence_sent() ? SOON_MS : IDLE_MS;
    return MOSQ_ERR_SUCCESS;
}

static int on_control(int kind, void *data, void *userdata)
{
    (void)kind, (void)userdata;
    struct mosquitto_evt_control *control = data;
    static char buffer[4096], username[USERNAME_ROOM];
    struct text answer;
    plugin.looked_ms = clock_ms();
    file_look(plugin.looked_ms);
    file_expect_changes();
    control_work(control->client);
    if (control_asks_replay(control->payload, control->payloadlen))
        sessions_replay_start();
    if (control_asks_about(control->payload, control->payloadlen, username, sizeof username))
        evidence_peek(username, plugin.response);
    text_start(&answer, buffer, sizeof buffer);
    control_answer(&answer, control->payload != NULL ? control->payload : "", control->payloadlen);
    mosquitto_broker_publish_copy(NULL, plugin.response, (int)answer.used, buffer, 0, false, NULL);
    return MOSQ_ERR_SUCCESS;
}

static int on_reload(int kind, void *data, void *userdata)
{
    (void)kind, (void)data, (void)userdata;
    plugin.looked_ms = 0; /* the next tick looks at the file */
    plugin.reloading = plugin.ticks_each_turn;
    return MOSQ_ERR_SUCCESS;
}

/* --- beginning and end ----------------------------------------------------------------------- */

struct hook {
    int event;
    MOSQ_FUNC_generic_callback callback;
};
static const struct hook HOOKS[] = {
    {MOSQ_EVT_BASIC_AUTH, on_login}, {MOSQ_EVT_ACL_CHECK, on_topic}, {MOSQ_EVT_DISCONNECT, on_gone},
    {MOSQ_EVT_TICK, on_tick},        {MOSQ_EVT_RELOAD, on_reload},   {MOSQ_EVT_CONTROL, on_control},
};
enum { HOOKS_N = sizeof HOOKS / sizeof HOOKS[0] };

static int complain(const char *what)
{
    mosquitto_log_printf(MOSQ_LOG_ERR, "mooring: the plugin cannot start: %s", what);
    return MOSQ_ERR_UNKNOWN;
}

struct options {
    const char *accounts, *control, *sqlite, *size;
};

static void read_options(struct options *out, const struct mosquitto_opt *options, int n)
{
    for (int i = 0; i < n; i++) {
        const char *key = options[i].key, *value = options[i].value;
        if (strcmp(key, "accounts") == 0)
            out->accounts = value;
        else if (strcmp(key, "control") == 0)
            out->control = value;
        else if (strcmp(key, "sqlite") == 0)
            out->sqlite = value;
        else if (strcmp(key, "message_size_limit") == 0)
            out->size = value;
        else
            mosquitto_log_printf(MOSQ_LOG_WARNING, "mooring: unknown option plugin_opt_%s", key);
    }
}

static bool start_parts(const struct options *options)
{
    size_t n = strlen(options->control) + sizeof "/response";
    plugin.control = strdup(options->control);
    plugin.response = malloc(n);
    if (plugin.control == NULL || plugin.response == NULL)
        return false;
    snprintf(plugin.response, n, "%s/response", options->control);
    return tags_start() && evidence_start() && accounts_start() && sessions_start() &&
           file_start(options->accounts);
}

EXPORT int mosquitto_plugin_version(int n, const int *versions)
{
    for (int i = 0; i < n; i++)
        if (versions[i] == MOSQ_PLUGIN_VERSION)
            return MOSQ_PLUGIN_VERSION;
    return -1;
}

EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **userdata,
                                 struct mosquitto_opt *given, int n)
{
    (void)userdata;
    struct options options = {.control = CONTROL_DEFAULT};
    memset(&plugin, 0, sizeof plugin);
    memset(&counters, 0, sizeof counters);
    plugin.id = id;
    read_options(&options, given, n);
    if (options.accounts == NULL)
        return complain("plugin_opt_accounts is missing");
    char *end = NULL;
    plugin.size_most = options.size != NULL ? strtoull(options.size, &end, 10) : 0;
    if (options.size != NULL && (*end != '\0' || plugin.size_most == 0))
        return complain("plugin_opt_message_size_limit is not a number of bytes");
    const char *wrong = libraries_load(options.sqlite);
    if (wrong != NULL)
        return complain(wrong);
    if (!start_parts(&options))
        return complain("out of memory or random numbers");
    for (int i = 0; i < HOOKS_N; i++)
        if (mosquitto_callback_register(id, HOOKS[i].event, HOOKS[i].callback,
                                        HOOKS[i].event == MOSQ_EVT_CONTROL ? plugin.control : NULL,
                                        NULL) != MOSQ_ERR_SUCCESS)
            return complain("the broker does not know an event; Mosquitto 2.0 or later is needed");
    /* Not known to 2.0, which tells every end as MOSQ_EVT_DISCONNECT. */
    mosquitto_callback_register(id, MOSQ_EVT_CLIENT_OFFLINE_2_1, on_gone, NULL, NULL);
    mosquitto_log_printf(MOSQ_LOG_INFO, "mooring: accounts are in %s, change %lld",
                         options.accounts, (long long)file_change());
    return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int n)
{
    (void)userdata, (void)options, (void)n;
    for (int i = 0; i < HOOKS_N; i++)
        mosquitto_callback_unregister(plugin.id, HOOKS[i].event, HOOKS[i].callback,
                                      HOOKS[i].event == MOSQ_EVT_CONTROL ? plugin.control : NULL);
    mosquitto_callback_unregister(plugin.id, MOSQ_EVT_CLIENT_OFFLINE_2_1, on_gone, NULL);
    sessions_stop();
    accounts_stop();
    file_stop();
    evidence_stop();
    free(plugin.control);
    free(plugin.response);
    memset(&plugin, 0, sizeof plugin);
    return MOSQ_ERR_SUCCESS;
}
