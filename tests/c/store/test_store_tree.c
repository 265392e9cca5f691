/* Nodes: the edge semantics of xenstore.txt, big directories, and the tree beneath. SPDX-License-Identifier: MIT */
#include "store/tree.h"
#include "tests/c/store/kit.h"

static struct xk_store_server *server;
static struct kit dom0;

static void setup(void)
{
    server = xk_store_server_create(NULL, NULL, NULL, NULL);
    OK(server != NULL);
    kit_open(&dom0, server, 0);
}

static void done(void)
{
    SOUND(&dom0);
    xk_store_server_destroy(server);
}

TEST(write_creates_parents_with_empty_values)
{
    setup();
    EQ(kit_write(&dom0, "/a/b/c", "deep"), 0);
    STREQ((char *)dom0.reply, "OK");
    EQ(dom0.len, 3);
    VALUE(&dom0, "/a/b/c", "deep");
    VALUE(&dom0, "/a/b", "");
    EQ(dom0.len, 0);
    STREQ(kit_list(&dom0, "/a"), "b");
    STREQ(kit_list(&dom0, "/"), "a tool");
    done();
}

TEST(values_are_octets_without_nul)
{
    setup();
    EQ(kit_call(&dom0, XK_STORE_WRITE, "/a\0x\0y\xff", 7), 0);
    EQ(kit_read(&dom0, "/a"), 0);
    EQ(dom0.len, 4);
    MEMEQ(dom0.reply, "x\0y\xff", 4);
    EQ(kit_call(&dom0, XK_STORE_WRITE, "/a", 2), XK_EINVAL); /* no NUL after the path */
    EQ(kit_call(&dom0, XK_STORE_WRITE, "", 0), XK_EINVAL);
    EQ(kit_call(&dom0, XK_STORE_WRITE, "/a", 3), 0);
    EQ(kit_read(&dom0, "/a"), 0);
    EQ(dom0.len, 0);
    done();
}

TEST(mkdir_leaves_existing_values_alone)
{
    setup();
    EQ(kit_write(&dom0, "/a", "v"), 0);
    EQ(kit_mkdir(&dom0, "/a"), 0);
    VALUE(&dom0, "/a", "v");
    EQ(kit_mkdir(&dom0, "/a/b/c"), 0);
    VALUE(&dom0, "/a", "v");
    VALUE(&dom0, "/a/b/c", "");
    EQ(kit_mkdir(&dom0, "/"), 0);
    done();
}

TEST(rm_of_a_missing_node_needs_its_parent)
{
    setup();
    EQ(kit_mkdir(&dom0, "/a"), 0);
    EQ(kit_rm(&dom0, "/a/none"), 0);
    EQ(kit_rm(&dom0, "/none"), 0);
    EQ(kit_rm(&dom0, "/none/below"), XK_ENOENT);
    EQ(kit_rm(&dom0, "/a/none/below"), XK_ENOENT);
    EQ(kit_rm(&dom0, "/"), XK_EINVAL);
    done();
}

TEST(rm_removes_everything_below)
{
    setup();
    EQ(kit_write(&dom0, "/a/b/c/d", "1"), 0);
    EQ(kit_write(&dom0, "/a/b/e", "1"), 0);
    EQ(kit_rm(&dom0, "/a/b"), 0);
    EQ(kit_read(&dom0, "/a/b"), XK_ENOENT);
    EQ(kit_read(&dom0, "/a/b/c/d"), XK_ENOENT);
    STREQ(kit_list(&dom0, "/a"), "");
    done();
}

