/* A vchan pair in a private world: one thread sends 1 GB to the other, both hash it.
 *   cc pair.c $(pkg-config --cflags --libs xenkit) -pthread -o pair && ./pair */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <xenkit/vchan.h>
#include <xenkit/world.h>
enum { BLOCK = 65536, BLOCKS = 15259 }; /* 1 GB and a bit */

static uint64_t hash(uint64_t h, const uint64_t *p, size_t words) /* FNV-1a by words */
{
    for (size_t i = 0; i < words; i++)
        h = (h ^ p[i]) * 0x100000001b3;
    return h;
}

static void check(int result, const char *what)
{
    if (result < 0)
        exit(fprintf(stderr, "%s: %s\n", what, xk_err_text(result)) > 0);
}

static void *sender(void *vchan)
{
    static uint64_t block[BLOCK / 8], h = 1, n;
    for (int k = 0; k < BLOCKS; k++) {
        for (size_t i = 0; i < BLOCK / 8; i++)
            block[i] = n++ * 0x9e3779b97f4a7c15;
        h = hash(h, block, BLOCK / 8);
        check(xk_vchan_write_all(vchan, block, BLOCK, XK_FOREVER), "write");
    }
    xk_vchan_close(vchan);
    return &h;
}

int main(void)
{
    static uint64_t block[BLOCK / 8], h = 1, got;
    struct xk_platform *a, *b;
    struct xk_vchan *server, *client;
    pthread_t thread;
    void *sent;
    int r;
    check(xk_open(NULL, "a", &a), "private world");
    check(xk_open_peer(a, "b", &b), "second domain");
    check(xk_vchan_listen(NULL, a, xk_platform_domid(b), 1 << 20, 4096, &server), "listen");
    check(xk_vchan_connect(NULL, b, xk_platform_domid(a), xk_vchan_ring_ref(server), xk_vchan_event_channel(server),
                           &client),
          "connect");
    pthread_create(&thread, NULL, sender, client);
    for (; (r = xk_vchan_read_all(server, block, BLOCK, XK_FOREVER)) > 0; got += (uint64_t)r)
        h = hash(h, block, (size_t)r / 8);
    check(r, "read");
    pthread_join(thread, &sent);
    printf("%" PRIu64 " bytes, hash %016" PRIx64 ", %s\n", got, h, h == *(uint64_t *)sent ? "equal" : "DIFFERENT");
    xk_vchan_close(server);
    xk_platform_close(b);
    xk_platform_close(a);
}
