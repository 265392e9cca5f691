--- Networks: this domain's own, used in the running task.
--
--     local net = assert(ctx.net.lan)             -- as the domain's description names it; or ctx.net[0]
--     assert(net:up(10))                          -- connected, and with an address; net:up6(10): of IPv6
--     local socket <close> = assert(net:udp(7))
--     while true do
--       local data, from, port = assert(socket:receive())
--       socket:send(data, from, port)
--     end
--
-- A failure gives nil, message, "XK_ENAME". When the back end goes and another one comes, packets are lost, no more.
-- @module xenkit.net
local core_inet = require "xenkit.core.inet"
local core_net = require "xenkit.core.net"
local task = require "xenkit.task"

local M = {}
local Net = {}
Net.__index = Net
Net.__name = "xenkit.net"
local Socket = {}
Socket.__index = Socket
Socket.__name = "xenkit.net.socket"

-- Waits until `look(id)` gives something. @return that; nil, message, code
local function wait_for(look, timeout, what)
  local deadline = timeout and task.world():now() + timeout
  while true do
    local id = task.wait_id()
    local got, err, code = look(id)
    if got then return got end
    if err then return nil, err, code end
    if not task.wait(id, deadline and math.max(0, deadline - task.world():now())) then
      return nil, what, "XK_ETIMEDOUT"
    end
  end
end

--- "fd00::1/64" as address and prefix. @return nil, message, code if it is none
function M.cidr6(text)
  local address, prefix = text:match "^([%x:.]+)/(%d+)$"
  prefix = tonumber(prefix)
  if not address or not address:find(":", 1, true) or not core_inet.is_ip(address) or prefix < 1 or prefix > 128 then
    return nil, "'" .. text .. "' is not written as fd00::1/64", "XK_EINVAL"
  end
  return address, prefix
end

--- "10.0.0.1/24" as address and prefix. @return nil, message, code if it is none
function M.cidr(text)
  local address, prefix = text:match "^(%d+%.%d+%.%d+%.%d+)/(%d+)$"
  prefix = tonumber(prefix)
  for part in (address or ""):gmatch "%d+" do
    if tonumber(part) > 255 then address = nil end
  end
  if not address or prefix > 32 then return nil, "'" .. text .. "' is not written as 10.0.0.1/24", "XK_EINVAL" end
  return address, prefix
end

-- IPv6 from the beginning: what it needs to know takes it some seconds.
local function start6(raw, conf)
  if conf.ipv6 == false then return true end
  local ok, err, code = raw:start6(conf.ipv6 == "quiet")
  if ok and conf.address6 then
    local address, prefix = M.cidr6(conf.address6)
    if not address then return nil, prefix, "XK_EINVAL" end
    ok, err, code = raw:add6(address, prefix)
  end
  if ok and conf.gateway6 then ok, err, code = raw:gateway6(conf.gateway6) end
  return ok, err, code
end

--- A network on a device of xenkit.core.net.
-- @param conf address = "10.0.0.1/24", gateway; without: DHCP. address6 = "fd00::1/64", gateway6; without: as routers
-- advertise; ipv6 = false: none of it, "quiet": routers are not heard
function M.on(world, device, conf, hostname)
  conf = conf or {}
  local raw, err, code = core_inet.open(world, device)
  if not raw then return nil, err, code end
  local ok
  ok, err, code = start6(raw, conf)
  if not ok then
    raw:close()
    return nil, err, code
  end
  return setmetatable({ device = device, raw = raw, conf = conf, hostname = hostname }, Net)
end

--- The network whose folder in the store is `path`, "device/vif/0".
-- @param conf as of M.on, and queues, plain, hash, keep of xenkit.core.net; keep: where copies are hypercalls its pages
-- stay mapped unless this says false
function M.front(ctx, path, conf)
  local opts = conf or {}
  if opts.keep == nil and ctx.world:platform() ~= "hosted" then
    opts = { queues = opts.queues, plain = opts.plain, hash = opts.hash, keep = true }
  end
  local device, err, code = core_net.front(ctx.world, ctx.store.raw, path, opts)
  if not device then return nil, err, code end
  ctx.store:keep(device)
  return M.on(ctx.world, device, conf, ctx.name)
end

--- Waits until it is connected. @return true; nil, message, code
function Net:wait(timeout)
  return wait_for(function(id)
    local state, err, code = self.device:state()
    if state then return true end
    if code == "XK_EPEER" then return nil, err, code end
    self.device:arm(id)
  end, timeout, "the network's back end is not there")
end

--- Waits until it is connected and has an address: its description's, or one by DHCP, which is kept renewed.
-- @return the address; nil, message, code
function Net:up(timeout)
  local deadline = timeout and task.world():now() + timeout
  local ok, err, code = self:wait(timeout)
  if not ok then return nil, err, code end
  if self.conf.address then
    local address, prefix = M.cidr(self.conf.address)
    if not address then return nil, prefix, "XK_EINVAL" end
    ok, err, code = self.raw:set(address, prefix, self.conf.gateway)
    if not ok then return nil, err, code end
    return address
  end
  if not self.asked then
    ok, err, code = self.raw:dhcp(self.hostname)
    if not ok then return nil, err, code end
    self.asked = true
  end
  local lease
  lease, err, code = wait_for(function(id) return self.raw:lease(id) end,
    deadline and math.max(0, deadline - task.world():now()), "no DHCP server gave an address")
  if not lease then return nil, err, code end
  return lease.address