TEST(bad_paths_are_einval)
{
    static const char *const bad[] = {"",     "//", "/a/",  "/a//b",    "/a b", "/a.b", "/a\n", "@x", "/local/domain/",
                                      "a//b", "a/", "/a:b", "/\xc3\xa4"};
    setup();
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        EQ(kit_read(&dom0, bad[i]), XK_EINVAL);
        EQ(kit_write(&dom0, bad[i], "x"), XK_EINVAL);
        EQ(kit_mkdir(&dom0, bad[i]), XK_EINVAL);
        EQ(kit_rm(&dom0, bad[i]), XK_EINVAL);
        EQ(kit_do(&dom0, XK_STORE_DIRECTORY, bad[i], NULL), XK_EINVAL);
    }
    EQ(kit_call(&dom0, XK_STORE_READ, "/tool", 5), XK_EINVAL);    /* no NUL */
    EQ(kit_call(&dom0, XK_STORE_READ, "/tool\0x", 7), XK_EINVAL); /* more than one string */
    EQ(kit_write(&dom0, "/a-b_c@d/E9", "x"), 0);
    done();
}

TEST(paths_have_a_longest_length)
{
    char path[XK_STORE_ABS_PATH_MAX + 3];
    struct kit k;

    setup();
    kit_open(&k, server, 3);
    memset(path, 'p', sizeof(path));
    path[0] = '/';
    path[XK_STORE_ABS_PATH_MAX] = 0;
    EQ(kit_write(&dom0, path, "x"), 0);
    VALUE(&dom0, path, "x");
    path[XK_STORE_ABS_PATH_MAX] = 'p';
    path[XK_STORE_ABS_PATH_MAX + 1] = 0;
    EQ(kit_write(&dom0, path, "x"), XK_EINVAL);
    path[0] = 'p';
    path[XK_STORE_REL_PATH_MAX] = 0;
    EQ(kit_read(&k, path), XK_EACCES); /* allowed: the home directory is not counted */
    path[XK_STORE_REL_PATH_MAX] = 'p';
    path[XK_STORE_REL_PATH_MAX + 1] = 0;
    EQ(kit_read(&k, path), XK_EINVAL);
    done();
}

TEST(relative_paths_start_at_the_home_directory)
{
    struct kit k;

    setup();
    kit_open(&k, server, 12);
    EQ(kit_do(&dom0, XK_STORE_MKDIR, "/local/domain/12", NULL), 0);
    EQ(kit_do(&dom0, XK_STORE_SET_PERMS, "/local/domain/12", "n12", NULL), 0);
    EQ(kit_write(&k, "x/y", "v"), 0);
    VALUE(&dom0, "/local/domain/12/x/y", "v");
    VALUE(&k, "x/y", "v");
    EQ(kit_do(&k, XK_STORE_GET_DOMAIN_PATH, "0012", NULL), 0);
    STREQ((char *)k.reply, "/local/domain/12");
    EQ(kit_do(&k, XK_STORE_GET_DOMAIN_PATH, "x", NULL), XK_EINVAL);
    EQ(kit_do(&k, XK_STORE_GET_DOMAIN_PATH, "65536", NULL), XK_EINVAL);
    done();
}

TEST(directory_is_sorted)
{
    setup();
    EQ(kit_mkdir(&dom0, "/d/b"), 0);
    EQ(kit_mkdir(&dom0, "/d/a"), 0);
    EQ(kit_mkdir(&dom0, "/d/ab"), 0);
    EQ(kit_mkdir(&dom0, "/d/B"), 0);
    STREQ(kit_list(&dom0, "/d"), "B a ab b");
    EQ(dom0.len, 9); /* every name with its NUL */
    EQ(kit_do(&dom0, XK_STORE_DIRECTORY, "/none", NULL), XK_ENOENT);
    done();
}

static unsigned list_by_parts(struct kit *k, const char *path, char *all, size_t *len, char *gen)
{
    unsigned parts = 0;

    *len = 0;
    for (;;) {
        char offset[16];
        size_t head;
        snprintf(offset, sizeof(offset), "%zu", *len);
        EQ(kit_do(k, XK_STORE_DIRECTORY_PART, path, offset, NULL), 0);
        head = strlen((char *)k->reply) + 1;
        strcpy(gen, (char *)k->reply);
        memcpy(all + *len, k->reply + head, k->len - head);
        *len += k->len - head;
        parts++;
        if (k->len - head == 1 || (k->len >= 2 && !k->reply[k->len - 1] && !k->reply[k->len - 2]))
            break; /* an empty name ends the list */
    }
    --*len;
    return parts;
}

