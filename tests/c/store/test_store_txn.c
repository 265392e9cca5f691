/* Transactions: the table of what conflicts with what. SPDX-License-Identifier: MIT */
#include "tests/c/store/kit.h"

static struct xk_store_server *server;
static struct kit a, b, guest;

static void setup(void)
{
    server = xk_store_server_create(NULL, NULL, NULL, NULL);
    kit_open(&a, server, 0);
    kit_open(&b, server, 0);
    kit_open(&guest, server, 5);
    EQ(kit_mkdir(&a, "/g"), 0);
    EQ(kit_do(&a, XK_STORE_SET_PERMS, "/g", "n5", NULL), 0);
    EQ(kit_write(&a, "/n", "0"), 0);
    EQ(kit_write(&a, "/d/x", "0"), 0);
}

static void done(void)
{
    struct xk_store_stats st;

    SOUND(&a);
    xk_store_conn_close(b.conn);
    xk_store_conn_close(guest.conn);
    xk_store_server_stats(server, &st);
    EQ(st.transactions, 0);
    EQ(st.nodes + 1, st.nodes_held); /* nothing leaks: the tree and its top */
    xk_store_server_destroy(server);
}

TEST(a_transaction_sees_a_snapshot)
{
    setup();
    EQ(kit_begin(&a), 0);
    EQ(kit_write(&b, "/n", "1"), 0);
    EQ(kit_rm(&b, "/d"), 0);
    VALUE(&a, "/n", "0");
    VALUE(&a, "/d/x", "0");
    STREQ(kit_list(&a, "/d"), "x");
    EQ(kit_end(&a, "F"), 0);
    VALUE(&a, "/n", "1");
    done();
}

TEST(its_writes_are_its_own_until_the_commit)
{
    setup();
    EQ(kit_begin(&a), 0);
    EQ(kit_write(&a, "/n", "1"), 0);
    EQ(kit_write(&a, "/new/node", "1"), 0);
    EQ(kit_rm(&a, "/d"), 0);
    VALUE(&a, "/n", "1");
    VALUE(&b, "/n", "0");
    EQ(kit_read(&b, "/new"), XK_ENOENT);
    VALUE(&b, "/d/x", "0");
    EQ(kit_end(&a, "T"), 0);
    VALUE(&b, "/n", "1");
    VALUE(&b, "/new/node", "1");
    EQ(kit_read(&b, "/d"), XK_ENOENT);
    done();
}

TEST(an_abort_leaves_nothing)
{
    setup();
    EQ(kit_begin(&a), 0);
    EQ(kit_write(&a, "/n", "1"), 0);
    EQ(kit_write(&a, "/new/node", "1"), 0);
    EQ(kit_end(&a, "F"), 0);
    VALUE(&a, "/n", "0");
    EQ(kit_read(&a, "/new"), XK_ENOENT);
    done();
}

/* In a transaction (a) does (inside); meanwhile (b) does (outside); the commit answers (want). */
struct step {
    char verb; /* r read, l list, p get perms, w write, m mkdir, d remove, c set perms */
    const char *path;
};

static int go(struct kit *k, struct step s, const char *value)
{
    switch (s.verb) {
    case 'r':
        return kit_read(k, s.path);
    case 'l':
        return kit_do(k, XK_STORE_DIRECTORY, s.path, NULL);
    case 'p':
        return kit_do(k, XK_STORE_GET_PERMS, s.path, NULL);
    case 'w':
        return kit_write(k, s.path, value);
    case 'm':
        return kit_mkdir(k, s.path);
    case 'd':
        return kit_rm(k, s.path);
    default:
        return kit_do(k, XK_STORE_SET_PERMS, s.path, "r0", NULL);
    }
}

