/* net/dhcp.h - DHCP's message, as both ends read and write it (RFC 2131 2, RFC 2132). SPDX-License-Identifier: MIT */
#ifndef XK_NET_DHCP_H
#define XK_NET_DHCP_H

#include <xenkit/dhcp.h>

enum { DHCP_SERVER_PORT = 67, DHCP_CLIENT_PORT = 68, DHCP_HEAD = 240, DHCP_MAX = 576 - 28, DHCP_MIN = 300 };
enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };
enum {
    OPT_MASK = 1,
    OPT_ROUTER = 3,
    OPT_DNS = 6,
    OPT_HOSTNAME = 12,
    OPT_DOMAIN = 15,
    OPT_MTU = 26,
    OPT_BROADCAST = 28,
    OPT_REQUESTED = 50,
    OPT_SECONDS = 51,
    OPT_TYPE = 53,
    OPT_SERVER = 54,
    OPT_WANTED = 55,
    OPT_MAX_SIZE = 57,
    OPT_T1 = 58,
    OPT_T2 = 59,
    OPT_CLIENT = 61,
    OPT_END = 255
};

struct dhcp_message {
    uint8_t op, type; /* 1 request, 2 reply; DISCOVER ... */
    uint32_t xid;
    uint16_t seconds, flags;
    xk_ip4 ciaddr, yiaddr, giaddr;
    uint8_t mac[6];
    const uint8_t *options; /* of what was read */
    size_t options_size;
};

/* 0, or XK_EINVAL: no DHCP on Ethernet. */
int dhcp_read(const uint8_t *data, size_t n, struct dhcp_message *m);

/* The value of an option, or NULL. Options that are spread over several are not joined (RFC 3396): none of ours is. */
const uint8_t *dhcp_option(const struct dhcp_message *m, uint8_t code, size_t *n);
uint32_t dhcp_number(const struct dhcp_message *m, uint8_t code, uint32_t otherwise); /* of four bytes */
void dhcp_text(const struct dhcp_message *m, uint8_t code, char *out,
               size_t size); /* what cannot be a name becomes '?' */

struct dhcp_writer {
    uint8_t bytes[DHCP_MAX];
    size_t n;
};
void dhcp_begin(struct dhcp_writer *w, const struct dhcp_message *m);
void dhcp_put(struct dhcp_writer *w, uint8_t code, const void *value, size_t n); /* left out when there is no room */
void dhcp_put32(struct dhcp_writer *w, uint8_t code, uint32_t v);
void dhcp_end(struct dhcp_writer *w);

#endif
