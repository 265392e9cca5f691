--- The harness of the language suite. A theme is a function that gets `t` and makes checks:
--
--     t([[("x"):rep(3)]], "xxx")                       -- a label that is Lua: an expression or, failing that, a block
--     t("three times", "xxx", function() ... end)      -- a label, and the function that is observed
--     t("nil + 1", t.err "attempt to ...")             -- an error; the position before its message is cut off
--
-- What is observed is a list of values; count, types (integer or float), signs of zero and bytes must be those written.
-- A check that raises is a failed check and no end of the theme. `t.feed(...)` adds values to the digest unchecked: the
-- digest (FNV-1a, 64 bits, over all labels and values) is how two machines are compared, so a value is rendered here
-- by nothing that may differ between two right machines: no address, no sign of a NaN, no `%a` of a subnormal (C leaves
-- its first digit open).
local M = {}

local Failure = {}
local format = string.format

local function fnv(hash, text)
  for i = 1, #text do hash = (hash ~ text:byte(i)) * 0x100000001b3 end
  return hash
end
M.fnv, M.basis = fnv, 0xcbf29ce484222325

local function number(value)
  if math.type(value) == "integer" then return format("%d", value) end
  if value ~= value then return "nan" end
  if value - value ~= 0 then return value > 0 and "inf" or "-inf" end
  if value ~= 0 and value < 0x1p-1022 and value > -0x1p-1022 then
    return format("subnormal %016x=%.17g", string.unpack("<j", string.pack("<d", value)), value)
  end
  return format("%a=%.17g", value, value)
end

local function escape(byte) return format("\\x%02X", byte:byte()) end

--- One canonical text for a value: tables as lists, then their other keys by name; no addresses.
local function show(value, depth)
  local kind = type(value)
  if kind == "number" then return number(value) end
  if kind == "string" then return '"' .. value:gsub('[\0-\31\127-\255"\\]', escape) .. '"' end
  if kind ~= "table" then return kind == "boolean" and tostring(value) or kind end
  if getmetatable(value) == Failure then return "error " .. show(value[1], depth) end
  depth = (depth or 0) + 1
  if depth > 6 then return "{...}" end
  local list, others, n = {}, {}, rawlen(value)
  local size = rawget(value, "n")
  if math.type(size) == "integer" then n = size end
  for i = 1, n do list[i] = show(rawget(value, i), depth) end
  for key, item in next, value do
    if math.type(key) ~= "integer" or key < 1 or key > n then
      others[#others + 1] = "[" .. show(key, depth) .. "]=" .. show(item, depth)
    end
  end
  table.sort(others)
  return "{" .. table.concat(list, ", ") .. (#others > 0 and "; " .. table.concat(others, ", ") or "") .. "}"
end
M.show = show

local function show_all(values)
  local list = {}
  for i = 1, values.n do list[i] = show(values[i]) end
  return "(" .. table.concat(list, ", ") .. ")"
end

local function contains(a, b, same)
  for key, item in next, a do
    if not same(item, rawget(b, key)) then return false end
  end
  return true
end

local function same(a, b)
  if math.type(a) ~= math.type(b) or type(a) ~= type(b) then return false end
  if math.type(a) == "float" then return a == b and 1 / a == 1 / b or a ~= a and b ~= b end
  if type(a) ~= "table" or rawequal(a, b) then return rawequal(a, b) end
  return getmetatable(a) == getmetatable(b) and contains(a, b, same) and contains(b, a, same)
end

local function outcome(ok, ...)
  if ok then return table.pack(...) end
  local message = ...
  if type(message) == "string" then message = message:gsub("^[^\n]-:%-?%d+: ", "", 1) end
  return {setmetatable({message}, Failure), n = 1}
end

local function compile(t, source)
  local env = setmetatable({}, {__index = t.env})
  local body, message = load("return " .. source, "=check", "t", env)
  if not body then body, message = load(source, "=check", "t", env) end
  return body or function() error(message, 0) end
end

--- A theme's `t`: callable; `count`, `hash` and `failed`, a list of {label, want, got}, say what came of it.
function M.new()
  local t = {count = 0, hash = M.basis, failed = {}, env = setmetatable({}, {__index = _G})}

  function t.err(message) return setmetatable({message}, Failure) end

  function t.feed(...) t.hash = fnv(t.hash, show_all(table.pack(...))) end

  local function check(_, label, ...)
    local want = table.pack(...)
    local body = want[want.n]
    if type(body) == "function" then
      want[want.n], want.n = nil, want.n - 1
    else
      body = compile(t, label)
    end
    local got = outcome(pcall(body))
    local text = show_all(got)
    t.count, t.hash = t.count + 1, fnv(t.hash, label .. "=" .. text .. "\n")
    if not same(want, got) then t.failed[#t.failed + 1] = {label, show_all(want), text} end
  end
  return setmetatable(t, {__call = check})
end

return M
