/* Mosquitto's plugin interface, and the few numbers of mosquitto.h that a plugin returns. */
#ifndef MOORING_BROKER_H
#define MOORING_BROKER_H

#include "vendor/mosquitto_broker.h"
#include "vendor/mosquitto_plugin.h"

/* The same in 2.0 and 2.1. Codes that differ between them (ADMINISTRATIVE_ACTION) are not used. */
enum {
    MOSQ_ERR_SUCCESS = 0,
    MOSQ_ERR_NOMEM = 1,
    MOSQ_ERR_INVAL = 3,
    MOSQ_ERR_AUTH = 11,
    MOSQ_ERR_ACL_DENIED = 12,
    MOSQ_ERR_UNKNOWN = 13, /* ends the connection; MQTT 5 clients get reason 0x80 */
};

enum { MOSQ_LOG_INFO = 1, MOSQ_LOG_NOTICE = 2, MOSQ_LOG_WARNING = 4, MOSQ_LOG_ERR = 8 };

/* 2.1 reports the end of a connection whose session persists with this event. 2.0 does not know
 * it and answers MOSQ_ERR_NOT_SUPPORTED when it is registered. Its data begin as those of
 * MOSQ_EVT_DISCONNECT. */
enum { MOSQ_EVT_CLIENT_OFFLINE_2_1 = 28 };

#endif
