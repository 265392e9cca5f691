/*** IP on a network device: addresses, UDP, echo. DHCP is in inet_dhcp.c, IPv6 in inet_six.c.
 *
 *     local net <close> = assert(core.inet.open(world, device))
 *     net:set("10.0.0.2", 24, "10.0.0.1")
 *     local socket <close> = assert(net:udp(53))
 *     local data, from, port = socket:receive(id)      -- nil: (id) is noted when there is something
 *
 * @module xenkit.core.inet
 *
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/buf.h>

#include "bindings/inet.h"

int luaopen_xenkit_core_inet(lua_State *L);

#define SOCKET "xenkit.inet.socket"
#define PING "xenkit.inet.ping"

enum { QUEUE_MAX = 256 * 1024 /* bytes that wait to be received by one socket */ };

struct socket {
    struct xk_lua_object o;
    struct xk_lua_inet_child child;
    struct xk_udp udp;
    struct xk_buf queue; /* struct head, data */
    lua_Integer id;
    uint64_t lost;
};

struct head {
    struct xk_ip from, to;
    uint32_t n;
    uint16_t port;
};

struct ping {
    struct xk_lua_object o;
    struct xk_lua_inet_child child;
    struct xk_ping ping;
    lua_Integer id;
    int done, err;
    xk_time took;
};

void xk_lua_inet_join(struct xk_lua_inet_child *c, struct xk_lua_inet *n, struct xk_lua_object *object)
{
    c->object = object;
    c->next = n->children;
    c->link = &n->children;
    if (c->next)
        c->next->link = &c->next;
    n->children = c;
}

void xk_lua_inet_leave(struct xk_lua_inet_child *c)
{
    if (!c->link)
        return;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->link = NULL;
}

/* --- addresses ---------------------------------------------------------------------------------------------------- */

xk_ip4 xk_lua_check_ip4(lua_State *L, int arg)
{
    xk_ip4 ip = 0;

    if (xk_ip4_read(luaL_checkstring(L, arg), &ip) < 0)
        luaL_argerror(L, arg, "an IPv4 address is written 10.0.0.1");
    return ip;
}

struct xk_ip xk_lua_check_ip(lua_State *L, int arg)
{
    struct xk_ip ip = {{0}};

    if (xk_ip_read(luaL_checkstring(L, arg), &ip) < 0)
        luaL_argerror(L, arg, "an address is written 10.0.0.1 or fd00::1");
    return ip;
}

void xk_lua_push_ip(lua_State *L, struct xk_ip ip)
{
    char text[XK_IP_TEXT];

    xk_ip_write(ip, text);
    lua_pushstring(L, text);
}

struct xk_ip xk_lua_ip_field(lua_State *L, int arg, const char *name, int must)
{
    struct xk_ip ip = {{0}};
    int type = lua_getfield(L, arg, name);

    if ((type != LUA_TNIL || must) && (type != LUA_TSTRING || xk_ip_read(lua_tostring(L, -1), &ip) < 0))
        luaL_error(L, "field '%s' is no address", name);
    lua_pop(L, 1);
    return ip;
}

int xk_lua_ip_list(lua_State *L, int arg, const char *name, struct xk_ip *out, int most)
{
    int n = 0;

    if (lua_getfield(L, arg, name) == LUA_TTABLE)
        for (int i = 1; n < most && lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
            if (lua_type(L, -1) != LUA_TSTRING || xk_ip_read(lua_tostring(L, -1), &out[n++]) < 0)
                luaL_error(L, "field '%s' has something that is no address", name);
            lua_pop(L, 1);
        }
    lua_settop(L, arg);
    return n;
}

/*** Whether a text is an address, of either version.
 * @function is_ip
 * @tparam string text */
static int l_is_ip(lua_State *L)
{
    struct xk_ip ip;

    lua_pushboolean(L, xk_ip_read(luaL_checkstring(L, 1), &ip) == 0);
    return 1;
}

/* --- the stack ---------------------------------------------------------------------------------------------------- */

struct xk_lua_inet *xk_lua_check_inet(lua_State *L, int arg)
{
    return xk_lua_check_object(L, arg, XK_LUA_INET, "network");
}

