/* tests/c/tap.h - a small TAP harness. Each TEST runs in a process of its own, alone or in any order; a crash or a hang
 * fails that test only. `prog` runs all, `prog NAME` one (in this process, for a debugger), `prog -l` lists.
 * SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_TAP_H
#define XK_TESTS_TAP_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct tap_test {
    const char *name;
    void (*run)(void);
    struct tap_test *next;
};

static struct tap_test *tap_first, **tap_last = &tap_first;

/* A test that takes longer than this many seconds has hung. Sanitizers are slow, hence the room. */
enum { TAP_SECONDS = 60, TAP_SKIP = 77 };

#define TEST(id)                                                \
    static void id(void);                                       \
    static struct tap_test tap_##id = {#id, id, NULL};          \
    __attribute__((constructor)) static void tap_add_##id(void) \
    {                                                           \
        *tap_last = &tap_##id;                                  \
        tap_last = &tap_##id.next;                              \
    }                                                           \
    static void id(void)

#define TAP_FAIL(...)                                     \
    do {                                                  \
        fprintf(stderr, "# %s:%d: ", __FILE__, __LINE__); \
        fprintf(stderr, __VA_ARGS__);                     \
        fputc('\n', stderr);                              \
        exit(1);                                          \
    } while (0)

#define OK(cond)                             \
    do {                                     \
        if (!(cond))                         \
            TAP_FAIL("not true: %s", #cond); \
    } while (0)

#define EQ(got, want)                                                            \
    do {                                                                         \
        long long tap_g = (long long)(got), tap_w = (long long)(want);           \
        if (tap_g != tap_w)                                                      \
            TAP_FAIL("%s is %lld, wanted %s = %lld", #got, tap_g, #want, tap_w); \
    } while (0)

#define STREQ(got, want)                                                                    \
    do {                                                                                    \
        const char *tap_g = (got), *tap_w = (want);                                         \
        if (!tap_g || strcmp(tap_g, tap_w))                                                 \
            TAP_FAIL("%s is \"%s\", wanted \"%s\"", #got, tap_g ? tap_g : "(null)", tap_w); \
    } while (0)

#define MEMEQ(got, want, n)                                                          \
    do {                                                                             \
        if (memcmp((got), (want), (n)))                                              \
            TAP_FAIL("%s and %s differ within %zu bytes", #got, #want, (size_t)(n)); \
    } while (0)

#define SKIP(...)            \
    do {                     \
        printf("# skip: ");  \
        printf(__VA_ARGS__); \
        putchar('\n');       \
        fflush(stdout);      \
        exit(TAP_SKIP);      \
    } while (0)

/* Rounds of a test that are alike but for chance: a quarter of them with XK_SHORT set, as under sanitizers. */
__attribute__((unused)) static int tap_rounds(int n) { return getenv("XK_SHORT") ? (n + 3) / 4 : n; }

static int tap_one(const struct tap_test *t, int n)
{
    int st;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        alarm(TAP_SECONDS);
        t->run();
        exit(0);
    }
    if (pid < 0 || waitpid(pid, &st, 0) < 0) {
        perror("fork");
        return 1;
    }
    if (WIFEXITED(st) && WEXITSTATUS(st) == 0)
        return printf("ok %d - %s\n", n, t->name), 0;
    if (WIFEXITED(st) && WEXITSTATUS(st) == TAP_SKIP)
        return printf("ok %d - %s # SKIP\n", n, t->name), 0;
    if (WIFSIGNALED(st))
        printf("# %s: signal %d (%s)\n", t->name, WTERMSIG(st), strsignal(WTERMSIG(st)));
    printf("not ok %d - %s\n", n, t->name);
    return 1;
}

int main(int argc, char **argv)
{
    int n = 0, failed = 0, found = 0;
    struct tap_test *t;

    for (t = tap_first; t; t = t->next) {
        if (argc > 1 && strcmp(argv[1], "-l") == 0) {
            puts(t->name);
            found = 1;
        } else if (argc > 1 && strcmp(argv[1], t->name) == 0) {
            t->run();
            printf("ok 1 - %s\n", t->name);
            found = 1;
        }
    }
    if (argc > 1)
        return found ? 0 : (fprintf(stderr, "no test %s; -l lists them\n", argv[1]), 2);
    for (t = tap_first; t; t = t->next)
        failed += tap_one(t, ++n);
    printf("1..%d\n", n);
    return failed ? 1 : 0;
}

#endif