TEST(conflict_table)
{
    static const struct {
        struct step inside, outside;
        int want;
    } table[] = {
        /* what was read and changed conflicts */
        {{'r', "/n"}, {'w', "/n"}, XK_EAGAIN},
        {{'r', "/n"}, {'d', "/n"}, XK_EAGAIN},
        {{'r', "/n"}, {'c', "/n"}, XK_EAGAIN},
        {{'p', "/n"}, {'c', "/n"}, XK_EAGAIN},
        {{'l', "/d"}, {'w', "/d/y"}, XK_EAGAIN},
        {{'l', "/d"}, {'d', "/d/x"}, XK_EAGAIN},
        {{'r', "/none"}, {'w', "/none"}, XK_EAGAIN},
        {{'d', "/none"}, {'w', "/none"}, XK_EAGAIN},
        {{'m', "/n"}, {'d', "/n"}, XK_EAGAIN},
        /* what was read and not changed does not */
        {{'r', "/n"}, {'w', "/d/x"}, 0},
        {{'r', "/n"}, {'w', "/n/below/below"}, XK_EAGAIN}, /* its list of children changed */
        {{'l', "/d"}, {'w', "/d/x"}, 0},
        {{'l', "/d"}, {'w', "/d/x/y"}, 0},
        {{'r', "/n"}, {'r', "/n"}, 0},
        {{'r', "/none"}, {'w', "/other"}, 0},
        /* blind writes merge */
        {{'w', "/n"}, {'w', "/n"}, 0},
        {{'w', "/n"}, {'w', "/m"}, 0},
        {{'w', "/d/a"}, {'w', "/d/b"}, 0},
        {{'w', "/d/a"}, {'w', "/d/a"}, 0},
        {{'w', "/p/a"}, {'w', "/p/b"}, 0},
        {{'m', "/p/a"}, {'w', "/p/a"}, 0},
        {{'d', "/d"}, {'w', "/d/y"}, 0},
        {{'d', "/d/x"}, {'w', "/d/x"}, 0},
        {{'d', "/d/x"}, {'d', "/d/x"}, 0},
        {{'c', "/n"}, {'w', "/n"}, 0},
        /* but not where they would no longer mean the same */
        {{'w', "/n"}, {'d', "/n"}, XK_EAGAIN},
        {{'w', "/n"}, {'c', "/n"}, XK_EAGAIN},
        {{'w', "/d/y"}, {'d', "/d"}, XK_EAGAIN},
        {{'w', "/d/y"}, {'c', "/d"}, XK_EAGAIN},
        {{'c', "/n"}, {'d', "/n"}, XK_EAGAIN},
    };

    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        int rc;
        setup();
        EQ(kit_begin(&a), 0);
        rc = go(&a, table[i].inside, "inside");
        OK(rc == 0 || rc == XK_ENOENT);
        EQ(go(&b, table[i].outside, "outside"), 0);
        rc = kit_end(&a, "T");
        if (rc != table[i].want)
            TAP_FAIL("case %u: %c %s against %c %s gave %d", i, table[i].inside.verb, table[i].inside.path,
                     table[i].outside.verb, table[i].outside.path, rc);
        if (rc == 0 && table[i].inside.verb == 'w')
            VALUE(&b, table[i].inside.path, "inside");
        if (rc == 0 && table[i].inside.verb == 'd')
            EQ(kit_read(&b, table[i].inside.path), XK_ENOENT);
        done();
    }
}

TEST(read_and_written_conflicts)
{
    setup();
    EQ(kit_begin(&a), 0);
    VALUE(&a, "/n", "0");
    EQ(kit_write(&a, "/n", "1"), 0);
    EQ(kit_write(&b, "/n", "5"), 0);
    EQ(kit_end(&a, "T"), XK_EAGAIN);
    VALUE(&a, "/n", "5");
    EQ(kit_end(&a, "T"), XK_ENOENT); /* it is over */
    done();
}

TEST(two_transactions_of_the_header_of_transaction_c)
{
    /* "4. Two interfering transactions": each reads what the other writes; the second commit fails. */
    setup();
    EQ(kit_begin(&a), 0);
    EQ(kit_begin(&b), 0);
    VALUE(&a, "/n", "0");
    VALUE(&b, "/d/x", "0");
    EQ(kit_write(&a, "/d/x", "a"), 0);
    EQ(kit_write(&b, "/n", "b"), 0);
    EQ(kit_end(&a, "T"), 0);
    EQ(kit_end(&b, "T"), XK_EAGAIN);
    done();
}

