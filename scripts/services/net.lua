-- The network service: a switch whose ports are other domains' networks, hosted, in dom0, or as a stub domain; with an
-- address of its own it answers echoes, and can give addresses to others. See docs/devices.md.
local core = require "xenkit.core.net"
local flow = require "xenkit.flow"
local net = require "xenkit.net"
local stream = require "xenkit.stream"
local task = require "xenkit.task"
local vifs = require "xenkit.vifs"

-- "10.0.0.100-10.0.0.200"
local function range(text)
  local first, last = text:match "^([%d.]+)%-([%d.]+)$"
  if not first then error("dhcp: '" .. text .. "' is not written as 10.0.0.100-10.0.0.200", 0) end
  return first, last
end

local function start_dhcp(own, p)
  local first, last = range(p.dhcp)
  local dns = {}
  for one in p.dns:gmatch "[^, ]+" do dns[#dns + 1] = one end
  local ok, err = own:dhcp_server { first = first, last = last, router = p.router ~= "" and p.router or nil, dns = dns,
    domain = p.domain ~= "" and p.domain or nil, seconds = p.lease }
  if not ok then error("dhcp: " .. err, 0) end
end

-- "fd00:9::/64", of which others make addresses; the service's own is the first
local function prefix_of(p)
  local address, bits = net.cidr6(p.prefix6)
  if not address or bits ~= 64 or not address:match "::$" then
    error("prefix6: '" .. p.prefix6 .. "' is not written as fd00:9::/64", 0)
  end
  return address
end

local function start_router(own, p, prefix)
  local ok, err = own:advertise { prefix = prefix, seconds = p.lease, router = p.router6 }
  if not ok then error("prefix6: " .. err, 0) end
end

-- On Xen `xenkit capture` comes by a socket, where this is dom0's, or by a flow; of the latter dom0's alone are let in.
-- The first line says which network, as "DOMID/NUMBER SNAP".
local function serve_captures(ctx, all)
  local function serve(s)
    task.detach(function()
      local which, snap = tostring(s:read_line(64, 5)):match "^(%d+/%d+) (%d+)$"
      local ok, err = nil, "a line DOMID/NUMBER SNAP is wanted"
      if which then ok, err = all:capture(which, tonumber(snap), s) end
      if not ok then s:write("error " .. tostring(err) .. "\n") end
      s:close()
    end)
  end
  local listener = ctx.unix.capture
  if listener then
    ctx.store:write("data/net/socket", ctx.params.socket)
  elseif ctx.world:platform() == "stub" then
    listener = assert(flow.listen(ctx, "capture", { ring = 1 << 16, private = true }))
  else
    return
  end
  task.spawn(function()
    while true do
      local s = listener:accept()
      if not s then task.sleep(0.1)
      elseif s.peer and s.peer ~= 0 then
        ctx.log("warn", "domain " .. s.peer .. " asked for a capture and was refused")
        s:close()
      else
        serve(s)
      end
    end
  end)
end

-- Ways out: a descriptor that domain 0 opened, or a network of this domain's own.
local function start_uplinks(ctx, all)
  local function join(name, device)
    local up
    assert(all:join(device, function(state, why)
      if state or up then ctx.log(state and "info" or "warn", ("uplink %s: %s"):format(name, state or why)) end
      up = state
    end))
  end
  local link, own = ctx.link.uplink, ctx.params.uplink_vif
  if link then
    join(ctx.params.uplink, assert(core.tap(ctx.world, link.handles, { header = link.header, mtu = link.mtu })))
  end
  if own ~= "" then
    local conf = ctx.desc.vif and ctx.desc.vif[own] or {}
    local number = conf.number or math.tointeger(own)
    if not number then error("uplink_vif: there is no network '" .. own .. "' of this domain's own", 0) end
    join(own, ctx.store:keep(assert(core.front(ctx.world, ctx.store.raw, "device/vif/" .. number))))
  end
end

return {
  summary = "Connects other domains with each other: a switch, DHCP, router advertisements.",
  examples = {
    "xenkit run --on xen scripts/services/net.lua address=10.9.0.1/24 dhcp=10.9.0.100-10.9.0.200",
  },
  params = {
    { "address", default = "", help = "its own, such as 10.9.0.1/24; empty: none" },
    { "mac", default = "00:16:3e:ff:ff:01", help = "its own Ethernet address" },
    { "dhcp", default = "", help = "addresses to give, such as 10.9.0.100-10.9.0.200; empty: none" },
    { "lease", type = "integer", default = 3600, help = "seconds for which an address is given" },
    { "router", default = "", help = "the gateway that DHCP tells" },
    { "dns", default = "", help = "name servers that DHCP tells, up to three" },
    { "domain", default = "", help = "the domain that DHCP tells" },
    { "prefix6", default = "", help = "IPv6 addresses for all, such as fd00:9::/64; it has the first; empty: none" },
    { "router6", type = "integer", default = 0, help = "seconds for which it is IPv6's gateway; 0: it is none" },
    { "uplink", default = "", help = "a way out: tap:NAME,BRIDGE, netns:10.9.0.254/24, or slirp; see docs/uplinks.md" },
    { "uplink_vif", default = "", help = "a network of its own as a way out, by name or number" },
    { "socket", type = "path", default = "/run/xenkit/net.sock", help = "in dom0: where xenkit capture comes to" },
    { "queues", type = "integer", default = 1, min = 1, max = 4,
      help = "pairs of rings that a network may have, up to 4" },
    { "keep", type = "integer", default = 512, min = 0, max = 512,
      help = "pages of each that a guest may have it keep mapped, which saves copies by Xen; up to 512" },
    { "strict", type = "boolean", default = true, help = "guests send from their own Ethernet address only" },
  },
  needs = { unix = { capture = { "$socket", on = "xen" } },
    link = { uplink = { "$uplink", when = "uplink", optional = true } } },
  start = function(ctx)
    local p = ctx.params
    local all = vifs.new(ctx, { log = ctx.log, strict = p.strict, queues = p.queues, keep = p.keep })
    function ctx.on_handle(name, fd) -- `xenkit capture`, by way of domain 0
      local s <const> = stream.from_handle(ctx.world, fd)
      local which, snap = name:match "^capture:(%d+/%d+):(%d+)$"
      task.detach(function()
        if which and s then all:capture(which, tonumber(snap), s) end
        if s then s:close() end
      end)
    end
    start_uplinks(ctx, all)
    serve_captures(ctx, all)
    if p.address ~= "" then
      assert(net.cidr(p.address))
      local prefix = p.prefix6 ~= "" and prefix_of(p)
      local own = assert(all:plug(p.mac, { address = p.address, ipv6 = "quiet",
        address6 = prefix and prefix .. "1/64" or nil }))
      assert(own:up(1))
      if p.dhcp ~= "" then start_dhcp(own, p) end
      if prefix then start_router(own, p, prefix) end
      ctx.log("info", "address " .. p.address)
      task.spawn(function() -- what was given, for whoever looks: a node for each address that is in use
        local told = {}
        while true do
          local now = {}
          for _, l in ipairs(own:leases()) do
            local key = l.address:gsub("%.", "-") -- no name in a store has dots
            if l.seconds > 0 then now[key] = ("%s %d %s"):format(l.mac, l.seconds, l.name or "-") end
          end
          for key in pairs(told) do
            if not now[key] then ctx.store:rm("data/leases/" .. key) end
          end
          for key, text in pairs(now) do ctx.store:write("data/leases/" .. key, text) end
          told = now
          task.sleep(5)
        end
      end)
    elseif p.dhcp ~= "" or p.prefix6 ~= "" then
      error("dhcp and prefix6 need an address of the service's own", 0)
    end
    all:run()
  end,
}
