--- What waits in a domain to be sent: bounded by records and bytes. What does not fit is counted and gone; its sequence
-- number is missing then, so that the receiver sees where.
-- @module xenkit.log.queue
local Queue = {}
Queue.__index = Queue

local M = { RECORDS = 1000, BYTES = 256 * 1024 }

function M.new(records, bytes)
  return setmetatable({ first = 1, last = 0, size = 0, dropped = 0, records = records or M.RECORDS,
    bytes = bytes or M.BYTES }, Queue)
end

--- @return whether it fitted
function Queue:push(seq, bytes)
  if self.last - self.first + 1 >= self.records or self.size + #bytes > self.bytes then
    self.dropped = self.dropped + 1
    return false
  end
  local last = self.last + 1
  self.last, self[last] = last, { seq, bytes }
  self.size = self.size + #bytes
  return true
end

--- The sequence number of the first that waits, or nil.
function Queue:seq()
  local e = self[self.first]
  return e and e[1]
end

--- The first ones that wait, up to about `max` bytes, at least one. @return a list of bytes
function Queue:peek(max)
  local list, size = {}, 0
  for i = self.first, self.last do
    local bytes = self[i][2]
    if size > 0 and size + #bytes > max then break end
    list[#list + 1] = bytes
    size = size + #bytes
  end
  return list
end

--- Takes `n` away.
function Queue:drop(n)
  for i = self.first, self.first + n - 1 do
    self.size = self.size - #self[i][2]
    self[i] = nil
  end
  self.first = self.first + n
end

return M
