/* The gate in front of http-parser: the only code that decides what a head may look like. SPDX-License-Identifier: MIT
 */
#ifndef XK_PROTO_HTTP_GATE_H
#define XK_PROTO_HTTP_GATE_H

#include <xenkit/http.h>

/* A method that is a token but none of ours. */
enum { XK__HTTP_METHOD_UNKNOWN = XK_HTTP_METHODS };

/* Goes on with the head of which (n) bytes from (p) are here. Gives the length of the head with its empty line when it
 * is complete (also in g->head), XK_EAGAIN, XK_EPROTO when refused (g->reason, and (d)), XK_ENOSPC when the table of
 * (cap) fields is full: call again with a greater one. */
int xk__http_gate_run(struct xk_http_gate *g, const struct xk_http_limits *limits, const char *p, size_t n,
                      struct xk_http_field *table, size_t cap, struct xk_diag *d);

/* Refuses: sets g->reason, fills (d) with the text of the reason and what (more) adds, returns XK_EPROTO. */
int xk__http_refuse(uint8_t *reason, struct xk_diag *d, enum xk_http_refusal why, unsigned line, size_t column,
                    const char *more);

unsigned xk__http_refusal_status(enum xk_http_refusal why);

/* facts.c: takes note of one field that frames or routes the message, and of the end of the head. (line) from 1. */
int xk__http_fact(struct xk_http_gate *g, const char *head, const struct xk_http_field *f, struct xk_diag *d);
int xk__http_facts_end(struct xk_http_gate *g, struct xk_diag *d);

/* chunk.c: the body's next bytes among the (n) at (p). 1: (*used) bytes of framing, then (*len) of body; 0: the body
 * ended after (*used); XK_EAGAIN: (*used) were consumed; XK_EPROTO. */
int xk__http_body_next(struct xk_http_body *b, const struct xk_http_limits *limits, const char *p, size_t n,
                       size_t *used, size_t *len, uint8_t *reason, struct xk_diag *d);

/* Whether the body is read to its end. */
bool xk__http_body_ended(const struct xk_http_body *b);

/* parser.c: http-parser's view of a complete head that the gate let through: 0, or XK_EPROTO where it reads the method,
 * version, status or framing differently. */
int xk__http_second_opinion(const struct xk_http_gate *g, const char *p, size_t n);

/* target.c: splits the target into the message's path, query and host. (scratch) has room for the target where its
 * path is not plain: where something in it may have to be decoded or removed. 0 or XK_EPROTO. */
int xk__http_target(struct xk_http_msg *m, char *scratch, uint8_t *reason, struct xk_diag *d);
bool xk__http_path_is_plain(const char *p, size_t n);

#endif
