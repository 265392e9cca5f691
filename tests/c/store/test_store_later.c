/* What is done after the answers: nothing of it may show in an answer, an event or an account.
 * SPDX-License-Identifier: MIT */
#include "tests/c/store/kit.h"

static struct xk_store_server *server;
static struct kit dom0, guest;
static int reminded;
static long held; /* bytes of the allocator that fails */

static void later(void *arg)
{
    (void)arg;
    reminded++;
}

static const struct xk_store_server_ops ops = {.version = XK_STORE_SERVER_OPS_VERSION, .later = later};

static void setup_with(const xk_alloc *alloc, const struct xk_store_server_ops *with)
{
    server = xk_store_server_create(alloc, with, NULL, NULL);
    OK(server != NULL);
    kit_open(&dom0, server, 0);
    kit_open(&guest, server, 5);
    reminded = 0;
}

static void setup(void) { setup_with(NULL, &ops); }

static void done(void)
{
    SOUND(&dom0);
    xk_store_server_destroy(server);
    EQ(held, 0);
}

static struct xk_store_stats stats(void)
{
    struct xk_store_stats st;

    xk_store_server_stats(server, &st);
    return st;
}

/* (n) nodes of the guest's below /local/domain/5/(name), and that one. */
static void plant(const char *name, int n)
{
    char path[64];

    EQ(kit_mkdir(&dom0, "/local/domain/5"), 0);
    EQ(kit_do(&dom0, XK_STORE_SET_PERMS, "/local/domain/5", "n5", NULL), 0);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "/local/domain/5/%s/%d", name, i);
        EQ(kit_write(&guest, path, "v"), 0);
    }
}

/* How many nodes the guest owns, as the store says. */
static long owned(void)
{
    VALUE(&dom0, "/", "");
    EQ(kit_do(&dom0, XK_STORE_CONTROL, "quota", "5", NULL), 0);
    return strtol(strstr((char *)dom0.reply, "nodes") + 5, NULL, 10);
}

TEST(memory_is_given_back_after_the_answer)
{
    setup();
    plant("a", 50);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
    EQ(kit_end(&dom0, "T"), 0);
    OK(reminded > 0);
    EQ(kit_read(&dom0, "/local/domain/5/a"), XK_ENOENT);
    EQ(stats().transactions, 0);
    OK(stats().nodes_held > stats().nodes + 50);
    xk_store_server_tidy(server);
    OK(stats().nodes_held <= stats().nodes + 1); /* the top */
    xk_store_server_tidy(server);
    done();
}

TEST(without_a_reminder_nothing_is_put_off)
{
    setup_with(NULL, NULL);
    plant("a", 50);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
    EQ(kit_end(&dom0, "T"), 0);
    OK(stats().nodes_held <= stats().nodes + 1);
    done();
}

TEST(a_server_of_before_is_not_reminded)
{
    struct xk_store_server_ops old = ops;

    old.version = 2; /* its struct ends before the field */
    setup_with(NULL, &old);
    plant("a", 5);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
    EQ(kit_end(&dom0, "T"), 0);
    EQ(reminded, 0);
    OK(stats().nodes_held <= stats().nodes + 1);
    done();
}

TEST(only_the_last_transaction_waits)
{
    setup();
    for (int i = 0; i < 20; i++) {
        plant("a", 50);
        EQ(kit_begin(&dom0), 0);
        EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
        EQ(kit_end(&dom0, "T"), 0);
        OK(stats().nodes_held < stats().nodes + 80);
    }
    done();
}

TEST(accounts_are_right_after_the_commit)
{
    for (int tidy = 0; tidy < 4; tidy++) { /* never, before the commit, after it, both */
        setup();
        plant("a", 30);
        plant("b", 10);
        EQ(owned(), 1 + 31 + 11);
        EQ(kit_begin(&dom0), 0);
        EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
        if (tidy & 1)
            xk_store_server_tidy(server);
        EQ(kit_write(&dom0, "/local/domain/5/c", "made and kept"), 0);
        EQ(kit_end(&dom0, "T"), 0);
        if (tidy & 2)
            xk_store_server_tidy(server);
        EQ(owned(), 1 + 11 + 1);
        done();
    }
}

