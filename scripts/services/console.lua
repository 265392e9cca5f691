-- The console service: all consoles of all domains, hosted, in dom0, or as a stub domain. See docs/console.md.
local bridge = require "xenkit.console.bridge"
local discover = require "xenkit.console.discover"
local flow = require "xenkit.flow"
local policy = require "xenkit.console.policy"
local service = require "xenkit.console.service"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local HYPERVISOR = 0x7ff2 -- DOMID_XEN: the number under which Xen's own log is found
local FLOW_RING = 8192

-- Domain 0 of a hosted world hands connections of tools.
local function serve_handed(ctx, all)
  function ctx.on_handle(name, fd)
    local s = name == "session" and stream.from_handle(ctx.world, fd)
    if s then all:session(s) else require("xenkit.core.stream").handle_close(fd) end
  end
end

local function serve_socket(ctx, all)
  ctx.store:write("data/console/socket", ctx.params.socket)
  task.spawn(function()
    while true do
      local s = ctx.unix.socket:accept()
      if s then all:session(s) else task.sleep(0.1) end
    end
  end)
end

-- In a stub domain tools and the bridge come from dom0, by flows. Nobody else is let in.
local function serve_flows(ctx, all)
  local l = assert(flow.listen(ctx, "console", { ring = FLOW_RING, private = true }))
  ctx.store:write("data/console/ready", "1")
  task.spawn(function()
    while true do
      local s = l:accept()
      if not s then task.sleep(0.1)
      elseif s.peer == 0 then all:session(s)
      else
        all:note("domain " .. s.peer .. " asked for consoles and was refused")
        s:close()
      end
    end
  end)
end

local function find_consoles(ctx, all)
  discover.new(ctx, {
    open = function(d) return all:open(d) end,
    close = function(c) all:close(c) end,
    last_words = function(c) c:last_words() end,
    rename = function(c, name) c:rename(name) end,
    say = all.say,
  }):run()
end

local all

return {
  summary = "Serves the consoles of all domains: scrollback, logs, readers, terminals for xl console.",
  examples = { "xenkit run --on xen scripts/services/console.lua logs=/var/log/xen/console stamps=line",
    "xenkit run --on xen scripts/services/console.lua bridge=console" },
  params = {
    { "logs", type = "path", default = "/var/log/xen/console", help = "folder of log files; empty: none" },
    { "stamps", default = "none", choices = { "none", "line" }, help = "time at the beginning of each line of a log" },
    { "combined", type = "boolean", default = false, help = "one log for all, console.log, in place of one each" },
    { "rotate_size", type = "integer", default = 16384, min = 0, help = "KiB at which a log rotates; 0: never" },
    { "rotate_keep", type = "integer", default = 3, min = 0, max = 100, help = "how many old logs are kept" },
    { "rate", type = "integer", default = 262144, min = 0, help = "bytes a second a console may write; 0: no limit" },
    { "burst", type = "integer", default = 131072, min = 1, help = "bytes above that at once" },
    { "scrollback", type = "integer", default = 256, min = 1, max = 1048576, help = "KiB kept of each console" },
    { "pool", type = "integer", default = 0, min = 0, help = "KiB kept of all; 0: 65536, in a stub domain 1024" },
    { "escape", default = "safe", choices = { "raw", "safe", "sgr", "strip" },
      help = "what of a guest's control sequences reaches terminals" },
    { "policy", type = "path", default = "", help = "file with settings by domain" },
    { "triggers", type = "path", default = "", help = "file with actions on output" },
    { "tty", type = "boolean", default = true, help = "in dom0: a terminal for each, for xl console" },
    { "socket", type = "path", default = "/run/xenkit/console.sock", help = "in dom0: where xenkit console comes to" },
    { "hypervisor", type = "boolean", default = true, help = "in dom0: Xen's own log, too" },
    { "bridge", default = "", help = "in dom0: serve also what this console stub domain has, a name or a number" },
  },
  needs = {
    dir = { logs = { "$logs", on = "hosted xen" } },
    pty = { tty = { "terminals", when = "tty", on = "xen" } },
    unix = { socket = { "$socket", on = "xen" } },
    hypervisor = { log = { "log", when = "hypervisor", on = "xen" } },
    text = { policy = "$policy", triggers = "$triggers" },
  },
  start = function(ctx)
    local p, stub = ctx.params, ctx.world:platform() == "stub"
    local settings = assert(policy.new(ctx.text.policy, p.policy, { escape = p.escape, rate = p.rate, burst = p.burst,
      scrollback = p.scrollback, stamps = p.stamps, log = true, tty = true }))
    local pool = (p.pool > 0 and p.pool or stub and 1024 or 65536) * 1024
    all = assert(service.new(ctx, { policy = settings, pool = pool, logs = ctx.dir.logs, combined = p.combined,
      log = { size = p.rotate_size * 1024, keep = p.rotate_keep }, ttys = ctx.pty.tty, triggers = ctx.text.triggers,
      triggers_path = p.triggers }))
    serve_handed(ctx, all)
    if ctx.dir.logs then task.spawn(all.run_logs, all) end
    if ctx.unix.socket then serve_socket(ctx, all) end
    if stub then serve_flows(ctx, all) end
    if ctx.hypervisor.log then
      local c = all:open { domid = HYPERVISOR, num = 0, name = "hypervisor", log_name = "hypervisor.log",
        stream = ctx.hypervisor.log, read_only = true }
      all:mark(c.key, "from here on all that Xen still has of its log") -- it may stand above already
    end
    if p.bridge ~= "" then task.spawn(function() bridge.new(ctx, all, p.bridge):run() end) end
    find_consoles(ctx, all)
  end,
  stop = function() if all then all:stop() end end,
}
