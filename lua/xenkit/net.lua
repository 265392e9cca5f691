--- Networks: this domain's own, used in the running task.
--
--     local net = assert(ctx.net.lan)             -- as the domain's description names it; or ctx.net[0]
--     assert(net:up(10))                          -- connected, and with an address
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

--- A network on a device of xenkit.core.net. @param conf address = "10.0.0.1/24", gateway; without: DHCP
function M.on(world, device, conf, hostname)
  local raw, err, code = core_inet.open(world, device)
  if not raw then return nil, err, code end
  return setmetatable({ device = device, raw = raw, conf = conf or {}, hostname = hostname }, Net)
end

--- The network whose folder in the store is `path`, "device/vif/0".
function M.front(ctx, path, conf)
  local device, err, code = core_net.front(ctx.world, ctx.store.raw, path, conf)
  if not device then return nil, err, code end
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
