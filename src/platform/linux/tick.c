/* The tick of Linux programs: SIGPROF by this thread's processor time, so that an idle program is never woken.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "platform/linux/sys.h"

static void (*volatile handler)(void);
static timer_t timer;
static int made;

static void on_signal(int number)
{
    int saved = errno;

    (void)number;
    if (handler)
        handler();
    errno = saved;
}

static int make(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF};

    if (made)
        return 0;
    if (sigaction(SIGPROF, &action, NULL) < 0 || timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) < 0)
        return xk__sys_err(errno);
    made = 1;
    return 0;
}

int xk__sys_tick(xk_time period, void (*fn)(void))
{
    struct itimerspec t = {0};
    int r = make();

    if (r < 0)
        return r;
    handler = period ? fn : NULL;
    t.it_value.tv_sec = t.it_interval.tv_sec = period / XK_SECOND;
    t.it_value.tv_nsec = t.it_interval.tv_nsec = period % XK_SECOND;
    return timer_settime(timer, 0, &t, NULL) < 0 ? xk__sys_err(errno) : 0;
}