TEST(more_removals_than_are_remembered)
{
    char path[64];

    setup();
    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof(path), "d%d", i);
        plant(path, 3);
    }
    EQ(kit_begin(&dom0), 0);
    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof(path), "/local/domain/5/d%d", i);
        EQ(kit_rm(&dom0, path), 0);
    }
    EQ(kit_end(&dom0, "T"), 0);
    EQ(owned(), 1);
    done();
}

TEST(two_transactions_in_turns)
{
    struct kit other;

    setup();
    kit_open(&other, server, 0);
    plant("a", 3);
    plant("b", 3);
    plant("c", 3);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_begin(&other), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
    EQ(kit_rm(&other, "/local/domain/5/b"), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/c"), 0);
    EQ(kit_end(&dom0, "T"), 0);
    EQ(kit_end(&other, "T"), 0); /* merged: its removal is counted on what there is now */
    EQ(owned(), 1);
    xk_store_server_tidy(server);
    OK(stats().nodes_held <= stats().nodes + 1);
    done();
}

/* While others commit, what a transaction removes is done by its commit alone, on what they made: nodes of its own tree
 * are not copied for it. But what it asks itself it is answered as ever. */
TEST(removals_are_repeated_on_what_others_made)
{
    struct kit other;

    for (int asks = 0; asks < 4; asks++) { /* 1: it reads what it removed; 2: it removes more than are remembered */
        uint64_t held_before;
        int n = asks & 2 ? 20 : 5;
        setup();
        kit_open(&other, server, 0);
        for (int i = 0; i < 20; i++) {
            char path[16];
            snprintf(path, sizeof(path), "d%d", i);
            plant(path, 3);
        }
        EQ(kit_begin(&dom0), 0);
        EQ(kit_write(&other, "/z", "meanwhile"), 0);
        held_before = stats().nodes_held;
        for (int i = 0; i < n; i++) {
            char path[64];
            snprintf(path, sizeof(path), "/local/domain/5/d%d", i);
            EQ(kit_rm(&dom0, path), 0);
        }
        xk_store_server_tidy(server);
        if (!(asks & 2))
            EQ(stats().nodes_held, held_before);
        if (asks & 1)
            EQ(kit_read(&dom0, "/local/domain/5/d0"), XK_ENOENT);
        EQ(kit_end(&dom0, "T"), 0);
        EQ(owned(), 1 + 4 * (20 - n));
        VALUE(&dom0, "/z", "meanwhile");
        EQ(kit_read(&dom0, "/local/domain/5/d0"), XK_ENOENT);
        xk_store_server_tidy(server);
        OK(stats().nodes_held <= stats().nodes + 1);
        done();
    }
}

/* One that also writes has a tree of its own, in which what it removed is not, when that is merged. */
TEST(removals_and_changes_on_what_others_made)
{
    struct kit other;

    setup();
    kit_open(&other, server, 0);
    plant("a", 3);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_write(&dom0, "/x/y", "v"), 0);
    EQ(kit_write(&other, "/z", "meanwhile"), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
    EQ(kit_rm(&dom0, "/x/y"), 0);
    EQ(kit_end(&dom0, "T"), 0);
    EQ(owned(), 1);
    EQ(kit_read(&dom0, "/x/y"), XK_ENOENT);
    EQ(kit_read(&dom0, "/x"), 0);
    done();
}

/* Others' removals are left to their commits, and are theirs still. */
TEST(many_transactions_that_only_remove)
{
    struct kit k[6];

    for (int tidy = 0; tidy < 2; tidy++) {
        setup();
        for (int i = 0; i < 6; i++) {
            char path[16];
            snprintf(path, sizeof(path), "d%d", i);
            plant(path, 3);
            snprintf(path, sizeof(path), "e%d", i);
            plant(path, 3);
            kit_open(&k[i], server, 0);
        }
        for (int i = 0; i < 6; i++)
            EQ(kit_begin(&k[i]), 0);
        for (int round = 0; round < 2; round++)
            for (int i = 0; i < 6; i++) {
                char path[64];
                snprintf(path, sizeof(path), "/local/domain/5/%c%d", 'd' + round, i);
                EQ(kit_rm(&k[i], path), 0);
                if (i == 2 && round == 1)
                    EQ(kit_end(&k[i], "T"), 0); /* from here on the others' are repeated */
                if (tidy)
                    xk_store_server_tidy(server);
            }
        for (int i = 5; i >= 0; i--)
            if (i != 2)
                EQ(kit_end(&k[i], i == 4 ? "F" : "T"), 0);
        EQ(owned(), 1 + 8); /* d4 and e4 */
        xk_store_server_tidy(server);
        OK(stats().nodes_held <= stats().nodes + 1);
        done();
    }
}

/* Its plan, which is dropped, is nobody else's. */
TEST(a_commit_that_is_refused_beside_removals_that_are_not_counted)
{
    char path[32];
    uint32_t tx;

    setup();
    EQ(kit_do(&dom0, XK_STORE_CONTROL, "quota", "set", "nodes", "40", NULL), 0);
    plant("a", 30);
    EQ(kit_mkdir(&dom0, "/victim/x"), 0);
    EQ(kit_begin(&guest), 0);
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), "b%d", i);
        EQ(kit_write(&guest, path, "v"), 0);
    }
    tx = guest.tx;
    guest.tx = 0;
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), "c%d", i);
        EQ(kit_write(&guest, path, "v"), 0);
    }
    EQ(kit_begin(&dom0), 0);
    EQ(kit_rm(&dom0, "/victim"), 0);
    guest.tx = tx;
    EQ(kit_end(&guest, "T"), XK_ENOSPC); /* merged it would be 42 */
    EQ(kit_end(&dom0, "T"), 0);
    EQ(owned(), 37);
    done();
}

