--- Finds the consoles that this domain is to serve, by the store alone: a watch on its own `backend/console`.
--
-- The first console of a domain (number 0) is there from the beginning: its page is the domain's grant reference 0, its
-- port stands in the node `port`. A further one follows XenbusState (xen/io/xenbus.h): we say InitWait (2), the front
-- end publishes `ring-ref` and `port` and says Initialised (3), we map and say Connected (4); it may close and come
-- again. Nodes whose `type` is another's, as qemu's "ioemu", are left alone. The toolstack's Closing (5) in a node of
-- ours is answered by Closed (6) once what was written last has been read.
-- @module xenkit.console.discover
local core = require "xenkit.core.console"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}
local Discovery = {}
Discovery.__index = Discovery
Discovery.__name = "xenkit.console.discovery"

local INIT_WAIT, INITIALISED, CONNECTED, CLOSING, CLOSED = "2", "3", "4", "5", "6"
local CONSOLES_MAX = 1024

--- @param ctx a domain's context
-- @param on open(d) -> handle: d has domid, num, name, channel, stream, tty_node; close(handle); last_words(handle);
--   rename(handle, name); say(text)
function M.new(ctx, on)
  return setmetatable({ ctx = ctx, on = on, base = "/local/domain/" .. ctx.domid .. "/backend/console", entries = {},
    count = 0, refused = 0 }, Discovery)
end

local function front_of(domid, num)
  local home = "/local/domain/" .. domid
  return num == 0 and home .. "/console" or home .. "/device/console/" .. num
end

local function number(text, max)
  local n = text and text:match "^%d+$" and math.tointeger(tonumber(text))
  return n and n <= max and n
end

local function set_state(self, e, state)
  if e.said == state then return end
  e.said = state
  self.ctx.store:write(e.back .. "/state", state)
end

local function disconnect(self, e)
  if not e.handle then return end
  local handle = e.handle
  e.handle = nil
  self.count = self.count - 1
  self.on.close(handle)
end

local function connect(self, e, name)
  local store = self.ctx.store
  local port = number(store:read(e.front .. "/port"), 0x7fffffff)
  local ref = e.num > 0 and number(store:read(e.front .. "/ring-ref"), 0xffffffff) or nil
  if not port or (e.num > 0 and not ref) then return end
  if self.count >= CONSOLES_MAX then
    self.refused = self.refused + 1
    return self.on.say(("console %s.%d is not served: there are %d already"):format(e.domid, e.num, CONSOLES_MAX))
  end
  local raw, err, code = core.back(self.ctx.world, e.domid, port, ref)
  if not raw then
    if e.failed ~= port then
      self.on.say(("console %d of %s (domain %d) cannot be had: %s (%s)%s"):format(e.num, name, e.domid, tostring(err),
        tostring(code), self.ctx.domid == 0 and "; does another daemon, xenconsoled, hold it?" or ""))
    end
    e.failed = port
    return
  end
  self.count = self.count + 1
  e.handle = self.on.open { domid = e.domid, num = e.num, name = name, channel = e.num > 0 and
    store:read(e.front .. "/name") or nil, stream = stream.wrap(raw), tty_node = e.front .. "/tty" }
  e.name = name
  set_state(self, e, CONNECTED)
end

-- A further console: what its front end says decides.
local function follow(self, e, name)
  local state = self.ctx.store:read(e.front .. "/state")
  if not state then
    if e.handle then disconnect(self, e) end
  elseif (state == INITIALISED or state == CONNECTED) and not e.handle then
    connect(self, e, name)
  elseif state == CLOSING or state == CLOSED then
    disconnect(self, e)
    set_state(self, e, CLOSED)
  elseif state == "1" and e.said ~= INIT_WAIT then
    disconnect(self, e)
    set_state(self, e, INIT_WAIT)
  end
end

-- A front end's changes are not seen by the watch on our own folder.
local function watch_front(self, e)
  e.watcher = task.detach(function()
    local w <close> = self.ctx.store:watch(e.front .. "/state")
    while w and w:next() do
      if self.entries[e.key] ~= e then return end
      self:look(e.domid, e.num)
    end
  end)
end

local function forget(self, e)
  self.entries[e.key] = nil
  if e.watcher then e.watcher:cancel() end
  disconnect(self, e)
end

local function closing(self, e)
  if e.handle then self.on.last_words(e.handle) end
  if e.num > 0 then disconnect(self, e) end
  e.said = nil
  set_state(self, e, CLOSED)
end

local function look(self, domid, num)
  local store = self.ctx.store
  local key = domid .. "/" .. num
  local back = self.base .. "/" .. key
  local e = self.entries[key]
  local front = store:read(back .. "/frontend")
  if not front then
    if e then forget(self, e) end
    return
  end
  if front ~= front_of(domid, num) then return end -- not what a toolstack writes
  local kind = store:read(front .. "/type")
  if kind and kind ~= "xenconsoled" then return end
  if not e then
    e = { domid = domid, num = num, key = key, back = back, front = front }
    self.entries[key] = e
    if num > 0 then
      set_state(self, e, INIT_WAIT)
      watch_front(self, e)
    end
  end
  local state = store:read(back .. "/state")
  local name = store:read(back .. "/domain") or store:read("/local/domain/" .. domid .. "/name") or "domain-" .. domid
  if e.handle and e.name ~= name then
    e.name = name
    self.on.rename(e.handle, name)
  end
  if state == CLOSING then
    if num == 0 and not e.handle and e.said ~= CLOSED then connect(self, e, name) end -- it ended before we came by
    return closing(self, e)
  end
  if num > 0 then follow(self, e, name)
  elseif not e.handle then connect(self, e, name) end
end

--- Looks at one console. One at a time: it waits for the store in between.
function Discovery:look(domid, num)
  while self.busy do task.sleep(0.002) end
  self.busy = true
  local ok, err = pcall(look, self, domid, num)
  self.busy = false
  if not ok then error(err, 0) end
end

--- Looks at all there is.
function Discovery:look_all()
  local seen = {}
  for _, domid in ipairs(self.ctx.store:list(self.base) or {}) do
    for _, num in ipairs(self.ctx.store:list(self.base .. "/" .. domid) or {}) do
      local d, n = number(domid, 0x7fef), number(num, 0xffff)
      if d and n then
        seen[d .. "/" .. n] = true
        self:look(d, n)
      end
    end
  end
  local gone = {}
  for key, e in pairs(self.entries) do if not seen[key] then gone[#gone + 1] = e end end
  for _, e in ipairs(gone) do self:look(e.domid, e.num) end
end

-- A domain may end and its nodes stay, when its toolstack has died.
local function watch_deaths(self)
  local store = self.ctx.store
  local w <close> = store:watch "@releaseDomain" -- refused to a domain without that right: then the nodes must do
  while w and w:next() do
    local served = {}
    for _, e in pairs(self.entries) do if e.handle then served[#served + 1] = e end end
    for _, e in ipairs(served) do
      if store:is_introduced(e.domid) == false then
        disconnect(self, e)
        e.failed = nil
      end
    end
  end
end

--- Serves for ever.
function Discovery:run()
  local w <close> = assert(self.ctx.store:watch(self.base))
  task.spawn(watch_deaths, self)
  for path in w:events() do
    local domid, num = path:match "/backend/console/(%d+)/(%d+)"
    if domid and number(domid, 0x7fef) and number(num, 0xffff) then
      self:look(math.tointeger(domid), math.tointeger(num))
    else
      self:look_all()
    end
  end
end

return M
