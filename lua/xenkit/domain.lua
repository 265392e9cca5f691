--- What runs in a domain before and around its service: context, console, log, shutdown. See docs/services.md.
-- @module xenkit.domain
local first_line = require("xenkit.core.stub").tsc() -- how long it took to get here is told as ctx.first_line
local archive = require "xenkit.archive"
local console = require "xenkit.domain_console"
local log = require "xenkit.domain_log"
local store = require "xenkit.store"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}

-- Descriptors by kind: "tcp:http" becomes ctx.tcp.http.
local function take_handles(ctx, handles)
  for name, fd in pairs(handles) do
    local kind, rest = name:match("^(%a+):(.+)$")
    if kind == "tcp" or kind == "unix" then
      ctx[kind][rest] = assert(stream.listener(ctx.world, fd))
    elseif kind == "hypervisor" then
      ctx[kind][rest] = assert(stream.from_handle(ctx.world, fd))
    elseif kind == "link" then
      local link, header, mtu, queue = rest:match "^(.+):(%d+):(%d+):(%d+)$"
      ctx.link[link] = ctx.link[link] or { handles = {}, header = math.tointeger(header), mtu = math.tointeger(mtu) }
      ctx.link[link].handles[math.tointeger(queue)] = fd
    elseif name == "opener" then
      require("xenkit.domain_open").enter(ctx, fd)
    elseif kind == "udp" or kind == "file" then
      ctx[kind][rest] = fd
    else
      ctx.handle[name] = fd
    end
  end
end

-- A module of the service's own archive: require "helper" finds lib/helper.lua in it.
local function add_searcher(ar)
  table.insert(package.searchers, 2, function(name)
    local path = "lib/" .. name:gsub("%.", "/") .. ".lua"
    local text = ar:get(path)
    if not text then
      path = path:gsub("%.lua$", "/init.lua")
      text = ar:get(path)
    end
    if not text then return "\n\tno '" .. path .. "' in the boot archive" end
    local fn, err = load(text, "@" .. path, "t")
    if not fn then error(err, 0) end
    return fn
  end)
end

local function make_context(world, handles, boot)
  local ar = assert(archive.open(boot))
  local desc = assert(load(ar:get("etc/domain.lua") or "", "=etc/domain.lua", "t", {}))()
  local ctx = {
    world = world, domid = world:domid(), name = desc.name, params = desc.params or {}, desc = desc, archive = ar,
    first_line = first_line,
    tcp = {}, udp = {}, unix = {}, file = {}, handle = {}, tree = {}, text = {}, text_path = {}, dir = {}, pty = {},
    hypervisor = {}, link = {},
  }
  for name, path in pairs(desc.text or {}) do
    ctx.text[name] = ar:get("text/" .. name)
    ctx.text_path[name] = path
  end
  for name in pairs(desc.tree or {}) do ctx.tree[name] = ar:sub("tree/" .. name) end
  add_searcher(ar)
  take_handles(ctx, handles)
  ctx.disk = setmetatable({}, { __index = function(_, name) -- the module is loaded when somebody asks
    ctx.disk = require("xenkit.block").disks(ctx)
    return ctx.disk[name]
  end })
  ctx.net = setmetatable({}, { __index = function(_, name)
    ctx.net = require("xenkit.net").nets(ctx)
    return ctx.net[name]
  end })
  return ctx
end

-- Suspends the domain, and comes back once it goes on, perhaps on another host. Store and console are opened anew;
-- flows and vchans are gone, as on any Xen guest, and a service that has some learns of it by on_resume.
local function suspend(ctx)
  ctx.store:suspend()
  if ctx.console_reset then ctx.console_reset() end
  local ok, err = ctx.world:domctl(ctx.domid, "shutdown", "suspend")
  ctx.domid = ctx.world:domid()
  assert(ctx.store:reopen(ctx.world))
  require("xenkit.domain_stub").take_seed(ctx)
  if not ok then return print("suspend: " .. tostring(err)) end
  if ctx.on_resume then ctx.on_resume() end
end

local function end_service(ctx, why, root)
  ctx.shutdown = why
  if ctx.service.stop then
    local ok, err = pcall(ctx.service.stop, ctx)
    if not ok then print("stop: " .. tostring(err)) end
  end
  root:cancel()
end

