#include "certificate.h"

#include <string.h>

#include "broker.h"
#include "libraries.h"

static void read_name(X509 *certificate, char *out)
{
    X509_NAME *subject = crypto.X509_get_subject_name(certificate);
    int at = crypto.X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return;
    unsigned char *text = NULL;
    int n = crypto.ASN1_STRING_to_UTF8(
        &text, crypto.X509_NAME_ENTRY_get_data(crypto.X509_NAME_get_entry(subject, at)));
    if (n < 0)
        return;
    if (n < CERTIFICATE_NAME && memchr(text, '\0', (size_t)n) == NULL) {
        memcpy(out, text, (size_t)n);
        out[n] = '\0';
    }
    crypto.CRYPTO_free(text, "", 0);
}

static void read_serial(X509 *certificate, char *out)
{
    BIGNUM *number = crypto.ASN1_INTEGER_to_BN(crypto.X509_get_serialNumber(certificate), NULL);
    if (number == NULL)
        return;
    unsigned char bytes[CERTIFICATE_SERIAL / 2 - 1];
    int n = (crypto.BN_num_bits(number) + 7) / 8;
    if (n > 0 && (size_t)n <= sizeof bytes) {
        crypto.BN_bn2bin(number, bytes);
        for (int i = 0; i < n; i++) {
            unsigned high = bytes[i] >> 4, low = bytes[i] & 15;
            if (i > 0 || high > 0)
                *out++ = "0123456789abcdef"[high];
            *out++ = "0123456789abcdef"[low];
        }
        *out = '\0';
    }
    crypto.BN_free(number);
}

void certificate_of(const struct mosquitto *client, struct certificate *out)
{
    X509 *certificate = mosquitto_client_certificate(client); /* ours to free */
    out->shown = certificate != NULL;
    out->name[0] = out->serial[0] = '\0';
    if (certificate == NULL)
        return;
    read_name(certificate, out->name);
    read_serial(certificate, out->serial);
    crypto.X509_free(certificate);
}
