--- Keeps a store: starts its process, starts the next one when that crashed (the journal has all that was
-- acknowledged), and hands a running store over to a new process with every connection (live update).
--
-- Keeper and store speak by lines over a socket pair: the store says "ready", "update" (somebody asked for it over the
-- store's own protocol), "saved"; the keeper says "save" and "leave".
--
-- How processes are made and watched differs between a hosted world (xenkit.host.toolstack) and dom0
-- (xenkit.cli.keep). The keeper is given `make(handles, first)`, which starts one with a list of {name, descriptor}
-- beside its own; `pid()`; `ended()`; `event(kind, text)`; and `updated()`, called after an update. With `forgets`
-- there is no journal: no process can go on where another one crashed.
--
-- Processes that end before they serve anybody are given up at some point. One that ended by itself said why, and soon
-- says it again. One that a signal ended (the kernel's, short of memory; somebody's) may well come up a moment later.
-- @module xenkit.host.store_keeper
local core_stream = require "xenkit.core.stream"
local files = require "xenkit.host.files"
local host = require "xenkit.core.host"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}
local Keeper = {}
Keeper.__index = Keeper
Keeper.__name = "xenkit.store_keeper"

local SAVE_TIMEOUT = 30
local STILLBORN, KILLED = 5, 12 -- so many in a row that did not come up, by themselves or by a signal: given up
local FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2 -- seconds after one that was killed; they double: 15 s in all
local CRASHES, PERIOD, PAUSE = 5, 10, 0.2 -- so many within so many seconds: the next one waits a moment

--- @param ops world, dir = where the state is put, the functions above; hurry: factor of all pauses, for tests
function M.new(ops)
  return setmetatable({ ops = ops, world = ops.world, state = ops.dir .. "/store.state", crashes = {}, stillborn = 0,
    killed = 0, updates = 0 }, Keeper)
end

-- What each process is handed: its end of the pair, and a file that it can save its state to.
local function handles(self, more)
  local mine, theirs, code = host.socketpair("stream")
  if not mine then return nil, theirs, code end
  os.remove(self.state)
  local out, err, c = host.open(self.state, "rw")
  if not out then return nil, err, c end
  self.talk, self.ready = assert(stream.from_handle(self.world, mine)), false
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

local function make(self, more, first)
  local list, err, code = handles(self, more)
  if not list then return nil, err, code end
  local ok
  ok, err, code = self.ops.make(list, first)
  close_all(list)
  if ok then listen(self) end
  return ok, err, code
end

--- Starts the first process.
function Keeper:start() return make(self, nil, true) end

-- The next process, which has the state or the journal.
local function renew(self, more)
  self.talk:close()
  return make(self, more)
end

-- Those that ended before they served anybody are counted. @return nil and a message when there are too many
local function tally(self, exit_code)
  local by_signal = exit_code > 128
  if self.ready then self.stillborn, self.killed = 0, 0
  elseif by_signal then self.killed = self.killed + 1
  else self.stillborn = self.stillborn + 1 end
  if self.stillborn < STILLBORN and self.killed < KILLED then return true end
  local words = (files.read(self.ops.dir .. "/stderr.log") or ""):match(".*\n?(store: [^\n]+)") or ""
  return nil, ("%d processes of it ended before they served anybody, the last with %s %d%s"):format(
    self.stillborn + self.killed, by_signal and "signal" or "exit code", by_signal and exit_code - 128 or exit_code,
    words ~= "" and ": " .. words or "")
end

-- How long the next one waits, in seconds.
local function pause(self, exit_code)
  if not self.ready and exit_code > 128 then
    return math.min(FIRST_PAUSE * 2 ^ (self.killed - 1), LONGEST_PAUSE)
  end
  local now, crashes = self.world:now(), self.crashes
  crashes[#crashes + 1] = now
  if #crashes > CRASHES then table.remove(crashes, 1) end
  return #crashes == CRASHES and now - crashes[1] < PERIOD and PAUSE or 0
end

--- The process ended unasked, with `exit_code` (128 + n: by signal n). Waits up to two seconds.
-- @return true when another one has taken its place; or nil, message, code
function Keeper:crashed(exit_code)
  if self.ops.forgets then return nil, ("exit code %d, and it kept no journal"):format(exit_code) end
  local ok, err = tally(self, exit_code)
  if not ok then return nil, err end
  local seconds = pause(self, exit_code)
  if seconds > 0 then task.sleep(seconds * (self.ops.hurry or 1)) end
  local code
  ok, err, code = renew(self)
  if ok then self.ops.event("restart", ("exit code %d; its journal goes on"):format(exit_code)) end
  return ok, err, code
end

-- The descriptors of sockets that the saved state names, borrowed from the process that has them.
local function borrow_sockets(self, pid)
  local text, err, code = files.read(self.state)
  if not text then return nil, err, code end
  if #text < 16 or text:sub(-8) ~= "XKSTORE1" then return nil, "the saved state has no end", "XK_EPROTO" end
  local count, list = ("<I4"):unpack(text, #text - 15), {}
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

local function wait_until(self, what, timeout)
  local deadline = self.world:now() + timeout
  while not what() do
    if self.world:now() > deadline then return nil end
    task.sleep(0.0005)
  end
  return true
end

local function hand_over(self)
  local began, pid = self.world:now(), self.ops.pid()
  self.saved = nil
  if not self.talk:write("save\n", 1) or not wait_until(self, function() return self.saved end, SAVE_TIMEOUT) then
    return nil, "the store does not save its state", "XK_ETIMEDOUT"
  end
  if self.saved ~= "saved" then return nil, self.saved, "XK_EIO" end
  local list, err, code = borrow_sockets(self, pid)
  if not list then return nil, err, code end
  local state
  state, err, code = host.open(self.state, "r")
  if not state then return nil, err, code end
  list[#list + 1] = { "state", state, true }
  self.talk:write("leave\n", 1)
  if not wait_until(self, self.ops.ended, 5) then host.signal(pid, 9) end
  wait_until(self, self.ops.ended, 5)
  local ok
  ok, err, code = renew(self, list)
  if not ok then return nil, err, code end
  if not wait_until(self, function() return self.ready end, 5) then
    return nil, "the new process does not come up", "XK_ETIMEDOUT"
  end
  return (self.world:now() - began) * 1000, #list - 1
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
    self.ops.event("update", ("%.1f ms, %d sockets"):format(ms, n))
    self.ops.updated()
  else
    self.ops.event("error", "update: " .. tostring(n))
  end
  return ms, n, code
end

return M
