--- Addresses of names, by the name servers of a network; c-ares asks them, over UDP.
--
--     local resolve = require "xenkit.resolve"
--     local list, seconds = resolve.lookup(ctx.net.lan, "www.example")    -- { "fd00::1", "10.0.0.1" }, 300
--
-- A script that requires this needs the larger domain program.
-- @module xenkit.resolve
local core = require "xenkit.core.resolve"
local task = require "xenkit.task"

local M = {}

local SERVERS = 6

--- Who is asked: those of the network's description (`dns`), of DHCP's lease, of routers' advertisements.
-- @return a list; the domain that DHCP told, or nil
function M.servers(net)
  if net.conf.dns then return net.conf.dns end
  local list, lease = {}, net:lease()
  for _, more in ipairs { lease and lease.dns or {}, net:dns6() } do
    for _, ip in ipairs(more) do if #list < SERVERS then list[#list + 1] = ip end end
  end
  return list, lease and lease.domain
end

--- The addresses of `name`, those first that there is a way to, of these IPv6's; and their seconds.
-- @param opts version = 4 or 6, otherwise both; servers (a list, otherwise as above), port, timeout (ms until the next
-- one is asked), tries (rounds of all), domain (for names without a dot)
-- @return a list, seconds; nil, message, code: XK_ENOENT when there is no such name
function M.lookup(net, name, opts)
  local servers, domain = M.servers(net)
  local config = { servers = servers, domain = domain }
  for k, v in pairs(opts or {}) do config[k] = v end
  if #config.servers == 0 then return nil, name .. ": no name server is known", "XK_ENODEV" end
  local id = task.wait_id()
  local q <close>, err, code = core.start(net.raw, id, name, config)
  if not q then return nil, err, code end
  task.wait(id)
  local list, ttl
  list, ttl, code = q:result()
  if not list then return nil, name .. ": " .. ttl, code end
  return list, ttl
end

return M
