/* The common name and serial of the certificate that a client showed. */
#ifndef MOORING_CERTIFICATE_H
#define MOORING_CERTIFICATE_H

#include <stdbool.h>

struct mosquitto;

enum { CERTIFICATE_NAME = 1024, CERTIFICATE_SERIAL = 128 };

struct certificate {
    bool shown;                      /* there is one; the TLS layer has verified its chain */
    char name[CERTIFICATE_NAME];     /* first common name; empty: none, too long, or with NUL */
    char serial[CERTIFICATE_SERIAL]; /* lower-case hex without leading zeros */
};

void certificate_of(const struct mosquitto *client, struct certificate *out);

#endif
