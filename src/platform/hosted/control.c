/* Asking the hypervisor. It answers at once or, for JOIN and START, when the domain is built, so a plain blocking
 * receive is right here. SPDX-License-Identifier: MIT */
#include <string.h>
#include <unistd.h>

#include "platform/hosted/private.h"

int hosted_ask(struct hosted *h, struct xk__ctl *m, int fd, int *got)
{
    uint32_t op = m->op;
    int fds[XK__FD_MAX], nfds = XK__FD_MAX, r;

    if (got)
        *got = -1;
    r = xk__fd_send(h->control, m, sizeof(*m), &fd, fd >= 0);
    if (r < 0)
        return r == XK_EPIPE || r == XK_ECONNRESET ? XK_EGONE : r;
    r = xk__fd_recv(h->control, m, sizeof(*m), fds, &nfds, 1);
    if (r <= 0)
        return r < 0 ? r : XK_EGONE;
    for (int i = got && r == (int)sizeof(*m) ? 1 : 0; i < nfds; i++)
        close(fds[i]);
    if (r != (int)sizeof(*m) || m->op != op)
        return XK_EPROTO;
    if (got && nfds > 0)
        *got = fds[0];
    if (m->result >= 0 && got && *got < 0)
        return XK_EPROTO;
    return m->result;
}

int hosted_ask_simple(struct hosted *h, uint32_t op, int32_t a0, int32_t a1, int32_t a2, int *got)
{
    struct xk__ctl m;

    memset(&m, 0, sizeof(m));
    m.op = op;
    m.arg[0] = a0;
    m.arg[1] = a1;
    m.arg[2] = a2;
    return hosted_ask(h, &m, -1, got);
}
