/* Files, signals, the terminal and the process: the host tool's own needs. SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <xenkit/host.h>

#include "platform/linux/sys.h"

static int result(int r) { return r < 0 ? xk__sys_err(errno) : r; }

int xk_host_open(const char *path, const char *mode)
{
    int flags = strcmp(mode, "r") == 0           ? O_RDONLY
                : strcmp(mode, "w") == 0         ? O_WRONLY | O_CREAT | O_TRUNC
                : strcmp(mode, "a") == 0         ? O_WRONLY | O_CREAT | O_APPEND
                : strcmp(mode, "r direct") == 0  ? O_RDONLY | O_DIRECT
                : strcmp(mode, "rw direct") == 0 ? O_RDWR | O_DIRECT
                                                 : O_RDWR | O_CREAT;

    return result(open(path, flags | O_CLOEXEC, 0600));
}

int xk_host_lock(int handle, int shared)
{
    if (flock(handle, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? XK_EBUSY : xk__sys_err(errno);
    return 0;
}

int xk_host_memory(const char *name, const void *data, size_t n)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), r;
    size_t done = 0;

    if (fd < 0)
        return result(fd);
    while (done < n) {
        ssize_t k = write(fd, (const char *)data + done, n - done);
        if (k < 0 && errno != EINTR) {
            r = xk__sys_err(errno);
            close(fd);
            return r;
        }
        done += k > 0 ? (size_t)k : 0;
    }
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

int xk_host_mkdir(const char *path)
{
    char part[PATH_MAX];
    size_t n = strlen(path);

    if (n == 0 || n >= sizeof(part))
        return XK_EINVAL;
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return xk__sys_err(errno);
    }
    return xk_host_is_dir(path) == 1 ? 0 : XK_ENOTDIR;
}

int xk_host_rmdir(const char *path) { return result(rmdir(path)); }

int xk_host_is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 ? xk__sys_err(errno) : S_ISDIR(st.st_mode);
}

int xk_host_identity(const char *path, uint64_t out[2])
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return xk__sys_err(errno);
    out[0] = st.st_dev;
    out[1] = st.st_ino;
    return 0;
}

int64_t xk_host_modified(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 ? xk__sys_err(errno) : (int64_t)st.st_mtime;
}

int xk_host_kind(const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return xk__sys_err(errno);
    return S_ISREG(st.st_mode) ? 'f' : S_ISDIR(st.st_mode) ? 'd' : S_ISLNK(st.st_mode) ? 'l' : 'o';
}

int xk_host_real(const char *path, char *buf, size_t size)
{
    char real[PATH_MAX];

    if (!realpath(path, real))
        return xk__sys_err(errno);
    if (strlen(real) >= size)
        return XK_E2BIG;
    memcpy(buf, real, strlen(real) + 1);
    return 0;
}

int xk_host_list(const char *path, int (*fn)(void *arg, const char *name, int is_dir), void *arg)
{
    DIR *d = opendir(path);
    struct dirent *e;
    int r = 0;

    if (!d)
        return xk__sys_err(errno);
    while (r == 0 && (e = readdir(d))) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        r = fn(arg, e->d_name, fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode));
    }
    closedir(d);
    return r;
}

/* --- terminal --- */

static struct termios saved;
static int have_saved;

int xk_host_tty_raw(int handle, int on)
{
    struct termios t;

    if (!on)
        return have_saved ? result(tcsetattr(handle, TCSADRAIN, &saved)) : 0;
    if (tcgetattr(handle, &saved) < 0)
        return xk__sys_err(errno);
    have_saved = 1;
    t = saved;
    cfmakeraw(&t);
    t.c_oflag |= OPOST | ONLCR;
    return result(tcsetattr(handle, TCSADRAIN, &t));
}

int xk_host_tty_size(int handle, unsigned *columns, unsigned *rows)
{
    struct winsize w;

    if (ioctl(handle, TIOCGWINSZ, &w) < 0)
        return xk__sys_err(errno);
    *columns = w.ws_col;
    *rows = w.ws_row;
    return 0;
}

int xk_host_is_tty(int handle) { return isatty(handle); }

/* --- signals, processes --- */

int xk_host_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGWINCH);
    for (int n = 1; n < NSIG; n++) /* a signal that is ignored, as for a shell's background jobs, never gets here */
        if (sigismember(&set, n) == 1 && n != SIGHUP)
            signal(n, SIG_DFL);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return xk__sys_err(errno);
    return result(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int xk_host_signal_next(int handle)
{
    struct signalfd_siginfo info;
    ssize_t n = read(handle, &info, sizeof(info));

    return n == (ssize_t)sizeof(info) ? (int)info.ssi_signo : XK_EAGAIN;
}

static int detach_pipe = -1;

int xk_host_detach(int log)
{
    int p[2], null;
    char ok = 0;
    pid_t pid;

    if (pipe2(p, O_CLOEXEC) < 0)
        return xk__sys_err(errno);
    fflush(NULL);
    pid = fork();
    if (pid < 0)
        return xk__sys_err(errno);
    if (pid > 0) {
        close(p[1]);
        _exit(read(p[0], &ok, 1) == 1 && ok ? 0 : 1);
    }
    close(p[0]);
    detach_pipe = p[1];
    setsid();
    null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0)
        return xk__sys_err(errno);
    close(null);
    return 0;
}

void xk_host_detached(int ok)
{
    char c = (char)ok;

    if (detach_pipe < 0)
        return;
    if (ok)
        (void)!dup2(1, 2); /* until now errors are for whoever waits */
    (void)!write(detach_pipe, &c, 1);
    close(detach_pipe);
    detach_pipe = -1;
}

int xk_host_pid(void) { return getpid(); }

int xk_host_uid(void) { return (int)getuid(); }

int xk_host_signal(int pid, int sig) { return pid <= 1 ? XK_EINVAL : result(kill(pid, sig)); }

int xk_host_cpus(void) { return xk__sys_cpus(); }

int xk_host_program(const char *name, char *buf, size_t size)
{
    static const char *const places[] = {"", "../libexec/xenkit/", "../lib/xenkit/"};
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    if (n <= 0)
        return XK_ENOENT;
    self[n] = '\0';
    slash = strrchr(self, '/');
    slash[1] = '\0';
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        if ((size_t)snprintf(buf, size, "%s%s%s", self, places[i], name) < size && access(buf, X_OK) == 0)
            return 0;
    }
    return XK_ENOENT;
}
