--- Byte streams that wait: a socket, a vchan, a console, all with the same methods.
--
-- Reads and writes wait in the running task; `timeout` is in seconds, nil: none. At the end of a stream reads give nil,
-- "end of stream". A failure gives nil, message, "XK_ENAME".
-- @module xenkit.stream
local core = require "xenkit.core.stream"
local task = require "xenkit.task"

local M = {}
local Stream = {}
Stream.__index = Stream
Stream.__name = "xenkit.stream"

--- Wraps a core stream.
function M.wrap(raw)
  return setmetatable({ raw = raw, buf = "" }, Stream)
end

--- A stream over a descriptor, which belongs to it from now on.
function M.from_handle(world, handle)
  local raw, err, code = core.from_handle(world, handle)
  if not raw then return nil, err, code end
  return M.wrap(raw)
end

local function timed_out() return nil, "the deadline passed", "XK_ETIMEDOUT" end

local function wait(self, what, timeout)
  local id = task.wait_id()
  self.raw:arm(what, id)
  local ok <const> = task.wait(id, timeout)
  if self.raw:closed() then return nil, "the stream was closed", "XK_ECLOSED" end
  if not ok then
    self.raw:disarm(what)
    return timed_out()
  end
  return true
end

local function fill(self, timeout)
  while true do
    local data, err, code = self.raw:read()
    if data then return data end
    if code ~= "XK_EAGAIN" then return nil, err, code end
    local ok, e, c = wait(self, "r", timeout)
    if not ok then return nil, e, c end
  end
end

--- Some bytes, at least one, at most `n`.
function Stream:read(n, timeout)
  local buf = self.buf
  if buf == "" then
    local data, err, code = fill(self, timeout)
    if not data then return nil, err, code end
    buf = data
  end
  if n and #buf > n then
    self.buf = buf:sub(n + 1)
    return buf:sub(1, n)
  end
  self.buf = ""
  return buf
end

--- Exactly `n` bytes.
function Stream:read_exactly(n, timeout)
  local parts, have = {}, 0
  while have < n do
    local data, err, code = self:read(n - have, timeout)
    if not data then
      self.buf = table.concat(parts) .. self.buf
      return nil, err, code
    end
    parts[#parts + 1] = data
    have = have + #data
  end
  return table.concat(parts)
end

--- A line without its end ("\n" or "\r\n"), at most `max` bytes (default 65536).
function Stream:read_line(max, timeout)
  max = max or 65536
  local from = 1
  while true do
    local at = self.buf:find("\n", from, true)
    if at then
      local line = self.buf:sub(1, at - 1):gsub("\r$", "")
      self.buf = self.buf:sub(at + 1)
      return line
    end
    if #self.buf > max then return nil, "the line is longer than " .. max .. " bytes", "XK_EMSGSIZE" end
    from = #self.buf + 1
    local data, err, code = fill(self, timeout)
    if not data then
      if not code and self.buf ~= "" then
        local line = self.buf
        self.buf = ""
        return line
      end
      return nil, err, code
    end
    self.buf = self.buf .. data
  end
end

--- Writes all of `data`.
function Stream:write(data, timeout)
  local at, n = 1, #data
  while at <= n do
    local k, err, code = self.raw:write(data, at)
    if k then
      at = at + k
    elseif code == "XK_EAGAIN" then
      local ok, e, c = wait(self, "w", timeout)
      if not ok then return nil, e, c end
    else
      return nil, err, code
    end
  end
  return true
end

--- No more writing; the other side reads the end.
function Stream:shutdown() return self.raw:shutdown() end

function Stream:close() self.raw:close() end
function Stream:closed() return self.raw:closed() end
Stream.__close = Stream.close
Stream.__gc = function(s) s.raw:close() end

--- Copies from one stream to another until the end. @return bytes copied
function M.copy(from, to)
  local total = 0
  while true do
    local data, err, code = from:read()
    if not data then
      if code then return nil, err, code end
      return total
    end
    local ok, e, c = to:write(data)
    if not ok then return nil, e, c end
    total = total + #data
  end
end

--- A listening descriptor, which belongs to it from now on: `:accept(timeout)` gives a stream and the peer's name.
local Listener = {}
Listener.__index = Listener
Listener.__name = "xenkit.listener"

function M.listener(world, handle)
  local raw, err, code = core.acceptor(world, handle)
  if not raw then return nil, err, code end
  return setmetatable({ raw = raw, world = world }, Listener)
end

--- The next connection's descriptor, which is the caller's.
function Listener:accept_handle(timeout)
  while true do
    local h, err, code = self.raw:accept()
    if h then return h end
    if code == "XK_EMFILE" then
      task.sleep(0.05) -- others must close first
    elseif code ~= "XK_EAGAIN" then
      return nil, err, code
    else
      local id = task.wait_id()
      local ok, e, c = self.raw:arm(id)
      if not ok then return nil, e, c end
      if not task.wait(id, timeout) then return timed_out() end
    end
  end
end

function Listener:accept(timeout)
  local h, err, code = self:accept_handle(timeout)
  if not h then return nil, err, code end
  local peer = core.handle_peer(h)
  core.handle_nodelay(h)
  local s, e, c = M.from_handle(self.world, h)
  if not s then return nil, e, c end
  return s, peer
end

function Listener:close() self.raw:close() end
Listener.__close = Listener.close

return M
