/* Joins a running world as a guest domain and reads its store.
 *   cc readstore.c $(pkg-config --cflags --libs xenkit) -o readstore && ./readstore WORLD_DIR name */
#include <stdio.h>
#include <xenkit/store.h>
#include <xenkit/world.h>

static int fail(const char *what, int err)
{
    fprintf(stderr, "%s: %s\n", what, xk_err_text(err));
    return 1;
}

int main(int argc, char **argv)
{
    struct xk_platform *p;
    struct xk_loop *loop;
    struct xk_store *store;
    struct xk_buf value;
    int r;

    if (argc != 3)
        return fprintf(stderr, "usage: readstore WORLD PATH\n"), 2;
    if ((r = xk_open(argv[1], "reader", &p)) < 0)
        return fail(argv[1], r);
    if ((r = xk_loop_create(NULL, p, &loop)) < 0 || (r = xk_store_open_domain(NULL, loop, &store)) < 0)
        return fail("store", r);
    xk_buf_init(&value, NULL, 4096);
    r = xk_store_read(store, 0, argv[2], &value, xk_now(p) + 5 * XK_SECOND);
    if (r < 0)
        return fail(argv[2], r);
    printf("domain %d reads %s = %.*s\n", xk_platform_domid(p), argv[2], (int)xk_buf_len(&value),
           (const char *)xk_buf_head(&value));
    xk_buf_fini(&value);
    xk_store_close(store);
    xk_loop_destroy(loop);
    xk_platform_close(p);
    return 0;
}