-- control/shutdown, as a Xen guest: the request is acknowledged by emptying the node.
local function watch_shutdown(ctx, root)
  while true do
    local w = ctx.store:watch("control/shutdown")
    if not w then return end
    for _ in w:events() do
      local why = ctx.store:read("control/shutdown")
      if why == "poweroff" or why == "halt" or why == "reboot" then
        ctx.store:write("control/shutdown", "")
        return end_service(ctx, why, root)
      elseif why == "suspend" and ctx.world:platform() == "stub" then
        ctx.store:write("control/shutdown", "")
        suspend(ctx)
      end
    end
  end
end

-- Descriptors that are handed while the service runs go to ctx.on_handle(name, fd).
local function watch_handles(ctx)
  local world = ctx.world
  local port = world:bind_virq(require("xenkit.core.world").VIRQ_HANDLE)
  if not port then return end
  for name, fd in pairs(ctx.handle) do -- handed before the domain ran
    if ctx.on_handle then ctx.on_handle(name, fd) end
  end
  while true do
    while true do
      local fd, name = world:take_handle()
      if not fd then break end
      if ctx.on_handle then
        ctx.on_handle(name, fd)
      else
        require("xenkit.core.stream").handle_close(fd)
      end
    end
    local id = task.wait_id()
    if not port:arm(id) then task.wait(id) end
  end
end

local function load_service(ctx)
  local path = ctx.desc.script
  local text = ctx.archive:get("main.lua")
  local chunk, err = load(text, "@" .. path, "t")
  if not chunk then error(err, 0) end
  local service = chunk()
  if type(service) ~= "table" or type(service.start) ~= "function" then
    error(path .. ": a service returns a table with a function 'start'; see docs/services.md", 0)
  end
  return service
end

-- Lua's own error for want of memory names no place; the allocator has noted it.
local function explain(err)
  local place = err == "not enough memory" and package.preload["xenkit.core.memory"]
  place = place and place()()
  return place and "not enough memory at " .. place or tostring(err)
end

local WATCHDOG = 10 -- seconds that Lua code may run without giving way, where the description does not say

local function run(ctx, flush)
  local watchdog = package.preload["xenkit.core.watchdog"]
  if watchdog then watchdog()(ctx.world, ctx.desc.watchdog or WATCHDOG) end
  ctx.service = load_service(ctx)
  if ctx.desc.store ~= false and ctx.service.store ~= false then
    local s, err = store.open(ctx.world)
    if not s then print("no store: " .. tostring(err)) end
    ctx.store = s
  end
  if ctx.world:platform() == "stub" then require("xenkit.domain_stub").enter(ctx) end
  function ctx.stopping() return ctx.shutdown ~= nil end
  collectgarbage("restart") -- until here all that was made stays
  local main = task.spawn(function() return ctx.service.start(ctx) end)
  local helpers = { task.detach(watch_handles, ctx) }
  if ctx.desc.repl then helpers[#helpers + 1] = task.detach(require("xenkit.domain_repl").beside, ctx) end
  if ctx.store then
    if ctx.world:platform() ~= "xen" then -- there the node is for the whole Linux domain
      helpers[#helpers + 1] = task.detach(watch_shutdown, ctx, main)
    end
  end
  log.start(ctx, helpers)
  local ok, err = pcall(main.join, main)
  if not ok and err ~= task.cancelled then ctx.log_hub:failure(explain(err)) end
  log.finish(ctx)
  for _, h in ipairs(helpers) do h:cancel() end
  local code = 0
  if not ok and err ~= task.cancelled then
    print(ctx.name .. ": " .. explain(err))
    code = 1
  elseif ok and math.type(err) == "integer" then
    code = err
  end
  flush()
  ctx.world:domctl(ctx.domid, "shutdown", code ~= 0 and "crash" or ctx.shutdown == "reboot" and "reboot" or "poweroff")
  return code
end

--- Runs a domain's service. Called once, by the domain program.
function M.main(world, handles, boot)
  local ctx = make_context(world, handles, boot)
  return task.run(world, function()
    local write, flush = console.sink(ctx)
    console.redirect_print(write)
    ctx.log, ctx.log_hub = log.make(ctx, write)
    function task.on_error(err)
      print("task: " .. explain(err))
      ctx.log_hub:failure("task: " .. explain(err))
    end
    local ok, code = xpcall(run, debug.traceback, ctx, flush or function() end)
    if not ok then
      print(ctx.name .. ": " .. tostring(code))
      if flush then flush() end
      code = 1
    end
    return code
  end)
end

return M
