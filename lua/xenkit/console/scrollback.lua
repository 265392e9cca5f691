--- What a console has said: the last bytes of it, by place and time, within bounds.
--
-- Places count all bytes since the beginning, so that a reader can go on where it stopped. Each scrollback has a bound;
-- several may share a pool, where the largest gives way first.
-- @module xenkit.console.scrollback
local M = {}
local Scrollback = {}
Scrollback.__index = Scrollback
Scrollback.__name = "xenkit.console.scrollback"

local CHUNK = 1024 -- what comes in drops is gathered, as a table entry a byte would cost forty
local LINE = 4096  -- a line that is longer is matched in parts

--- A pool: @param limit bytes for all scrollbacks of it together
function M.pool(limit) return { limit = limit, size = 0, members = {} } end

--- @param limit bytes
-- @param pool optional
function M.new(limit, pool)
  local self = setmetatable({ limit = limit, pool = pool, size = 0, total = 0, dropped = 0, first = 1, last = 0,
    chunks = {}, times = {} }, Scrollback)
  if pool then pool.members[self] = true end
  return self
end

local function drop_first(self)
  local chunk = self.chunks[self.first]
  self.chunks[self.first], self.times[self.first] = nil, nil
  self.first = self.first + 1
  self.size = self.size - #chunk
  self.dropped = self.dropped + #chunk
  if self.pool then self.pool.size = self.pool.size - #chunk end
end

local function largest(pool)
  local best
  for s in pairs(pool.members) do if not best or s.size > best.size then best = s end end
  return best
end

local function trim(self)
  while self.size > self.limit do drop_first(self) end
  local pool = self.pool
  while pool and pool.size > pool.limit do
    local s = largest(pool)
    if not s or s.size == 0 then return end
    drop_first(s)
  end
end

--- Keeps `text`, which came at `time`, in seconds: a line's time is right to a second.
function M.add(self, text, time)
  if text == "" then return end
  local last = self.chunks[self.last]
  local full = (self.last - self.first) * 64 > self.limit -- of entries; then times are less exact
  if last and #last + #text <= CHUNK and (full or time - self.times[self.last] < 1) then
    self.chunks[self.last] = last .. text
  else
    self.last = self.last + 1
    self.chunks[self.last], self.times[self.last] = text, time
  end
  self.size = self.size + #text
  self.total = self.total + #text
  if self.pool then self.pool.size = self.pool.size + #text end
  trim(self)
end
Scrollback.add = M.add

--- What is kept from place `from` on. @param max about how many bytes at most
-- @return text, and how many bytes before it are gone
function Scrollback:from(from, max)
  local first = self.total - self.size
  local lost = math.max(0, first - from)
  from = math.max(from, first)
  local i, at = self.last + 1, self.total -- mostly it is the end that is asked for
  while i > self.first and at > from do
    i = i - 1
    at = at - #self.chunks[i]
  end
  local parts, n = {}, 0
  while i <= self.last and n < (max or math.huge) do
    local chunk = self.chunks[i]
    if at < from then chunk, at = chunk:sub(from - at + 1), from end
    parts[#parts + 1] = chunk
    n, at, i = n + #chunk, at + #chunk, i + 1
  end
  return table.concat(parts), lost
end

function Scrollback:text() return (self:from(0)) end

--- The last `lines` lines; one that has begun counts.
function Scrollback:tail(lines)
  local text = self:text()
  local at, count = #text, text:sub(-1) == "\n" and -1 or 0
  while at > 0 do
    if text:byte(at) == 10 then
      count = count + 1
      if count >= lines then return text:sub(at + 1) end
    end
    at = at - 1
  end
  return text
end

--- The place of the last `bytes` bytes, or of the beginning of a line among them.
function Scrollback:recent(bytes)
  local place = self.total - math.min(bytes, self.size)
  if place == self.total - self.size then return place end
  local at = self:from(place):find("\n", 1, true)
  return at and place + at or place
end

--- An iterator over lines: place, time, line without its end.
function Scrollback:lines()
  local i, at, from, place = self.first, 1, self.first, self.total - self.size
  local line_place, parts = place, {}
  return function()
    while i <= self.last do
      local chunk = self.chunks[i]
      local ended = chunk:find("\n", at, true)
      parts[#parts + 1] = chunk:sub(at, ended and ended - 1)
      place = place + #parts[#parts] + (ended and 1 or 0)
      if ended then
        local line, p, t = table.concat(parts), line_place, self.times[from]
        at, from, line_place, parts = ended + 1, i, place, {}
        return p, t, (line:gsub("\r+$", ""))
      end
      i, at = i + 1, 1
      if #parts == 1 and parts[1] == "" then from, parts = i, {} end
    end
    local line = table.concat(parts)
    parts = {}
    if line ~= "" then return line_place, self.times[from], line end
  end
end

local function matches(line, pattern, plain)
  for at = 1, #line, LINE do
    if line:sub(at, at + LINE - 1):find(pattern, 1, plain) then return true end
  end
  return false
end

--- Lines that have `pattern` in them, the last ones first found. "XK_EINVAL": it is no pattern.
-- @param opts lua = it is a Lua pattern and not a text; max = how many at most (default 1000)
-- @return a list of {place, time, line}, and how many there were
function Scrollback:search(pattern, opts)
  opts = opts or {}
  local ok, err = pcall(string.find, "", pattern, 1, not opts.lua)
  if not ok then
    return nil, ("'%s' is no Lua pattern: %s"):format(pattern, (tostring(err):gsub("^.-:%d+: ", ""))), "XK_EINVAL"
  end
  local found, max = {}, opts.max or 1000
  local count = 0
  for place, time, line in self:lines() do
    if matches(line, pattern, not opts.lua) then
      count = count + 1
      found[(count - 1) % max + 1] = { place = place, time = time, line = line }
    end
  end
  table.sort(found, function(a, b) return a.place < b.place end)
  return found, count
end

--- Gives all back.
function Scrollback:free()
  while self.size > 0 do drop_first(self) end
  if self.pool then self.pool.members[self] = nil end
end

return M