TEST(directory_part_lists_ten_thousand_children)
{
    static char all[200000];
    char path[64], gen[32], gen2[32];
    size_t len, at = 0, len2;
    unsigned n = 0;

    setup();
    for (int i = 0; i < 10000; i++) {
        snprintf(path, sizeof(path), "/big/%d", (i * 7919) % 10000);
        EQ(kit_write(&dom0, path, "x"), 0);
    }
    EQ(kit_do(&dom0, XK_STORE_DIRECTORY, "/big", NULL), XK_E2BIG);
    OK(list_by_parts(&dom0, "/big", all, &len, gen) > 10);
    for (const char *prev = ""; at < len; at += strlen(all + at) + 1, n++) {
        OK(strcmp(prev, all + at) < 0);
        prev = all + at;
    }
    EQ(n, 10000);
    EQ(kit_write(&dom0, "/big/5000", "value changes do not change the list"), 0);
    list_by_parts(&dom0, "/big", all, &len2, gen2);
    EQ(len, len2);
    STREQ(gen, gen2);
    EQ(kit_rm(&dom0, "/big/5000"), 0);
    list_by_parts(&dom0, "/big", all, &len2, gen2);
    EQ(len - 5, len2);
    OK(strcmp(gen, gen2) != 0);
    EQ(kit_do(&dom0, XK_STORE_DIRECTORY_PART, "/big", "999999", NULL), 0);
    EQ(dom0.reply[dom0.len - 1], 0);
    EQ(kit_do(&dom0, XK_STORE_DIRECTORY_PART, "/big", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_DIRECTORY_PART, "/big", "-1", NULL), XK_EINVAL);
    SOUND(&dom0);
    EQ(kit_rm(&dom0, "/big"), 0);
    done();
}

TEST(directory_of_exactly_a_payload_is_listed_at_once)
{
    char path[256];

    setup();
    for (int i = 0; i < 64; i++) {
        snprintf(path, sizeof(path), "/e/%063d", i);
        EQ(kit_mkdir(&dom0, path), 0);
    }
    EQ(kit_do(&dom0, XK_STORE_DIRECTORY, "/e", NULL), 0);
    EQ(dom0.len, 4096);
    EQ(kit_mkdir(&dom0, "/e/x"), 0);
    EQ(kit_do(&dom0, XK_STORE_DIRECTORY, "/e", NULL), XK_E2BIG);
    done();
}

/* The server keeps its last long list. */
TEST(a_kept_list_is_never_an_old_one)
{
    char path[64];
    uint32_t tx;

    setup();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) {
            snprintf(path, sizeof(path), "/l/%03d", i);
            EQ(kit_mkdir(&dom0, path), 0);
        }
        EQ(kit_do(&dom0, XK_STORE_DIRECTORY, "/l", NULL), 0);
        EQ(dom0.len, 400);
        EQ(kit_begin(&dom0), 0);
        tx = dom0.tx;
        EQ(kit_rm(&dom0, "/l/050"), 0);
        EQ(kit_mkdir(&dom0, "/l/0500"), 0);
        EQ(kit_do(&dom0, XK_STORE_DIRECTORY, "/l", NULL), 0);
        EQ(dom0.len, 401);
        dom0.tx = 0;
        EQ(kit_do(&dom0, XK_STORE_DIRECTORY, "/l", NULL), 0);
        EQ(dom0.len, 400);
        EQ(kit_write(&dom0, "/l/007", "no change of the list"), 0);
        EQ(kit_do(&dom0, XK_STORE_DIRECTORY, "/l", NULL), 0);
        EQ(dom0.len, 400);
        dom0.tx = tx;
        EQ(kit_end(&dom0, round == 1 ? "F" : "T"), 0);
        dom0.tx = 0;
        EQ(kit_do(&dom0, XK_STORE_DIRECTORY, "/l", NULL), 0);
        EQ(dom0.len, round == 1 ? 400 : 401);
        EQ(kit_rm(&dom0, "/l"), 0);
        EQ(kit_mkdir(&dom0, "/l/one"), 0);
        STREQ(kit_list(&dom0, "/l"), "one");
        EQ(kit_rm(&dom0, "/l"), 0);
    }
    done();
}

