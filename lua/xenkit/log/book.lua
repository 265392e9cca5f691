--- What the log domain keeps: the last records of each domain, in one order of arrival, bounded by records and bytes
-- for each domain and in all. Where all of it is full the domain that holds most gives way, so that a flood pushes out
-- itself.
--
-- Readers are cursors: `next` goes through the records in order. One that is slow finds records gone, and is told how
-- many of which domain.
-- @module xenkit.log.book
local M = {}

local Book, Cursor = {}, {}
Book.__index = Book
Cursor.__index = Cursor

local OVERHEAD = 512 -- bytes of Lua's around a record
M.LIMITS = { records = 10000, bytes = 4 << 20, all_records = 40000, all_bytes = 16 << 20, ended = 256 }

--- @param limits records, bytes of a domain; all_records, all_bytes; ended: how many domains that ended are remembered
function M.new(limits)
  local l = setmetatable({}, { __index = M.LIMITS })
  for k, v in pairs(limits or {}) do l[k] = v end
  return setmetatable({ limits = l, number = 0, records = 0, bytes = 0, evicted = 0, logs = {}, running = {},
    ended = {}, waiting = {} }, Book)
end

--- The log of a domain, made when it is new. Its `first`, `last` count its records as they came.
function Book:log(domid, name)
  local log = self.running[domid]
  if not log then
    log = { domid = domid, name = name, records = 0, bytes = 0, evicted = 0, first = 1, last = 0 }
    self.running[domid], self.logs[log] = log, true
  end
  return log
end

-- --- keeping -------------------------------------------------------------------------------------------------------

local function evict(book, log)
  local r = log.head
  log.head = r.after
  log.first = log.first + 1
  log.records, log.bytes, log.evicted = log.records - 1, log.bytes - r.size, log.evicted + 1
  book.records, book.bytes, book.evicted = book.records - 1, book.bytes - r.size, book.evicted + 1
  if r.prev then r.prev.next = r.next else book.head = r.next end
  if r.next then r.next.prev = r.prev else book.tail = r.prev end
  for c in pairs(r.cursors or {}) do c:at(r.next) end
  r.prev, r.next, r.after = nil, nil, nil
end

local function largest(book)
  local most
  for log in pairs(book.logs) do
    if log.head and (not most or log.bytes > most.bytes) then most = log end
  end
  return most
end

local function make_room(book, log, size)
  local l = book.limits
  while log.head and (log.records + 1 > l.records or log.bytes + size > l.bytes) do evict(book, log) end
  while book.head and (book.records + 1 > l.all_records or book.bytes + size > l.all_bytes) do
    evict(book, largest(book))
  end
end

--- Adds a record. @param r {time, flags, bytes, least (its level's number), source}; it belongs to the book
function Book:add(log, r)
  r.size = #r.bytes + OVERHEAD
  make_room(self, log, r.size)
  self.number, log.last = self.number + 1, log.last + 1
  r.log, r.number, r.index = log, self.number, log.last
  if log.head then log.tail.after = r else log.head = r end
  log.tail = r
  r.prev = self.tail
  if self.tail then self.tail.next = r else self.head = r end
  self.tail = r
  log.records, log.bytes = log.records + 1, log.bytes + r.size
  self.records, self.bytes = self.records + 1, self.bytes + r.size
  local waiting = self.waiting
  if next(waiting) then
    self.waiting = {}
    for c in pairs(waiting) do
      c:at(r)
      if c.wake then c.wake() end
    end
  end
end

--- The domain has ended: what it said stays, but of domains that ended only so many do, the last ones.
-- @return the log that made room, or nil
function Book:close(log)
  local list = self.ended
  self.running[log.domid] = nil
  list[#list + 1] = log
  if #list <= self.limits.ended then return nil end
  local old = table.remove(list, 1)
  while old.head do evict(self, old) end
  self.logs[old] = nil
  return old
end

-- --- reading -------------------------------------------------------------------------------------------------------

--- Puts the cursor before record `r`; nil: at the end.
function Cursor:at(r)
  local was = self.record
  if was and was.cursors then
    was.cursors[self] = nil
    if not next(was.cursors) then was.cursors = nil end
  end
  self.record = r
  if r then
    r.cursors = r.cursors or {}
    r.cursors[self] = true
  else
    self.book.waiting[self] = true
  end
end

--- A reader, before the first record. @param tail instead before the last so many that `wanted(record)`
function Book:cursor(tail, wanted)
  local c = setmetatable({ book = self, seen = {} }, Cursor)
  local start, left = self.head, tail
  if left then
    for log in pairs(self.logs) do c.seen[log] = log.last end
    start = nil
    local r = self.tail
    while r and left > 0 do
      if wanted(r) then left = left - 1 end
      c.seen[r.log], start, r = r.index - 1, r, r.prev
    end
  else
    for log in pairs(self.logs) do c.seen[log] = log.first - 1 end
  end
  c:at(start)
  return c
end

--- Whether all that came so far was read.
function Cursor:at_end() return self.record == nil end

--- The next record, and how many of the same domain were gone before it was reached; nil at the end.
function Cursor:next()
  local r = self.record
  if not r then return nil end
  self:at(r.next)
  local missed = r.index - (self.seen[r.log] or 0) - 1
  self.seen[r.log] = r.index
  return r, missed
end

function Cursor:close()
  self:at(nil)
  self.book.waiting[self] = nil
  self.wake = nil
end
Cursor.__close = Cursor.close

return M
