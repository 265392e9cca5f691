--- World files: what a world consists of. A world file is a Lua file that returns a table; it may use nothing but Lua's
-- own string, table and math functions. Everything is checked, and each complaint names file, line and key.
-- @module xenkit.host.world
local devices = require "xenkit.host.devices"
local files = require "xenkit.host.files"

local M = {}

local WORLD_KEYS = { name = "string", domains = "table", data = "string" }
local DOMAIN_KEYS = {
  name = "string", service = "string", script = "string", params = "table", memory = "integer", restart = "string",
  replicas = "integer", offers = "table", rights = "table", sandbox = "boolean", scale = "table",
  repl = "boolean", watchdog = "integer", disks = "table", vifs = "table",
}
local SCALE_KEYS = { min = "integer", max = "integer" }
local RESTART = { always = true, ["on-failure"] = true, never = true }

-- The line on which a key stands: good enough to find it, as keys are spelt once or thereabouts.
local function line_of(text, word)
  local n = 0
  for line in (text .. "\n"):gmatch("(.-)\n") do
    n = n + 1
    if line:gsub("%-%-.*", ""):find("%f[%w_]" .. word:gsub("%p", "%%%0") .. "%f[^%w_]") then return n end
  end
  return 1
end

local function nearest(word, known)
  local best
  for k in pairs(known) do
    if k:sub(1, 2) == word:sub(1, 2) and (not best or k < best) then best = k end
  end
  return best and (" (did you mean '" .. best .. "'?)") or ""
end

local function keys_of(known)
  local list = {}
  for k in pairs(known) do list[#list + 1] = k end
  table.sort(list)
  return table.concat(list, ", ")
end

local function check_keys(ctx, t, known, what)
  for k, v in pairs(t) do
    local key = tostring(k)
    local want = known[k]
    local where = ("%s:%d: "):format(ctx.path, line_of(ctx.text, key))
    if not want then
      error({ where .. ("unknown key '%s' in %s%s; known are %s"):format(key, what, nearest(key, known),
        keys_of(known)) }, 0)
    end
    local got = math.type(v) == "integer" and "integer" or type(v)
    if got ~= want then
      error({ where .. ("'%s' in %s must be a %s, not a %s"):format(key, what, want, got) }, 0)
    end
  end
end

local function check_domain(ctx, d, i)
  if type(d) ~= "table" then error({ ("%s: domains[%d] is no table"):format(ctx.path, i) }, 0) end
  local what = "domain " .. (type(d.name) == "string" and ("'" .. d.name .. "'") or i)
  check_keys(ctx, d, DOMAIN_KEYS, what)
  local function complain(key, text)
    error({ ("%s:%d: %s: %s"):format(ctx.path, line_of(ctx.text, key), what, text) }, 0)
  end
  if not d.name then complain("domains", "it has no name") end
  if not d.name:match("^[%a_][%w_%-]*$") or #d.name > 48 then
    complain(d.name, "a name has letters, digits, _ and -, at most 48 of them")
  end
  if ctx.seen[d.name] then complain(d.name, "there are two of that name") end
  ctx.seen[d.name] = true
  if (d.service == nil) == (d.script == nil) then complain(d.name, "give one of service = NAME and script = FILE") end
  if d.restart and not RESTART[d.restart] then
    complain("restart", "restart is always, on-failure or never, not '" .. d.restart .. "'")
  end
  if d.memory and (d.memory < 4 or d.memory > 65536) then complain("memory", "memory is in MiB, 4 to 65536") end
  local ok, err, key = devices.check(d)
  if not ok then complain(key, err) end
  if (d.disks or d.vifs) and (d.replicas or d.scale) then
    complain(d.disks and "disks" or "vifs", "a domain of which there are several has no disks or vifs")
  end
  if d.scale then check_keys(ctx, d.scale, SCALE_KEYS, "scale of " .. what) end
  if d.script and not d.script:match("^/") then d.script = ctx.dir .. d.script end
  if d.params then ctx.params = true end
end

--- Checks the text of a world file. @return the world's table, or nil, message
function M.parse(text, path)
  local env = { string = string, table = table, math = math, ipairs = ipairs, pairs = pairs, tostring = tostring,
    tonumber = tonumber, os = { getenv = os.getenv } }
  local chunk, err = load(text, "@" .. path, "t", env)
  if not chunk then return nil, err, "XK_EPROTO" end
  local ok, world = pcall(chunk)
  if not ok then return nil, tostring(world), "XK_EPROTO" end
  if type(world) ~= "table" then
    return nil, path .. ": a world file returns a table, this one returns " .. type(world), "XK_EPROTO"
  end
  local ctx = { path = path, text = text, seen = {}, dir = path:match("^(.*/)") or "" }
  local good, e = pcall(function()
    check_keys(ctx, world, WORLD_KEYS, "the world")
    world.name = world.name or path:match("([^/]+)%.lua$") or "world"
    if not world.name:match("^[%w_%-]+$") then
      error({ path .. ": the world's name has letters, digits, _ and - only" }, 0)
    end
    world.domains = world.domains or {}
    for i, d in ipairs(world.domains) do check_domain(ctx, d, i) end
  end)
  if not good then return nil, type(e) == "table" and e[1] or tostring(e), "XK_EPROTO" end
  return world
end

--- Reads and checks a world file.
function M.load(path)
  local text, err, code = files.read(path)
  if not text then return nil, err, code end
  return M.parse(text, path)
end

return M
