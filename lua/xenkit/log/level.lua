--- Levels of records, and the rules that say from which one on a source is heard.
--
-- A rule is a level by itself, or one for a source; "net" also covers "net.tcp". Rules of the domain come before those
-- of the world, and in each the source's before the general one.
-- @module xenkit.log.level
local M = {}

M.NUMBER = { debug = 1, info = 2, warning = 3, error = 4 }
M.NAME = { "debug", "info", "warning", "error" }
M.DEFAULT = 2

-- What a rule may say: "off" lets nothing through.
local RULE = { debug = 1, info = 2, warning = 3, error = 4, off = 5 }
M.RULES = { "debug", "info", "warning", "error", "off", "reset" }

--- Whether `name` may be a source: letters, digits, _, - and ., at most 40 of them; "" is the domain itself.
function M.is_source(name) return type(name) == "string" and #name <= 40 and not name:find("[^%w_%-%.]") end

local function of_source(sources, source)
  while sources and source do
    local n = RULE[sources[source]]
    if n then return n end
    source = source:match("^(.*)%.[^.]*$")
  end
end

--- The number from which on `source` is heard.
-- @param sets a list of {level = NAME, sources = {SOURCE = NAME}}, the first one first; both parts may be left out
function M.least(sets, source)
  for _, set in ipairs(sets) do
    local n = of_source(set.sources, source) or RULE[set.level]
    if n then return n end
  end
  return M.DEFAULT
end

--- Makes a set of rules of what somebody else sent, dropping what is none.
function M.checked(set)
  local out = {}
  if type(set) ~= "table" then return out end
  if RULE[set.level] then out.level = set.level end
  local count = 0
  for source, level in pairs(type(set.sources) == "table" and set.sources or {}) do
    if M.is_source(source) and RULE[level] and count < 64 then
      out.sources = out.sources or {}
      out.sources[source] = level
      count = count + 1
    end
  end
  return out
end

return M
