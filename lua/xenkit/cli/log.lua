--- `xenkit log`: what domains have said, merged. @module xenkit.cli.log
local client = require "xenkit.cli.client"
local filter = require "xenkit.log.filter"
local format = require "xenkit.log.format"
local json = require "xenkit.json"
local out = require "xenkit.cli.out"
local level = require "xenkit.log.level"
local logs = require "xenkit.logs"
local rpc = require "xenkit.rpc"
local task = require "xenkit.task"

local M = {}

M.options = {
  { "-f", "--follow", help = "go on as more comes" },
  { "-l", "--level", arg = "LEVEL", choices = { "debug", "info", "warning", "error" },
    help = "nothing below it (what a domain does not say at all is --set-level's)" },
  { "-s", "--source", arg = "SOURCE", help = "of this part of a domain only; net is also net.tcp" },
  { "--since", arg = "TIME", help = "not older: 10m, 2h, 1d ago, or 2026-01-31T12:00:00 (UTC)" },
  { "-n", "--tail", arg = "N", type = "integer", min = 0, help = "the last N only" },
  { "-g", "--grep", arg = "PATTERN", help = "with this in text or fields, a pattern of Lua's" },
  { "--set-level", arg = "LEVEL", choices = level.RULES,
    help = "instead: from now on domains send from LEVEL on; off: nothing, reset: as before" },
  { "--stats", help = "instead: what came, was lost, is kept, of each domain" },
}

M.examples = {
  { "xenkit log -f", "all domains, as they speak" },
  { "xenkit log www --tail 20", "the last of www and its instances, with last words of those that died" },
  { "xenkit log --level warning --since 1h", "what went wrong lately" },
  { "xenkit log --set-level debug www --source net", "more of one part, at once" },
  { "xenkit log --stats", "where records were lost" },
}

M.description = "Records of all domains, in the order in which they came, or of DOMAIN. Needs a domain with " ..
  "service = \"log\" in the world. Loss is said where it happened; a record marked [last words] was found in the " ..
  "memory of a domain that was killed."

-- A connection that leads to the log domain, by way of domain 0. @return a stream, or nil, message
local function connect(world, dir)
  local s, err = client.connect(world, dir)
  if not s then return nil, err end
  rpc.send(s, { id = 1, method = "log" })
  local r, e = rpc.receive(s, 10)
  if r and not r.error then return s end
  s:close()
  return nil, r and r.error.message or e
end

local COLUMNS = { "received", "lost", "last_words", "recovered", "duplicates", "limited", "kept", "evicted" }

local function print_stats(st, say)
  say("%-20s %5s %9s %7s %6s %6s %6s %6s %7s %8s", "Name", "ID", "Received", "Lost", "Last", "Ring", "Twice",
    "Held", "Kept", "Evicted")
  for _, d in ipairs(st.domains) do
    local row = {}
    for i, k in ipairs(COLUMNS) do row[i] = d[k] end
    say("%-20s %5d %9d %7d %6d %6d %6d %6d %7d %8d", d.name, d.domid, table.unpack(row))
  end
  say("kept: %d records of %d, %.1f MiB of %.1f; readers: %d, records they were too slow for: %d, refused: %d",
    st.records, st.limits.all_records, st.bytes / 2 ^ 20, st.limits.all_bytes / 2 ^ 20, st.readers, st.skipped,
    st.refused)
end

local function show(s, q, p)
  local reader <close> = assert(logs.over(s, q))
  while true do
    local r, err, code = reader:next()
    if not r then return err, code end
    out.write(p.json and format.json(r) or format.line(r), "\n")
    out.flush()
  end
end

local function query(world, p)
  local since, err
  if p.since then
    since, err = format.time(p.since, world:wallclock())
    if not since then return nil, err end
  end
  if p.grep and not pcall(string.find, "", p.grep) then return nil, "'" .. p.grep .. "' is no pattern of Lua's" end
  return { domain = p.domain, level = p.level, source = p.source, since = since, tail = p.tail, grep = p.grep,
    follow = p.follow }
end

local function ask(s, p, op, q, fail, say)
  local r, err = logs.ask(s, op, q)
  if not r then return fail(err) end
  if p.json then say("%s", json.encode(r, { sorted = true }))
  elseif op == "stats" then print_stats(r, say)
  else say("%d domains are told", r.senders) end
  return 0
end

-- Options that would be taken without a word, as what is shown instead has no use for them.
local function useless(p)
  if not p.stats and not p.set_level then return nil end
  local instead = p.stats and "--stats" or "--set-level"
  for _, o in ipairs { "follow", "level", "since", "tail", "grep" } do
    if p[o] then return ("%s shows no records; leave out --%s, or %s"):format(instead, o, instead) end
  end
  if p.stats and p.set_level then return "--stats and --set-level are two things; say one of them" end
  if p.stats and (p.source or p.domain) then
    return ("--stats is of all domains; leave out %s, or --stats"):format(p.source and "--source" or p.domain)
  end
end

-- Whether the log domain has ever heard of (domain). Where it does not say, the answer is yes.
local function is_known(open, domain)
  local s <close> = open()
  local st = s and logs.ask(s, "stats", {})
  local fits = filter.domain_test(domain)
  for _, d in ipairs(st and st.domains or {}) do
    if fits(d) then return true end
  end
  return not st
end

-- The next log domain is there in a moment; what it has found in the rings of domains is marked so.
local function again(open)
  local s, err
  for _ = 1, 50 do
    task.sleep(0.2)
    s, err = open()
    if s then return s end
  end
  return nil, err
end

--- Does what the command line says. @param open function() -> a stream that leads to the log domain, or nil, message
function M.run(world, open, p, fail, say)
  local q, err = query(world, p)
  err = err or useless(p)
  if err then return fail(err, 2) end
  local s, e = open()
  if not s then return fail(e) end
  if p.set_level then
    return ask(s, p, "set_level", { level = p.set_level, domain = p.domain, source = p.source }, fail, say)
  end
  if p.stats then return ask(s, p, "stats", {}, fail, say) end
  if p.domain and not is_known(open, p.domain) then
    local unknown = ("domain '%s' has said nothing yet; xenkit log --stats lists those that have"):format(p.domain)
    if not p.follow then return fail(unknown) end
    io.stderr:write("xenkit: ", unknown, "\n")
  end
  local why, code = show(s, q, p)
  while p.follow and s and code ~= "XK_ENOENT" and code ~= "XK_EPERM" and code ~= "XK_EINVAL" do
    io.stderr:write("xenkit: the log domain ended; waiting for the next one\n")
    s, e = again(open)
    if not s then return fail(e) end
    why, code = show(s, q, p)
  end
  return why and fail(why) or 0
end

--- @return function(p) for the verb
function M.verb(with_world, fail, say)
  return function(p)
    return with_world(p, function(world, dir)
      return M.run(world, function() return connect(world, dir) end, p, fail, say)
    end)
  end
end

return M
