--- `xenkit console`: asks the console service of a hosted world. On Xen see xenkit.cli.console_xen.
-- @module xenkit.cli.console
local client = require "xenkit.cli.client"
local host = require "xenkit.core.host"
local json = require "xenkit.json"
local out = require "xenkit.cli.out"
local rpc = require "xenkit.rpc"

local M = {}

local ANSWER = 15 -- seconds

--- The options of the verb.
function M.options(...)
  local list = { ... }
  for _, o in ipairs {
    { "-r", "--read-only", help = "only look" },
    { "-t", "--take", help = "take the keyboard from who has it" },
    { "-n", "--console", arg = "WHICH", default = "0", help = "which console: a number, or a channel's name" },
    { "--tail", arg = "N", type = "integer", min = 0, help = "print the last N lines" },
    { "-f", "--follow", help = "with --tail: go on as more comes" },
    { "--search", arg = "TEXT", help = "print the lines that have TEXT in them" },
    { "-e", "--pattern", help = "with --search: TEXT is a Lua pattern" },
    { "--escape", arg = "POLICY", choices = { "raw", "safe", "sgr", "strip" },
      help = "what of the guest's control sequences reaches the terminal; default: as the service is set" },
    { "--stats", help = "bytes, losses, throttling, readers of all consoles" },
  } do list[#list + 1] = o end
  return list
end

-- A request on an open session.
local function ask(s, method, params)
  local ok, err, code = rpc.send(s, { id = 1, method = method, params = params }, ANSWER)
  local r
  if ok then r, err, code = rpc.receive(s, ANSWER) end
  if not r then return nil, "the console service does not answer: " .. tostring(err), code end
  if r.error then return nil, r.error.message, r.error.code end
  return r.result
end
M.ask = ask

local function human(n)
  if n >= 10 << 20 then return ("%.0fM"):format(n / (1 << 20)) end
  if n >= 10 << 10 then return ("%.0fK"):format(n / (1 << 10)) end
  return tostring(n)
end

local function print_stats(say, r)
  say("%-20s %5s %3s %7s %6s %6s %9s %7s %7s  %s", "Name", "ID", "Con", "Out", "Typed", "Lost", "Throttled", "Kept",
    "Readers", "Writer")
  for _, c in ipairs(r.consoles) do
    say("%-20s %5d %3d %7s %6s %6s %8.1fs %7s %7d  %s", c.channel and c.name .. ":" .. c.channel or c.name, c.domid,
      c.console, human(c.out), human(c.typed), human(c.readers_lost + c.typed_lost + (c.log_lost or 0)), c.throttled_s,
      human(c.scrollback), c.readers, c.broken or c.writer or "-")
  end
  for _, t in ipairs(r.triggers or {}) do
    say("%s '%s': %d times%s", t.name, t.match, t.count, t.off and ", switched off: " .. t.off or "")
  end
end

local function print_lines(say, r)
  for _, l in ipairs(r.lines) do say("%s %s", os.date("%Y-%m-%d %H:%M:%S", math.floor(l.time)), l.line) end
  if r.left_out > 0 then say("(%d earlier ones are left out)", r.left_out) end
  return #r.lines > 0 and 0 or 1
end

local function who()
  return (os.getenv("USER") or "uid " .. host.uid()) .. " (pid " .. host.pid() .. ")"
end

-- Attaches. @return exit code
local function attach(p, fail, world, s, domid)
  local look = p.read_only or p.tail ~= nil
  local params = { domid = domid, console = p.console, write = not look, take = p.take, tail = p.tail,
    escape = p.escape, who = who() }
  local r, err = ask(s, "attach", params)
  if not r then return fail(err) end
  if not look and not r.write and not r.ended then
    io.stderr:write(("xenkit: %s has the keyboard; you only look (--take takes it)\n"):format(r.writer or "somebody"))
  end
  return require("xenkit.cli.terminal").join(world, s, not look)
end

-- The last lines, without waiting for more.
local function tail(p, fail, s, domid)
  local r, err = ask(s, "tail", { domid = domid, console = p.console, lines = p.tail, escape = p.escape })
  if not r then return fail(err) end
  if p.json then out.write(json.encode({ text = r.text }), "\n") else out.write(r.text) end
  return 0
end

--- Does what `p` asks on session `s`. @return exit code
function M.session(p, fail, say, world, s, domid)
  if p.stats then
    local r, err = ask(s, "list", {})
    if not r then return fail(err) end
    if p.json then say("%s", json.encode(r, { sorted = true })) else print_stats(say, r) end
    return 0
  elseif p.search then
    local r, err, code = ask(s, "search", { domid = domid, console = p.console, pattern = p.search, lua = p.pattern })
    if not r then return fail(err, code == "XK_EINVAL" and 2 or 1) end
    if not p.json then return print_lines(say, r) end
    r.lines = json.array(r.lines)
    say("%s", json.encode(r, { sorted = true }))
    return 0
  elseif p.tail and not p.follow then
    return tail(p, fail, s, domid)
  end
  return attach(p, fail, world, s, domid)
end

--- What is wrong with the words, if anything.
function M.misuse(p)
  if not p.domain and not p.stats then return "name a domain, or ask for --stats" end
  if p.follow and not p.tail then return "--follow goes with --tail N" end
  if p.pattern and not p.search then return "--pattern goes with --search TEXT" end
end

--- The verb, in a hosted world.
function M.run(p, fail, say, with_world)
  local wrong = M.misuse(p)
  if wrong then return fail(wrong .. "; see `xenkit console --help`", 2) end
  return with_world(p, function(world, dir)
    local d, err = {}, nil
    if p.domain then d, err = client.call(world, dir, "find", { name = p.domain }) end
    if not d then return fail(err) end
    local s <close>, e = client.connect(world, dir)
    if not s then return fail(e) end
    local ok
    ok, e = ask(s, "console", {})
    if not ok then return fail(e) end
    return M.session(p, fail, say, world, s, d.domid)
  end)
end

return M
