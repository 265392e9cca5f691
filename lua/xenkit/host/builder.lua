--- The domain builder of a hosted world: from a description to a running domain. It opens what the description grants,
-- packs the boot archive, makes the sandbox, writes the store nodes that a Xen guest would have, and introduces it.
-- @module xenkit.host.builder
local devices = require "xenkit.host.devices"
local host = require "xenkit.core.host"
local opener = require "xenkit.host.opener"
local pack = require "xenkit.host.pack"
local core_stream = require "xenkit.core.stream"
local service = require "xenkit.service"
local task = require "xenkit.task"

local M = {}

local close = core_stream.handle_close

local function split_address(value)
  local address, port = value:match("^%[?([%x:%.]+)%]?:(%d+)$")
  if not address then return nil, "'" .. value .. "' is no ADDRESS:PORT" end
  return address, math.tointeger(port)
end

local openers = {}

function openers.tcp(need)
  local address, port = split_address(need.value)
  if not address then return nil, port, "XK_EINVAL" end
  local fd, bound, code = host.listen_tcp(address, port)
  if not fd then return nil, bound, code end
  need.bound = address:find(":", 1, true) and ("[%s]:%d"):format(address, bound) or ("%s:%d"):format(address, bound)
  need.port = bound
  return fd
end

function openers.udp(need, grant)
  local address, port = split_address(need.value)
  if not address then return nil, port, "XK_EINVAL" end
  -- A service that wants TCP and UDP on one port says so by the same value; port 0 must then become the same number.
  if port == 0 then
    for _, other in ipairs(grant.list) do
      if other.kind == "tcp" and other.value == need.value then port = other.port end
    end
  end
  local fd, bound, code = host.bind_udp(address, port)
  if not fd then return nil, bound, code end
  need.bound, need.port = ("%s:%d"):format(address, bound), bound
  return fd
end

function openers.unix(need)
  local dir = need.value:match("^(.*)/[^/]+$")
  if dir and dir ~= "" then host.mkdir(dir) end
  local fd, err, code = host.listen_unix(need.value)
  if fd then need.bound = need.value end
  return fd, err, code
end

function openers.file(need)
  local dir = need.value:match("^(.*)/[^/]+$")
  if need.mode ~= "r" and dir and dir ~= "" then host.mkdir(dir) end
  local fd, err, code = host.open(need.value, need.mode or "rw")
  if not fd then return nil, err, code end
  if need.lock then
    local ok, _, c = host.lock(fd)
    if not ok then
      close(fd)
      return nil, need.value .. ": another process uses it", c
    end
  end
  return fd
end