/* What the store holds for domain 0. */
static long memory(void)
{
    uint32_t tx = dom0.tx;
    long n;

    dom0.tx = 0;
    EQ(kit_do(&dom0, XK_STORE_CONTROL, "quota", "0", NULL), 0);
    n = strtol(strstr((char *)dom0.reply, "memory") + 6, NULL, 10);
    dom0.tx = tx;
    return n;
}

TEST(each_transaction_is_charged_for_its_own)
{
    struct kit other;
    long before, made;

    setup();
    kit_open(&other, server, 0);
    plant("a", 3);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_begin(&other), 0);
    before = memory();
    for (int i = 0; i < 2000; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/own/%d", i);
        EQ(kit_write(&other, path, "0123456789"), 0);
    }
    made = memory();
    OK(made > before + 100000);
    EQ(kit_rm(&other, "/own"), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a"), 0); /* /own is counted now, and freed */
    OK(memory() < made - 100000);
    OK(memory() > before);
    EQ(kit_end(&other, "F"), 0);
    OK(memory() < before + 5000);
    OK(memory() > before - 5000);
    EQ(kit_end(&dom0, "F"), 0);
    done();
}

TEST(a_node_of_the_transactions_own_comes_and_goes)
{
    setup();
    plant("a", 3);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_write(&dom0, "/local/domain/5/a/new/deep", "v"), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a/new"), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
    EQ(kit_write(&dom0, "/local/domain/5/a", "again"), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
    EQ(kit_end(&dom0, "T"), 0);
    EQ(owned(), 1);
    done();
}

/* What is asked next sees what was answered, whatever it is. */
TEST(a_removal_shows_at_once)
{
    setup();
    plant("a/b/c", 3);
    EQ(kit_write(&dom0, "/other/x", "v"), 0);
    EQ(kit_write(&dom0, "/far/off/x", "v"), 0);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a/b"), 0);
    EQ(kit_read(&dom0, "/local/domain/5/a/b/c/1"), XK_ENOENT);
    EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
    EQ(kit_mkdir(&dom0, "/local/domain/5/a/b"), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
    EQ(kit_do(&dom0, XK_STORE_DIRECTORY, "/local/domain/5", NULL), 0);
    EQ(dom0.len, 0);
    EQ(kit_rm(&dom0, "/other"), 0);
    EQ(kit_rm(&dom0, "/other"), 0);
    EQ(kit_rm(&dom0, "/other/x"), XK_ENOENT);
    EQ(kit_do(&dom0, XK_STORE_SET_PERMS, "/other", "n0", NULL), XK_ENOENT);
    EQ(kit_write(&dom0, "/other", "anew"), 0);
    EQ(kit_rm(&dom0, "/tool"), 0);
    VALUE(&dom0, "/other", "anew");
    EQ(kit_rm(&dom0, "/far/off/x"), 0); /* the way there was gone before the transaction had it to itself */
    EQ(kit_read(&dom0, "/far/off/x"), XK_ENOENT);
    EQ(kit_end(&dom0, "T"), 0);
    EQ(owned(), 1);
    VALUE(&dom0, "/other", "anew");
    EQ(kit_read(&dom0, "/tool"), XK_ENOENT);
    done();
}

/* Below a removal, of it, and above it: each knows of it, and nothing is counted twice. */
TEST(removals_in_each_other)
{
    setup();
    plant("a/b/c", 3);
    EQ(owned(), 1 + 3 + 3);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a/b/c"), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a/b/c"), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a/b/c/0"), XK_ENOENT);
    EQ(kit_rm(&dom0, "/local/domain/5/a/b"), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
    EQ(kit_end(&dom0, "T"), 0);
    EQ(owned(), 1);
    done();
}

/* Many nodes of one directory: what the transaction copied for one removal is what others find. */
TEST(removals_side_by_side)
{
    char path[64];

    setup();
    plant("a", 300);
    EQ(kit_begin(&dom0), 0);
    for (int i = 0; i < 300; i += 2) {
        snprintf(path, sizeof(path), "/local/domain/5/a/%d", (i * 7) % 300);
        EQ(kit_rm(&dom0, path), 0);
    }
    EQ(kit_end(&dom0, "T"), 0);
    EQ(owned(), 2 + 150);
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof(path), "/local/domain/5/a/%d", i);
        EQ(kit_read(&dom0, path), i % 2 ? 0 : XK_ENOENT);
    }
    done();
}

