/* Linux' taps: ioctls of tun.h, sockios.h. SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "uplink/uplink.h"

static int set_name(struct ifreq *r, const char *name, char *error)
{
    memset(r, 0, sizeof(*r));
    if (!name[0] || strlen(name) >= sizeof(r->ifr_name))
        return uplink_fail(error, 0, "'%s' is no name of a network device", name);
    strncpy(r->ifr_name, name, sizeof(r->ifr_name) - 1);
    return 0;
}

/* One ioctl of any socket. */
static int ask(unsigned long call, void *arg)
{
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = s < 0 ? -1 : ioctl(s, call, arg), err = errno;

    if (s >= 0)
        close(s);
    errno = err;
    return r;
}

/* One descriptor of the tap. With one queue of ours it may still be a tap that was made to have several. */
static int attach(int fd, const struct ifreq *named, int several)
{
    short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    int header = 12;
    struct ifreq r = *named;

    r.ifr_flags = (short)(several ? flags | IFF_MULTI_QUEUE : flags);
    if (ioctl(fd, TUNSETIFF, &r) < 0) {
        if (errno != EINVAL || several)
            return -1;
        r = *named;
        r.ifr_flags = (short)(flags | IFF_MULTI_QUEUE);
        if (ioctl(fd, TUNSETIFF, &r) < 0)
            return -1;
    }
    return ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 ? -1
                                                   : ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
}

int tap_open(const char *name, int *queues, int n, char *error)
{
    struct ifreq r;
    int fd, err;

    if (set_name(&r, name, error) < 0)
        return -1;
    for (int i = 0; i < n; i++) {
        queues[i] = fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0 && attach(fd, &r, n > 1) == 0)
            continue;
        err = errno;
        for (; i >= 0; i--)
            if (queues[i] >= 0)
                close(queues[i]);
        if (fd < 0)
            return uplink_fail(error, err, "/dev/net/tun");
        return uplink_fail(error, err, "the tap %s%s", name,
                           err == EPERM             ? " (it takes root, or a tap that is this user's)"
                           : err == EINVAL && n > 1 ? " (it may have been made with one queue, without multi_queue)"
                                                    : "");
    }
    return 0;
}

int tap_bridge(const char *name, const char *bridge, char *error)
{
    struct ifreq r;

    if (set_name(&r, bridge, error) < 0)
        return -1;
    r.ifr_ifindex = (int)if_nametoindex(name);
    if (ask(SIOCBRADDIF, &r) < 0 && errno != EBUSY)
        return uplink_fail(error, errno, "the bridge %s", bridge);
    return 0;
}

int tap_up(const char *name, char *error)
{
    struct ifreq r;

    if (set_name(&r, name, error) < 0)
        return -1;
    if (ask(SIOCGIFFLAGS, &r) < 0)
        return uplink_fail(error, errno, "%s", name);
    if (r.ifr_flags & IFF_UP)
        return 0;
    r.ifr_flags |= IFF_UP;
    return ask(SIOCSIFFLAGS, &r) < 0 ? uplink_fail(error, errno, "%s", name) : 0;
}

static void put(struct sockaddr *to, struct in_addr ip)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = ip};

    memcpy(to, &a, sizeof(a));
}

static int read_address(const char *address, struct in_addr *ip, struct in_addr *mask, char *error)
{
    char text[32], *slash, *end;
    long bits;

    snprintf(text, sizeof(text), "%s", address);
    slash = strchr(text, '/');
    bits = slash ? strtol(slash + 1, &end, 10) : -1;
    if (slash)
        *slash = 0;
    if (!slash || *end || bits < 1 || bits > 32 || inet_pton(AF_INET, text, ip) != 1)
        return uplink_fail(error, 0, "'%s' is not written as 10.9.0.254/24", address);
    mask->s_addr = htonl(bits == 32 ? 0xffffffff : ~(0xffffffffu >> bits));
    return 0;
}

int tap_check_address(const char *address, char *error)
{
    struct in_addr ip, mask;

    return read_address(address, &ip, &mask, error);
}

int tap_address(const char *name, const char *address, char *error)
{
    struct in_addr ip, mask;
    struct ifreq r;

    if (read_address(address, &ip, &mask, error) < 0 || set_name(&r, name, error) < 0)
        return -1;
    put(&r.ifr_addr, ip);
    if (ask(SIOCSIFADDR, &r) < 0)
        return uplink_fail(error, errno, "the address %s", address);
    put(&r.ifr_netmask, mask);
    return ask(SIOCSIFNETMASK, &r) < 0 ? uplink_fail(error, errno, "the address %s", address) : 0;
}

int tap_route(const char *gateway, char *error)
{
    struct rtentry r = {.rt_flags = RTF_UP | RTF_GATEWAY};
    struct in_addr ip, any = {0};

    if (inet_pton(AF_INET, gateway, &ip) != 1)
        return uplink_fail(error, 0, "'%s' is no gateway's address", gateway);
    put(&r.rt_gateway, ip);
    put(&r.rt_dst, any);
    put(&r.rt_genmask, any);
    return ask(SIOCADDRT, &r) < 0 ? uplink_fail(error, errno, "the gateway %s", gateway) : 0;
}
