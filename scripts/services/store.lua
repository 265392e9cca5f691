-- The store: serves xenstore to every domain over its ring page, and to tools over a unix socket. It has three homes:
--   hosted           xenkit up starts it as the first domain of a world
--   a dom0 daemon    xenkit run --on xen scripts/services/store.lua socket=/var/run/xenstored/socket
--   a stub domain    xenkit build scripts/services/store.lua
--                    init-xenstore-domain --kernel store/xenkit-kernel --ramdisk store/store.img --memory 8
-- See docs/store.md.
local core = require "xenkit.core.store"
local task = require "xenkit.task"

-- Domain 0 is the one domain that nobody introduces.
local function connect_domain_0(ctx, service)
  local port = ctx.desc.dom0_port or ctx.world:store_port()
  if not port then return end -- without Xen and a world: the socket only
  local ok, err = service:introduce(0, port)
  if not ok then error("cannot connect domain 0: " .. tostring(err), 0) end
end

return {
  summary = "Serves xenstore to domains over rings, and to tools over a unix socket.",
  params = {
    { "socket", type = "path", default = "xenstored.sock", help = "unix socket for tools (XENSTORED_PATH)" },
  },
  examples = {
    { "xenkit run scripts/services/store.lua socket=/tmp/xs.sock", "alone; XENSTORED_PATH=/tmp/xs.sock xenstore-ls" },
    { "xenkit run --on xen scripts/services/store.lua socket=/var/run/xenstored/socket", "in dom0" },
  },
  store = false, -- it is the store: no client of its own
  needs = { unix = { tools = { "$socket", optional = true } }, rights = { "domains" } },
  start = function(ctx)
    local service = assert(core.service(ctx.world))
    connect_domain_0(ctx, service)
    if ctx.unix.tools then assert(service:listen(ctx.unix.tools.raw:handle())) end
    while true do
      local id = task.wait_id()
      local line = service:problem(id)
      if line then print("store: " .. line) else task.wait(id) end
    end
  end,
}
