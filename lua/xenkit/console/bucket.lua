--- A token bucket: how fast one may go on. It may be overdrawn once by what is taken in one piece; then one waits until
-- the debt is paid. Time comes from the caller, in seconds.
-- @module xenkit.console.bucket
local M = {}
local Bucket = {}
Bucket.__index = Bucket
Bucket.__name = "xenkit.console.bucket"

--- @param rate tokens a second; 0: no limit
-- @param burst tokens it holds
function M.new(rate, burst, now)
  return setmetatable({ rate = rate, burst = burst, tokens = burst, at = now }, Bucket)
end

local function fill(self, now)
  self.tokens = math.min(self.burst, self.tokens + math.max(0, now - self.at) * self.rate)
  self.at = now
end

function Bucket:take(n, now)
  if self.rate == 0 then return end
  fill(self, now)
  self.tokens = self.tokens - n
end

--- Seconds until something may be taken again; 0: now.
function Bucket:delay(now)
  if self.rate == 0 then return 0 end
  fill(self, now)
  return self.tokens > 0 and 0 or (1 - self.tokens) / self.rate
end

return M
