/* Folders into FAT and back, by io_uring and without it. SPDX-License-Identifier: MIT */
#include "tests/c/tap.h" /* first */

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <xenkit/fat_files.h>

enum { FILES = 100 };
static char root[] = "/tmp/xk-fat-files-XXXXXX", from[64], to[64];
static uint8_t bytes[40000];

/* From here io_uring_setup says ENOSYS, as in many a container. */
static void without_rings(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof(code) / sizeof(*code), code};

    EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

/* Sizes around what is small, and empty ones. */
static size_t size_of(int i)
{
    return i == 3 ? 16383 : i == 4 ? 16384 : i == 5 ? 30000 : (size_t)i * 97 % 5000 / 3 * 3;
}

static void make(const char *folder, const char *name, const void *data, size_t n)
{
    char path[200];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    OK(fd >= 0);
    EQ(write(fd, data, n), n);
    close(fd);
}

static void begin(void)
{
    char name[32];

    OK(mkdtemp(root) != NULL);
    snprintf(from, sizeof(from), "%s/from", root);
    snprintf(to, sizeof(to), "%s/to", root);
    EQ(mkdir(from, 0700), 0);
    EQ(mkdir(to, 0700), 0);
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "File %d.text", i);
        make(from, name, bytes + i, size_of(i));
    }
}

static void done(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -r %s", root);
    EQ(system(command), 0);
}

static struct xk_fat *fresh(void)
{
    struct xk_fat_spec s = {.bytes = 4 << 20, .type = 16, .cluster = 512};
    struct xk_file *file;
    struct xk_fat *f;

    EQ(xk_file_memory(NULL, 4 << 20, &file), 0);
    EQ(xk_fat_format(file, &s), 0);
    EQ(xk_fat_mount(NULL, file, NULL, &f), 0);
    EQ(xk_fat_mkdir(f, "/d"), 0);
    return f;
}

struct rest {
    int n, dirs;
    char name[8][32];
};

static int keep(void *arg, const char *name, int is_dir)
{
    struct rest *r = arg;

    OK(r->n < 8);
    snprintf(r->name[r->n++], 32, "%.31s", name);
    r->dirs += is_dir;
    return 0;
}

static void has(int i)
{
    static uint8_t back[sizeof(bytes)];
    char path[200];
    int fd;

    snprintf(path, sizeof(path), "%s/File %d.text", to, i);
    fd = open(path, O_RDONLY);
    OK(fd >= 0);
    EQ(read(fd, back, sizeof(back)), size_of(i));
    MEMEQ(back, bytes + i, size_of(i));
    close(fd);
}

static unsigned descriptors(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 200; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void there_and_back(void)
{
    struct xk_fat_files_failure why;
    struct rest r = {.n = 0}, back = {.n = 0};
    struct xk_fat *f = fresh();
    unsigned open_before;

    begin();
    open_before = descriptors();
    EQ(xk_fat_files_put(f, from, "/d", keep, &r, &why), 0);
    EQ(r.n, 2); /* too large */
    STREQ(r.name[0], "File 4.text");
    STREQ(r.name[1], "File 5.text");
    make(to, "File 7.text", "mine", 4);
    EQ(xk_fat_files_get(f, "/d", to, keep, &back, &why), 0);
    EQ(back.n, 1); /* it is there */
    STREQ(back.name[0], "File 7.text");
    for (int i = 0; i < FILES; i++)
        if (i != 4 && i != 5 && i != 7)
            has(i);
    EQ(descriptors(), open_before);
    EQ(xk_fat_unmount(f), 0);
    done();
}

TEST(a_folder_goes_there_and_back) { there_and_back(); }

TEST(a_folder_goes_there_and_back_without_io_uring)
{
    without_rings();
    there_and_back();
}

static int all_but(void *arg, const char *name, int is_dir)
{
    (void)arg, (void)name;
    return is_dir;
}

/* What cannot be read is named; what comes before it is there. */
static void failures(void)
{
    struct xk_fat_files_failure why;
    struct rest r = {.n = 0}, back = {.n = 0};
    struct xk_fat *f = fresh();
    struct xk_fat_stat st;
    struct xk_file *h;
    char path[200], longer[3 + 260 + 1] = "/d/";

    begin();
    snprintf(path, sizeof(path), "%s/File 50.text", from);
    EQ(unlink(path), 0);
    EQ(symlink("File 50.text", path), 0); /* round and round: nothing that FAT could have */
    snprintf(path, sizeof(path), "%s/sub", from);
    EQ(mkdir(path, 0700), 0);
    EQ(xk_fat_files_put(f, from, "/d", keep, &r, &why), 0);
    EQ(r.n, 4);
    EQ(r.dirs, 1);
    EQ(xk_fat_stat(f, "/d/File 49.text", &st), 0);
    EQ(xk_fat_files_put(f, "/nowhere", "/d", keep, &r, &why), XK_ENOENT);
    STREQ(why.name, "");
    EQ(why.in_fat, 0);
    EQ(xk_fat_files_put(f, from, "/nothing", keep, &r, &why), XK_ENOENT);
    EQ(why.in_fat, 1);
    EQ(xk_fat_files_get(f, "/nothing", to, keep, &back, &why), XK_ENOENT);
    EQ(why.in_fat, 1);
    STREQ(why.name, "");
    snprintf(path, sizeof(path), "%s/File 60.text", to);
    EQ(mkdir(path, 0700), 0);
    EQ(xk_fat_files_get(f, "/d", to, keep, &back, &why), 0);
    EQ(back.n, 1);
    STREQ(back.name[0], "File 60.text"); /* who does it alone will be told */
    has(10);
    for (int i = 0; i < 130; i++)
        memcpy(longer + 3 + i * 2, "\xc3\xa4", 2); /* more bytes than Linux takes */
    EQ(xk_fat_open(f, longer, XK_FAT_NEW, &h), 0);
    xk_file_close(h);
    EQ(rmdir(path), 0);
    EQ(xk_fat_files_get(f, "/d", to, all_but, &back, &why), XK_EINVAL);
    STREQ(why.name, longer + 3);
    EQ(why.in_fat, 0);
    EQ(xk_fat_unmount(f), 0);
    done();
}

TEST(what_fails_is_named) { failures(); }
TEST(what_fails_is_named_without_io_uring)
{
    without_rings();
    failures();
}

TEST(a_name_that_is_there_is_left_to_the_caller)
{
    struct xk_fat_files_failure why;
    struct rest r = {.n = 0};
    struct xk_fat *f = fresh();
    struct xk_file *h;

    begin();
    EQ(xk_fat_open(f, "/d/FILE 20.TEXT", XK_FAT_NEW, &h), 0);
    xk_file_close(h);
    EQ(xk_fat_files_put(f, from, "/d", keep, &r, &why), 0);
    EQ(r.n, 3);
    STREQ(r.name[0], "File 20.text");
    EQ(xk_fat_unmount(f), 0);
    done();
}
