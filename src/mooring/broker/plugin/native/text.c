#include "text.h"

#include <stdio.h>
#include <string.h>

void text_start(struct text *out, char *buffer, size_t room)
{
    *out = (struct text){.at = buffer, .room = room};
    out->at[0] = '\0';
}

static void put(struct text *out, const char *bytes, size_t n)
{
    if (out->full || n >= out->room - out->used) {
        out->full = true;
        return;
    }
    memcpy(out->at + out->used, bytes, n);
    out->used += n;
    out->at[out->used] = '\0';
}

void text_add(struct text *out, const char *plain)
{
    put(out, plain, strlen(plain));
}

void text_number(struct text *out, int64_t number)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%lld", (long long)number);
    put(out, digits, (size_t)n);
}

/* RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF. */
size_t text_utf8(const char *at, size_t n)
{
    const uint8_t *b = (const uint8_t *)at;
    if (b[0] < 0x80)
        return 1;
    if (b[0] < 0xC2 || b[0] > 0xF4)
        return 0;
    size_t length = b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : 4;
    if (n < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((b[i] & 0xC0) != 0x80)
            return 0;
    if ((b[0] == 0xE0 && b[1] < 0xA0) || (b[0] == 0xED && b[1] > 0x9F) ||
        (b[0] == 0xF0 && b[1] < 0x90) || (b[0] == 0xF4 && b[1] > 0x8F))
        return 0;
    return length;
}

void text_string(struct text *out, const char *bytes, size_t n, size_t most)
{
    put(out, "\"", 1);
    for (size_t i = 0, length; i < n; i += length) {
        length = text_utf8(bytes + i, n - i);
        if (i + (length > 0 ? length : 1) > most) {
            out->cut = true;
            break;
        }
        uint8_t c = (uint8_t)bytes[i];
        if (length == 0) {
            put(out, "\xEF\xBF\xBD", 3);
            length = 1;
        } else if (c == '"' || c == '\\') {
            char escaped[2] = {'\\', (char)c};
            put(out, escaped, 2);
        } else if (c < 0x20 || c == 0x7F) {
            char escaped[8];
            snprintf(escaped, sizeof escaped, "\\u%04x", c);
            put(out, escaped, 6);
        } else {
            put(out, bytes + i, length);
        }
    }
    put(out, "\"", 1);
}

void text_base64(struct text *out, const void *bytes, size_t n, size_t most)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *b = bytes;
    if (n > most)
        n = most;
    put(out, "\"", 1);
    for (size_t i = 0; i < n; i += 3) {
        uint32_t three = (uint32_t)b[i] << 16;
        if (i + 1 < n)
            three |= (uint32_t)b[i + 1] << 8;
        if (i + 2 < n)
            three |= b[i + 2];
        char four[4] = {digits[three >> 18], digits[three >> 12 & 63], '=', '='};
        if (i + 1 < n)
            four[2] = digits[three >> 6 & 63];
        if (i + 2 < n)
            four[3] = digits[three & 63];
        put(out, four, 4);
    }
    put(out, "\"", 1);
}