static void inet_shut(struct xk_lua_object *o)
{
    struct xk_lua_inet *n = (struct xk_lua_inet *)o;

    while (n->children)
        xk_lua_shut(n->children->object);
    if (n->client)
        xk_dhcp_client_stop(n->client);
    if (n->server)
        xk_dhcp_server_stop(n->server);
    if (n->advertiser)
        xk_advertiser_stop(n->advertiser);
    n->client = NULL;
    n->server = NULL;
    n->advertiser = NULL;
    if (n->s)
        xk_inet_close(n->s);
    n->s = NULL;
    xk_lua_net_unuse(&n->user);
    xk_lua_note(o->world, n->id);
    xk_lua_note(o->world, n->id6);
}

static int inet_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, XK_LUA_INET));
    return 0;
}

/*** A stack on a device of xenkit.core.net, which it has for itself.
 * @function open
 * @param world
 * @param device */
static int l_open(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_new(L, XK_LUA_INET, sizeof(*n), 2);
    struct xk_netdev *dev;
    int r;

    xk_lua_adopt(L, &n->o, 1, inet_shut);
    dev = xk_lua_net_use(L, 2, &n->user, &n->o);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 2);
    r = xk_inet_open(NULL, n->o.world->loop, dev, &n->s);
    if (r < 0) {
        n->s = NULL;
        xk_lua_shut(&n->o);
        return xk_lua_fail(L, r);
    }
    return 1;
}

/*** @type inet */

/*** Gives it an address.
 * @function set
 * @tparam string address
 * @tparam integer prefix bits of the network, 0 .. 32
 * @tparam[opt] string gateway */
static int inet_set(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);
    xk_ip4 address = xk_lua_check_ip4(L, 2), gateway = lua_isnoneornil(L, 4) ? 0 : xk_lua_check_ip4(L, 4);

    return xk_lua_ok(L, xk_inet_set(n->s, address, (unsigned)xk_lua_integer(L, 3, 0, 32), gateway));
}

/*** address, prefix, gateway; nothing while it has none.
 * @function address */
static int inet_address(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);
    unsigned prefix;
    xk_ip4 gateway, ip = xk_inet_address(n->s, &prefix, &gateway);

    if (!ip)
        return 0;
    xk_lua_push_ip(L, xk_ip_of4(ip));
    lua_pushinteger(L, prefix);
    if (!gateway)
        return 2;
    xk_lua_push_ip(L, xk_ip_of4(gateway));
    return 3;
}

/*** Counters.
 * @function stats */
static int inet_stats(lua_State *L)
{
    struct xk_inet_stats s;

    xk_inet_stats(xk_lua_check_inet(L, 1)->s, &s);
    lua_newtable(L);
    xk_lua_set_integer(L, "packets_received", s.packets[0]);
    xk_lua_set_integer(L, "packets_sent", s.packets[1]);
    xk_lua_set_integer(L, "bad", s.bad);
    xk_lua_set_integer(L, "not_ours", s.not_ours);
    xk_lua_set_integer(L, "no_room", s.no_room);
    xk_lua_set_integer(L, "unresolved", s.unresolved);
    xk_lua_set_integer(L, "fragments", s.fragments);
    xk_lua_set_integer(L, "reassembled", s.reassembled);
    xk_lua_set_integer(L, "lost", s.lost);
    xk_lua_set_integer(L, "pings", s.pings);
    xk_lua_set_integer(L, "refused", s.refused);
    xk_lua_set_integer(L, "limited", s.limited);
    xk_lua_set_integer(L, "conflicts", s.conflicts);
    xk_lua_set_integer(L, "too_big", s.too_big);
    return 1;
}

/*** Those it knows: a list of {address, mac}.
 * @function neighbours */
