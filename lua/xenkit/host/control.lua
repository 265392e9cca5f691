--- What tools may ask of domain 0, over the world's control socket; and entitled domains, over the flow "toolstack".
-- @module xenkit.host.control
local builder = require "xenkit.host.builder"
local host = require "xenkit.core.host"
local core_stream = require "xenkit.core.stream"
local flow = require "xenkit.flow"
local rpc = require "xenkit.rpc"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}

--- The methods. Each takes params and gives a result or nil, message, code.
function M.methods(T)
  local m = {}
  function m.list() return T:list() end
  function m.info()
    return { name = T.name, dir = T.dir, pid = host.pid(), uptime = T.world:now() - T.started,
      store = T.dir .. "/store.sock", join = T.dir .. "/join", control = T.dir .. "/control.sock",
      addresses = T:addresses(), domains = #T:list() }
  end
  function m.find(p)
    local d, err, code = T:find(p.name)
    if not d then return nil, err, code end
    return { domid = d.domid, name = d.name }
  end
  function m.events(p)
    local list = {}
    for i = math.max(1, #T.events - (math.tointeger(p.lines) or 50) + 1), #T.events do list[#list + 1] = T.events[i] end
    return list
  end
  function m.create(p)
    local t = T.templates[p.name]
    if not t then
      local err, code
      t, err, code = T:declare { name = p.name, script = p.script, service = p.service, source = p.source,
        params = p.params, memory = p.memory, restart = p.restart or "never", sandbox = p.sandbox, repl = p.repl }
      if not t then return nil, err, code end
      t.ephemeral = true
    end
    local d, err, code = T:create(t)
    if not d then
      if t.ephemeral then T:undeclare(t) end
      return nil, err, code
    end
    return { domid = d.domid, name = d.name, create_ms = d.create_ms, addresses = T:addresses() }
  end
  function m.shutdown(p) return T:shutdown(p.name, p.timeout, p.how) end
  function m.destroy(p) return T:destroy(p.name) end
  function m.pause(p) return T:control(p.name, "pause") end
  function m.unpause(p) return T:control(p.name, "unpause") end
  function m.scale(p) return T:scale(p.name, math.tointeger(p.count) or 1) end
  function m.move(p) return T:move(p.name, p.device, p.back, p.image) end
  function m.update_store()
    local ms, n, code = T.keeper:update()
    if not ms then return nil, n, code end
    return { pause_ms = ms, sockets = n }
  end
  function m.down()
    T.down_asked = true
    return true
  end
  return m
end

-- Attaches a tool's connection to a domain that serves readers: its own end of a socket pair is handed over.
local function attach(T, server, name, conn)
  local d, err, code = T:find(server)
  if not d then return nil, err, code end
  local ours, theirs = host.socketpair()
  if not ours then return nil, theirs, code end
  local ok
  ok, err, code = host.hand(T.world, d.domid, name, theirs)
  core_stream.handle_close(theirs)
  if not ok then
    core_stream.handle_close(ours)
    return nil, err, code
  end
  local s <close> = assert(stream.from_handle(T.world, ours))
  rpc.send(conn, { id = 0, result = true })
  local up = task.spawn(function()
    stream.copy(conn, s)
    s:shutdown()
  end)
  stream.copy(s, conn)
  up:cancel()
  return true
end

-- A reader of the log says what it wants to see by itself.
local function attach_log(T, conn)
  local domid = T.store:read("/local/service/log")
  if not domid then
    return nil, "this world has no log domain; add { name = \"log\", service = \"log\" } to its file", "XK_ENOENT"
  end
  if not T:find(domid) then return nil, "the log domain is starting; try again", "XK_EAGAIN" end
  return attach(T, domid, "reader", conn)
end

-- A tool that sees a network's frames, from the domain that serves it.
local function attach_capture(T, p, conn)
  local d, err, code = T:find(tostring(p.name))
  if not d then return nil, err, code end
  local found, names = nil, {}
  for _, device in ipairs(d.template and d.template.devices or {}) do
    if device.kind == "vif" then
      names[#names + 1] = device.name
      if device.name == p.vif or not p.vif then found = found or device end
    end
  end
  if not found or not p.vif and #names > 1 then
    table.sort(names)
    return nil, ("%s has %s"):format(d.name, p.vif and "no network '" .. p.vif .. "'" or #names == 0 and "no network" or
      "several networks, say which: " .. table.concat(names, ", ")), "XK_ENOENT"
  end
  if not found.back_domid then return nil, found.name .. ": nobody serves it just now", "XK_EAGAIN" end
  local snap = math.tointeger(p.snap) or 0
  return attach(T, found.back_domid, ("capture:%d/%d:%d"):format(d.domid, found.number, snap), conn)
end

local function serve_tool(T, methods, conn)
  -- The first request may turn the connection into a raw one.
  while true do
    local msg = rpc.receive(conn)
    if not msg then return end
    local p = type(msg.params) == "table" and msg.params or {}
    if msg.method == "console" then
      local ok, err, code = attach(T, "console", "session", conn)
      if not ok then rpc.send(conn, { id = msg.id, error = { code = code, message = err } }) end
      return
    elseif msg.method == "capture" then
      local ok, err, code = attach_capture(T, p, conn)
      if not ok then rpc.send(conn, { id = msg.id, error = { code = code, message = err } }) end
      return
    elseif msg.method == "log" then
      local ok, err, code = attach_log(T, conn)
      if not ok then rpc.send(conn, { id = msg.id, error = { code = code, message = err } }) end
      return
    end
    local fn = methods[msg.method]
    local reply = { id = msg.id }
    if not fn then
      reply.error = { code = "XK_ENOSYS", message = "no method '" .. tostring(msg.method) .. "'" }
    else
      local ok, r, err, code = pcall(fn, p)
      if not ok then
        if r == task.cancelled then error(r, 0) end
        reply.error = { code = "XK_EIO", message = tostring(r) }
      elseif r == nil then
        reply.error = { code = code or "XK_EIO", message = tostring(err) }
      else
        reply.result = r
      end
    end
    if not rpc.send(conn, reply) then return end
  end
end

--- Serves the control socket.
function M.serve(T, handle)
  local methods = M.methods(T)
  local listener = assert(stream.listener(T.world, handle))
  while true do
    local conn = listener:accept()
    if not conn then return end
    task.detach(function()
      local c <close> = conn
      serve_tool(T, methods, c)
    end)
  end
end

-- What any domain may ask; who is who stands in the list.
local READ_ONLY = { list = true, info = true, events = true }

--- Serves the flow "toolstack": everyone may look, the domains that have the right may change; anyone else is told so.
-- The store vouches for who asks.
function M.serve_domains(T)
  local ctx = { world = T.world, domid = 0, store = T.store }
  T.store:write("/local/service/toolstack", "")
  T.store:set_perms("/local/service/toolstack", { "r0" })
  local l, err = flow.listen(ctx, "toolstack")
  if not l then error("flow toolstack: " .. tostring(err)) end
  local all = M.methods(T)
  while true do
    local s = l:accept()
    if not s then return end
    task.detach(function()
      local c <close> = s
      local d = T.domains[s.peer]
      local allowed = d and d.template.grant.rights.toolstack
      local methods = {}
      for name, fn in pairs(all) do
        methods[name] = function(p)
          if not allowed and not READ_ONLY[name] then
            T:event("refused", d and d.name or tostring(s.peer), name .. " without the right to the toolstack")
            return nil, "this domain has no right to the toolstack", "XK_EPERM"
          end
          return fn(p)
        end
      end
      rpc.serve(c, methods)
    end)
  end
end

M.builder = builder
return M