/* A merge repeats what the transaction made, but not what it removed of that. */
TEST(what_came_and_went_is_not_merged)
{
    struct kit other;

    setup();
    kit_open(&other, server, 0);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_write(&dom0, "/x/y", "v"), 0);
    EQ(kit_rm(&dom0, "/x/y"), 0);
    EQ(kit_write(&other, "/z", "meanwhile"), 0);
    EQ(kit_end(&dom0, "T"), 0);
    EQ(kit_read(&dom0, "/x/y"), XK_ENOENT);
    EQ(kit_read(&dom0, "/x"), 0);
    done();
}

/* Whoever has quotas is told of them at once. */
TEST(a_guest_is_counted_at_once)
{
    setup();
    EQ(kit_do(&dom0, XK_STORE_CONTROL, "quota", "set", "nodes", "40", NULL), 0);
    plant("a", 30);
    EQ(kit_begin(&guest), 0);
    EQ(kit_write(&guest, "b/0", "v"), 0);
    EQ(kit_rm(&guest, "/local/domain/5/a"), 0);
    EQ(reminded, 0);
    for (int i = 1; i < 37; i++) {
        char path[16];
        snprintf(path, sizeof(path), "b/%d", i);
        EQ(kit_write(&guest, path, "v"), 0);
    }
    EQ(kit_write(&guest, "b/x", "v"), 0);
    EQ(kit_write(&guest, "b/y", "v"), XK_ENOSPC);
    EQ(kit_end(&guest, "F"), 0);
    done();
}