static int inet_neighbours(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);
    uint8_t mac[6];
    struct xk_ip ip;

    lua_newtable(L);
    for (unsigned i = 0; xk_inet_neighbour(n->s, i, &ip, mac) == 0; i++) {
        lua_newtable(L);
        xk_lua_push_ip(L, ip);
        lua_setfield(L, -2, "address");
        xk_lua_push_mac(L, mac);
        lua_setfield(L, -2, "mac");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* --- UDP ---------------------------------------------------------------------------------------------------------- */

static struct socket *check_socket(lua_State *L) { return xk_lua_check_object(L, 1, SOCKET, "socket"); }

/* What does not fit is lost, as UDP allows, and counted. */
static void on_datagram(struct xk_udp *u, struct xk_ip from, uint16_t port, struct xk_ip to, const uint8_t *data,
                        size_t n)
{
    struct socket *s = (struct socket *)((char *)u - offsetof(struct socket, udp));
    struct head h = {from, to, (uint32_t)n, port};
    uint8_t *at;

    if (xk_buf_len(&s->queue) + sizeof(h) + n > QUEUE_MAX || xk_buf_reserve(&s->queue, sizeof(h) + n, &at) < 0) {
        s->lost++;
        return;
    }
    memcpy(at, &h, sizeof(h));
    memcpy(at + sizeof(h), data, n);
    xk_buf_wrote(&s->queue, sizeof(h) + n);
    xk_lua_note(s->o.world, s->id);
    s->id = 0;
}

static void socket_shut(struct xk_lua_object *o)
{
    struct socket *s = (struct socket *)o;

    xk_lua_inet_leave(&s->child);
    xk_udp_close(&s->udp);
    xk_buf_fini(&s->queue);
    xk_lua_note(o->world, s->id);
}

static int socket_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, SOCKET));
    return 0;
}

/*** A UDP socket on a port, or on one that is free.
 * @function udp
 * @tparam[opt=0] integer port */
static int inet_udp(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);
    uint16_t port = (uint16_t)(lua_isnoneornil(L, 2) ? 0 : xk_lua_integer(L, 2, 0, 65535));
    struct socket *s = xk_lua_new(L, SOCKET, sizeof(*s), 2);
    int r;

    xk_buf_init(&s->queue, NULL, QUEUE_MAX);
    lua_getiuservalue(L, 1, 1); /* the world */
    lua_insert(L, -2);
    xk_lua_adopt(L, &s->o, lua_gettop(L) - 1, socket_shut);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 2);
    s->udp.receive = on_datagram;
    r = xk_udp_open(n->s, &s->udp, port);
    if (r < 0) {
        xk_lua_shut(&s->o);
        return xk_lua_fail(L, r);
    }
    xk_lua_inet_join(&s->child, n, &s->o);
    return 1;
}

/*** @type socket */

/*** The next datagram: data, the sender's address and port, the address it was sent to; nil: none is there, and number
 * (id) is noted when one is.
 * @function receive
 * @tparam[opt=0] integer id */
static int socket_receive(lua_State *L)
{
    struct socket *s = check_socket(L);
    struct head h;

    s->id = 0;
    if (xk_buf_len(&s->queue) == 0) {
        s->id = luaL_optinteger(L, 2, 0);
        return 0;
    }
    memcpy(&h, xk_buf_head(&s->queue), sizeof(h));
    lua_pushlstring(L, (const char *)xk_buf_head(&s->queue) + sizeof(h), h.n);
    xk_buf_take(&s->queue, sizeof(h) + h.n);
    xk_lua_push_ip(L, h.from);
    lua_pushinteger(L, h.port);
    xk_lua_push_ip(L, h.to);
    return 4;
}

/*** Sends one datagram. @return true; nil, message, code
 * @function send
 * @tparam string data
 * @tparam string address
 * @tparam integer port */
static int socket_send(lua_State *L)
{
    struct socket *s = check_socket(L);
    size_t n;
    const char *data = luaL_checklstring(L, 2, &n);
    struct xk_ip to = xk_lua_check_ip(L, 3);

    return xk_lua_ok(L, xk_udp_send(&s->udp, to, (uint16_t)xk_lua_integer(L, 4, 1, 65535), data, n));
}

/*** What is sent to this group comes here, too. @return true; nil, message, code
 * @function join
 * @tparam string group */
static int socket_join(lua_State *L)
{
    struct socket *s = check_socket(L);

    return xk_lua_ok(L, xk_udp_join(&s->udp, xk_lua_check_ip(L, 2)));
}

/*** @function leave */
static int socket_leave(lua_State *L)
{
    struct socket *s = check_socket(L);

    return xk_lua_ok(L, xk_udp_leave(&s->udp, xk_lua_check_ip(L, 2)));
}

