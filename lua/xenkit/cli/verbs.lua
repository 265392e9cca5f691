--- The verbs of `xenkit`: xl's for hosted worlds, and a few more. @module xenkit.cli.verbs
local client = require "xenkit.cli.client"
local common = require "xenkit.cli.common"
local files = require "xenkit.host.files"
local host = require "xenkit.core.host"
local json = require "xenkit.json"
local out = require "xenkit.cli.out"
local task = require "xenkit.task"

local verbs = {}
local JSON, fail, say = common.JSON, common.fail, common.say

local WORLD = { "-w", "--world", arg = "NAME", help = "which world, when several run (also $XENKIT_WORLD)" }
local ON = { "--on", arg = "PLATFORM", choices = { "hosted", "xen" },
  help = "where: hosted (default), or xen, by xl; also $XENKIT_PLATFORM" }
local SORTED = { sorted = true }
local DOMAIN = { "DOMAIN", help = "a name or a number, as `xenkit list` shows them" }

local function colour(text, sgr)
  if not host.is_tty(1) or os.getenv("NO_COLOR") then return text end
  return "\27[" .. sgr .. "m" .. text .. "\27[0m"
end

-- Runs fn(world, dir) against the chosen world. @return exit code
local function with_world(p, fn)
  local dir, err = client.find(p.world)
  if not dir then return fail(err, 3) end
  return client.run(function(world) return fn(world, dir) end) or 0
end

-- Opening /dev/xen/evtchn is for where /sys is not mounted.
local function on_xen()
  for _, path in ipairs { "/sys/hypervisor/type", "/dev/xen/evtchn" } do
    local f <close> = io.open(path)
    if f and (path:sub(1, 4) == "/dev" or f:read(3) == "xen") then return true end
  end
  return false
end

-- A verb that can be done on Xen as well: there by the function of its name in xenkit.cli.xen.
local function on_any(name, verb)
  local hosted = verb.run
  table.insert(verb.options, ON)
  function verb.run(p, cli)
    local on = p.on or os.getenv("XENKIT_PLATFORM")
    if on == "xen" and not on_xen() then
      return fail("--on xen: this Linux is not on Xen; without it the domain is hosted, `xenkit build` makes what " ..
        "boots elsewhere, scripts/lab has Xen in QEMU", 2)
    end
    if on == "xen" then return require("xenkit.cli.xen")[name](p, fail, say, verb.print) end
    return hosted(p, cli)
  end
  return verb
end

local function simple(method, params, done)
  return function(p)
    return with_world(p, function(world, dir)
      local r, err = client.call(world, dir, method, params(p))
      if r == nil then return fail(err) end
      if done then done(r, p) end
    end)
  end
end

-- --- listing ---------------------------------------------------------------------------------------------------

local function human(bytes)
  if bytes >= 1 << 30 then return ("%.1fG"):format(bytes / (1 << 30)) end
  return ("%.1fM"):format(bytes / (1 << 20))
end

local function print_list(list)
  say("%-24s %5s  %-9s %8s %9s %6s %8s", "Name", "ID", "State", "Mem", "Time(s)", "Ports", "Uptime")
  for _, d in ipairs(list) do
    local state = d.state
    if state == "paused" or state == "shutdown" then state = colour(("%-9s"):format(state), "33") end
    say("%-24s %5d  %-9s %8s %9.2f %6d %7.0fs", d.name, d.domid, state, human(d.memory), d.cpu, d.ports, d.uptime)
  end
end

verbs.list = {
  summary = "list the domains of a world",
  options = { WORLD, JSON },
  examples = { { "xenkit list --json", "for a program" } },
  run = function(p)
    return with_world(p, function(world, dir)
      local list, err = client.call(world, dir, "list")
      if not list then return fail(err) end
      if p.json then say("%s", json.encode(list, SORTED)) else print_list(list) end
    end)
  end,
  print = print_list,
}

