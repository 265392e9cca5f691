--- Keeps the store of a hosted world: starts its process, starts the next one when that crashed (the journal has all that
-- was acknowledged), and hands a running store over to a new process with every connection (live update).
--
-- Keeper and store speak by lines over a socket pair: the store says "ready", "update" (somebody asked for it over the
-- store's own protocol), "saved"; the keeper says "save" and "leave".
-- @module xenkit.host.store_keeper
local builder = require "xenkit.host.builder"
local core_stream = require "xenkit.core.stream"
local core_world = require "xenkit.core.world"
local files = require "xenkit.host.files"
local host = require "xenkit.core.host"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}
local Keeper = {}
Keeper.__index = Keeper
Keeper.__name = "xenkit.store_keeper"

local DOMID, DOM0_PORT = 1, 1 -- the first domain, and domain 0's first port
local SAVE_TIMEOUT = 30
local STILLBORN = 5 -- so many processes one after the other that did not come up: it cannot go on
local CRASHES, PERIOD, PAUSE = 5, 10, 0.2 -- so many within so many seconds: the next one waits a moment

--- @param ts the toolstack
-- @param t the store's template
function M.new(ts, t)
  return setmetatable({ ts = ts, template = t, state = ts.dir .. "/store.state", crashes = {}, updates = 0 }, Keeper)
end

