--- Who looks at a console, and who types: many readers, one writer.
--
-- A reader has a place in the scrollback and takes from there, through its own filter: it needs no memory of its own,
-- and nobody waits for it. One that falls behind what is kept loses that, and is told how much. A reader that must have
-- all (a bridge) holds the console back instead, up to a deadline.
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

local PIECE = 16 * 1024
local BEHIND = 64 * 1024 -- where a reader that must have all begins to hold the console back
local PATIENCE = 30 -- seconds that it may
local READERS_MAX = 64
local LAZY = 10 -- seconds
local TOLD_MAX = 16

--- @param history the scrollback of the console
function M.new(history)
  return setmetatable({ history = history, list = {}, count = 0, lost = 0, refused = 0 }, Readers)
end

local function wake(reader)
  local id = reader.wait
  reader.wait = nil
  if id then task.wake(id) end
end

--- Adds a reader. @param opts who; escape; place = where in the scrollback it begins (default: now); complete = it must
-- have all; lazy = it gives the keyboard up when it has not typed for ten seconds
-- @return the reader, or nil, message, "XK_EMFILE"
function Readers:add(opts)
  if self.count >= READERS_MAX then
    self.refused = self.refused + 1
    return nil, "the console has " .. READERS_MAX .. " readers; one must leave first", "XK_EMFILE"
  end
  local reader = setmetatable({ all = self, who = opts.who or "somebody", place = opts.place or self.history.total,
    filter = escape.filter(opts.escape or "raw"), lazy = opts.lazy, complete = opts.complete,
    wants_all = opts.complete, told = {} }, Reader)
  self.list[reader] = true
  self.count = self.count + 1
  return reader
end

--- There is more in the scrollback.
function Readers:more()
  for reader in pairs(self.list) do wake(reader) end
end

--- A line from the service to this reader alone.
function Reader:tell(text)
  if #self.told >= TOLD_MAX then return end -- it does not read at all
  self.told[#self.told + 1] = "\r\n[xenkit: " .. text .. "]\r\n"
  wake(self)
end

local function behind(reader) return reader.all.history.total - reader.place end

-- Whoever holds the console back has taken something.
local function release(all)
  local id = all.holder
  all.holder = nil
  if id then task.wake(id) end
end

local function next_piece(self)
  local text, lost = self.all.history:from(self.place, PIECE)
  self.place = self.place + lost + #text
  text = self.filter(text)
  if lost > 0 then
    self.all.lost = self.all.lost + lost
    text = ("\r\n[xenkit: %d bytes were lost here, they came faster than they were read]\r\n"):format(lost) .. text
  end
  if behind(self) == 0 then self.complete = self.wants_all end
  release(self.all)
  return text
end

--- Waits for what is to be shown. @return text, "" at the timeout; nil when the console has ended or the reader left
function Reader:next(timeout)
  while true do
    if self.told[1] then return table.remove(self.told, 1) end
    if self.left then return nil end
    if behind(self) > 0 then return next_piece(self) end
    if self.ended then return nil end
    self.wait = task.wait_id()
    if not task.wait(self.wait, timeout) then return "" end
  end
end

--- Waits while a reader that must have all is behind, up to a deadline; then that one loses like others.
-- @return seconds that it took
function Readers:hold(now)
  local list
  local limit = math.min(BEHIND, self.history.limit // 2)
  for reader in pairs(self.list) do
    if reader.complete and behind(reader) > limit then
      list = list or {}
      list[#list + 1] = reader
    end
  end
  if not list then return 0 end
  local began = now()
  for _, reader in ipairs(list) do
    while reader.complete and behind(reader) > limit and self.list[reader] and not reader.ended do
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
  self.left = true
  release(all)
  self:finish()
end

--- The console has ended.
function Readers:finish()
  for reader in pairs(self.list) do reader:finish() end
end

return M
