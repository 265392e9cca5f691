--- The verbs with `--on xen`: the same words, done by xl and the stub domain's own files. @module xenkit.cli.xen
local build = require "xenkit.cli.build"
local core_stream = require "xenkit.core.stream"
local core_world = require "xenkit.core.world"
local files = require "xenkit.host.files"
local host = require "xenkit.core.host"
local image = require "xenkit.host.image"
local json = require "xenkit.json"
local opener = require "xenkit.host.opener"
local pack = require "xenkit.host.pack"
local service = require "xenkit.service"
local store = require "xenkit.store"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}

local CON_RING = 8 -- VIRQ_CON_RING

local function quote(s) return "'" .. tostring(s):gsub("'", "'\\''") .. "'" end

local function xl(...)
  local words = { "xl" }
  for _, w in ipairs { ... } do words[#words + 1] = quote(w) end
  local _, _, code = os.execute(table.concat(words, " "))
  return code or 1
end

-- Runs fn(world, store) as a task of this Linux domain.
local function in_xen(fn)
  local world, err, code = core_world.open("xen:")
  if not world then
    return nil, "Xen: " .. err .. (code == "XK_ENODEV" and "; is this a Linux domain on Xen, with the modules " ..
      "xen-evtchn, xen-gntdev, xen-gntalloc?" or ""), code
  end
  local results = table.pack(pcall(task.run, world, function()
    local s, e, c = store.open(world)
    if not s then return nil, e, c end
    return fn(world, s)
  end))
  world:close()
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

M.with_store = in_xen

local function dir_of(name) return files.runtime_dir() .. "/xen/" .. name end

-- --- create --------------------------------------------------------------------------------------------------------

local function split(value) return value:match("^%[?([%x:%.]+)%]?:(%d+)$") end

-- Listens for what needs TCP. @return name -> descriptor, and lines to print
local function open_listeners(needs)
  local handles, lines = {}, {}
  for _, need in ipairs(needs) do
    if need.kind == "tcp" then
      local address, port = split(need.value)
      if not address then return nil, "'" .. need.value .. "' is no ADDRESS:PORT" end
      local fd, bound = host.listen_tcp(address, math.tointeger(port))
      if not fd then return nil, need.name .. ": " .. bound end
      handles[need.name] = fd
      lines[#lines + 1] = ("%s listens on %s:%d"):format(need.name, address, bound)
    end
  end
  return handles, lines
end

local function find_domid(s, name)
  for _, id in ipairs(s:list("/local/domain") or {}) do
    if s:read("/local/domain/" .. id .. "/name") == name then return math.tointeger(tonumber(id)) end
  end
end

local function leave_seed(world, s, domid)
  local bytes = world:entropy(32)
  if not bytes then return end
  local path = "/local/domain/" .. domid .. "/xenkit/seed"
  s:write(path, "")
  s:set_perms(path, { "n0", "r" .. domid })
  s:write(path, (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)))
end

-- What the builder of a hosted world writes: its name for others to read, services that it offers, its rights.
local function leave_nodes(s, domid, made)
  local home, rights = "/local/domain/" .. domid, {}
  for _, need in ipairs(made.needs) do if need.kind == "rights" then rights[#rights + 1] = need.name end end
  s:set_perms(home .. "/name", { "r0" })
  s:write(home .. "/xenkit/rights", table.concat(rights, " "))
  s:set_perms(home .. "/xenkit/rights", { "r0" })
  for _, offer in ipairs(made.offers) do
    s:write("/local/service/" .. offer, "")
    s:set_perms("/local/service/" .. offer, { "r" .. domid })
  end
end

local function serve_gateway(domid, listeners, dir)
  local ok, err = in_xen(function(world, s)
    host.detached(true)
    require("xenkit.host.gateway").serve({ world = world, store = s, domid = 0, log = function(text)
      io.stderr:write(os.date("%H:%M:%S "), text, "\n")
    end }, domid, listeners)
    return true
  end)
  if not ok then
    io.stderr:write(tostring(err), "\n")
    host.detached(false)
  end
  os.remove(dir .. "/gateway.pid")
  return ok and 0 or 1
end

function M.create(p, fail, say)
  local source, err = files.read(p.script)
  if not source then return fail(err) end
  local name = p.name or build.name_of(p.script)
  local dir = dir_of(name)
  local r, e, code = image.build({ source = source, path = p.script, name = name, words = p.words or {}, dir = dir,
    memory = p.memory, repl = p.repl }, build.embedded)
  if not r then return fail(e, code == "XK_EINVAL" and 2 or 1) end
  local listeners, lines = open_listeners(r.needs)
  if not listeners then return fail(lines) end
  if xl("create", "-q", "-p", r.config) ~= 0 then return fail("xl could not create " .. name) end
  local domid
  domid, e = in_xen(function(world, s)
    local id = find_domid(s, name)
    if not id then return nil, name .. " is not in the store" end
    leave_seed(world, s, id)
    leave_nodes(s, id, r)
    return id
  end)
  if not domid or xl("unpause", name) ~= 0 then
    xl("destroy", name)
    return fail(e or "xl could not start " .. name)
  end
  if p.json then say("%s", json.encode({ domid = domid, name = name, dir = dir }, { sorted = true }))
  else say("domain %d, %s", domid, name) end
  for _, line in ipairs(lines) do say("%s", line) end
  io.stdout:flush()
  if p.console then return M.console({ domain = name, console = "0" }, fail, say) end
  if not next(listeners) then return 0 end
  local log = assert(host.open(dir .. "/gateway.log", "w"))
  local ok, why = host.detach(log)
  if not ok then return fail(why) end
  local f = io.open(dir .. "/gateway.pid", "w")
  if f then
    f:write(host.pid(), "\n")
    f:close()
  end
  return serve_gateway(domid, listeners, dir)
end

-- --- the rest ------------------------------------------------------------------------------------------------------

--- All domains, as the hosted `list` has them.
function M.domains()
  return in_xen(function(world, s)
    local list, info, err = {}, world:domain(0)
    if not info then info, err = world:domain(world:domid()) end
    if not info then return nil, err end
    while info do
      local home = "/local/domain/" .. info.domid
      info.name = s:read(home .. "/name") or info.name
      info.uptime = 0
      list[#list + 1] = info
      info = world:domain_next(info.domid)
    end
    return list
  end)
end

function M.list(p, fail, say, print_list)
  local list, err = M.domains()
  if not list then return fail(err) end
  if p.json then say("%s", json.encode(list, { sorted = true })) else print_list(list) end
end

M.in_xen, M.xl, M.find_domid = in_xen, xl, find_domid

function M.console(p, fail, say) return require("xenkit.cli.console_xen").run(p, fail, say) end

for _, verb in ipairs { "pause", "unpause", "destroy" } do
  M[verb] = function(p, fail)
    return xl(verb, p.domain) == 0 and 0 or fail("xl " .. verb .. " " .. p.domain .. " failed")
  end
end

function M.shutdown(p, fail)
  return xl("shutdown", "-w", p.domain) == 0 and 0 or fail("xl shutdown " .. p.domain .. " failed")
end

function M.dmesg() return xl("dmesg") end

-- Where there is a log domain it is asked. @return an exit code, or nil: there is none
local function log_domain(p, fail, say)
  local code, err = in_xen(function(world, s)
    if not s:read("/local/service/log") then return nil, "no log domain" end
    return require("xenkit.cli.log").run(world, function()
      return require("xenkit.flow").connect({ world = world, store = s, domid = world:domid() }, "log", 5)
    end, p, fail, say)
  end)
  return code, err
end

--- Without a log domain: what a stub domain has logged stands in its console's log, which xenconsoled writes with
-- --log=guest.
function M.log(p, fail, say)
  local done, why = log_domain(p, fail, say)
  if done then return done end
  if not p.domain then return fail(why .. "; of one domain the console's log is shown: xenkit log --on xen NAME", 2) end
  local path = "/var/log/xen/console/guest-" .. p.domain .. ".log"
  if not files.read(path) then
    return fail(path .. " is not there: has xenconsoled been started with --log=guest?")
  end
  local _, _, code = os.execute("exec tail -n +1 " .. (p.follow and "-F " or "") .. quote(path))
  return code or 1
end

-- What Xen logs, into a stream, for ever: as it comes where its event can be had, which only one process may.
local function pump_log(world, handle)
  local s <close> = assert(stream.from_handle(world, handle))
  local port = world:bind_virq(CON_RING)
  local index = 0
  while true do
    local text, next_index = host.hypervisor_log(world, index)
    if not text then
      io.stderr:write("xenkit: ", next_index, "; Xen's log is for dom0 alone, hypervisor=false leaves it out\n")
      return
    end
    index = next_index
    if text ~= "" then
      if not s:write(text) then return end
    else
      local id = task.wait_id()
      if not port or not port:arm(id) then task.wait(id, port and 10 or 1) end
    end
  end
end

-- A child of this process opens what the service needs while it runs, until that ends.
-- @return its number, or true: none is needed; nil, message
local function start_opener(needs, give)
  if not opener.wanted(needs) then return true end
  local ours, theirs = host.socketpair "seqpacket"
  local logs, given = {}, { { "opener", theirs } }
  for _, need in ipairs(needs) do
    if need.kind == "hypervisor" then
      local a, b = host.socketpair()
      logs[#logs + 1] = a
      given[#given + 1] = { "hypervisor:" .. need.name, b }
    end
  end
  local pid, err = host.fork()
  if not pid then return nil, err end
  if pid > 0 then
    core_stream.handle_close(ours)
    for _, fd in ipairs(logs) do core_stream.handle_close(fd) end
    for _, g in ipairs(given) do give(g[1], g[2]) end
    return pid
  end
  for _, g in ipairs(given) do core_stream.handle_close(g[2]) end
  local function work(world)
    for _, fd in ipairs(logs) do task.detach(pump_log, world, fd) end
    opener.serve(world, ours, needs)
    return true
  end
  local ok, why
  if logs[1] then ok, why = in_xen(work) else ok, why = require("xenkit.cli.client").run(work) end
  if not ok then io.stderr:write("xenkit: opener: ", tostring(why), "\n") end
  os.exit(ok and 0 or 1)
end

--- `move --on xen`.
function M.move(p, fail)
  if not p.back then return fail("--back DOMAIN says where to; `xl list` shows which there are", 2) end
  local ok, err = in_xen(function(world, s)
    return require("xenkit.cli.move_xen").move(world, s, p, function(client, name)
      return math.tointeger(tonumber(name)) or find_domid(client, name)
    end)
  end)
  if not ok then return fail(err) end
end

--- `run --on xen`: this process becomes the service, in this Linux domain.
function M.run(p, fail)
  local source, err = files.read(p.script)
  if not source then return fail(err, 2) end
  local svc, e = service.describe(source, p.script)
  if not svc then return fail(e, 2) end
  local params
  params, e = service.params(svc, p.words or {}, "xenkit run " .. p.script)
  if not params then return fail(p.script .. ": " .. e, 2) end
  local needs
  needs, e = service.needs(svc, params, p.script, "xen")
  if not needs then return fail(e, 2) end
  local grant
  grant, e = require("xenkit.host.builder").grant(needs)
  if not grant then return fail(e) end
  local name = p.name or build.name_of(p.script)
  local boot
  boot, e = pack.boot { source = source, path = p.script, params = params, needs = grant.list, name = name }
  if not boot then return fail(e) end
  local words, keep = { "xenkit-domain", "--on", "xen" }, {}
  local function give(what, fd)
    words[#words + 1] = what .. "=" .. fd
    keep[#keep + 1] = fd
  end
  give("boot", assert(host.memory("xenkit-boot", boot)))
  if not p.no_sandbox then
    local allow = { "xen" }
    for k in pairs(grant.allow) do allow[#allow + 1] = k end
    if grant.rights.domains then allow[#allow + 1] = "hypercall" end
    give(grant.allow.aio and "sandbox+aio" or "sandbox", assert(host.sandbox(table.unpack(allow))))
  end
  for _, need in ipairs(grant.list) do
    if need.fd then give(need.handle or need.kind .. ":" .. need.name, need.fd) end
    if need.bound then io.stdout:write(("%s listens on %s\n"):format(need.name, need.bound)) end
  end
  io.stdout:flush()
  local program
  program, e = require("xenkit.host.builder").program(grant)
  if not program then return fail(e) end
  if p.restart and svc.store ~= false then
    return require("xenkit.cli.respawn").run(function()
      local w, fds, given = table.move(words, 1, #words, 1, {}), table.move(keep, 1, #keep, 1, {}), {}
      local helper, why = start_opener(grant.list, function(what, fd)
        w[#w + 1], fds[#fds + 1], given[#given + 1] = what .. "=" .. fd, fd, fd
      end)
      if not helper then return nil, "opener: " .. tostring(why) end
      local pid
      pid, why = host.spawn(program, w, fds)
      return pid, pid and given or why, helper ~= true and helper or nil
    end, fail)
  end
  local made
  made, e = start_opener(grant.list, give)
  if not made then return fail("opener: " .. tostring(e)) end
  if p.restart then return require("xenkit.cli.keep").run(program, words, keep) end
  local _, why = host.exec(program, words, keep)
  return fail("xenkit-domain: " .. tostring(why))
end

M.core_stream = core_stream
return M
