/* Messages of a guest to the hosted hypervisor, well-formed and not, with and without descriptors, before and after it
 * has joined. After each input domain 0 is still answered; in the end no domain, descriptor or wait is left.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <xenkit/hosted.h>
#include <xenkit/hypervisor.h>

#include "platform/hosted/control.h"
#include "platform/linux/sys.h"
#include "tests/c/fuzz/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct xk_hypervisor *hyp;
static struct xk_platform *dom0;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int listener, calm; /* (calm): descriptors of this process when nothing goes on */

static int count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    must(d != NULL);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void set_up(void)
{
    struct xk_hypervisor_options options = {.stderr_handle = -1};
    int control;

    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "xenkit-fuzz-%d", (int)getpid()); /* abstract */
    must(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(listener, 8) == 0);
    options.listener = listener;
    must(xk_hypervisor_start(NULL, &options, &hyp, &control) == 0);
    must(xk_hosted_attach(control, NULL, &dom0) == 0);
    calm = count_fds();
}

/* Domain 0 builds whoever waits. Being asked and answered here is the check that the hypervisor lives. */
static void build(void)
{
    struct xk_domain_info info;
    xk_domid after = 0;

    must(xk_domain_info(dom0, 0, &info) == 0);
    while (xk_domain_next(dom0, after, &info) == 0) {
        after = info.domid;
        if (info.state == XK_DOMAIN_BUILDING)
            xk_hosted_built(dom0, info.domid, 0, -1, 0, -1);
    }
}

static int32_t argument(uint8_t b)
{
    return b < 200 ? b : b < 250 ? b - 256 : b == 250 ? INT32_MAX : b == 251 ? INT32_MIN : (b - 252) * 0x10000;
}

/* The next message out of the input: op, flags, arguments; or with flag 1 bytes as they are. Returns what was eaten. */
static size_t send_one(int sock, const uint8_t *p, size_t n)
{
    struct xk__ctl m = {0};
    int with[1] = {1};
    size_t len = sizeof(m), eaten = n < 6 ? n : 6;

    m.op = p[0] % 32;
    for (size_t i = 2; i < eaten; i++)
        m.arg[i - 2] = argument(p[i]);
    memset(m.u.name, p[0], sizeof(m.u.name)); /* no end */
    if (n > 1 && (p[1] & 1)) {
        len = n - 2 < sizeof(m) ? n - 2 : sizeof(m);
        memcpy(&m, p + 2, len);
        eaten = len + 2;
    }
    (void)!xk__fd_send(sock, &m, len, with, n > 1 && (p[1] & 2) ? 1 : 0);
    return eaten;
}

static void read_answers(int sock)
{
    struct xk__ctl m;
    int fd = -1, n = 1;

    for (; xk__fd_recv(sock, &m, sizeof(m), &fd, &n, 0) > 0; n = 1)
        if (n > 0)
            close(fd);
}

static void settle(void)
{
    struct xk_domain_info info;

    for (int i = 0; i < 5000; i++, usleep(1000))
        if (xk_domain_next(dom0, 0, &info) == XK_ENOENT && count_fds() <= calm)
            return;
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned long runs;
    struct xk__ctl join = {.op = XK__CTL_JOIN, .u.name = "fuzz"};
    size_t messages = 0;
    int sock;

    if (!hyp)
        set_up();
    sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    must(sock >= 0 && connect(sock, (struct sockaddr *)&address, sizeof(address)) == 0);
    if (size && (data[0] & 1))
        (void)!xk__fd_send(sock, &join, sizeof(join), NULL, 0);
    for (size_t at = 1; at < size && messages < 200; messages++) {
        at += send_one(sock, data + at, size - at);
        if (data[0] & 2)
            build();
        if (data[0] & 4)
            read_answers(sock);
    }
    build();
    read_answers(sock);
    close(sock);
    if (++runs % 256 == 0)
        settle();
    return 0;
}