-- What each process is handed: its end of the pair, and a file that it can save its state to.
local function handles(self, more)
  local mine, theirs, code = host.socketpair("stream")
  if not mine then return nil, theirs, code end
  os.remove(self.state)
  local out, err, c = host.open(self.state, "rw")
  if not out then return nil, err, c end
  self.talk, self.ready = assert(stream.from_handle(self.ts.world, mine)), false
  local list = { { "keeper", theirs, true }, { "state-out", out, true } }
  for _, h in ipairs(more or {}) do list[#list + 1] = h end
  return list
end

local function close_all(list)
  for _, h in ipairs(list) do if h[3] then core_stream.handle_close(h[2]) end end
end

local function listen(self)
  local talk = self.talk
  task.detach(function()
    while true do
      local line = talk:read_line(200)
      if not line then return end
      if line == "ready" then self.ready = true end
      if line == "update" then task.detach(function() self:update() end) end
      if line:match("^saved") or line:match("^failed") then self.saved = line end
    end
  end)
end

local function build(self)
  local w = self.ts.world
  w:domctl(DOMID, "set_virq_handler", core_world.VIRQ_DOM_EXC)
  local ok, err, code = host.built(w, 0, DOMID, DOM0_PORT, 0, -1)
  if ok then ok, err, code = host.built(w, DOMID, 0, -1, 0, -1) end
  if ok then listen(self) end
  return ok, err, code
end

--- Starts the store as the first domain. @return its number
function Keeper:start()
  local ts = self.ts
  local list, err, code = handles(self)
  if not list then return nil, err, code end
  local domid
  domid, err, code = builder.create(ts.world, ts.program, self.template, { name = "store", store = false,
    dom0_port = DOM0_PORT, lasting = true, handles = list })
  close_all(list)
  if not domid then return nil, err, code end
  if domid ~= DOMID then return nil, "the store is to be domain 1", "XK_EINVAL" end
  local port
  port, err, code = host.evtchn_for(ts.world, 0, domid)
  if not port then return nil, err, code end
  if port ~= DOM0_PORT then return nil, "domain 0's first port is not 1", "XK_EINVAL" end
  local ok
  ok, err, code = build(self)
  if not ok then return nil, err, code end
  return domid
end

-- The next process, which has the state or the journal.
local function renew(self, more)
  local ts = self.ts
  self.talk:close()
  local list, err, code = handles(self, more)
  if not list then return nil, err, code end
  local ok
  ok, err, code = builder.renew(ts.world, ts.program, self.template, DOMID, { name = "store", store = false,
    dom0_port = DOM0_PORT, handles = list })
  close_all(list)
  if ok then ok, err, code = build(self) end
  return ok, err, code
end

--- The store's process ended unasked. @return true when another one has taken its place
function Keeper:crashed(info)
  local now = self.ts.world:now()
  self.stillborn = self.ready and 0 or (self.stillborn or 0) + 1
  if self.stillborn == STILLBORN then
    local words = (files.read(self.ts.dir .. "/stderr.log") or ""):match(".*\n?(store: [^\n]+)") or ""
    return nil, ("%d processes of it ended before they served anybody, the last with exit code %d%s"):format(STILLBORN,
      info.exit_code, words ~= "" and ": " .. words or "")
  end
  self.crashes[#self.crashes + 1] = now
  if #self.crashes > CRASHES then table.remove(self.crashes, 1) end
  if #self.crashes == CRASHES and now - self.crashes[1] < PERIOD then task.sleep(PAUSE) end
  local ok, err, code = renew(self)
  if ok then self.ts:event("restart", "store", ("exit code %d; its journal goes on"):format(info.exit_code)) end
  return ok, err, code
end

-- The descriptors of sockets that the saved state names, borrowed from the process that has them.
local function borrow_sockets(self, pid)
  local text, err, code = files.read(self.state)
  if not text then return nil, err, code end
  local count, magic = text:match("^....", #text - 15), text:sub(-8)
  if #text < 16 or magic ~= "XKSTORE1" then return nil, "the saved state has no end", "XK_EPROTO" end
  count = ("<I4"):unpack(count)
  local list = {}
  for i = 1, count do
    local fd = ("<I4"):unpack(text, #text - 15 - 4 * (count - i + 1))
    local mine, e, c = host.borrow(pid, fd)
    if not mine then
      close_all(list)
      return nil, ("descriptor %d of the store: %s"):format(fd, e), c
    end
    list[i] = { "sock:" .. fd, mine, true }
  end
  return list
end

local function wait_for(self, what, timeout)
  local deadline = self.ts.world:now() + timeout
  while not what() do
    if self.ts.world:now() > deadline then return nil end
    task.sleep(0.0005)
  end
  return true
end

local function process_ended(self)
  local info = self.ts.world:domain(DOMID)
  return info and info.state == "shutdown" and info.pid == 0
end

local function hand_over(self)
  local w = self.ts.world
  local info = w:domain(DOMID)
  local began = w:now()
  self.saved = nil
  if not self.talk:write("save\n", 1) or not wait_for(self, function() return self.saved end, SAVE_TIMEOUT) then
    return nil, "the store does not save its state", "XK_ETIMEDOUT"
  end
  if self.saved ~= "saved" then return nil, self.saved, "XK_EIO" end
  local list, err, code = borrow_sockets(self, info.pid)
  if not list then return nil, err, code end
  local state
  state, err, code = host.open(self.state, "r")
  if not state then return nil, err, code end
  list[#list + 1] = { "state", state, true }
  self.talk:write("leave\n", 1)
  if not wait_for(self, function() return process_ended(self) end, 5) then host.signal(info.pid, 9) end
  wait_for(self, function() return process_ended(self) end, 5)
  local ok
  ok, err, code = renew(self, list)
  if not ok then return nil, err, code end
  if not wait_for(self, function() return self.ready end, 5) then
    return nil, "the new process does not come up", "XK_ETIMEDOUT"
  end
  return (w:now() - began) * 1000, #list - 1
end

--- Hands the running store over to a new process: new code, the same connections, watches, transactions.
-- @return milliseconds in which nobody was served, sockets handed over; or nil, message, code
function Keeper:update()
  if self.updating then return nil, "an update is under way", "XK_EBUSY" end
  self.updating = true
  local ok, ms, n, code = pcall(hand_over, self)
  self.updating = nil
  if not ok then ms, n, code = nil, ms, "XK_EIO" end
  if ms then
    self.updates = self.updates + 1
    self.ts:event("update", "store", ("%.1f ms, %d sockets"):format(ms, n))
    self.ts:rewire_store_console()
  else
    self.ts:event("error", "store", "update: " .. tostring(n))
  end
  return ms, n, code
end

return M
