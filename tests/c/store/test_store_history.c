/* History and undo. SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "tests/c/store/kit.h"

static struct kit zero, guest;

static struct xk_store_server *world(void)
{
    struct xk_store_server *s = xk_store_server_create(NULL, NULL, NULL, NULL);

    kit_open(&zero, s, 0);
    EQ(kit_do(&zero, XK_STORE_INTRODUCE, "5", "1", "1", NULL), 0);
    EQ(kit_write(&zero, "/local/domain/5", ""), 0);
    EQ(kit_do(&zero, XK_STORE_SET_PERMS, "/local/domain/5", "n5", NULL), 0);
    kit_open(&guest, s, 5);
    return s;
}

static const char *history(const char *path)
{
    EQ(kit_do(&zero, XK_STORE_CONTROL, "history", path, NULL), 0);
    return (char *)zero.reply;
}

#define UNDO(path, n) kit_do(&zero, XK_STORE_CONTROL, "undo", path, n, NULL)

TEST(off_at_first_and_bounded)
{
    struct xk_store_server *s = world();
    struct xk_store_stats before, after;

    OK(strstr(history("/a"), "no history is kept") != NULL);
    EQ(UNDO("/a", "1"), XK_ENOENT);
    EQ(kit_do(&zero, XK_STORE_CONTROL, "history", "on", "0", NULL), XK_EINVAL);
    EQ(kit_do(&zero, XK_STORE_CONTROL, "history", "on", "5000", NULL), XK_EINVAL);
    EQ(kit_do(&zero, XK_STORE_CONTROL, "history", "on", "3", NULL), 0);
    xk_store_server_stats(s, &before);
    for (int i = 0; i < 100; i++) {
        char value[8];
        snprintf(value, sizeof(value), "%d", i);
        EQ(kit_write(&zero, "/a", value), 0);
    }
    OK(strstr(history("/a"), "domain 0, WRITE: \"99\"") != NULL);
    OK(strstr((char *)zero.reply, "\"97\"") != NULL);
    OK(strstr((char *)zero.reply, "\"96\"") == NULL);
    EQ(kit_do(&zero, XK_STORE_CONTROL, "history", "off", NULL), 0);
    xk_store_server_stats(s, &after);
    EQ(after.nodes_held, before.nodes_held + 1);
    xk_store_server_destroy(s);
}

TEST(values_come_back)
{
    struct xk_store_server *s = world();

    EQ(kit_do(&zero, XK_STORE_CONTROL, "history", "on", "20", NULL), 0);
    EQ(kit_write(&guest, "v", "one"), 0);
    EQ(kit_write(&guest, "v", "two"), 0);
    EQ(kit_write(&guest, "other", "x"), 0);
    EQ(kit_write(&guest, "v", "three"), 0);
    OK(strstr(history("/local/domain/5/v"), "1  0.0 s ago  domain 5, WRITE: \"three\"\n2  0.0 s ago  domain 5, WRITE: "
                                            "\"two\"\n3  0.0 s ago  domain 5, WRITE: \"one\"\n") != NULL);
    EQ(kit_watch(&guest, "v", "t"), 0);
    kit_fetch(&guest);
    guest.nevents = 0;
    EQ(UNDO("/local/domain/5/v", "1"), 0);
    VALUE(&guest, "v", "two");
    EVENT(&guest, "v", "t");
    EQ(UNDO("/local/domain/5/v", "1"), 0); /* what was taken back is taken back */
    VALUE(&guest, "v", "three");
    EQ(UNDO("/local/domain/5/v", "5"), 0); /* one, two, three, two, three: before the first there was none */
    EQ(kit_read(&guest, "v"), XK_ENOENT);
    VALUE(&guest, "other", "x");
    EQ(UNDO("/local/domain/5/v", "50"), XK_ENOENT);
    EQ(UNDO("/", "1"), XK_EINVAL);
    SOUND(&zero);
    xk_store_server_destroy(s);
}

TEST(a_tree_that_was_removed_comes_back_whole)
{
    struct xk_store_server *s = world();
    struct xk_store_stats before, after;

    EQ(kit_do(&zero, XK_STORE_CONTROL, "history", "on", "20", NULL), 0);
    EQ(kit_write(&guest, "d/a/b", "1"), 0);
    EQ(kit_write(&guest, "d/c", "2"), 0);
    EQ(kit_do(&guest, XK_STORE_SET_PERMS, "d/c", "n5", "r7", NULL), 0);
    EQ(kit_watch(&guest, "d/a/b", "deep"), 0);
    kit_fetch(&guest);
    guest.nevents = 0;
    xk_store_server_stats(s, &before);
    EQ(kit_begin(&guest), 0);
    EQ(kit_rm(&guest, "d"), 0);
    EQ(kit_end(&guest, "T"), 0);
    EVENT(&guest, "d/a/b", "deep");
    EQ(UNDO("/local/domain/5/d", "1"), 0);
    EVENT(&guest, "d/a/b", "deep");
    VALUE(&guest, "d/a/b", "1");
    EQ(kit_do(&guest, XK_STORE_GET_PERMS, "d/c", NULL), 0);
    xk_store_server_stats(s, &after);
    EQ(after.nodes, before.nodes);
    SOUND(&zero);
    EQ(kit_rm(&guest, "d"), 0);
    SOUND(&zero);
    xk_store_server_destroy(s);
}

TEST(nothing_comes_back_to_a_domain_that_died)
{
    struct xk_store_server *s = world();

    EQ(kit_do(&zero, XK_STORE_CONTROL, "history", "on", "20", NULL), 0);
    EQ(kit_write(&zero, "/shared", "1"), 0);
    EQ(kit_do(&zero, XK_STORE_SET_PERMS, "/shared", "n0", "b5", NULL), 0);
    EQ(kit_write(&zero, "/shared", "2"), 0);
    EQ(xk_store_domain_died(s, 5), 0);
    EQ(kit_do(&zero, XK_STORE_GET_PERMS, "/shared", NULL), 0);
    EQ(zero.len, 3); /* its entry is gone */
    EQ(UNDO("/local/domain/5", "1"), XK_EPERM);
    EQ(UNDO("/shared", "2"), XK_EPERM);
    EQ(kit_do(&zero, XK_STORE_CONTROL, "why", "0", NULL), 0);
    OK(strstr((char *)zero.reply, "EPERM /shared: it named a domain that is gone now") != NULL);
    OK(strstr(history("/local/domain/5"), "domain 5, its end: removed") != NULL);
    SOUND(&zero);
    xk_store_server_destroy(s);
}
