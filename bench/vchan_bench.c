/* xk_vchan between two guests of a hosted world, each a process. The parent is domain 0 and the hypervisor, which is
 * off the data path. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenkit/vchan.h>

#include "hosted_pair.h"
#include "pair.h"

struct end {
    struct xk_platform *platform;
    struct xk_vchan *vchan;
};

static struct hosted_pair sockets;

static int world_prepare(struct pair *p)
{
    (void)p;
    return hosted_pair_prepare(&sockets);
}

static int world_attend(struct pair *p)
{
    (void)p;
    return hosted_pair_attend(&sockets);
}

static int await(atomic_int *word)
{
    for (int i = 0; atomic_load(word) < 0 && i < 5000; i++)
        usleep(1000);
    return atomic_load(word);
}

static struct end guest;

static void *vchan_open(struct pair *p, int side)
{
    guest.platform = hosted_pair_join(&sockets, side);
    if (!guest.platform)
        return NULL;
    (void)xk_cpus(guest.platform); /* before pair.c pins this side: the platform counts the processors once */
    if (side == 0) {
        atomic_store(&p->word[0], xk_platform_domid(guest.platform));
        if (xk_vchan_listen(NULL, guest.platform, (xk_domid)await(&p->word[1]), p->ring, p->ring, &guest.vchan) < 0)
            return NULL;
        p->word[2] = (int)xk_vchan_ring_ref(guest.vchan);
        atomic_store(&p->word[3], xk_vchan_event_channel(guest.vchan));
        while (atomic_load(&p->word[3]) >= 0) /* the client takes the word back: pair.c counts in it */
            usleep(500);
        return &guest;
    }
    atomic_store(&p->word[1], xk_platform_domid(guest.platform));
    if (await(&p->word[3]) < 0)
        return NULL;
    if (xk_vchan_connect(NULL, guest.platform, (xk_domid)await(&p->word[0]), (xk_gref)atomic_load(&p->word[2]),
                         atomic_load(&p->word[3]), &guest.vchan) < 0)
        return NULL;
    atomic_store(&p->word[3], -1);
    return &guest;
}

static int vchan_send(void *end, const void *buf, size_t n)
{
    return xk_vchan_write_all(((struct end *)end)->vchan, buf, n, XK_FOREVER) == (int)n ? 0 : -1;
}

static int vchan_recv(void *end, void *buf, size_t n)
{
    return xk_vchan_read_all(((struct end *)end)->vchan, buf, n, XK_FOREVER) == (int)n ? 0 : -1;
}

static void vchan_close(void *end)
{
    struct end *e = end;
    struct xk_vchan_stats s;

    xk_vchan_get_stats(e->vchan, &s);
    if (getenv("XK_BENCH_VERBOSE"))
        fprintf(stderr, "notifies %llu events %llu sleeps %llu spins %llu hits %llu\n",
                (unsigned long long)s.notifies_sent, (unsigned long long)s.events, (unsigned long long)s.sleeps,
                (unsigned long long)s.spins, (unsigned long long)s.spin_hits);
    xk_vchan_close(e->vchan);
    xk_platform_close(e->platform);
}

int main(int argc, char **argv)
{
    const struct pair_transport list[] = {
        {"ours", world_prepare, world_attend, vchan_open, vchan_send, vchan_recv, vchan_close},
        pair_pipe,
        pair_unix,
        {.name = NULL}};

    return pair_main(argc, argv, list);
}