TEST(a_connection_ends_with_removals_that_are_not_counted)
{
    setup();
    plant("a", 30);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
    xk_store_conn_close(dom0.conn);
    xk_store_server_tidy(server);
    kit_open(&dom0, server, 0);
    EQ(owned(), 32);
    OK(stats().nodes_held <= stats().nodes + 1);
    done();
}

TEST(a_transaction_that_is_given_up)
{
    setup();
    plant("a", 30);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
    EQ(kit_end(&dom0, "F"), 0);
    xk_store_server_tidy(server);
    EQ(owned(), 32);
    VALUE(&dom0, "/local/domain/5/a/29", "v");
    OK(stats().nodes_held <= stats().nodes + 1);
    done();
}

TEST(a_server_ends_with_things_put_off)
{
    setup();
    plant("a", 30);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
    EQ(kit_end(&dom0, "T"), 0);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_rm(&dom0, "/local/domain/5"), 0);
    xk_store_server_destroy(server);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static long allowed; /* allocations until one fails; < 0: none does */

static void *failing_resize(void *ctx, void *p, size_t old, size_t size)
{
    (void)ctx;
    if (size > old && allowed >= 0 && allowed-- == 0)
        return NULL;
    held += (long)size - (p ? (long)old : 0);
    if (size)
        return realloc(p, size);
    free(p);
    return NULL;
}

static const xk_alloc failing = {failing_resize, NULL};

/* Each of the 30 nodes gets an owner of its own: more accounts than there is room for without an allocation. */
static void share_out(void)
{
    for (int i = 0; i < 30; i++) {
        char path[64], owner[16];
        snprintf(path, sizeof(path), "/local/domain/5/a/%d", i);
        snprintf(owner, sizeof(owner), "n%d", 10 + i);
        EQ(kit_do(&dom0, XK_STORE_SET_PERMS, path, owner, NULL), 0);
    }
}

/* Tidying up finds no memory for the accounts of so many owners, and the commit has to do it. */
TEST(what_could_not_be_counted_is_counted_for_the_commit)
{
    long failures = 0;

    for (long nth = 0;; nth++) {
        allowed = -1;
        setup_with(&failing, &ops);
        plant("a", 30);
        share_out();
        EQ(kit_begin(&dom0), 0);
        EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
        allowed = nth;
        xk_store_server_tidy(server);
        failures += allowed < 0;
        nth = allowed >= 0 ? -1 : nth; /* it needed no more */
        allowed = -1;
        EQ(kit_end(&dom0, "T"), 0);
        EQ(owned(), 1);
        done();
        if (nth < 0)
            break;
    }
    OK(failures > 0);
}

/* A removal that is refused for want of memory is not carried out later either. */
TEST(a_removal_that_fails_leaves_nothing)
{
    long failures = 0;

    for (long nth = 0;; nth++) {
        int rc;
        allowed = -1;
        setup_with(&failing, &ops);
        plant("a", 30);
        EQ(kit_begin(&dom0), 0);
        allowed = nth;
        rc = kit_rm(&dom0, "/local/domain/5/a");
        allowed = -1;
        OK(rc == 0 || rc == XK_ENOMEM);
        failures += rc != 0;
        EQ(kit_end(&dom0, "T"), 0);
        EQ(owned(), rc ? 32 : 1);
        done();
        if (rc == 0)
            break;
    }
    OK(failures > 0);
}

/* The ninth makes room first. */
TEST(a_removal_too_many_without_memory)
{
    long failures = 0;

    for (long nth = 0;; nth++) {
        char path[64];
        int rc;
        allowed = -1;
        setup_with(&failing, &ops);
        for (int i = 0; i < 9; i++) {
            snprintf(path, sizeof(path), "a%d", i);
            plant(path, 3);
        }
        EQ(kit_begin(&dom0), 0);
        for (int i = 0; i < 8; i++) {
            snprintf(path, sizeof(path), "/local/domain/5/a%d", i);
            EQ(kit_rm(&dom0, path), 0);
        }
        allowed = nth;
        rc = kit_rm(&dom0, "/local/domain/5/a8");
        allowed = -1;
        OK(rc == 0 || rc == XK_ENOMEM);
        failures += rc != 0;
        EQ(kit_end(&dom0, "T"), 0);
        EQ(owned(), rc ? 5 : 1);
        done();
        if (rc == 0)
            break;
    }
    OK(failures > 5);
}

