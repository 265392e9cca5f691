/* A world with domain 0 and two guests, on each platform that the contract is tested on. SPDX-License-Identifier: MIT
 */
#ifndef XK_TESTS_WORLD_H
#define XK_TESTS_WORLD_H

#include <pthread.h>

#include <xenkit/fake.h>
#include <xenkit/hosted.h>
#include <xenkit/hypervisor.h>

struct world {
    struct xk_platform *dom[3];
    struct xk_fake *fake;
    struct xk_hypervisor *hyp;
};

struct world_join {
    struct xk_hypervisor *hyp;
    const char *name;
    struct xk_platform *out;
};

static void *world_join_thread(void *arg)
{
    struct world_join *j = arg;
    int fd = xk_hypervisor_join(j->hyp, j->name);

    if (fd < 0 || xk_hosted_attach(fd, NULL, &j->out) < 0)
        j->out = NULL;
    return NULL;
}

/* Joins one guest while this thread, as domain 0, builds it. */
static struct xk_platform *world_guest(struct world *w, const char *name)
{
    struct world_join j = {w->hyp, name, NULL};
    struct xk_domain_info info;
    pthread_t t;
    int built = 0;

    OK(pthread_create(&t, NULL, world_join_thread, &j) == 0);
    while (!built) {
        xk_domid after = 0;
        while (xk_domain_next(w->dom[0], after, &info) == 0) {
            after = info.domid;
            if (info.state == XK_DOMAIN_BUILDING)
                built = xk_hosted_built(w->dom[0], info.domid, 0, -1, 0, -1) == 0;
        }
    }
    pthread_join(t, NULL);
    OK(j.out != NULL);
    return j.out;
}

__attribute__((unused)) static void world_open_hosted(struct world *w)
{
    int control;

    memset(w, 0, sizeof(*w));
    EQ(xk_hypervisor_start(NULL, NULL, &w->hyp, &control), 0);
    EQ(xk_hosted_attach(control, NULL, &w->dom[0]), 0);
    w->dom[1] = world_guest(w, "one");
    w->dom[2] = world_guest(w, "two");
}

__attribute__((unused)) static void world_open_fake(struct world *w)
{
    memset(w, 0, sizeof(*w));
    EQ(xk_fake_create(1, &w->fake), 0);
    EQ(xk_fake_domain(w->fake, "Domain-0", &w->dom[0]), 0);
    EQ(xk_fake_domain(w->fake, "one", &w->dom[1]), 0);
    EQ(xk_fake_domain(w->fake, "two", &w->dom[2]), 0);
}

__attribute__((unused)) static void world_close(struct world *w)
{
    char report[1024];

    if (w->fake) {
        int left = xk_fake_destroy(w->fake, report, sizeof(report));
        if (left)
            TAP_FAIL("%d left over:\n%s", left, report);
        return;
    }
    for (int i = 2; i >= 0; i--)
        xk_platform_close(w->dom[i]);
    xk_hypervisor_stop(w->hyp);
}

#endif
