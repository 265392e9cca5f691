--- What the log domain knows of one sender: up to which sequence number it has its records. Each record is taken once,
-- whatever way it came; a number that is missing is counted as lost and said at its place. So received + lost is the
-- number of what it logged, as far as it has been heard of.
-- @module xenkit.log.intake
local level = require "xenkit.log.level"
local wire = require "xenkit.log.wire"

local M = {}
local Intake = {}
Intake.__index = Intake

--- What is counted, as `xenkit log --stats` shows it: records that came, that did not; of those that came, how many
-- from the ring, after the sender's end and in its life; that came again, that were none; how often it had to wait.
M.COUNTERS = { "received", "lost", "last_words", "recovered", "duplicates", "malformed", "limited" }

--- @param book of `xenkit.log.book`, log = its log of this domain
-- @param clock function() -> wall clock; rate, burst: records a second, and at once; rate 0: no limit
function M.new(book, log, clock, rate, burst)
  return setmetatable({ book = book, log = log, clock = clock, rate = rate or 0, burst = burst or 0,
    tokens = burst or 0, seq = 0, received = 0, lost = 0, last_words = 0, recovered = 0, duplicates = 0,
    malformed = 0, limited = 0 }, Intake)
end

local function add(self, flags, bytes, n, source)
  self.book:add(self.log, { time = self.clock(), flags = flags, bytes = bytes, least = n, source = source })
end

-- Something that the log domain says itself, at this place.
local function note(self, flags, text, fields)
  local now = self.clock()
  add(self, flags, wire.record(self.seq + 1, 0, now, level.NUMBER.warning, "log", text, fields), level.NUMBER.warning,
    "log")
end

-- Records up to (but without) `seq` never came.
local function gap(self, seq, why)
  local count = seq - self.seq - 1
  if count <= 0 then return end
  self.lost = self.lost + count
  note(self, wire.LOST, ("%d record%s lost here%s"):format(count, count == 1 and " was" or "s were", why or ""),
    { count = count, first = self.seq + 1, last = seq - 1 })
  self.seq = seq - 1
end

--- Takes a record that came over the vchan. @return nil, message: these bytes are none
function Intake:record(bytes, flags)
  local seq, n, source = wire.peek(bytes)
  if not seq then
    self.malformed = self.malformed + 1
    return nil, "no record"
  end
  if seq <= self.seq then
    self.duplicates = self.duplicates + 1
    return true
  end
  gap(self, seq)
  self.seq, self.received = seq, self.received + 1
  add(self, flags or 0, bytes, n, source)
  return true
end

--- A connection begins. @param following the number of the first record that it will send
-- @param from its first number of all, where that is not 1
-- @param ring what its ring of last words holds, oldest first: what never arrived of it is taken from there
function Intake:hello(following, ring, from)
  if self.seq == 0 and from and from >= 1 and from <= following then self.seq = from - 1 end
  for _, bytes in ipairs(ring or {}) do
    local seq = wire.peek(bytes)
    if seq and seq > self.seq and seq < following then
      gap(self, seq)
      self.recovered = self.recovered + 1
      self:record(bytes, wire.RECOVERED)
    end
  end
  gap(self, following)
end

--- All up to (but without) `seq` was sent or dropped.
function Intake:reached(seq) if seq > 0 and seq < wire.SEQ_MAX then gap(self, seq) end end

--- The connection ended. @param ring as in hello: its last words. @return how many were new
function Intake:ended(ring)
  local before = self.last_words
  for _, bytes in ipairs(ring or {}) do
    local seq = wire.peek(bytes)
    if seq and seq > self.seq then
      self.last_words = self.last_words + 1
      self:record(bytes, wire.LAST_WORDS)
    end
  end
  return self.last_words - before
end

--- Counts `n` records that were read against the rate. @return seconds for which no more is to be read
function Intake:pace(n, now)
  if self.rate <= 0 then return 0 end
  self.tokens = math.min(self.burst, self.tokens + (now - (self.paced or now)) * self.rate) - n
  self.paced = now
  if self.tokens >= 0 then return 0 end
  self.limited = self.limited + 1
  return -self.tokens / self.rate
end

return M
