/* DHCP's message. SPDX-License-Identifier: MIT */
#include "net/dhcp.h"

#include <string.h>

#include <xenkit/packet.h>

enum { MAGIC = 0x63825363, BROADCAST = 0x8000 };

int dhcp_read(const uint8_t *data, size_t n, struct dhcp_message *m)
{
    const uint8_t *type;
    size_t len;

    memset(m, 0, sizeof(*m));
    if (n < DHCP_HEAD || data[1] != 1 || data[2] != 6 || xk_packet_get32(data + 236) != MAGIC)
        return XK_EINVAL;
    m->op = data[0];
    m->xid = xk_packet_get32(data + 4);
    m->seconds = xk_packet_get16(data + 8);
    m->flags = xk_packet_get16(data + 10);
    m->ciaddr = xk_packet_get32(data + 12);
    m->yiaddr = xk_packet_get32(data + 16);
    m->giaddr = xk_packet_get32(data + 24);
    memcpy(m->mac, data + 28, 6);
    m->options = data + DHCP_HEAD;
    m->options_size = n - DHCP_HEAD;
    type = dhcp_option(m, OPT_TYPE, &len);
    if (!type || len != 1 || *type < DISCOVER || *type > INFORM)
        return XK_EINVAL;
    m->type = *type;
    return 0;
}

const uint8_t *dhcp_option(const struct dhcp_message *m, uint8_t code, size_t *n)
{
    for (size_t i = 0; i < m->options_size && m->options[i] != OPT_END;) {
        size_t len;
        if (m->options[i] == 0) { /* pad */
            i++;
            continue;
        }
        if (i + 2 > m->options_size || (len = m->options[i + 1]) > m->options_size - i - 2)
            return NULL;
        if (m->options[i] == code) {
            *n = len;
            return m->options + i + 2;
        }
        i += 2 + len;
    }
    return NULL;
}

uint32_t dhcp_number(const struct dhcp_message *m, uint8_t code, uint32_t otherwise)
{
    size_t n;
    const uint8_t *p = dhcp_option(m, code, &n);

    return p && n >= 4 ? xk_packet_get32(p) : otherwise;
}

void dhcp_text(const struct dhcp_message *m, uint8_t code, char *out, size_t size)
{
    size_t n = 0;
    const uint8_t *p = dhcp_option(m, code, &n);

    n = !p ? 0 : n < size ? n : size - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') ||
                         p[i] == '-' || p[i] == '.' || p[i] == '_'
                     ? (char)p[i]
                     : '?';
    out[n] = '\0';
}

void dhcp_begin(struct dhcp_writer *w, const struct dhcp_message *m)
{
    uint8_t *b;

    memset(w, 0, sizeof(*w));
    b = w->bytes;
    b[0] = m->op;
    b[1] = 1;
    b[2] = 6;
    xk_packet_put32(b + 4, m->xid);
    xk_packet_put16(b + 8, m->seconds);
    xk_packet_put16(b + 10, m->flags);
    xk_packet_put32(b + 12, m->ciaddr);
    xk_packet_put32(b + 16, m->yiaddr);
    xk_packet_put32(b + 24, m->giaddr);
    memcpy(b + 28, m->mac, 6);
    xk_packet_put32(b + 236, MAGIC);
    w->n = DHCP_HEAD;
    dhcp_put(w, OPT_TYPE, &m->type, 1);
}

void dhcp_put(struct dhcp_writer *w, uint8_t code, const void *value, size_t n)
{
    if (n > 255 || w->n + 2 + n + 1 > DHCP_MAX)
        return;
    w->bytes[w->n] = code;
    w->bytes[w->n + 1] = (uint8_t)n;
    memcpy(w->bytes + w->n + 2, value, n);
    w->n += 2 + n;
}

void dhcp_put32(struct dhcp_writer *w, uint8_t code, uint32_t v)
{
    uint8_t b[4];

    xk_packet_put32(b, v);
    dhcp_put(w, code, b, 4);
}

/* Some look for BOOTP's 300 bytes. */
void dhcp_end(struct dhcp_writer *w)
{
    w->bytes[w->n++] = OPT_END;
    if (w->n < DHCP_MIN)
        w->n = DHCP_MIN;
}
