/* The limit of a UDP server on this machine: gives each datagram back with the DNS answer bit set, so that dnsperf
 * takes it for an answer. In batches where the kernel has them ready. udp_echo PORT. SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BATCH = 32, SIZE = 512, ANSWER_BYTE = 2, ANSWER_BIT = 0x80 };

static char data[BATCH][SIZE];

int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from[BATCH];
    struct mmsghdr msg[BATCH] = {{{0}, 0}};
    struct iovec io[BATCH];
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    a.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0));
    if (argc < 2 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        perror("udp_echo");
        return 1;
    }
    for (;;) {
        int n, done = 0;
        for (int i = 0; i < BATCH; i++) {
            io[i] = (struct iovec){data[i], SIZE};
            msg[i].msg_hdr = (struct msghdr){
                .msg_name = &from[i], .msg_namelen = sizeof(from[i]), .msg_iov = &io[i], .msg_iovlen = 1};
        }
        n = recvmmsg(fd, msg, BATCH, MSG_WAITFORONE, NULL);
        if (n < 0)
            return 1;
        for (int i = 0; i < n; i++) {
            data[i][ANSWER_BYTE] |= (char)ANSWER_BIT;
            io[i].iov_len = msg[i].msg_len;
        }
        while (done < n) {
            int r = sendmmsg(fd, msg + done, (unsigned)(n - done), 0);
            done += r > 0 ? r : 1;
        }
    }
}