verbs.info = {
  summary = "show a world: its sockets and the addresses of its services",
  options = { WORLD, JSON },
  run = function(p)
    return with_world(p, function(world, dir)
      local info, err = client.call(world, dir, "info")
      if not info then return fail(err) end
      if p.json then return say("%s", json.encode(info, SORTED)) end
      say("%-12s %s (pid %d, up %.0f s, %d domains)", "world", info.name, info.pid, info.uptime, info.domains)
      for _, k in ipairs { "dir", "store", "join", "control" } do say("%-12s %s", k, info[k]) end
      local names = {}
      for k in pairs(info.addresses) do names[#names + 1] = k end
      table.sort(names)
      for _, k in ipairs(names) do say("%-12s %s", k, info.addresses[k]) end
    end)
  end,
}

verbs.top = {
  summary = "watch domains, busiest first",
  options = { WORLD, { "-n", "--iterations", arg = "N", type = "integer", default = 0, min = 0,
    help = "rounds; 0: until Ctrl-C" },
    { "-d", "--delay", arg = "SECONDS", type = "number", default = 1, min = 0.1, help = "between rounds" } },
  run = function(p)
    return with_world(p, function(world, dir)
      local before, rounds = {}, 0
      while true do
        local list, err = client.call(world, dir, "list")
        if not list then return fail(err) end
        for _, d in ipairs(list) do
          d.share = before[d.domid] and (d.cpu - before[d.domid]) / p.delay * 100 or 0
          before[d.domid] = d.cpu
        end
        table.sort(list, function(a, b) return a.share > b.share or (a.share == b.share and a.domid < b.domid) end)
        if host.is_tty(1) then out.write("\27[H\27[2J") end
        say("%-24s %5s  %-9s %6s %9s %8s", "Name", "ID", "State", "CPU%", "Time(s)", "Mem")
        for _, d in ipairs(list) do
          say("%-24s %5d  %-9s %6.1f %9.2f %8s", d.name, d.domid, d.state, d.share, d.cpu, human(d.memory))
        end
        out.flush()
        rounds = rounds + 1
        if p.iterations > 0 and rounds >= p.iterations then return end
        task.sleep(p.delay)
      end
    end)
  end,
}

verbs.dmesg = {
  summary = "show what happened in a world: creates, ends, restarts, refusals",
  options = { WORLD, JSON, { "-n", "--lines", arg = "N", type = "integer", default = 50, min = 1, help = "how many" } },
  run = simple("events", function(p) return { lines = p.lines } end, function(list, p)
    if p.json then return say("%s", json.encode(list, SORTED)) end
    for _, e in ipairs(list) do
      say("%s %-8s %-20s %s", os.date("%Y-%m-%d %H:%M:%S", math.floor(e.time)), e.kind, e.name, e.text or "")
    end
  end),
}

-- --- life cycle ------------------------------------------------------------------------------------------------

local function words_to_params(words)
  local params = {}
  for _, w in ipairs(words or {}) do
    local k, v = w:match("^([^=]+)=(.*)$")
    if not k then return nil, "'" .. w .. "' is no key=value" end
    params[k] = v
  end
  return params
end

local function absolute(path)
  if path:sub(1, 1) == "/" then return path end
  return (os.getenv("PWD") or ".") .. "/" .. path
end

verbs.create = {
  summary = "start a domain from a service script",
  options = { WORLD, JSON, { "--name", arg = "NAME", help = "its name; default: the file's" },
    { "-m", "--memory", arg = "MIB", type = "integer", min = 4, help = "limit of its memory" },
    { "-c", "--console", help = "attach its console" },
    { "--repl", help = "a Lua prompt on its console, beside the service" } },
  positionals = { { "SCRIPT", help = "the service's file" }, { "PARAMS", key = "words", optional = true, many = true,
    help = "its parameters" } },
  examples = { "xenkit create hello.lua port=8080" },
  run = function(p)
    local source, err = files.read(p.script)
    if not source then return fail(err) end
    local params
    params, err = words_to_params(p.words)
    if not params then return fail(err, 2) end
    local name = p.name or p.script:match("([^/]+)%.lua$") or "domain"
    return with_world(p, function(world, dir)
      local r, e = client.call(world, dir, "create", { name = name, script = absolute(p.script), source = source,
        params = params, memory = p.memory, repl = p.repl })
      if not r then return fail(e) end
      if p.json then say("%s", json.encode(r, SORTED)) else say("domain %d, %s", r.domid, r.name) end
    end)
  end,
}

verbs.build = {
  summary = "make what boots as a stub domain, from a service script",
  description = "Writes the kernel, the domain program with the script and its files appended, and an xl config.",
  options = require("xenkit.cli.build").options,
  positionals = { { "SCRIPT", help = "the service's file" }, { "PARAMS", key = "words", optional = true, many = true,
    help = "its parameters" } },
  examples = { { "xenkit build hello.lua && xl create hello/hello.cfg", "on a Xen host" } },
  run = function(p) return require("xenkit.cli.build").run(p, fail, say) end,
}

verbs.symbolize = {
  summary = "turn a stub domain's crash report into a backtrace",
  description = "Reads a file or standard input, such as the output of `xl dmesg`, and prints for each report the " ..
    "place where it broke and the calls that led there, as far as the stack words tell.",
  options = require("xenkit.cli.symbolize").options,
  positionals = { { "FILE", optional = true, help = "where the report stands; default: standard input" } },
  examples = { "xl dmesg | xenkit symbolize" },
  run = function(p) return require("xenkit.cli.symbolize").run(p, fail, say) end,
}

local function life(method, summary, extra)
  return {
    summary = summary, options = { WORLD, extra }, positionals = { DOMAIN },
    run = simple(method, function(p) return { name = p.domain, timeout = p.timeout } end),
  }
end
verbs.pause = life("pause", "stop a domain where it stands")
verbs.unpause = life("unpause", "let a paused domain go on")
verbs.destroy = life("destroy", "end a domain at once")
verbs.shutdown = life("shutdown", "ask a domain to end, and wait for it",
  { "--timeout", arg = "SECONDS", type = "number", default = 10, help = "how long to wait" })
verbs.scale = {
  summary = "set how many instances of a scaled domain run",
  options = { WORLD }, positionals = { { "NAME" }, { "COUNT", type = "integer" } },
  run = simple("scale", function(p) return { name = p.name, count = p.count } end, function(n, p)
    say("%d", n)
    if n ~= p.count then
      io.stderr:write(("xenkit: %d instead of %d: the %s of %s, by its world file\n"):format(n, p.count,
        n < p.count and "max" or "min", p.name))
    end
  end),
}

verbs.move = on_any("move", {
  summary = "let another domain serve a disk or a network",
  description = "What a domain has under way on a disk waits meanwhile, and is done by the new back end: it sees no " ..
    "error. Of a network some packets are lost. The front end has to be one of xenkit's.",
  options = { WORLD, { "--back", arg = "DOMAIN", help = "who serves it from now on" },
    { "--image", arg = "IMAGE", help = "a disk's image by the name that it has there; default: as before" } },
  positionals = { DOMAIN, { "DEVICE", help = "by its name in the description, or as xvda or vif0" } },
  examples = { "xenkit move db data --back disks2", "xenkit move guest vif0 --back Domain-0 --on xen" },
  run = function(p)
    if not p.back then return fail("--back DOMAIN says where to; `xenkit list` shows which there are", 2) end
    return simple("move", function()
      return { name = p.domain, device = p.device, back = p.back, image = p.image }
    end)(p)
  end,
})

verbs.up = {
  summary = "start a world from its file",
  description = "The process becomes domain 0 of the world and stays; Ctrl-C takes all down.",
  options = { { "-d", "--detach", help = "go on in the background once the world is up" },
    { "--name", arg = "NAME", help = "the world's name; default: as in the file" },
    { "-q", "--quiet", help = "print nothing but errors" } },
  positionals = { { "WORLD", key = "file", help = "the world's description" } },
  examples = { "xenkit up examples/demo.lua", { "xenkit up -d w.lua && xenkit list && xenkit down",
    "in the background" } },
  run = function(p)
    local spec, err = require("xenkit.host.world").load(p.file)
    if not spec then return fail(err, 2) end
    spec.name = p.name or spec.name
    local dir = files.runtime_dir() .. "/" .. spec.name
    local log_path = dir .. "/up.log"
    local part = log_path .. "." .. host.pid() -- until it is known that no other world runs there
    if p.detach then
      local ok, e = host.mkdir(dir)
      if not ok then return fail(e) end
      local log
      log, e = host.open(part, "w")
      if not log then return fail(part .. ": " .. e) end
      host.detach(log)
    end
    -- Whoever reads this may be gone: a world goes on.
    local function tell(...)
      if p.quiet then return end
      io.stdout:write(string.format(...), "\n")
      io.stdout:flush()
    end
    local was_up = false
    local code, e = require("xenkit.cli.up").run(spec, {
      dir = dir,
      keep_logs_of_failure = p.detach,
      log = function(_, text) tell("%s %s", os.date("%H:%M:%S"), text) end,
      ready = function(T)
        for k, v in pairs(T:addresses()) do tell("%-20s %s", k, v) end
        tell("world '%s' is up", spec.name)
        was_up = true
        if p.detach then os.rename(part, log_path) end
        host.detached(true)
      end,
    })
    if p.detach and not was_up then os.remove(part) end
    if p.detach and code then os.remove(log_path) end
    if p.detach then host.rmdir(dir) end
    if not code then
      host.detached(false)
      return fail(e)
    end
    return code
  end,
}

verbs.down = {
  summary = "end a world: all its domains, then domain 0",
  options = { WORLD, { "--timeout", arg = "SECONDS", type = "number", default = 20, help = "how long to wait" } },
  run = function(p)
    return with_world(p, function(world, dir)
      local info, err = client.call(world, dir, "info")
      if not info then return fail(err) end
      client.call(world, dir, "down")
      local deadline = world:now() + p.timeout
      while host.signal(info.pid, 0) do
        if world:now() > deadline then return fail("the world does not end; its process is " .. info.pid) end
        task.sleep(0.02)
      end
    end)
  end,
}

verbs.run = {
  summary = "run one service in a small world of its own, with its console here",
  description = "Starts a world with a store, a console and this one domain, attaches the console, and ends when " ..
    "the service does or at Ctrl-C. Parameters are given as key=value; `xenkit run FILE --help` lists them.",
  options = { { "--name", arg = "NAME", help = "the world's name" }, { "--keep", help = "keep the console's log" },
    { "--restart", help = "with --on xen: stay, and start it again when it crashes; the store is also handed over " ..
      "on xenstore-control live-update" },
    { "--no-sandbox", help = "without the seccomp sandbox, for debugging" } },
  positionals = { { "SCRIPT", help = "the service" }, { "PARAMS", key = "words", optional = true,
    many = true, help = "its parameters" } },
  examples = { "xenkit run scripts/services/dns.lua zone=my.zone port=5353",
    "xenkit run scripts/services/store.lua socket=/tmp/xs" },
  run = function(p) return require("xenkit.cli.run")(p, fail, say) end,
}

-- --- consoles and logs -----------------------------------------------------------------------------------------

verbs.console = {
  summary = "attach to a domain's console (Ctrl-] leaves), or look through it",
  description = "Who comes first may type, the others look. Without a terminal, what comes by standard input is typed.",
  options = require("xenkit.cli.console").options(WORLD, JSON),
  positionals = { { "DOMAIN", optional = true, help = "a name or a number, as `xenkit list` shows them" } },
  examples = { { "xenkit console web --take", "and take the keyboard" },
    { "xenkit console web --tail 20 -f", "as tail -f" },
    { "xenkit console web --search 'out of memory'", "with the time of each line" },
    { "xenkit console --stats", "all consoles" } },
  run = function(p) return require("xenkit.cli.console").run(p, fail, say, with_world) end,
}

local log = require "xenkit.cli.log"
verbs.log = {
  summary = "show what domains have logged, and set what they log",
  description = log.description,
  options = { WORLD, JSON, table.unpack(log.options) },
  positionals = { { "DOMAIN", optional = true, help = "of this one only; www is also www-1, www-2 ..." } },
  examples = log.examples,
  run = log.verb(with_world, fail, say),
}

verbs.netns = {
  summary = "run a program in the network of a world (a net service with uplink=netns:...)",
  description = "The program is an ordinary one of this host, with its files and rights; only its network is another: "
    .. "what the domains' switch carries. It takes no root: the network belongs to whoever started the world.",
  options = { WORLD },
  positionals = { { "DOMAIN", help = "the domain whose `uplink` it is" },
    { "COMMAND", optional = true, many = true, help = "the program and its words; without: a shell" } },
  examples = { { "xenkit netns net -- ping -c 3 10.9.0.1", "ask for echoes" },
    { "xenkit netns net", "a shell, from which `ip addr` shows the network" } },
  run = function(p)
    local pid
    local failed = with_world(p, function(world, dir)
      local list, err = client.call(world, dir, "list")
      if not list then return fail(err) end
      for _, d in ipairs(list) do if d.name == p.domain then pid = d.netns or false end end
      if pid == nil then return fail("no domain '" .. p.domain .. "'") end
      if not pid then return fail("domain '" .. p.domain .. "' has no uplink of the kind netns") end
    end)
    if failed and failed ~= 0 then return failed end
    return require("xenkit.cli.netns").run(pid, p.command or {}, fail)
  end,
}

local capture = require "xenkit.cli.capture"
verbs.capture = {
  summary = "see what a domain sends and gets by network, as pcapng for Wireshark or tcpdump",
  description = capture.description,
  options = { ON, WORLD, table.unpack(capture.options) },
  positionals = { { "DOMAIN", help = "a name or a number, as `xenkit list` shows them" },
    { "VIF", optional = true, help = "which of its networks, when it has several" } },
  examples = capture.examples,
  run = capture.verb(with_world, fail),
}

verbs.repl = {
  summary = "a Lua prompt in a fresh domain of the world",
  options = { WORLD },
  run = function(p)
    local dir, err = client.find(p.world)
    if not dir then return fail(err, 3) end
    local name = "repl-" .. host.pid()
    local code = client.run(function(world)
      local tty = host.is_tty(0) and host.is_tty(1)
      local columns = tty and host.tty_size(1) or 80
      local r, e = client.call(world, dir, "create", { name = name, service = "repl",
        params = { width = math.max(20, math.min(500, columns)), dumb = tostring(not tty) } })
      if not r then return fail(e) end
    end)
    if code then return code end
    code = require("xenkit.cli.console").run({ world = p.world, domain = name, console = "0", escape = "raw" }, fail,
      say, with_world)
    client.run(function(world) client.call(world, dir, "destroy", { name = name }) end)
    return code
  end,
}

-- --- store -----------------------------------------------------------------------------------------------------

local store_verbs = require "xenkit.cli.store" (with_world, fail, say, WORLD, JSON, ON)
verbs.store = { summary = "look into the store and change it", verbs = store_verbs }

for _, name in ipairs { "image", "fat", "crunch" } do verbs[name] = common.group(name) end

verbs.completion = {
  summary = "print the completion script for bash",
  examples = { { "source <(xenkit completion)", "in ~/.bashrc" } },
  run = function(_, cli) out.write(cli:completion()) end,
}
verbs.man = {
  summary = "print the manual page",
  examples = { "xenkit man | man -l -" },
  run = function(_, cli) out.write(cli:man { section = 1, manual = "xenkit" }) end,
}

for _, name in ipairs { "list", "create", "console", "pause", "unpause", "shutdown", "destroy", "dmesg", "log",
  "run" } do
  on_any(name, verbs[name])
end

local ORDER = { "up", "down", "list", "info", "top", "build", "create",
  "console", "pause", "unpause", "shutdown", "destroy",
  "scale", "move", "dmesg", "symbolize", "log", "capture", "netns", "repl", "run", "store", "image", "fat",
  "crunch", "completion", "man" }

return { verbs = verbs, ORDER = ORDER }