TEST(depth_costs_no_stack)
{
    char path[XK_STORE_ABS_PATH_MAX + 1];

    setup();
    for (int i = 0; i + 1 < XK_STORE_ABS_PATH_MAX; i += 2)
        memcpy(path + i, "/d", 2);
    path[XK_STORE_ABS_PATH_MAX] = 0;
    EQ(kit_write(&dom0, path, "bottom"), 0);
    VALUE(&dom0, path, "bottom");
    SOUND(&dom0);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_write(&dom0, path, "changed"), 0);
    EQ(kit_end(&dom0, "T"), 0);
    VALUE(&dom0, path, "changed");
    EQ(kit_rm(&dom0, "/d"), 0);
    STREQ(kit_list(&dom0, "/"), "tool");
    done();
}

TEST(first_nodes_are_upstreams)
{
    setup();
    STREQ(kit_list(&dom0, "/"), "tool");
    STREQ(kit_list(&dom0, "/tool"), "xenstored");
    EQ(kit_do(&dom0, XK_STORE_GET_PERMS, "/", NULL), 0);
    STREQ((char *)dom0.reply, "n0");
    EQ(kit_do(&dom0, XK_STORE_GET_PERMS, "@releaseDomain", NULL), 0);
    STREQ((char *)dom0.reply, "n0");
    EQ(kit_read(&dom0, "@releaseDomain"), XK_EINVAL);
    EQ(kit_read(&dom0, "/@releaseDomain"), XK_ENOENT);
    done();
}

TEST(memory_per_node_is_small)
{
    struct xk_store_stats before, after;
    char path[64];
    double per;

    setup();
    xk_store_server_stats(server, &before);
    for (int i = 0; i < 20000; i++) {
        snprintf(path, sizeof(path), "/m/%d/%08d", i / 100, i);
        EQ(kit_write(&dom0, path, "0123456789"), 0);
    }
    xk_store_server_stats(server, &after);
    per = (double)(after.memory - before.memory) / 20000.0;
    printf("# %.1f bytes a node with a name of 8 and a value of 10\n", per);
    OK(per < 64);
    done();
}

TEST(snapshots_stay_as_they_were)
{
    struct xk__tree t;
    struct xk__node *top, *old, **slot, *n;
    struct xk__perm owner = {0, 0};
    struct xk__perms perms = {&owner, 1};
    struct xk__path none = {"", 0}, root = {"/", 1}, name, path;
    char text[2000][16], where[20];
    bool ended;
    static char before[40000], after[40000];
    long a, b;

    EQ(xk__tree_init(&t, xk_alloc_libc(), 5), 0);
    top = xk__node_new(&t, none, perms, NULL, 0);
    EQ(xk__tree_insert(&t, top, xk__node_new(&t, none, perms, NULL, 0)), 0);
    for (int i = 0; i < 2000; i++) {
        name.n = (size_t)snprintf(text[i], sizeof(text[i]), "n%d", (i * 1237) % 2000);
        name.s = text[i];
        EQ(xk__tree_own(&t, &top, root, &slot), 0);
        EQ(xk__tree_insert(&t, *slot, xk__node_new(&t, name, perms, "v", 1)), 0);
    }
    old = xk__node_ref(top);
    a = xk__tree_list(&t, xk__tree_find(old, root), 0, before, sizeof(before), &ended);
    EQ(t.held, 2002);
    EQ(xk__tree_own(&t, &top, root, &slot), 0);
    EQ(t.held, 2004);
    path.s = "/n777";
    path.n = 5;
    EQ(xk__tree_own(&t, &top, path, &slot), 0);
    OK(t.held < 2004 + 60); /* a change copies a path, not a directory */
    EQ(xk__tree_set_value(&t, slot, "other", 5), 0);
    for (int i = 0; i < 2000; i += 2) {
        path.n = (size_t)snprintf(where, sizeof(where), "/%s", text[i]);
        path.s = where;
        EQ(xk__tree_remove(&t, &top, path), 0);
    }
    OK(xk__tree_check(&t, top) == NULL);
    OK(xk__tree_check(&t, old) == NULL);
    b = xk__tree_list(&t, xk__tree_find(old, root), 0, after, sizeof(after), &ended);
    EQ(a, b);
    MEMEQ(before, after, (size_t)a);
    path.s = "/n777";
    path.n = 5;
    n = xk__tree_find(old, path);
    EQ(n->value_len, 1);
    xk__node_drop(&t, old);
    xk__node_drop(&t, top);
    EQ(t.held, 0);
    xk__tree_fini(&t);
}

