--- The bridge: serves in dom0 the consoles that a console stub domain has, by flows to it in place of rings.
--
-- One flow tells of consoles that open and close, one more each carries bytes. Names of domains, which a domU may not
-- read, are left for the stub in its back-end folders. Once the stub is ready the toolstack is told of it
-- (/tool/xenconsoled/domid), and that is taken back when it is gone, since new guests would wait for it in vain.
-- @module xenkit.console.bridge
local flow = require "xenkit.flow"
local rpc = require "xenkit.rpc"
local task = require "xenkit.task"

local M = {}
local Bridge = {}
Bridge.__index = Bridge
Bridge.__name = "xenkit.console.bridge"

local KEY = "/tool/xenconsoled/domid"
local FLOW = "console"
local AGAIN = 1 -- seconds between attempts
local ANSWER = 10
local CONSOLES_MAX = 1024

--- @param ctx dom0's context
-- @param service of xenkit.console.service
-- @param target the stub domain's name or number
function M.new(ctx, service, target)
  return setmetatable({ ctx = ctx, service = service, target = target, open = {}, count = 0, refused = 0 }, Bridge)
end

local function resolve(self)
  local store = self.ctx.store
  local domid = math.tointeger(tonumber(self.target))
  if domid then return store:read("/local/domain/" .. domid .. "/domid") and domid end
  for _, id in ipairs(store:list "/local/domain" or {}) do
    if store:read("/local/domain/" .. id .. "/name") == self.target then return math.tointeger(tonumber(id)) end
  end
end

-- One request on a flow of its own. @return the stream, or nil, message, code
local function ask(self, method, params)
  local s, err, code = flow.connect_to(self.ctx, self.domid, FLOW, ANSWER)
  if not s then return nil, err, code end
  local ok, reply
  ok, err, code = rpc.send(s, { id = 1, method = method, params = params }, ANSWER)
  if ok then reply, err, code = rpc.receive(s, ANSWER) end
  if not reply or reply.error then
    s:close()
    if reply then err, code = reply.error.message, reply.error.code end
    return nil, err, code
  end
  return s
end

local function front(domid, num)
  local home = "/local/domain/" .. domid
  return num == 0 and home .. "/console" or home .. "/device/console/" .. num
end

-- The stub is believed what its consoles say, not which they are: the toolstack's nodes must name it.
local function is_its_own(self, domid, num)
  local back = ("/local/domain/%d/backend/console/%d/%d"):format(self.domid, domid, num)
  local store = self.ctx.store
  return store:read(front(domid, num) .. "/backend") == back and
    store:read(front(domid, num) .. "/backend-id") == tostring(self.domid)
end

local function close_console(self, key, only)
  local m = self.open[key]
  if not m or (only and m ~= only) then return end
  self.open[key] = nil
  self.count = self.count - 1
  if m.handle then self.service:close(m.handle) end
end

local function open_console(self, m)
  local store, key = self.ctx.store, m.domid .. "." .. m.console
  if not is_its_own(self, m.domid, m.console) then
    self.refused = self.refused + 1
    close_console(self, key, m)
    return self.service.say(("console %s is not domain %d's to serve, and refused"):format(key, self.domid))
  end
  local name = store:read("/local/domain/" .. m.domid .. "/name") or "domain-" .. m.domid
  store:write(("/local/domain/%d/backend/console/%d/%d/domain"):format(self.domid, m.domid, m.console), name)
  local s, err = ask(self, "attach", { domid = m.domid, console = m.console, lazy = true, complete = true,
    resume = true, escape = "raw", who = "xl console" })
  if not s then
    close_console(self, key, m)
    return self.service.say(("console %s of %s: %s"):format(key, name, tostring(err)))
  end
  if self.open[key] ~= m then return s:close() end -- the bridge is down
  m.handle = self.service:open { domid = m.domid, num = m.console, name = name, channel = m.channel, stream = s,
    tty_node = front(m.domid, m.console) .. "/tty", on_end = function() close_console(self, key, m) end }
end

local function on_event(self, m)
  local domid, num = math.tointeger(m.domid), math.tointeger(m.console)
  if not domid or not num then return end
  local key = domid .. "." .. num
  if m.event ~= "open" then return end -- what was said last is still on its way, the end of the flow follows it
  close_console(self, key)
  if self.count >= CONSOLES_MAX then
    self.refused = self.refused + 1
    return self.service.say(("console %s is not served: there are %d already"):format(key, CONSOLES_MAX))
  end
  self.count = self.count + 1
  self.open[key] = { domid = domid, console = num, channel = m.channel and tostring(m.channel) }
  task.detach(open_console, self, self.open[key])
end

-- A stub domain that dies says nothing on its flows: the store does.
local function watch_death(self, events)
  local store = self.ctx.store
  local w <close> = store:watch "@releaseDomain"
  while w and w:next() do
    if store:is_introduced(self.domid) == false then
      self.gone = true
      return events:close()
    end
  end
end

local function serve(self)
  local events <close>, err, code = ask(self, "events", {})
  if not events then return nil, err, code end
  self.ctx.store:write(KEY, self.domid)
  self.service.say(("bridge to domain %d (%s): it serves the consoles of new guests"):format(self.domid, self.target))
  self.gone = false
  local watcher = task.spawn(watch_death, self, events)
  while true do
    local m
    m, err, code = rpc.receive(events)
    if not m then break end
    on_event(self, m)
  end
  watcher:cancel()
  for key in pairs(self.open) do close_console(self, key) end
  return nil, self.gone and "it is gone" or err, code
end

local function ready(self) return self.ctx.store:read("/local/domain/" .. self.domid .. "/data/console/ready") end

--- Serves for ever, also when the stub domain ends and comes again.
function Bridge:run()
  local store, said = self.ctx.store, nil
  while true do
    self.domid = resolve(self)
    local err = "there is no such domain, or it is not ready"
    if self.domid and ready(self) then err = select(2, serve(self)) end
    if err ~= said then self.service.say(("bridge to %s: %s"):format(self.target, tostring(err))) end
    said = err
    if store:read(KEY) == tostring(self.domid) and store:is_introduced(self.domid) == false then store:rm(KEY) end
    task.sleep(AGAIN)
  end
end

return M
