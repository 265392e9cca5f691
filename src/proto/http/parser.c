/* The only file that sees http-parser. By the time a head comes here the gate has judged it; http-parser reads it once
 * more and must find the same message. Two readers of different make that agree on where a message ends leave little
 * room for smuggling, and this one function is all that another parser (llhttp) has to provide. Bodies do not pass
 * here: the library as packaged is built without its strict mode and skips the check of the CRLF after a chunk.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <http_parser.h>

#include "proto/http/gate.h"

static bool same_method(unsigned theirs, unsigned ours)
{
    switch (ours) {
#define SAME(name)       \
    case XK_HTTP_##name: \
        return theirs == HTTP_##name;
        XK_HTTP_METHOD_MAP(SAME)
#undef SAME
    default:
        return false;
    }
}

int xk__http_second_opinion(const struct xk_http_gate *g, const char *p, size_t n)
{
    static const http_parser_settings silent; /* no call-backs: the fields are in our table already */
    http_parser hp;
    bool chunked, sized;

    http_parser_init(&hp, g->client ? HTTP_RESPONSE : HTTP_REQUEST);
    if (http_parser_execute(&hp, &silent, p, n) != n || HTTP_PARSER_ERRNO(&hp) != HPE_OK)
        return XK_EPROTO;
    chunked = hp.flags & F_CHUNKED;
    sized = hp.content_length != UINT64_MAX;
    if (hp.http_major != 1 || (hp.http_minor == 0) != (g->minor == 0) || chunked != g->chunked)
        return XK_EPROTO;
    if (sized != g->has_length || (sized && hp.content_length != g->length))
        return XK_EPROTO;
    if (g->client ? hp.status_code != g->status : !same_method(hp.method, g->method))
        return XK_EPROTO;
    return 0;
}
