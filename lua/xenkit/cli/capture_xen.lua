--- `xenkit capture --on xen`: finds by the store who serves a guest's network - our daemon in dom0, by its socket; a
-- stub domain, by a flow. @module xenkit.cli.capture_xen
local flow = require "xenkit.flow"
local host = require "xenkit.core.host"
local stream = require "xenkit.stream"
local xen = require "xenkit.cli.xen"

local M = {}

local FIRST = "\x0a\x0d\x0d\x0a" -- how pcapng begins

-- A guest's network by its number, or its only one. @return "DOMID/NUMBER", who serves it; nil, message
local function find(s, p)
  local domid = math.tointeger(tonumber(p.domain)) or xen.find_domid(s, p.domain)
  if not domid then return nil, "no domain '" .. p.domain .. "'" end
  local home = "/local/domain/" .. domid .. "/device/vif"
  local list = s:list(home) or {}
  table.sort(list)
  local number = p.vif or #list == 1 and list[1]
  if #list == 0 then return nil, ("domain '%s' has no network"):format(p.domain) end
  if not number then
    return nil, ("domain '%s' has several networks; choose one of %s"):format(p.domain, table.concat(list, ", "))
  end
  local server = math.tointeger(tonumber((s:read(home .. "/" .. number .. "/backend-id"))))
  if not server then return nil, ("domain '%s' has no network '%s'"):format(p.domain, number) end
  return domid .. "/" .. number, server
end

local function connect(world, s, server)
  if server ~= 0 then
    return flow.connect_to({ world = world, store = s, domid = world:domid() }, server, "capture", 5)
  end
  local path = s:read "/local/domain/0/data/net/socket"
  local fd, err = nil, "no network service of xenkit runs in dom0; `tcpdump -i vifDOMID.NUMBER` sees what Linux' serves"
  if path then fd, err = host.connect_unix(path) end
  if not fd then return nil, tostring(err) end
  return stream.from_handle(world, fd)
end

-- The first bytes are a file's, or say what is wrong.
local function open(world, s, p)
  local which, server = find(s, p)
  if not which then return nil, server end
  local c, err = connect(world, s, server)
  if not c then return nil, ("network %s of %s: %s"):format(which:match "%d+$", p.domain, err) end
  c:write(("%s %d\n"):format(which, p.snap or 0))
  local head = c:read_exactly(#FIRST, 10)
  if head == FIRST then return c, head end
  local rest = head and c:read_line(200, 2) or ""
  c:close()
  return nil, ("network %s of %s: %s"):format(which:match "%d+$", p.domain,
    (tostring(head) .. tostring(rest)):match "^error (.+)$" or "its server gave no answer")
end

--- @param run of xenkit.cli.capture
function M.run(p, run, fail)
  local code, err = xen.in_xen(function(world, s)
    return run(world, function()
      local c, head = open(world, s, p)
      if not c then return nil, head end
      return setmetatable({}, { __close = function() c:close() end, __index = {
        read = function(_, n, timeout)
          local first = head
          head = nil
          if first then return first end
          return c:read(n, timeout)
        end,
        close = function() c:close() end } })
    end, p, fail)
  end)
  if not code then return fail(err) end
  return code
end

return M