TEST(a_merge_keeps_both_sides)
{
    setup();
    EQ(kit_begin(&a), 0);
    EQ(kit_write(&a, "/d/one", "1"), 0);
    EQ(kit_write(&a, "/deep/er/and/deeper", "1"), 0);
    EQ(kit_do(&a, XK_STORE_SET_PERMS, "/d/one", "b5", "r6", NULL), 0);
    EQ(kit_rm(&a, "/n"), 0);
    EQ(kit_write(&a, "/n/again", "1"), 0);
    EQ(kit_write(&b, "/d/two", "2"), 0);
    EQ(kit_write(&b, "/deep/other", "2"), 0);
    EQ(kit_end(&a, "T"), 0);
    STREQ(kit_list(&b, "/d"), "one two x");
    STREQ(kit_list(&b, "/deep"), "er other");
    VALUE(&b, "/deep/er/and/deeper", "1");
    VALUE(&b, "/n", "");
    STREQ(kit_list(&b, "/n"), "again");
    EQ(kit_do(&b, XK_STORE_GET_PERMS, "/d/one", NULL), 0);
    STREQ((char *)b.reply, "b5");
    STREQ((char *)b.reply + 3, "r6");
    done();
}

/* What was made inside inherits from a directory that was made inside, and others have made it meanwhile. */
TEST(a_directory_that_both_made_must_pass_on_the_same)
{
    setup();
    EQ(kit_begin(&a), 0);
    EQ(kit_write(&a, "/both/mine", "1"), 0);
    EQ(kit_mkdir(&b, "/both"), 0);
    EQ(kit_end(&a, "T"), 0);
    EQ(kit_rm(&b, "/both"), 0);
    EQ(kit_begin(&a), 0);
    EQ(kit_write(&a, "/both/mine", "1"), 0);
    EQ(kit_mkdir(&b, "/both"), 0);
    EQ(kit_do(&b, XK_STORE_SET_PERMS, "/both", "b0", NULL), 0);
    EQ(kit_end(&a, "T"), XK_EAGAIN);
    done();
}

TEST(a_refusal_must_hold_at_the_commit)
{
    setup();
    EQ(kit_begin(&guest), 0);
    EQ(kit_write(&guest, "/n", "1"), XK_EACCES);
    EQ(kit_write(&guest, "/d/new/er", "1"), XK_EACCES);
    EQ(kit_rm(&guest, "/none"), XK_EACCES);
    EQ(kit_end(&guest, "T"), 0);
    EQ(kit_begin(&guest), 0);
    EQ(kit_write(&guest, "/n", "1"), XK_EACCES);
    EQ(kit_do(&a, XK_STORE_SET_PERMS, "/n", "b0", NULL), 0);
    EQ(kit_end(&guest, "T"), XK_EAGAIN);
    EQ(kit_begin(&guest), 0);
    EQ(kit_do(&guest, XK_STORE_SET_PERMS, "/g", "n6", NULL), XK_EPERM);
    EQ(kit_do(&a, XK_STORE_SET_PERMS, "/g", "n6", NULL), 0);
    EQ(kit_end(&guest, "T"), XK_EAGAIN);
    EQ(kit_begin(&guest), 0);
    EQ(kit_write(&guest, "/d/new/er", "1"), XK_EACCES); /* by the permissions of /d */
    EQ(kit_do(&a, XK_STORE_SET_PERMS, "/d", "b0", NULL), 0);
    EQ(kit_end(&guest, "T"), XK_EAGAIN);
    done();
}

TEST(what_is_made_anew_inherits_what_others_set)
{
    setup();
    EQ(kit_begin(&a), 0);
    EQ(kit_rm(&a, "/d/x"), 0);
    EQ(kit_mkdir(&a, "/d/x"), 0);
    EQ(kit_do(&b, XK_STORE_SET_PERMS, "/d", "b0", NULL), 0);
    EQ(kit_end(&a, "T"), XK_EAGAIN);
    done();
}

