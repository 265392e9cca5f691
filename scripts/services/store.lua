-- The store domain: serves xenstore to every domain over its ring page, and to tools over a unix socket.
--   xenkit run scripts/services/store.lua socket=/tmp/xs.sock
--   XENSTORED_PATH=/tmp/xs.sock xenstore-ls
local core = require "xenkit.core.store"
local task = require "xenkit.task"

return {
  summary = "Serves xenstore to domains over rings, and to tools over a unix socket.",
  params = {
    { "socket", type = "path", default = "xenstored.sock", help = "unix socket for tools (XENSTORED_PATH)" },
  },
  needs = { unix = { tools = "$socket" } },
  start = function(ctx)
    local service = assert(core.service(ctx.world))
    if ctx.desc.dom0_port then
      local ok, err = service:introduce(0, ctx.desc.dom0_port)
      if not ok then error("cannot connect domain 0: " .. tostring(err), 0) end
    end
    if ctx.unix.tools then
      local handle = ctx.unix.tools.raw:handle()
      assert(service:listen(handle))
    end
    while true do
      local id = task.wait_id()
      local line = service:problem(id)
      if line then print("store: " .. line) else task.wait(id) end
    end
  end,
}
