--- Actions on what guests write: a list of { domain, match, action }, each looked at for every line.
--
-- Actions come from a file that the administrator gives, but lines come from guests. So an action runs in an
-- environment without the outside and with a budget of instructions, lines are cut before they are matched (a pattern's
-- cost may grow with a power of the line's length), and what an action asks for goes into a bounded list that the
-- service works off. An action that fails is switched off, and that is said.
-- @module xenkit.console.trigger
local policy = require "xenkit.console.policy"

local M = {}
local Triggers = {}
Triggers.__index = Triggers
Triggers.__name = "xenkit.console.triggers"

local BUDGET = 100000
local LINE_MAX = 1024
local WISHES_MAX = 256
local TEXT_MAX = 1024

local function environment()
  local env = { string = string, table = table, math = math, utf8 = utf8, ipairs = ipairs, pairs = pairs, next = next,
    select = select, type = type, tostring = tostring, tonumber = tonumber, error = error, assert = assert,
    os = { time = os.time, date = os.date } }
  env._G = env
  return env
end

local function check(entry, where)
  if type(entry) ~= "table" or type(entry.match) ~= "string" then
    return nil, where .. " needs match = \"a Lua pattern\"", "XK_EINVAL"
  end
  if entry.domain ~= nil and type(entry.domain) ~= "string" then
    return nil, where .. ": 'domain' must be a name, where * and ? match", "XK_EINVAL"
  end
  if entry.action ~= nil and type(entry.action) ~= "function" then
    return nil, where .. ": 'action' must be a function", "XK_EINVAL"
  end
  local ok, err = pcall(string.find, "", entry.match)
  if not ok then
    return nil, ("%s: '%s' is no Lua pattern: %s"):format(where, entry.match, tostring(err)), "XK_EINVAL"
  end
  return true
end

-- Calls fn(arg) within the budget. @return true and its result, or false, message
local function run(fn, arg)
  local co = coroutine.create(fn)
  debug.sethook(co, function() error("it took more than " .. BUDGET .. " instructions", 0) end, "", BUDGET)
  local ok, result = coroutine.resume(co, arg)
  if not ok then return false, tostring(result) end
  if coroutine.status(co) ~= "dead" then return false, "an action cannot wait" end
  return true, result
end

--- @param text of the trigger file
-- @param out say(text) for what is to be said; write(path, value) and mark(event, text) for what actions ask
function M.new(text, path, out)
  local chunk, err = load(text, "@" .. path, "t", environment())
  if not chunk then return nil, err, "XK_EINVAL" end
  local self = setmetatable({ list = {}, path = path, out = out, wishes = {}, refused = 0 }, Triggers)
  local ok, list = run(chunk)
  if not ok then return nil, path .. ": " .. list, "XK_EINVAL" end
  if type(list) ~= "table" then return nil, path .. ": the file must return a list of triggers", "XK_EINVAL" end
  for i, entry in ipairs(list) do
    local where = ("%s: trigger %d"):format(path, i)
    local good, e, code = check(entry, where)
    if not good then return nil, e, code end
    self.list[i] = { domain = policy.pattern(entry.domain or "*"), match = entry.match, action = entry.action,
      count = 0, name = entry.name or where:match "trigger.*" }
  end
  return self
end

local function wish(self, kind, a, b)
  if #self.wishes >= WISHES_MAX then
    self.refused = self.refused + 1
    return
  end
  self.wishes[#self.wishes + 1] = { kind, tostring(a):sub(1, TEXT_MAX), tostring(b):sub(1, TEXT_MAX) }
end

local function fire(self, t, console, line, captures)
  t.count = t.count + 1
  if not t.action then return end
  local event = { domain = console.name, domid = console.domid, console = console.num, line = line,
    captures = captures, count = t.count, time = os.time(),
    write = function(path, value) wish(self, "write", path, value) end,
    mark = function(text) wish(self, "mark", console.key, text) end }
  local ok, err = run(t.action, event)
  if not ok then
    t.off = err
    self.out.say(("%s of %s is switched off: %s"):format(t.name, self.path, err))
  end
end

-- What actions asked for. Done after them, as it may wait.
local function work_off(self)
  while #self.wishes > 0 do
    local list = self.wishes
    self.wishes = {}
    for _, w in ipairs(list) do self.out[w[1]](w[2], w[3]) end
  end
  if self.refused > 0 then
    self.out.say(("%d wishes of triggers were refused: more than %d at once"):format(self.refused, WISHES_MAX))
    self.refused = 0
  end
end

--- Looks at one line. @param console with name, domid, num, key
function Triggers:line(console, line)
  line = line:sub(1, LINE_MAX)
  for _, t in ipairs(self.list) do
    if not t.off and console.name:find(t.domain) then
      local captures = { line:match(t.match) }
      if captures[1] then fire(self, t, console, line, captures) end
    end
  end
  if #self.wishes > 0 or self.refused > 0 then work_off(self) end
end

--- How often each fired, and why one is off.
function Triggers:stats()
  local list = {}
  for i, t in ipairs(self.list) do list[i] = { name = t.name, match = t.match, count = t.count, off = t.off } end
  return list
end

return M