/*** Its port; how many datagrams were lost, as nobody received them in time.
 * @function info */
static int socket_info(lua_State *L)
{
    struct socket *s = check_socket(L);

    lua_pushinteger(L, s->udp.port);
    lua_pushinteger(L, (lua_Integer)s->lost);
    return 2;
}

/* --- echo --------------------------------------------------------------------------------------------------------- */

static void on_pong(struct xk_ping *p, int err, xk_time took)
{
    struct ping *q = (struct ping *)((char *)p - offsetof(struct ping, ping));

    q->done = 1;
    q->err = err;
    q->took = took;
    xk_lua_note(q->o.world, q->id);
}

static void ping_shut(struct xk_lua_object *o)
{
    struct ping *q = (struct ping *)o;

    xk_lua_inet_leave(&q->child);
    xk_ping_stop(&q->ping);
}

static int ping_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, PING));
    return 0;
}

/*** Asks for an echo; (id) is noted when its :result() is known.
 * @function ping
 * @tparam integer id
 * @tparam string address
 * @tparam[opt=56] integer bytes
 * @tparam[opt=1] number timeout seconds */
static int inet_ping(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);
    lua_Integer id = luaL_checkinteger(L, 2), bytes = lua_isnoneornil(L, 4) ? 56 : xk_lua_integer(L, 4, 0, 65000);
    struct xk_ip to = xk_lua_check_ip(L, 3);
    lua_Number timeout = luaL_optnumber(L, 5, 1);
    struct ping *q = xk_lua_new(L, PING, sizeof(*q), 2);
    int r;

    lua_getiuservalue(L, 1, 1);
    lua_insert(L, -2);
    xk_lua_adopt(L, &q->o, lua_gettop(L) - 1, ping_shut);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 2);
    q->id = id;
    q->ping.done = on_pong;
    r = xk_ping_start(n->s, &q->ping, to, (size_t)bytes,
                      xk_now(n->o.world->platform) + (xk_time)(timeout * (lua_Number)XK_SECOND));
    if (r < 0) {
        xk_lua_shut(&q->o);
        return xk_lua_fail(L, r);
    }
    xk_lua_inet_join(&q->child, n, &q->o);
    return 1;
}

/*** Seconds it took; nil, message, code; XK_EAGAIN while it is under way.
 * @function result */
static int ping_result(lua_State *L)
{
    struct ping *q = xk_lua_check_object(L, 1, PING, "ping");

    if (!q->done)
        return xk_lua_fail(L, XK_EAGAIN);
    if (q->err < 0)
        return xk_lua_fail(L, q->err);
    lua_pushnumber(L, (lua_Number)q->took / (lua_Number)XK_SECOND);
    return 1;
}

int luaopen_xenkit_core_inet(lua_State *L)
{
    static const luaL_Reg functions[] = {{"open", l_open}, {"is_ip", l_is_ip}, {NULL, NULL}};
    static const luaL_Reg inet_methods[] = {
        {"set", inet_set}, {"address", inet_address}, {"stats", inet_stats}, {"neighbours", inet_neighbours},
        {"udp", inet_udp}, {"ping", inet_ping},       {"close", inet_close}, {NULL, NULL}};
    static const luaL_Reg socket_methods[] = {
        {"receive", socket_receive}, {"send", socket_send},   {"join", socket_join}, {"leave", socket_leave},
        {"info", socket_info},       {"close", socket_close}, {NULL, NULL}};
    static const luaL_Reg ping_methods[] = {{"result", ping_result}, {"close", ping_close}, {NULL, NULL}};

    xk_lua_type(L, XK_LUA_INET, inet_methods, inet_close);
    luaL_getmetatable(L, XK_LUA_INET);
    lua_getfield(L, -1, "__index");
    luaL_setfuncs(L, xk_lua_inet_dhcp, 0);
    luaL_setfuncs(L, xk_lua_inet_six, 0);
    lua_pop(L, 2);
    xk_lua_type(L, SOCKET, socket_methods, socket_close);
    xk_lua_type(L, PING, ping_methods, ping_close);
    luaL_newlib(L, functions);
    return 1;
}