/* One that was answered, and then found no memory, fails the transaction that it is part of: by the next request of it,
 * a read or its end; or nothing is missing after it. */
TEST(a_removal_without_memory_is_told_by_the_next_request)
{
    long failures[3] = {0};

    for (int next = 0; next < 3; next++)
        for (long nth = 0;; nth++) {
            int rc;
            allowed = -1;
            setup_with(&failing, &ops);
            plant("a", 30);
            plant("b", 3);
            EQ(kit_begin(&dom0), 0);
            EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
            allowed = nth;
            rc = next == 0   ? kit_end(&dom0, "T")
                 : next == 1 ? kit_read(&dom0, "/local/domain/5/a")
                             : kit_rm(&dom0, "/local/domain/5/a/1");
            failures[next] += allowed < 0;
            nth = allowed >= 0 ? -1 : nth;
            allowed = -1;
            OK(rc == XK_ENOMEM || (next ? rc == XK_ENOENT : rc == 0));
            if (next && rc == XK_ENOMEM)
                EQ(kit_read(&dom0, "/local/domain/5/a"), XK_ENOENT); /* with memory it is as it was answered */
            if (next)
                EQ(kit_end(&dom0, "T"), 0);
            EQ(owned(), next == 0 && rc ? 36 : 5);
            done();
            if (nth < 0)
                break;
        }
    OK(failures[0] > 2 && failures[1] > 2 && failures[2] > 2);
}

/* As above, where it is the commit that finds no memory on others' tree: it is done, or nothing is. */
TEST(a_commit_repeats_all_or_nothing)
{
    long failures = 0;

    for (long nth = 0;; nth++) {
        struct kit other;
        int rc;
        allowed = -1;
        setup_with(&failing, &ops);
        kit_open(&other, server, 0);
        plant("a", 30);
        share_out();
        plant("b", 3);
        EQ(kit_begin(&dom0), 0);
        EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
        EQ(kit_rm(&dom0, "/local/domain/5/b"), 0);
        EQ(kit_write(&other, "/z", "meanwhile"), 0);
        allowed = nth;
        rc = kit_end(&dom0, "T");
        nth = allowed >= 0 ? -1 : nth;
        allowed = -1;
        failures += rc != 0;
        OK(rc == 0 || rc == XK_ENOMEM);
        dom0.tx = 0;
        EQ(kit_read(&dom0, "/local/domain/5/a"), rc ? 0 : XK_ENOENT);
        EQ(owned(), rc ? 6 : 1);
        done();
        if (nth < 0)
            break;
    }
    OK(failures > 3);
}

/* A transaction that is given up while there is no memory leaves nothing that is counted, or charged, later. */
TEST(one_that_ends_without_memory_is_forgotten)
{
    long before;

    allowed = -1;
    setup_with(&failing, &ops);
    plant("a", 30);
    share_out();
    before = memory();
    for (int i = 0; i < 3; i++) {
        struct kit other;
        kit_open(&other, server, 0);
        EQ(kit_begin(&other), 0);
        EQ(kit_rm(&other, "/local/domain/5/a"), 0);
        allowed = 0;
        EQ(kit_end(&other, "F"), 0);
        allowed = -1;
        xk_store_conn_close(other.conn);
        EQ(kit_begin(&dom0), 0);
        EQ(kit_rm(&dom0, "/none"), 0);
        EQ(kit_rm(&dom0, "/local/domain/5/a"), 0);
        EQ(kit_end(&dom0, "F"), 0);
        xk_store_server_tidy(server);
    }
    OK(memory() <= before + 1000 && memory() >= before - 1000);
    done();
}
