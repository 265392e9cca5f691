/* Any bytes as a zone file: it loads, or there is a diagnosis with a place; what loads can be asked, and each answer's
 * data reads back from its text. SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <xenkit/dns.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_back(const uint8_t *reply, size_t n)
{
    static char text[300000];
    static uint8_t again[65535];
    struct xk_dns_msg m;
    struct xk_dns_rr rr;
    int r = xk_dns_msg_open(&m, reply, n), len;

    while (r >= 0 && (r = xk_dns_msg_next(&m, &rr)) == 1) {
        if (rr.section == XK_DNS_QUESTION)
            continue;
        len = xk_dns_rr_text(&m, &rr, text, sizeof(text));
        if (len < 0 || xk_dns_rdata_parse(rr.type, text, (size_t)len, NULL, again, sizeof(again), NULL) < 0)
            abort();
    }
    if (r < 0)
        abort();
}

/* Asks for every word of the text as a name. */
static void ask(struct xk_dns_server *s, const uint8_t *data, size_t size)
{
    static const uint16_t types[] = {XK_DNS_A, XK_DNS_ANY, XK_DNS_TXT, XK_DNS_HTTPS, XK_DNS_MX};
    static uint8_t reply[65535];
    uint8_t q[512];
    char name[80];
    size_t n = 0;
    unsigned asked = 0;

    for (size_t i = 0; i <= size && asked < 64; i++) {
        if (i < size && data[i] > ' ' && n < 70) {
            name[n++] = (char)data[i];
            continue;
        }
        if (n) {
            int len;
            memcpy(name + n, name[n - 1] == '.' ? "" : ".o.", name[n - 1] == '.' ? 1 : 4);
            len = xk_dns_query_write(q, sizeof(q), 1, 0, name, types[asked % 5], 0, 0);
            if (len > 0)
                len = xk_dns_answer(s, q, (size_t)len, reply, sizeof(reply), XK_DNS_TCP);
            if (len > 0)
                read_back(reply, (size_t)len);
            asked++;
        }
        n = 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct xk_dns_server_opts opts = {{1, 2}, 16384, 0};
    const struct xk_dns_zone_opts zone = {"o.", 1 << 24, NULL, NULL};
    struct xk_diag d = {0, 0, 0, ""};
    struct xk_dns_server *s;
    struct xk_dns_zone *z;
    int r = xk_dns_zone_load_with(NULL, &zone, (const char *)data, size, &d, &z);

    if (r < 0) {
        if (d.err != r || !d.text[0] || (r == XK_EINVAL && (!d.line || !d.column)))
            abort();
        return 0;
    }
    if (xk_dns_server_create(NULL, &opts, &s) < 0 || xk_dns_server_set_zone(s, z) < 0)
        abort();
    xk_dns_zone_unref(z);
    ask(s, data, size);
    xk_dns_server_destroy(s);
    return 0;
}
