--- Reads what a service declares without running it: parameters and needs. For the host tool; see docs/services.md.
--
-- The file's top level runs in an empty world: `require` gives a stand-in that may be indexed but not called, nothing
-- else of the outside is there, and a loop is cut off. A service that does something at load is told so.
-- @module xenkit.service
local args = require "xenkit.args"

local M = {}

local function stand_in(name)
  local proxy = {}
  return setmetatable(proxy, {
    __index = function(_, key) return stand_in(name .. "." .. tostring(key)) end,
    __call = function() error("a service does nothing at load: '" .. name .. "' is called outside of a function",
      2) end,
    __tostring = function() return "module " .. name end,
  })
end

local function empty_world()
  local env = { require = stand_in, string = string, table = table, math = math, utf8 = utf8, ipairs = ipairs,
    pairs = pairs, next = next, select = select, type = type, tostring = tostring, tonumber = tonumber, error = error,
    assert = assert, setmetatable = setmetatable, getmetatable = getmetatable, rawget = rawget, rawset = rawset,
    rawequal = rawequal, rawlen = rawlen, pcall = pcall, xpcall = xpcall, coroutine = coroutine,
    os = { time = os.time, date = os.date, clock = os.clock } }
  env.require = function(name) return stand_in(name) end
  env._G = env
  return env
end

local KNOWN = { name = "string", summary = "string", params = "table", needs = "table", start = "function",
  stop = "function", examples = "table", offers = "table", store = "boolean" }

local function check(service, path)
  if type(service) ~= "table" then
    return nil, path .. ": a service returns a table; this file returns " .. type(service)
  end
  for k, v in pairs(service) do
    local want = KNOWN[k]
    if want and type(v) ~= want then return nil, ("%s: '%s' must be a %s"):format(path, k, want) end
  end
  if type(service.start) ~= "function" then return nil, path .. ": the table has no function 'start'" end
  return service
end

--- Loads the description in `text`, the content of file `path`.
-- @return the service's table, or nil, message naming file and line
function M.describe(text, path)
  local chunk, err = load(text, "@" .. path, "t", empty_world())
  if not chunk then return nil, err, "XK_EPROTO" end
  local co = coroutine.create(chunk)
  debug.sethook(co, function() error(path .. ": loops at load", 0) end, "", 10000000)
  local ok, service = coroutine.resume(co)
  if not ok then return nil, tostring(service), "XK_EPROTO" end
  if coroutine.status(co) ~= "dead" then return nil, path .. ": yields at load", "XK_EPROTO" end
  local good, e = check(service, path)
  if not good then return nil, e, "XK_EPROTO" end
  return good
end

--- Fills `params` of a service from key=value words and defaults. @return values, or nil, message
function M.params(service, words, name)
  return args.keyvalues({ name = name or service.name or "service", summary = service.summary,
    keys = service.params or {}, examples = service.examples }, words)
end

local function substitute(text, params, path, where)
  local missing
  local r = text:gsub("%$([%a_][%w_]*)", function(name)
    local v = params[name]
    if v == nil then missing = name end
    return v ~= nil and tostring(v) or ""
  end)
  if missing then return nil, ("%s: needs.%s: no parameter '%s'"):format(path, where, missing) end
  return r
end

local KINDS = { tcp = true, udp = true, unix = true, file = true, tree = true, text = true, lib = true, rights = true,
  dir = true, pty = true, hypervisor = true, link = true, program = true }

-- Values of a parameter that leave out what is needed only `when` it is set.
local OFF = { [false] = true, [0] = true, [""] = true }

-- Whether one of several parameters, with blanks between, is set.
local function is_set(names, params)
  for name in names:gmatch "%S+" do
    if not OFF[params[name] or false] then return true end
  end
  return false
end

-- One need: a string, or a table with the string first. @return the need, or nil, message
local function read_need(kind, name, spec, params, path, ground)
  local where = kind .. "." .. tostring(name)
  if kind == "rights" then
    if type(spec) ~= "string" then return nil, ("%s: needs.%s must be a string"):format(path, where) end
    return { kind = kind, name = spec }
  end
  local options = type(spec) == "table" and spec or {}
  local value = options[1] or spec
  if type(name) ~= "string" or type(value) ~= "string" then
    return nil, ("%s: needs.%s must be a name with a string, or a table that begins with one"):format(path, where)
  end
  local v, err = substitute(value, params, path, where)
  if not v then return nil, err end
  if options.when and OFF[params[options.when] or false] then v = "" end
  if options.unless and is_set(options.unless, params) then v = "" end
  if options.on and not (" " .. options.on .. " "):find(" " .. ground .. " ", 1, true) then v = "" end
  return { kind = kind, name = name, value = v, mode = options.mode, lock = options.lock, optional = options.optional }
end

--- The needs of a service with parameters filled in: lists of {kind, name, ...}. Optional needs whose value is empty
-- are left out. @param ground where it is to run: "hosted" (default), "xen" or "stub"; what is needed elsewhere only is
-- left out
function M.needs(service, params, path, ground)
  local list = {}
  for kind, entries in pairs(service.needs or {}) do
    if not KINDS[kind] then return nil, ("%s: unknown need '%s'"):format(path, tostring(kind)) end
    if type(entries) ~= "table" then return nil, ("%s: needs.%s must be a table"):format(path, kind) end
    for name, spec in pairs(entries) do
      local need, err = read_need(kind, name, spec, params, path, ground or "hosted")
      if not need then return nil, err end
      if need.value ~= "" then list[#list + 1] = need end
    end
  end
  table.sort(list, function(a, b) return a.kind .. a.name < b.kind .. b.name end)
  return list
end

return M
