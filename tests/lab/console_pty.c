/* For tests of consoles: runs a command on a terminal of its own, as a user would, e.g. `xl console`, and obeys its
 * standard input line by line:
 *
 *   > TEXT      types TEXT and Return          + TEXT   waits until TEXT was shown, since the last such wait
 *   ^ C         types one byte, in octal       . MS     waits
 *
 * All that was shown goes to standard output. Exit code: 0; 1 when a text did not come within the time (first argument,
 * in seconds, for each wait). The command is killed at the end. SPDX-License-Identifier: MIT */
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char shown[1 << 20];
static size_t size, seen;
static int master, ended;

static long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void take(int ms)
{
    struct pollfd p = {.fd = master, .events = POLLIN};
    ssize_t n;

    if (ended || poll(&p, 1, ms) <= 0)
        return;
    n = read(master, shown + size, sizeof(shown) - 1 - size);
    if (n <= 0) {
        ended = 1;
        return;
    }
    (void)!write(1, shown + size, (size_t)n);
    size += (size_t)n;
}

static void rest(int ms)
{
    long end = now_ms() + ms;

    while (now_ms() < end && !ended)
        take(20);
}

static int wait_for(const char *text, int seconds)
{
    long end = now_ms() + seconds * 1000L;
    char *at;

    while (!(at = memmem(shown + seen, size - seen, text, strlen(text)))) {
        if (ended || now_ms() > end)
            return 0;
        take(50);
    }
    seen = (size_t)(at - shown) + strlen(text);
    return 1;
}

static int obey(char *line, int seconds)
{
    char *text = line[1] == ' ' ? line + 2 : line + 1, c;

    if (line[0] == '.') {
        rest(atoi(text));
    } else if (line[0] == '+') {
        if (!wait_for(text, seconds)) {
            printf("\n# '%s' was not shown\n", text);
            return 0;
        }
    } else if (line[0] == '^') {
        c = (char)strtol(text, NULL, 8);
        (void)!write(master, &c, 1);
    } else if (line[0] == '>') {
        (void)!write(master, text, strlen(text));
        (void)!write(master, "\r", 1);
    }
    return 1;
}

int main(int argc, char **argv)
{
    struct winsize w = {.ws_row = 24, .ws_col = 80};
    char line[4096];
    pid_t pid;
    int good = 1;

    if (argc < 3)
        return 2;
    pid = forkpty(&master, NULL, NULL, &w);
    if (pid == 0) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    while (good && fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        good = obey(line, atoi(argv[1]));
    }
    rest(100);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return !good;
}