/* Paths one after the other: the same directory, one of the same length, one that is missing, the root, a special node;
 * and names that differ late, or in their length only. */
TEST(a_look_up_near_the_last_one_finds_the_same)
{
    static const char *const made[] = {
        "/ab",   "/cd",   "/ab/x",      "/ab/long-name-12", "/ab/long-name-2", "/ab/long-name-1",
        "/cd/x", "/cd/z", "/cd/x/below"};
    static const char *const paths[] = {
        "/ab/x",       "/ab/y",      "/cd/x", "/cd/z", "/ab/x",           "/none/x",          "/none/y",
        "/ab",         "/",          "/cd",   "@s",    "/ab/long-name-1", "/ab/long-name-12", "/ab/long-name-2",
        "/ab/x/below", "/cd/x/below"};
    static const struct xk__perm owner = {0, XK__PERM_NONE};
    struct xk__perms perms = {&owner, 1};
    struct xk__path none = {"", 0};
    struct xk__near near = {{NULL, 0}, NULL};
    struct xk__node *top, **slot;
    struct xk__tree t;

    EQ(xk__tree_init(&t, xk_alloc_libc(), 9), 0);
    top = xk__node_new(&t, none, perms, NULL, 0);
    EQ(xk__tree_insert(&t, top, xk__node_new(&t, none, perms, NULL, 0)), 0);
    for (unsigned i = 0; i < sizeof(made) / sizeof(*made); i++) {
        struct xk__path path = {made[i], strlen(made[i])}, up = xk__path_parent(path), name;
        name.s = path.s + (up.n > 1 ? up.n + 1 : 1);
        name.n = (size_t)(path.s + path.n - name.s);
        EQ(xk__tree_own(&t, &top, up, &slot), 0);
        EQ(xk__tree_insert(&t, *slot, xk__node_new(&t, name, perms, NULL, 0)), 0);
    }
    for (unsigned i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        struct xk__path path = {paths[i], strlen(paths[i])};
        OK(xk__tree_find_near(top, path, &near) == xk__tree_find(top, path));
    }
    OK(xk__tree_check(&t, top) == NULL);
    xk__node_drop(&t, top);
    xk__tree_fini(&t);
}

static int note_walked(void *arg, const struct xk__node *n, struct xk__path path, uint32_t hash)
{
    struct xk__tree *t = ((void **)arg)[0];
    size_t *sum = ((void **)arg)[1];

    EQ(hash, xk__hash(t->seed, path.s, path.n)); /* made piece by piece, it is that of the whole */
    MEMEQ(path.s + path.n - n->name_len, xk__node_name(n), n->name_len);
    sum[0]++;
    sum[1] += (size_t)(uintptr_t)n;
    return 0;
}

static int note_each(void *arg, const struct xk__node *n)
{
    size_t *sum = arg;

    sum[0]++;
    sum[1] += (size_t)(uintptr_t)n;
    return sum[0] == sum[2] ? XK_EAGAIN : 0;
}