TEST(what_was_gone_cannot_have_been_changed)
{
    setup();
    EQ(kit_begin(&a), 0);
    EQ(kit_write(&a, "/d/x", "1"), 0);
    EQ(kit_rm(&a, "/d/x"), 0);
    EQ(kit_rm(&b, "/d"), 0);
    EQ(kit_end(&a, "T"), XK_EAGAIN);
    EQ(kit_begin(&a), 0);
    EQ(kit_do(&a, XK_STORE_SET_PERMS, "/n", "b0", NULL), 0);
    EQ(kit_rm(&a, "/n"), 0);
    EQ(kit_rm(&b, "/n"), 0);
    EQ(kit_end(&a, "T"), XK_EAGAIN);
    done();
}

TEST(what_came_and_went_inside_needs_its_directory)
{
    setup();
    EQ(kit_begin(&a), 0);
    EQ(kit_write(&a, "/d/y", "1"), 0);
    EQ(kit_rm(&a, "/d/y"), 0);
    EQ(kit_end(&a, "T"), 0);
    EQ(kit_begin(&a), 0);
    EQ(kit_write(&a, "/d/y", "1"), 0);
    EQ(kit_rm(&a, "/d/y"), 0);
    EQ(kit_rm(&b, "/d"), 0);
    EQ(kit_end(&a, "T"), XK_EAGAIN);
    done();
}

TEST(ids_and_arguments)
{
    setup();
    EQ(kit_begin(&a), 0);
    EQ(kit_do(&a, XK_STORE_TRANSACTION_START, "", NULL), XK_EBUSY); /* tx_id is not 0 */
    EQ(kit_do(&a, XK_STORE_TRANSACTION_END, "X", NULL), XK_EINVAL);
    EQ(kit_do(&a, XK_STORE_TRANSACTION_END, "T", "F", NULL), XK_EINVAL);
    EQ(kit_call(&a, XK_STORE_TRANSACTION_END, "T", 1), XK_EINVAL);
    b.tx = a.tx;
    EQ(kit_read(&b, "/n"), XK_ENOENT); /* ids belong to a connection */
    b.tx = 0;
    EQ(kit_end(&a, "F"), 0);
    EQ(kit_do(&a, XK_STORE_TRANSACTION_END, "T", NULL), XK_ENOENT);
    a.tx = 99;
    EQ(kit_write(&a, "/n", "x"), XK_ENOENT);
    a.tx = 0;
    EQ(kit_call(&a, XK_STORE_TRANSACTION_START, NULL, 0), 0);
    EQ(kit_do(&a, XK_STORE_RESET_WATCHES, "", NULL), 0);
    done();
}

TEST(a_blind_write_needs_permission_at_the_commit_too)
{
    setup();
    EQ(kit_begin(&guest), 0);
    EQ(kit_write(&guest, "/g/new", "1"), 0);
    EQ(kit_write(&b, "/g/new", "mine"), 0);
    EQ(kit_do(&b, XK_STORE_SET_PERMS, "/g/new", "n0", NULL), 0);
    EQ(kit_end(&guest, "T"), XK_EAGAIN);
    VALUE(&b, "/g/new", "mine");
    EQ(kit_begin(&guest), 0);
    EQ(kit_write(&guest, "/g/more", "1"), 0);
    EQ(kit_do(&b, XK_STORE_SET_PERMS, "/g", "n0", NULL), 0);
    EQ(kit_end(&guest, "T"), XK_EAGAIN);
    EQ(kit_read(&b, "/g/more"), XK_ENOENT);
    done();
}

TEST(a_mkdir_needs_permission_at_the_commit_too)
{
    setup();
    EQ(kit_do(&a, XK_STORE_SET_PERMS, "/d", "b0", NULL), 0);
    EQ(kit_begin(&guest), 0);
    EQ(kit_mkdir(&guest, "/d/y"), 0);
    EQ(kit_mkdir(&a, "/d/y"), 0);
    EQ(kit_end(&guest, "T"), 0);
    EQ(kit_rm(&a, "/d/y"), 0);
    EQ(kit_begin(&guest), 0);
    EQ(kit_mkdir(&guest, "/d/y"), 0);
    EQ(kit_mkdir(&a, "/d/y"), 0);
    EQ(kit_do(&a, XK_STORE_SET_PERMS, "/d/y", "r0", NULL), 0);
    EQ(kit_end(&guest, "T"), XK_EAGAIN);
    done();
}

