-- The log domain: takes structured records from every domain over a flow, stamps them with who sent them - the store
-- vouches for that, the sender does not - keeps the last ones, and shows them to tools and to domains that have the
-- right. See docs/log.md.
local flow = require "xenkit.flow"
local log_server = require "xenkit.log.server"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

return {
  summary = "Collects structured records from all domains and shows them.",
  params = {
    { "rate", type = "integer", default = 5000, min = 0, max = 1000000,
      help = "records a second read from each domain; who is faster loses some at home; 0: no limit" },
    { "burst", type = "integer", default = 10000, min = 1, max = 1000000, help = "records read at once beyond that" },
    { "records", type = "integer", default = 10000, min = 10, max = 1000000, help = "records kept of a domain" },
    { "kib", type = "integer", default = 4096, min = 16, max = 1048576, help = "KiB kept of a domain" },
    { "all_records", type = "integer", default = 40000, min = 10, max = 1000000, help = "records kept in all" },
    { "all_kib", type = "integer", default = 16384, min = 16, max = 1048576, help = "KiB kept in all" },
  },
  offers = { "log" },
  start = function(ctx)
    local p = ctx.params
    local server = log_server.new(ctx, { rate = p.rate, burst = p.burst, limits = { records = p.records,
      bytes = p.kib << 10, all_records = p.all_records, all_bytes = p.all_kib << 10 } })
    server.apply_own = function(own, world) ctx.log_hub:set_rules(own, world) end
    function ctx.on_handle(name, fd) -- a tool, by way of domain 0
      if name ~= "reader" then return end
      task.detach(server.serve, server, assert(stream.from_handle(ctx.world, fd)), true)
    end
    local l = assert(flow.listen(ctx, "log"))
    ctx.log("info", "the log domain is there")
    task.detach(server.senders.sweep, server.senders, 5, ctx.world:platform() == "xen")
    while true do
      local s = l:accept()
      if s then task.detach(server.serve, server, s) end
    end
  end,
}