/* Wide, deep, and with fewer nodes than are asked for ahead. */
TEST(each_node_below_is_seen_once)
{
    static const int counts[] = {0, 1, 3, 8, 9, 40, 1000};
    struct xk__perm owner = {0, XK__PERM_NONE};
    struct xk__perms perms = {&owner, 1};
    struct xk__path none = {"", 0};

    for (unsigned c = 0; c < sizeof(counts) / sizeof(*counts); c++) {
        struct xk__tree t;
        struct xk__node *top, *dir;
        char text[16], path[XK_STORE_ABS_PATH_MAX + 1];
        size_t walked[2] = {0, 0}, each[3] = {0, 0, 0}, few[3] = {0, 0, 5};
        void *arg[2] = {&t, walked};

        EQ(xk__tree_init(&t, xk_alloc_libc(), 11 + c), 0);
        dir = top = xk__node_new(&t, none, perms, NULL, 0);
        for (int i = 0; i < counts[c]; i++) {
            struct xk__path name = {text, (size_t)snprintf(text, sizeof(text), "n%d", i)};
            struct xk__node *n = xk__node_new(&t, name, perms, "v", 1);
            EQ(xk__tree_insert(&t, dir, n), 0);
            dir = i % 7 == 0 ? top : i % 3 == 0 ? n : dir;
        }
        EQ(xk__tree_walk(&t, top, path, 0, note_walked, arg), 0);
        EQ(xk__tree_each(&t, top, note_each, each), 0);
        EQ(walked[0], counts[c]);
        EQ(each[0], walked[0]);
        EQ(each[1], walked[1]);
        EQ(xk__tree_each(&t, top, note_each, few), counts[c] < 5 ? 0 : XK_EAGAIN);
        EQ(few[0], counts[c] < 5 ? counts[c] : 5);
        xk__node_drop(&t, top);
        xk__tree_fini(&t);
    }
}

/* How many nodes are looked at to find (name) below (n). */
static unsigned steps_to(const struct xk__node *n, struct xk__path name)
{
    for (unsigned steps = 1; n; steps++) {
        size_t len = n->name_len < name.n ? n->name_len : name.n;
        int d = memcmp(name.s, xk__node_name(n), len);
        if (d == 0)
            d = (name.n > n->name_len) - (name.n < n->name_len);
        if (d == 0)
            return steps;
        n = d < 0 ? n->left : n->right;
    }
    return 0;
}

TEST(names_that_grow_leave_the_tree_shallow)
{
    static char text[10000][16];
    struct xk__tree t;
    struct xk__perm owner = {0, 0};
    struct xk__perms perms = {&owner, 1};
    struct xk__path none = {"", 0}, name;
    struct xk__node *top;
    unsigned long all = 0;
    unsigned worst = 0;

    EQ(xk__tree_init(&t, xk_alloc_libc(), 77), 0);
    top = xk__node_new(&t, none, perms, NULL, 0);
    for (int i = 0; i < 10000; i++) {
        name.n = (size_t)snprintf(text[i], sizeof(text[i]), "%05d", i);
        name.s = text[i];
        EQ(xk__tree_insert(&t, top, xk__node_new(&t, name, perms, NULL, 0)), 0);
    }
    for (int i = 0; i < 10000; i++) {
        unsigned steps = (name.s = text[i], name.n = 5, steps_to(top->kids, name));
        OK(steps > 0);
        worst = steps > worst ? steps : worst;
        all += steps;
    }
    printf("# of 10000 names in order: %.1f steps, at worst %u\n", (double)all / 10000, worst);
    OK(all < 10000 * 22ul); /* a random tree: 2 ln 10000 = 18 */
    OK(worst < 48);
    xk__node_drop(&t, top);
    xk__tree_fini(&t);
}

TEST(path_helpers)
{
    struct xk__path a = {"/a/b", 4}, root = {"/", 1}, part, x = {"/ab", 3}, aa = {"/a", 2};

    EQ(xk__path_below(a, aa), 1);
    EQ(xk__path_below(a, a), 0);
    EQ(xk__path_below(x, aa), -1);
    EQ(xk__path_below(a, root), 2);
    EQ(xk__path_below(root, root), 0);
    EQ(xk__path_below(root, a), -1);
    EQ(xk__path_parent(a).n, 2);
    EQ(xk__path_parent(aa).n, 1);
    EQ(xk__path_parent(root).n, 1);
    OK(xk__path_next(&root, &part));
    EQ(part.n, 0);
    OK(!xk__path_next(&root, &part));
}
