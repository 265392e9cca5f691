--- What runs in a domain before and around its service: context, console, log, shutdown. See docs/services.md.
-- @module xenkit.domain
local archive = require "xenkit.archive"
local console = require "xenkit.core.console"
local json = require "xenkit.json"
local store = require "xenkit.store"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}

local CONSOLE_BACKLOG = 256 * 1024

-- Where there is no console lines go to standard output: in a process of a Linux domain on Xen, and, as the debug port,
-- in a stub domain without Xen below (the kernel alone in QEMU).
local function debug_sink()
  local say, line = print, ""
  return function(text)
    for part, newline in text:gmatch("([^\n]*)(\n?)") do
      line = line .. part
      if newline ~= "" then
        say(line)
        line = ""
      end
    end
  end
end

-- The console as a sink that never makes its writer wait: what does not fit in a bounded backlog is dropped, counted,
-- and the loss is said.
local function console_sink(ctx)
  local raw, con
  local pending, size, dropped, busy = {}, 0, 0, false
  -- The store's own console comes after the store: until there is one, words wait.
  local function open()
    raw = raw or console.front(ctx.world)
    con = con or (raw and stream.wrap(raw))
    ctx.console = con
    return con
  end
  if not open() and ctx.world:platform() ~= "hosted" then return debug_sink() end
  local function drain()
    busy = true
    while #pending > 0 do
      local text = table.concat(pending)
      pending, size = {}, 0
      if dropped > 0 then
        text = text .. string.format("[%d bytes were dropped here]\n", dropped)
        dropped = 0
      end
      if not con:write(text) then break end
    end
    busy = false
  end
  return function(text)
    if open() and not busy and #pending == 0 then
      local n = raw:write(text)
      if n == #text then return end
      if n then text = text:sub(n + 1) end
    end
    if size + #text > CONSOLE_BACKLOG then
      dropped = dropped + #text
      return
    end
    pending[#pending + 1] = text
    size = size + #text
    if not busy and con then
      busy = true
      task.detach(drain)
    end
  end, function() -- waits until all is out, for the end of a domain
    for _ = 1, 100 do
      if not busy then return end
      task.sleep(0.01)
    end
  end
end

local function redirect_print(write)
  _G.print = function(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    write(table.concat(parts, "\t") .. "\n")
  end
end

local LEVELS = { debug = 1, info = 2, warning = 3, error = 4 }

local function make_log(ctx, write)
  return function(level, text, fields)
    if not LEVELS[level] then error("log: no level '" .. tostring(level) .. "'", 2) end
    local parts = { level, ": ", tostring(text) }
    if fields then
      local keys = {}
      for k in pairs(fields) do keys[#keys + 1] = tostring(k) end
      table.sort(keys)
      for _, k in ipairs(keys) do parts[#parts + 1] = " " .. k .. "=" .. tostring(fields[k]) end
    end
    write(table.concat(parts) .. "\n")
    if ctx.log_hook then ctx.log_hook(level, text, fields) end
  end
end

-- Sends records to the log domain, if the world has one. Until it is reached, and when it is slow, a bounded number
-- waits; what does not fit is counted, and the loss is told.
local LOG_QUEUE = 1000

local function log_sender(ctx)
  local queue, lost, wake = {}, 0, nil
  function ctx.log_hook(level, text, fields)
    if #queue >= LOG_QUEUE then
      lost = lost + 1
      return
    end
    queue[#queue + 1] = { level = level, text = tostring(text), fields = fields }
    if wake then
      local id = wake
      wake = nil
      task.wake(id)
    end
  end
  local flow, rpc = require "xenkit.flow", require "xenkit.rpc"
  while true do
    if #queue == 0 then
      wake = task.wait_id()
      task.wait(wake)
    end
    local s = ctx.store:read("/local/service/log") and flow.connect(ctx, "log", 5)
    while s do
      if lost > 0 and rpc.send(s, { lost = lost }, 10) then lost = 0 end
      local r = table.remove(queue, 1)
      if r and not rpc.send(s, r, 10) then
        table.insert(queue, 1, r)
        s:close()
        s = nil
      elseif not r then
        wake = task.wait_id()
        task.wait(wake)
      end
    end
    task.sleep(1)
  end
end

-- Descriptors by kind: "tcp:http" becomes ctx.tcp.http.
local function take_handles(ctx, handles)
  for name, fd in pairs(handles) do
    local kind, rest = name:match("^(%a+):(.+)$")
    if kind == "tcp" or kind == "unix" then
      ctx[kind][rest] = assert(stream.listener(ctx.world, fd))
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
    if not text then return "\n\tno '" .. path .. "' in the boot archive" end
    local fn, err = load(text, "@" .. path, "t")
    if not fn then error(err, 0) end
    return fn
  end)
end

local function make_context(world, handles, boot)
  local ar = assert(archive.open(boot))
  local desc = assert(json.decode(ar:get("etc/domain.json")))
  local ctx = {
    world = world, domid = world:domid(), name = desc.name, params = desc.params or {}, desc = desc, archive = ar,
    tcp = {}, udp = {}, unix = {}, file = {}, handle = {}, tree = {}, text = {}, text_path = {},
  }
  for name, path in pairs(desc.text or {}) do
    ctx.text[name] = ar:get("text/" .. name)
    ctx.text_path[name] = path
  end
  for name in pairs(desc.tree or {}) do ctx.tree[name] = ar:sub("tree/" .. name) end
  add_searcher(ar)
  take_handles(ctx, handles)
  return ctx
end

-- control/shutdown, as a Xen guest: the request is acknowledged by emptying the node.
local function watch_shutdown(ctx, root)
  local w = ctx.store:watch("control/shutdown")
  if not w then return end
  for _ in w:events() do
    local why = ctx.store:read("control/shutdown")
    if why == "poweroff" or why == "halt" or why == "reboot" then
      ctx.store:write("control/shutdown", "")
      ctx.shutdown = why
      if ctx.service.stop then
        local ok, err = pcall(ctx.service.stop, ctx)
        if not ok then print("stop: " .. tostring(err)) end
      end
      root:cancel()
      return
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

local WATCHDOG = 10 -- seconds that Lua code may run without giving way, where the description does not say

-- --- in a stub domain -------------------------------------------------------------------------------------------

-- Words of the kernel's command line set parameters: extra = "port=80" in an xl config.
local function take_cmdline(ctx)
  local words, keys = {}, {}
  for word in require("xenkit.core.stub").cmdline():gmatch("%S+") do
    local key = word:match("^([%a_][%w_]*)=")
    if key and key ~= "tsc_hz" then words[#words + 1] = word end
  end
  if #words == 0 then return end
  for _, item in ipairs(ctx.service.params or {}) do
    for _, word in ipairs(words) do
      if word:match("^[^=]+") == item[1] then keys[#keys + 1] = item break end
    end
  end
  local set, err = require("xenkit.args").keyvalues({ name = ctx.name, keys = keys }, words)
  if not set then error("the kernel's command line: " .. tostring(err), 0) end
  for key, value in pairs(set) do ctx.params[key] = value end
end

-- The toolstack may leave entropy in a node that only this domain can read.
local function take_seed(ctx)
  local hex = ctx.store:read("xenkit/seed")
  local bytes = hex and hex:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end)
  if bytes and #bytes >= 16 then require("xenkit.core.stub").seed(bytes:sub(1, 64)) end
end

local Visitors = {}
Visitors.__index = Visitors
Visitors.__name = "xenkit.visitors"

-- Connections that a gateway in domain 0 accepts and brings here by a flow; the first line says who it is.
function Visitors:accept(timeout)
  while true do
    local s, err, code = self.flow:accept(timeout)
    if not s then return nil, err, code end
    local peer = s.peer == 0 and s:read_line(128, 5)
    if peer then
      s.peer = nil
      return s, peer
    end
    s:close()
  end
end

function Visitors:close() self.flow:close() end
Visitors.__close = Visitors.close

local function listen_for_gateway(ctx)
  local flow = require "xenkit.flow"
  for _, name in ipairs(ctx.desc.tcp or {}) do
    local l, err = flow.listen(ctx, "tcp-" .. name, { private = true })
    if not l then error("tcp." .. name .. ": " .. tostring(err), 0) end
    ctx.tcp[name] = setmetatable({ flow = l }, Visitors)
  end
end

local function enter_stub(ctx)
  take_cmdline(ctx)
  if not ctx.store then return end
  take_seed(ctx)
  listen_for_gateway(ctx)
end

local function run(ctx, flush)
  local watchdog = package.preload["xenkit.core.watchdog"]
  if watchdog then watchdog()(ctx.world, ctx.desc.watchdog or WATCHDOG) end
  ctx.service = load_service(ctx)
  if ctx.desc.store ~= false then
    local s, err = store.open(ctx.world)
    if not s then print("no store: " .. tostring(err)) end
    ctx.store = s
  end
  if ctx.world:platform() == "stub" then enter_stub(ctx) end
  function ctx.stopping() return ctx.shutdown ~= nil end
  local main = task.spawn(function() return ctx.service.start(ctx) end)
  local helpers = { task.detach(watch_handles, ctx) }
  if ctx.store then
    if ctx.world:platform() ~= "xen" then -- there the node is for the whole Linux domain
      helpers[#helpers + 1] = task.detach(watch_shutdown, ctx, main)
    end
    if ctx.desc.template ~= "log" then helpers[#helpers + 1] = task.detach(log_sender, ctx) end
  end
  local ok, err = pcall(main.join, main)
  for _, h in ipairs(helpers) do h:cancel() end
  local code = 0
  if not ok and err ~= task.cancelled then
    print(ctx.name .. ": " .. tostring(err))
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
    local write, flush = console_sink(ctx)
    redirect_print(write)
    ctx.log = make_log(ctx, write)
    function task.on_error(err) print("task: " .. tostring(err)) end
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
