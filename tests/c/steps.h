/* What others see of memory when its writer is killed: runs (run) in a child, instruction by instruction, and shows
 * (area) after each that changed it (each fourth with XK_SHORT set). Skips the test where this process may trace no
 * other. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_STEPS_H
#define XK_TESTS_STEPS_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/ptrace.h>

#include "tests/c/tap.h"

struct steps {
    void (*run)(void *arg);
    void (*seen)(void *arg, const uint8_t *area);
    void *arg, *area;
    size_t bytes; /* of area, at most a page */
};

static void steps_child(const struct steps *s)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(TAP_SKIP);
    raise(SIGSTOP);
    s->run(s->arg);
    _exit(0);
}

/* How many different states there were. */
static inline unsigned steps_run(const struct steps *s)
{
    uint8_t last[4096], now[4096];
    unsigned states = 0, each = getenv("XK_SHORT") ? 4 : 1;
    char name[40];
    int status, fd;
    pid_t pid;

    fflush(NULL);
    OK(s->bytes <= sizeof(last));
    memcpy(last, s->area, s->bytes);
    pid = fork();
    OK(pid >= 0);
    if (pid == 0)
        steps_child(s);
    EQ(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == TAP_SKIP)
        SKIP("this process may not trace its child");
    OK(WIFSTOPPED(status));
    EQ(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL), 0);
    snprintf(name, sizeof(name), "/proc/%d/mem", (int)pid);
    fd = open(name, O_RDONLY);
    OK(fd >= 0);
    while (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
        EQ(WSTOPSIG(status), SIGTRAP);
        if (pread(fd, now, s->bytes, (off_t)(uintptr_t)s->area) != (ssize_t)s->bytes)
            break; /* it is ending */
        if (memcmp(now, last, s->bytes) == 0)
            continue;
        memcpy(last, now, s->bytes);
        if (states++ % each == 0)
            s->seen(s->arg, last);
    }
    close(fd);
    if (!WIFEXITED(status))
        EQ(waitpid(pid, &status, 0), pid);
    OK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return states;
}

/* Another process looks at what was found, and has to think well of it. */
static inline void steps_fork(void (*look)(const uint8_t *found), const uint8_t *found)
{
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    OK(pid >= 0);
    if (pid == 0) {
        look(found);
        _exit(0);
    }
    EQ(waitpid(pid, &status, 0), pid);
    EQ(status, 0);
}

#endif
