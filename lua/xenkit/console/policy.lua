--- Which settings a console has, by its domain's name: the policy file over the service's parameters. The first entry
-- that matches and has the key decides, key by key.
-- @module xenkit.console.policy
local escape = require "xenkit.console.escape"

local M = {}
local Policy = {}
Policy.__index = Policy
Policy.__name = "xenkit.console.policy"

--- A Lua pattern for `glob`, where `*` is any text and `?` any character.
function M.pattern(glob)
  return "^" .. glob:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
end

--- Whether `name` is matched by `glob`.
function M.glob(glob, name) return name:find(M.pattern(glob)) ~= nil end

--- Runs a file that returns a list, in an empty environment. @return the list, or nil, message
function M.load_list(text, path)
  local chunk, err = load(text, "@" .. path, "t", {})
  if not chunk then return nil, err, "XK_EINVAL" end
  local co = coroutine.create(chunk)
  debug.sethook(co, function() error("it loops at load", 0) end, "", 1000000)
  local ok, list = coroutine.resume(co)
  if not ok then return nil, path .. ": " .. tostring(list), "XK_EINVAL" end
  if coroutine.status(co) ~= "dead" or type(list) ~= "table" then
    return nil, path .. ": the file must return a list of entries", "XK_EINVAL"
  end
  return list
end

local known = {
  escape = function(v)
    for _, name in ipairs(escape.policies) do if v == name then return true end end
    return false, "raw, safe, sgr or strip"
  end,
  rate = function(v) return math.type(v) == "integer" and v >= 0, "bytes a second, 0: no limit" end,
  burst = function(v) return math.type(v) == "integer" and v > 0, "bytes" end,
  scrollback = function(v) return math.type(v) == "integer" and v > 0 and v <= 1 << 20, "KiB" end,
  log = function(v) return type(v) == "boolean", "true or false" end,
  stamps = function(v) return v == "none" or v == "line", "none or line" end,
  tty = function(v) return type(v) == "boolean", "true or false" end,
}

local function check(list, path)
  for i, entry in ipairs(list) do
    local where = ("%s: entry %d"):format(path, i)
    if type(entry) ~= "table" or type(entry.domain) ~= "string" then
      return nil, where .. " needs domain = \"NAME\", where * and ? match", "XK_EINVAL"
    end
    for key, value in pairs(entry) do
      if key ~= "domain" then
        local test = known[key]
        if not test then return nil, ("%s: there is no setting '%s'"):format(where, tostring(key)), "XK_EINVAL" end
        local ok, want = test(value)
        if not ok then return nil, ("%s: '%s' must be %s"):format(where, key, want), "XK_EINVAL" end
      end
    end
  end
  return true
end

--- @param text of the policy file, or nil
-- @param defaults key -> value
function M.new(text, path, defaults)
  local list = {}
  if text and text ~= "" then
    local err, code
    list, err, code = M.load_list(text, path)
    if not list then return nil, err, code end
    local ok
    ok, err, code = check(list, path)
    if not ok then return nil, err, code end
  end
  return setmetatable({ list = list, defaults = defaults }, Policy)
end

--- The settings for the domain called `name`.
function Policy:of(name)
  local settings = {}
  for key, value in pairs(self.defaults) do settings[key] = value end
  for i = #self.list, 1, -1 do
    local entry = self.list[i]
    if M.glob(entry.domain, name) then
      for key, value in pairs(entry) do settings[key] = value end
    end
  end
  settings.domain = nil
  return settings
end

return M
