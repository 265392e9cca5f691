--- What a reader wants to see. A query is data, so that it can come from another domain; what it asks for is checked.
-- Text is looked for by the reader itself, as a pattern may take any time.
-- @module xenkit.log.filter
local level = require "xenkit.log.level"

local M = {}

-- "www" is the domain of that name, and "www-2", an instance of it; a number is the domain of that number.
local function domain_test(domain)
  if domain == nil then return nil end
  local domid = math.tointeger(tonumber(domain))
  domain = tostring(domain)
  return function(log)
    return log.name == domain or log.domid == domid or
      (log.name:sub(1, #domain + 1) == domain .. "-" and log.name:find("^%d+$", #domain + 2) ~= nil)
  end
end
M.domain_test = domain_test

--- Makes a test of records of a book. @param q domain, level, source, since (wall clock, seconds)
-- @return function(record) -> boolean, and function(log) -> whether the reader cares for that domain; nil, message
function M.new(q)
  local least = q.level == nil and 1 or level.NUMBER[q.level]
  if not least then return nil, "no level '" .. tostring(q.level) .. "'; there are debug, info, warning, error" end
  if q.since ~= nil and type(q.since) ~= "number" then return nil, "since is a time in seconds" end
  if q.source ~= nil and not level.is_source(q.source) then return nil, "no source has such a name" end
  local domain, since, source = domain_test(q.domain), q.since, q.source
  local below = source and source .. "."
  return function(r)
    if r.least < least or (since and r.time < since) or (domain and not domain(r.log)) then return false end
    return not source or r.source == source or r.source:sub(1, #below) == below
  end, domain or function() return true end
end

return M
