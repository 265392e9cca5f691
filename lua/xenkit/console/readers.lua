--- Who looks at a console, and who types: many readers, one writer.
--
-- Each reader has its own backlog and its own filter. One that does not keep up loses the middle and is told how much,
-- nobody else waits for it; a reader that must have all (a bridge) holds the console back instead, up to a deadline.
-- The writer is who asked first; it stays until it leaves, or until somebody takes over, which it is told.
-- @module xenkit.console.readers
local escape = require "xenkit.console.escape"
local task = require "xenkit.task"

local M = {}
local Readers = {}
Readers.__index = Readers
Readers.__name = "xenkit.console.readers"
local Reader = {}
Reader.__index = Reader
Reader.__name = "xenkit.console.reader"

local BACKLOG = 64 * 1024
local PATIENCE = 30 -- seconds that a console is held back
local READERS_MAX = 64
local LAZY = 10 -- seconds

function M.new() return setmetatable({ list = {}, count = 0, lost = 0, refused = 0 }, Readers) end

local function wake(reader)
  local id = reader.wait
  reader.wait = nil
  if id then task.wake(id) end
end

--- Adds a reader. @param opts who; escape; complete = it must have all; text = what it gets first; lazy = it gives the
-- keyboard up when it has not typed for ten seconds
-- @return the reader, or nil, message, "XK_EMFILE"
function Readers:add(opts)
  if self.count >= READERS_MAX then
    self.refused = self.refused + 1
    return nil, "the console has " .. READERS_MAX .. " readers; one must leave first", "XK_EMFILE"
  end
  local reader = setmetatable({ all = self, who = opts.who or "somebody",
    filter = escape.filter(opts.escape or "raw"), lazy = opts.lazy, complete = opts.complete,
    wants_all = opts.complete, pending = {}, size = 0, lost = 0, lost_total = 0, given = 0 }, Reader)
  self.list[reader] = true
  self.count = self.count + 1
  if opts.text and opts.text ~= "" then reader:give(opts.text) end
  return reader
end

--- Gives `text` to all of them.
function Readers:give(text)
  for reader in pairs(self.list) do reader:give(text) end
end

function Reader:give(text)
  if self.ended then return end
  if self.size > BACKLOG and not self.complete then
    self.lost = self.lost + #text
    self.lost_total = self.lost_total + #text
    self.all.lost = self.all.lost + #text
    return
  end
  text = self.filter(text)
  self.pending[#self.pending + 1] = text
  self.size = self.size + #text
  wake(self)
end

--- A line from the service to this reader alone.
function Reader:tell(text)
  text = "\r\n[xenkit: " .. text .. "]\r\n"
  self.pending[#self.pending + 1] = text
  self.size = self.size + #text
  wake(self)
end

--- Waits for what is to be shown. @return text, "" at the timeout; nil when the console has ended or the reader left
function Reader:next(timeout)
  while #self.pending == 0 do
    if self.ended then return nil end
    self.wait = task.wait_id()
    if not task.wait(self.wait, timeout) then return "" end
  end
  local text = table.concat(self.pending)
  if self.lost > 0 then
    text = text .. ("\r\n[xenkit: %d bytes were lost here, the reader was slow]\r\n"):format(self.lost)
    self.lost = 0
  end
  self.pending, self.size, self.complete = {}, 0, self.wants_all
  self.given = self.given + #text
  local id = self.all.holder
  self.all.holder = nil
  if id then task.wake(id) end
  return text
end

--- Waits while a reader that must have all is behind, up to a deadline; then that one loses like others.
-- @return seconds that it took
function Readers:hold(now)
  local began, behind = now(), {}
  for reader in pairs(self.list) do
    if reader.complete and reader.size > BACKLOG then behind[#behind + 1] = reader end
  end
  for _, reader in ipairs(behind) do
    while reader.complete and reader.size > BACKLOG and self.list[reader] and not reader.ended do
      local left = PATIENCE - (now() - began)
      self.holder = task.wait_id()
      if left <= 0 or not task.wait(self.holder, left) then
        reader.complete = false
        return now() - began
      end
    end
  end
  return now() - began
end

-- Somebody who became the writer by typing, and has not typed for a while, gives way.
local function idle(writer, now) return writer.lazy and now - (writer.typed or 0) > LAZY end

--- Asks to type, before each time. @param now in seconds
-- @param take = although somebody else does
-- @return true, or false and who types
function Reader:claim(now, take)
  local all = self.all
  local writer = all.writer
  if writer and writer ~= self then
    if not take and not idle(writer, now) then return false, writer.who end
    if take then writer:tell(self.who .. " has taken the keyboard; you only look now") end
  end
  all.writer = self
  self.typed = now
  return true
end

--- The reader is told that it ends once it has shown what is there.
function Reader:finish()
  self.ended = true
  wake(self)
end

function Reader:leave()
  local all = self.all
  if not all.list[self] then return end
  all.list[self] = nil
  all.count = all.count - 1
  if all.writer == self then all.writer = nil end
  local id = all.holder
  all.holder = nil
  if id then task.wake(id) end
  self:finish()
end

--- The console has ended.
function Readers:finish()
  for reader in pairs(self.list) do reader:finish() end
end

return M