-- "tap:xk0,br0", "netns:10.9.0.254/24", "slirp:forward=udp:127.0.0.1:5353:10.0.2.15:53": a way out of a network, by a
-- process of its own.
function openers.link(need)
  local kind, rest = need.value:match "^(%a+):?(.*)$"
  if not kind then
    return nil, "'" .. need.value .. "' is no way out such as tap:NAME, netns:ADDRESS or slirp", "XK_EINVAL"
  end
  local words = { kind }
  for word in rest:gmatch "[^,]+" do words[#words + 1] = word end
  local program, _, code = host.program("xenkit-uplink")
  if not program then return nil, "xenkit-uplink is not beside this program", code end
  local header, mtu, pid
  need.process, need.fds, header, mtu, pid = host.uplink(program, words)
  if not need.process then return nil, need.value .. ": " .. need.fds, header end
  need.handle = ("link:%s:%d:%d"):format(need.name, header, mtu)
  if kind == "netns" then need.netns = pid end
  return need.fds[1]
end

local function release(grant)
  for _, need in ipairs(grant.list) do
    if need.process then need.process:close() elseif need.fd then close(need.fd) end
    if need.kind == "unix" then os.remove(need.value) end
  end
end

--- Opens what a template grants. The descriptors stay open as long as the template lives, so that each instance of it,
-- and each restart, gets the same listening socket: no connection is lost between two of them.
-- @return a grant: {list, sandbox}
function M.grant(needs)
  local grant = { list = needs, allow = {}, rights = {} }
  local order = { tcp = 1, unix = 2, udp = 3, file = 4, tree = 5, text = 6, lib = 7, rights = 8, dir = 9, pty = 10,
    hypervisor = 11, link = 12, program = 13 }
  table.sort(needs, function(a, b) return order[a.kind] < order[b.kind] end)
  local made, why, what = opener.prepare(needs)
  if not made then return nil, why, what end
  for _, need in ipairs(needs) do
    local open = openers[need.kind]
    if open then
      local fd, err, code = open(need, grant)
      if not fd then
        release(grant)
        return nil, err, code
      end
      need.fd = fd
      local allow = { tcp = "accept", unix = "accept", udp = "datagram", file = "file" }
      if allow[need.kind] then grant.allow[allow[need.kind]] = true end
    elseif need.kind == "dir" and need.mode == "rw" then -- files that are read and written at any place: images
      grant.allow.file, grant.allow.aio = true, true
    elseif need.kind == "dir" and need.mode == "r" then
      grant.allow.file = true
    elseif need.kind == "program" then
      grant.program = need.name
    elseif need.kind == "rights" then
      grant.rights[need.name] = true
    end
  end
  return grant
end

M.release = release

--- The process in whose network a grant's taps are, or nil.
function M.netns(grant)
  for _, need in ipairs(grant.list) do if need.netns then return need.netns end end
end

--- The program that a grant needs, opened. @return descriptor; nil, message, code
function M.program(grant)
  local name = grant.program and "xenkit-domain-" .. grant.program or "xenkit-domain"
  local path, err, code = host.program(name)
  if not path then return nil, name .. " is not beside this program: " .. err, code end
  return host.open(path, "r")
end

--- A template: everything about a kind of domain that does not change from one instance to the next.
-- @param d a domain of a world file, with source text added as d.source
function M.template(d)
  local path = d.script or (d.service .. ".lua")
  local svc, err, code = service.describe(d.source, path)
  if not svc then return nil, err, code end
  local words = {}
  for k, v in pairs(d.params or {}) do words[#words + 1] = tostring(k) .. "=" .. tostring(v) end
  table.sort(words)
  local params
  params, err = service.params(svc, words)
  if not params then return nil, path .. ": " .. tostring(err), "XK_EINVAL" end
  local needs
  needs, err = service.needs(svc, params, path)
  if not needs then return nil, err, "XK_EINVAL" end
  for _, need in ipairs(needs) do
    if need.kind == "hypervisor" then
      return nil, ("%s: needs.hypervisor.%s: there is none in a hosted world"):format(path, need.name), "XK_ENOSYS"
    end
  end
  local grant
  grant, err, code = M.grant(needs)
  if not grant then return nil, d.name .. ": " .. err, code end
  for _, r in ipairs(d.rights or {}) do grant.rights[r] = true end
  return { name = d.name, desc = d, path = path, params = params, grant = grant, service = svc,
    devices = devices.list(d) }
end

local function boot_archive(t, extra)
  local disk, vif = devices.told(t.devices)
  return pack.boot { source = t.desc.source, path = t.path, params = t.params, needs = t.grant.list, name = extra.name,
    store = extra.store, dom0_port = extra.dom0_port, template = t.name, watchdog = t.desc.watchdog,
    repl = t.desc.repl, disk = disk, vif = vif }
end

local function hand_all(world, domid, t, boot, handles)
  local allow = {}
  for k in pairs(t.grant.allow) do allow[#allow + 1] = k end
  table.sort(allow)
  local given = { { "boot", assert(host.memory("xenkit-boot", boot)) } }
  if t.desc.sandbox ~= false then
    local fd, err, code = host.sandbox(table.unpack(allow))
    if not fd then return nil, "sandbox: " .. err, code end
    given[2] = { t.grant.allow.aio and "sandbox+aio" or "sandbox", fd }
  end
  local ok, err, code = true, nil, nil
  for _, g in ipairs(given) do
    if ok then ok, err, code = host.hand(world, domid, g[1], g[2]) end
    close(g[2])
  end
  for _, need in ipairs(t.grant.list) do
    if ok and need.fds then
      for i, fd in ipairs(need.fds) do
        if ok then ok, err, code = host.hand(world, domid, need.handle .. ":" .. i, fd) end
      end
    elseif ok and need.fd then
      ok, err, code = host.hand(world, domid, need.kind .. ":" .. need.name, need.fd)
    end
  end
  for _, h in ipairs(handles or {}) do
    if ok then ok, err, code = host.hand(world, domid, h[1], h[2]) end
  end
  return ok, err, code
end

-- What it opens while it runs, domain 0 opens for it.
local function hand_opener(world, domid, t)
  if not opener.wanted(t.grant.list) then return true end
  local ours, theirs, code = host.socketpair "seqpacket"
  if not ours then return nil, theirs, code end
  local ok, err
  ok, err, code = host.hand(world, domid, "opener", theirs)
  close(theirs)
  if not ok then
    close(ours)
    return nil, err, code
  end
  task.detach(opener.serve, world, ours, t.grant.list)
  return true
end

--- Makes the process of a new domain and hands it all; it waits in state "building".
-- @param extra {name, store (boolean), dom0_port, lasting, handles = list of {name, descriptor}}
function M.create(world, program, t, extra)
  local boot, err, code = boot_archive(t, extra)
  if not boot then return nil, err, code end
  local domid
  domid, err, code = host.create(world, extra.name, program, t.desc.memory or 0, extra.lasting)
  if not domid then return nil, err, code end
  local ok
  ok, err, code = hand_all(world, domid, t, boot, extra.handles)
  if ok then ok, err, code = hand_opener(world, domid, t) end
  if not ok then
    world:domctl(domid, "destroy")
    return nil, err, code
  end
  return domid
end

--- Another process for a lasting domain whose last one has ended; it waits as a new one does. `extra` as for create.
function M.renew(world, program, t, domid, extra)
  local boot, err, code = boot_archive(t, extra)
  if not boot then return nil, err, code end
  local ok
  ok, err, code = host.renew(world, domid, program, t.desc.memory or 0)
  if ok then ok, err, code = hand_all(world, domid, t, boot, extra.handles) end
  return ok, err, code
end

--- Writes the nodes that libxl writes for a guest, as far as they mean something here.
-- @param opts template, console_domid, console_port, devices = a list of devices.list, each with its back_domid
function M.write_nodes(s, domid, name, t, opts)
  local home = "/local/domain/" .. domid
  local list = { { "rm", home } }
  local function put(path, value, perms)
    list[#list + 1] = { "write", path, value }
    if perms then list[#list + 1] = { "set_perms", path, perms } end
  end
  put(home, "", { "n0", "r" .. domid })
  put(home .. "/name", name, { "r0" }) -- no secret: `list` tells it to every domain, and the log needs it
  put(home .. "/domid", domid)
  if opts.template then put(home .. "/xenkit/template", opts.template) end
  local rights = {}
  for r in pairs(t and t.grant.rights or {}) do rights[#rights + 1] = r end
  table.sort(rights)
  put(home .. "/xenkit/rights", table.concat(rights, " "), { "r0" }) -- for services that ask what a client may
  for _, dir in ipairs { "/data", "/control/shutdown", "/device", "/backend" } do
    put(home .. dir, "", { "r" .. domid })
  end
  if opts.console_domid then
    local front, back = home .. "/console", ("/local/domain/%d/backend/console/%d/0"):format(opts.console_domid, domid)
    local readers, owner = { "n0", "r" .. opts.console_domid, "r" .. domid }, { "n" .. opts.console_domid,
      "r" .. domid }
    put(front .. "/backend", back)
    put(front .. "/backend-id", opts.console_domid)
    put(front .. "/ring-ref", 0)
    put(front .. "/port", opts.console_port, readers)
    put(front .. "/type", "xenconsoled", readers)
    list[#list + 1] = { "set_perms", front, readers }
    put(back, "", owner)
    put(back .. "/frontend", front, owner)
    put(back .. "/frontend-id", domid, owner)
    put(back .. "/name", name, owner)
    put(back .. "/port", opts.console_port, owner)
    put(back .. "/online", 1, owner)
    put(back .. "/state", 2, owner) -- XenbusStateInitWait; the console makes it 4
  end
  for _, device in ipairs(opts.devices or {}) do devices.nodes(put, domid, device, device.back_domid) end
  for _, offer in ipairs(t and (t.desc.offers or t.service.offers) or {}) do
    put("/local/service/" .. offer, "", { "r" .. domid })
  end
  return s:transaction(function(tx) return tx:many(list) end)
end

return M