TEST(permissions_for_a_domain_that_died_meanwhile_do_not_come_back)
{
    setup();
    EQ(xk_store_domain_introduce(server, 7), 0);
    EQ(kit_begin(&a), 0);
    EQ(kit_do(&a, XK_STORE_SET_PERMS, "/n", "n0", "r7", NULL), 0);
    EQ(xk_store_domain_died(server, 7), 0);
    EQ(kit_end(&a, "T"), XK_EAGAIN);
    EQ(kit_begin(&a), 0);
    EQ(kit_write(&a, "/n", "1"), 0);
    EQ(xk_store_domain_introduce(server, 7), 0);
    EQ(xk_store_domain_died(server, 7), 0);
    EQ(kit_end(&a, "T"), 0); /* nothing to do with it */
    done();
}

TEST(special_nodes_take_part)
{
    setup();
    EQ(kit_begin(&a), 0);
    EQ(kit_do(&a, XK_STORE_SET_PERMS, "@releaseDomain", "n0", "r5", NULL), 0);
    EQ(kit_end(&a, "F"), 0);
    EQ(kit_do(&a, XK_STORE_GET_PERMS, "@releaseDomain", NULL), 0);
    EQ(a.len, 3);
    EQ(kit_begin(&a), 0);
    EQ(kit_do(&a, XK_STORE_SET_PERMS, "@releaseDomain", "n0", "r5", NULL), 0);
    EQ(kit_write(&b, "/n", "moved"), 0);
    EQ(kit_end(&a, "T"), 0);
    EQ(kit_do(&a, XK_STORE_GET_PERMS, "@releaseDomain", NULL), 0);
    EQ(a.len, 6);
    done();
}

/* The log is looked up a directory at a time: each entry counts in its own, whatever was looked up before it. */
TEST(entries_of_several_directories_are_told_apart)
{
    static const char *const conflict[] = {"/d1/x", "/d2/x", "/d1/sub/x"};

    for (unsigned i = 0; i < 4; i++) {
        setup();
        EQ(kit_write(&b, "/d1/x", "1"), 0);
        EQ(kit_write(&b, "/d2/x", "2"), 0);
        EQ(kit_write(&b, "/d1/sub/x", "3"), 0);
        EQ(kit_begin(&a), 0);
        VALUE(&a, "/d1/x", "1");
        VALUE(&a, "/d2/x", "2");
        VALUE(&a, "/d1/sub/x", "3");
        EQ(kit_write(&a, "/d1/y", "a"), 0);
        EQ(kit_write(&a, "/d2/y", "b"), 0);
        EQ(kit_write(&a, "/d1/x", "c"), 0);
        EQ(kit_write(&b, i < 3 ? conflict[i] : "/d3/x", "moved"), 0);
        EQ(kit_end(&a, "T"), i < 3 ? XK_EAGAIN : 0);
        VALUE(&b, "/d1/x", i == 0 ? "moved" : i == 3 ? "c" : "1");
        VALUE(&b, "/d2/x", i == 1 ? "moved" : "2");
        if (i == 3) {
            VALUE(&b, "/d1/y", "a");
            VALUE(&b, "/d2/y", "b");
        }
        done();
    }
}

TEST(a_big_transaction_commits_and_merges)
{
    char path[32];

    for (int moved = 0; moved < 2; moved++) {
        setup();
        EQ(kit_begin(&a), 0);
        for (int i = 0; i < 3000; i++) {
            snprintf(path, sizeof(path), "/t/%d", i);
            EQ(kit_write(&a, path, "1"), 0);
        }
        for (int i = 0; i < 3000; i += 3) {
            snprintf(path, sizeof(path), "/t/%d", i);
            EQ(kit_rm(&a, path), 0);
        }
        if (moved)
            EQ(kit_write(&b, "/t/other", "1"), 0);
        EQ(kit_end(&a, "T"), 0);
        VALUE(&b, "/t/1", "1");
        EQ(kit_read(&b, "/t/3"), XK_ENOENT);
        if (moved)
            VALUE(&b, "/t/other", "1");
        done();
    }
}
