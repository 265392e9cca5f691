/* Two servers get the same random requests: one puts off what no answer waits for, and does it at random moments or
 * when it has to; the other does all at once. Nobody can tell them apart. SPDX-License-Identifier: MIT */
#include "tests/c/store/kit.h"

enum { CLIENTS = 4, NAMES = 5, DEEP = 4, WATCHES = 3 };

static struct xk_store_server *server[2];
static struct kit client[2][CLIENTS]; /* of either; the last one is a guest's */
static uint32_t seed;

static unsigned rnd(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % n;
}

static void later(void *arg) { (void)arg; }

static void open_both(void)
{
    static const struct xk_store_server_ops ops[2] = {
        {.version = XK_STORE_SERVER_OPS_VERSION, .later = later},
        {.version = XK_STORE_SERVER_OPS_VERSION},
    };

    for (int i = 0; i < 2; i++) {
        server[i] = xk_store_server_create(NULL, &ops[i], NULL, NULL);
        OK(server[i] != NULL);
        for (unsigned c = 0; c < CLIENTS; c++)
            kit_open(&client[i][c], server[i], c == CLIENTS - 1 ? 5 : 0);
        EQ(kit_do(&client[i][0], XK_STORE_SET_PERMS, "/", "b0", NULL), 0);
    }
}

/* A few names, so that paths meet; "/" is one of them. */
static const char *path(void)
{
    static char text[64];
    unsigned levels = rnd(DEEP) + (rnd(20) > 0);
    size_t n = 0;

    for (unsigned i = 0; i < levels; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "/%c%u", 'a' + (char)i, rnd(NAMES));
    return levels ? text : "/";
}

static int request(struct kit *k, unsigned what, const char *at, const char *value)
{
    static const char *const owners[] = {"b0", "n5", "r0", "w5"};
    char token[8];

    switch (what) {
    case 0:
        return k->tx ? kit_end(k, value[0] == '0' ? "F" : "T") : kit_begin(k);
    case 1:
        return kit_read(k, at);
    case 2:
        return kit_mkdir(k, at);
    case 3:
        return kit_do(k, XK_STORE_SET_PERMS, at, owners[value[0] % 4], NULL);
    case 4:
        return kit_do(k, XK_STORE_DIRECTORY, at, NULL);
    case 5:
        snprintf(token, sizeof(token), "t%d", value[0] % WATCHES);
        return kit_do(k, value[0] % 2 ? XK_STORE_WATCH : XK_STORE_UNWATCH, at, token, NULL);
    case 6:
    case 7:
    case 8:
        return kit_write(k, at, value);
    default:
        return kit_rm(k, at);
    }
}

static void same_events(unsigned c)
{
    struct kit *a = &client[0][c], *b = &client[1][c];

    kit_fetch(a);
    kit_fetch(b);
    EQ(a->nevents, b->nevents);
    for (unsigned i = 0; i < a->nevents; i++) {
        STREQ(a->events[i].path, b->events[i].path);
        STREQ(a->events[i].token, b->events[i].token);
    }
    a->nevents = b->nevents = 0;
}

/* How many nodes each domain owns: a line each but for those that count bytes. */
static void same_accounts(void)
{
    static const char *const domains[] = {"0", "5"};

    for (unsigned d = 0; d < 2; d++) {
        long owned[2];
        for (int i = 0; i < 2; i++) {
            struct kit *k = &client[i][0];
            uint32_t tx = k->tx;
            k->tx = 0;
            EQ(kit_do(k, XK_STORE_CONTROL, "quota", domains[d], NULL), 0);
            owned[i] = strtol(strstr((char *)k->reply, "nodes") + 5, NULL, 10);
            k->tx = tx;
        }
        EQ(owned[0], owned[1]);
    }
}

static void step(void)
{
    unsigned c = rnd(CLIENTS), what = rnd(14), many = what > 8 ? 1 + rnd(12) : 1;
    char value[8];
    int rc[2];

    while (many--) {
        const char *at = path();
        snprintf(value, sizeof(value), "%u", rnd(1000));
        for (int i = 0; i < 2; i++)
            rc[i] = request(&client[i][c], what, at, value);
        EQ(rc[0], rc[1]);
        EQ(client[0][c].len, client[1][c].len);
        MEMEQ(client[0][c].reply, client[1][c].reply, client[0][c].len);
        for (unsigned k = 0; k < CLIENTS; k++)
            same_events(k);
    }
    if (rnd(4) == 0)
        xk_store_server_tidy(server[0]);
    if (rnd(16) == 0)
        same_accounts();
}

static void close_both(void)
{
    struct xk_store_stats st[2];

    xk_store_server_tidy(server[0]);
    for (int i = 0; i < 2; i++) {
        for (unsigned c = 0; c < CLIENTS; c++)
            if (client[i][c].tx)
                EQ(kit_end(&client[i][c], "F"), 0);
        SOUND(&client[i][0]);
        if (i == 0)
            xk_store_server_tidy(server[0]);
        xk_store_server_stats(server[i], &st[i]);
        xk_store_server_destroy(server[i]);
    }
    EQ(st[0].nodes, st[1].nodes);
    EQ(st[0].nodes_held, st[1].nodes_held);
    EQ(st[0].commits, st[1].commits);
    EQ(st[0].conflicts, st[1].conflicts);
}

TEST(nobody_can_tell_them_apart)
{
    const char *asked = getenv("XK_ROUNDS");
    long rounds = asked ? atol(asked) : 150;

    for (long round = 1; round <= rounds; round++) {
        seed = (uint32_t)round * 2654435761u | 1;
        open_both();
        for (int i = 0; i < 400; i++)
            step();
        close_both();
    }
    printf("# %ld rounds of 400 steps\n", rounds);
}