end

-- Of its own choice, or as a router advertised; none that is of this link only, and none that is not sure.
local function global6(self, id)
  for _, a in ipairs(self.raw:addresses6(id)) do
    local chosen = not a.automatic and self.conf.address6 ~= nil
    if a.state == "duplicate" and chosen then
      return nil, "somebody else has " .. a.address, "XK_EADDRINUSE"
    elseif a.state == "preferred" and not a.address:match "^fe[89ab]" then
      return a.address
    end
  end
end

--- Waits until it is connected and has an IPv6 address for more than its link: its description's, or one that a router
-- advertised. @return the address; nil, message, code
function Net:up6(timeout)
  local deadline = timeout and task.world():now() + timeout
  if self.conf.ipv6 == false then return nil, "this network has no IPv6", "XK_ENODEV" end
  local ok, err, code = self:wait(timeout)
  if not ok then return nil, err, code end
  return wait_for(function(id) return global6(self, id) end,
    deadline and math.max(0, deadline - task.world():now()), "no router advertised an IPv6 address")
end

--- IPv6: a list of {address, prefix, state, automatic}, where they end with preferred and valid, in seconds; a state is
-- "tentative", "preferred", "deprecated" or "duplicate".
function Net:addresses6() return self.raw:addresses6() end
--- IPv6's routers and name servers, as advertised: lists of addresses.
function Net:routers6() return self.raw:routers6() end
function Net:dns6() return self.raw:dns6() end

--- Is a router for others: {prefix = "fd00::", seconds, router (seconds; 0: a prefix, but no way out), mtu, dns}.
function Net:advertise(config) return self.raw:advertise(config) end

--- address, prefix, gateway; nothing while it has none.
function Net:address() return self.raw:address() end
--- What DHCP gave: {address, prefix, router, server, dns, mtu, domain, seconds}, or nil.
function Net:lease() return self.raw:lease() end
--- {mac, mtu, up} of its device.
function Net:info() return self.device:info() end
--- Counters: `ip` of the stack, `ring` of its device.
function Net:stats() return { ip = self.raw:stats(), ring = self.device:stats() } end
--- Those it knows: a list of {address, mac}.
function Net:neighbours() return self.raw:neighbours() end

--- Asks `address` for an echo. @return seconds it took; nil, message, code
function Net:ping(address, timeout, bytes)
  local id = task.wait_id()
  local p <close>, err, code = self.raw:ping(id, address, bytes, timeout)
  if not p then return nil, err, code end
  task.wait(id)
  return p:result()
end

--- A UDP socket on `port`, or on one that is free.
function Net:udp(port)
  local raw, err, code = self.raw:udp(port)
  if not raw then return nil, err, code end
  return setmetatable({ raw = raw }, Socket)
end

--- Gives addresses to others: {first, last, seconds, router, dns, mtu, domain}. `leases` lists what was given.
function Net:dhcp_server(config) return self.raw:dhcp_server(config) end
function Net:leases() return self.raw:leases() end

function Net:close()
  self.raw:close()
  self.device:close()
end
Net.__close = Net.close

--- The next datagram: data, the sender's address and port, the address it was sent to. @return nil, message, code
function Socket:receive(timeout)
  local deadline = timeout and task.world():now() + timeout
  while true do
    local id = task.wait_id()
    local data, from, port, to = self.raw:receive(id)
    if data then return data, from, port, to end
    if not task.wait(id, deadline and math.max(0, deadline - task.world():now())) then
      return nil, "no datagram came in time", "XK_ETIMEDOUT"
    end
  end
end

--- Sends a datagram of at most 65507 bytes. @return true; nil, message, code
function Socket:send(data, address, port) return self.raw:send(data, address, port) end
--- What is sent to `group` and this port comes here, too; until `leave`, or the end. @return true; nil, message, code
function Socket:join(group) return self.raw:join(group) end
function Socket:leave(group) return self.raw:leave(group) end
--- Its port; how many datagrams were lost, as nobody received them in time.
function Socket:info() return self.raw:info() end
function Socket:close() self.raw:close() end
Socket.__close = Socket.close

--- What becomes ctx.net: networks by the names of the domain's description, or by their numbers, made when asked for.
function M.nets(ctx)
  return setmetatable({}, { __index = function(t, name)
    local conf = ctx.desc.vif and ctx.desc.vif[name] or {}
    local number = conf.number or math.tointeger(name)
    if not number or not ctx.store then return nil end
    local net, err = M.front(ctx, "device/vif/" .. number, conf)
    if not net then error(name .. ": " .. tostring(err), 2) end
    rawset(t, name, net)
    return net
  end })
end

return M
