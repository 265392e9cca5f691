--- `xenkit console --on xen`: finds by the store who serves a guest's console - our daemon in dom0, by its socket; a
-- stub domain, by a flow; or xenconsoled, by xl. @module xenkit.cli.console_xen
local console = require "xenkit.cli.console"
local flow = require "xenkit.flow"
local host = require "xenkit.core.host"
local stream = require "xenkit.stream"

local M = {}

local HYPERVISOR = 0x7ff2

local function xen() return require "xenkit.cli.xen" end

local function front(domid, which)
  local home = "/local/domain/" .. domid
  return which == "0" and home .. "/console" or home .. "/device/console/" .. which
end

-- A channel is found by its name.
local function number_of(s, domid, which)
  if which:find "^%d+$" then return which end
  for _, n in ipairs(s:list("/local/domain/" .. domid .. "/device/console") or {}) do
    if s:read(front(domid, n) .. "/name") == which then return n end
  end
  return which
end

local function find(s, p)
  if not p.domain or p.domain == "hypervisor" then return HYPERVISOR, 0 end
  local domid = math.tointeger(tonumber(p.domain)) or xen().find_domid(s, p.domain)
  if not domid then return nil, "no domain '" .. p.domain .. "'" end
  p.console = number_of(s, domid, p.console)
  return domid, math.tointeger(tonumber(s:read(front(domid, p.console) .. "/backend-id") or "0")) or 0
end

-- @return a session with who serves, or nil, message
local function connect(world, s, server)
  local home = "/local/domain/" .. server .. "/data/console"
  if server ~= 0 then
    return flow.connect_to({ world = world, store = s, domid = world:domid() }, server, "console", 10)
  end
  local path = s:read(home .. "/socket")
  local fd, err = nil, "no console service of xenkit runs in dom0"
  if path then fd, err = host.connect_unix(path) end
  if not fd then return nil, tostring(err) end
  return stream.from_handle(world, fd)
end

--- The verb.
function M.run(p, fail, say)
  local wrong = console.misuse(p)
  if wrong then return fail(wrong .. "; see `xenkit console --help`", 2) end
  local plain = not (p.stats or p.search or p.tail or p.take or p.read_only or p.escape)
  local code, err = xen().in_xen(function(world, s)
    local domid, server = find(s, p)
    if not domid then return nil, server end
    local session <close>, e = connect(world, s, server)
    if not session then
      if plain and p.domain ~= "hypervisor" then return "xl" end
      return nil, ("console of %s: %s"):format(p.domain or "all", tostring(e))
    end
    return console.session(p, fail, say, world, session, domid)
  end)
  if code == "xl" then return xen().xl("console", "-n", p.console or "0", p.domain) end
  if code == nil then return fail(err) end
  return code
end

return M
