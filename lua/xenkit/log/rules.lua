--- The levels that were set at run time, in the log domain: for the world, for domains, and for sources of either.
-- @module xenkit.log.rules
local level = require "xenkit.log.level"

local M = {}
local Rules = {}
Rules.__index = Rules

local MAX, SOURCES = 256, 64

function M.new() return setmetatable({ world = {}, domains = {}, count = 0 }, Rules) end

local ALLOWED = {}
for _, name in ipairs(level.RULES) do ALLOWED[name] = true end

local function empty(set) return not set.level and not next(set.sources or {}) end

--- Sets a level. @param domain, source nil: all of them; word: a level, "off", or "reset", which takes the rule back
-- @return true, or nil, message, code
function Rules:set(domain, source, word)
  if not ALLOWED[word] then
    return nil, "no level '" .. tostring(word) .. "'; there are " .. table.concat(level.RULES, ", "), "XK_EINVAL"
  end
  if source ~= nil and not level.is_source(source) then return nil, "no source has such a name", "XK_EINVAL" end
  local set = domain == nil and self.world or self.domains[domain]
  if not set then
    if self.count >= MAX then return nil, "levels are set for " .. MAX .. " domains already", "XK_EMFILE" end
    set = {}
    self.domains[domain], self.count = set, self.count + 1
  end
  if source and not (set.sources and set.sources[source]) then
    local n = 0
    for _ in pairs(set.sources or {}) do n = n + 1 end
    if n >= SOURCES then return nil, "levels are set for " .. SOURCES .. " sources already", "XK_EMFILE" end
  end
  local to = word ~= "reset" and word or nil
  if source then
    set.sources = set.sources or {}
    set.sources[source] = to
  else
    set.level = to
  end
  if domain and empty(set) then self.domains[domain], self.count = nil, self.count - 1 end
  return true
end

--- The rules of a domain: by its own name, else by that of its template ("www" for "www-2").
function Rules:of(name) return self.domains[name] or self.domains[name:match("^(.*)%-%d+$") or ""] or {} end

--- A domain that was told rules by a log domain before this one brings them along; they hold unless others were set.
function Rules:adopt(name, set)
  set = level.checked(set)
  if self.domains[name] or empty(set) or self.count >= MAX or next(self:of(name)) then return end
  self.domains[name], self.count = set, self.count + 1
end

return M
