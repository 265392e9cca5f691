--- `xenkit store ...`: the store of a world, through its socket. @module xenkit.cli.store
local host = require "xenkit.core.host"
local json = require "xenkit.json"
local out = require "xenkit.cli.out"
local store = require "xenkit.store"
local task = require "xenkit.task"

return function(with_world, fail, say, WORLD, JSON, ON)
  local core_stream = require "xenkit.core.stream"
  local run = {}

  local function open(world, path)
    local fd, err = host.connect_unix(path)
    if not fd then return nil, path .. ": " .. err end
    return store.open(world, (assert(core_stream.from_handle(world, fd))))
  end

  -- A store whose process ended is there again in a moment.
  local function open_again(world, path)
    io.stderr:write("xenkit: the store's process ended; waiting for the next one\n")
    local s, err
    for _ = 1, 100 do
      task.sleep(0.1)
      s, err = open(world, path)
      if s then return s end
    end
    return nil, err
  end

  local GONE = { XK_EGONE = true, XK_ECLOSED = true }

  -- The store of a world, or with --socket any that serves xenstore there, such as dom0's. With `again`, fn is called
  -- once more on the next connection when this one breaks.
  local function with_store(fn, again)
    local function use(world, path, p)
      local s, err = open(world, path)
      while s do
        local ok, e, code = fn(s, p)
        s:close()
        if ok ~= nil then return end
        if not (again and GONE[code]) then return fail(e) end
        s, err = open_again(world, path)
      end
      return fail(err)
    end
    return function(p)
      if (p.on or os.getenv("XENKIT_PLATFORM")) == "xen" and not p.socket then
        local ok, err = require("xenkit.cli.xen").with_store(function(_, s) return fn(s, p) end)
        return ok == nil and fail(err) or 0
      end
      if p.socket then
        return require("xenkit.cli.client").run(function(world) return use(world, p.socket, p) end)
      end
      return with_world(p, function(world, dir) return use(world, dir .. "/store.sock", p) end)
    end
  end

  -- In JSON a value that is no UTF-8 stands as "hex".
  local function hex(v) return (v:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

  -- Values are bytes: what is not printable is shown as \xNN, as xenstore-ls does.
  local function shown(v) return (v:gsub("[%c\127-\255\\]", function(c) return ("\\x%02x"):format(c:byte()) end)) end

  run.read = with_store(function(s, p)
    local v, err = s:read(p.path)
    if not v then return nil, err end
    say("%s", p.json and json.encode(utf8.len(v) and v or { hex = hex(v) }) or shown(v))
    return true
  end)
  run.write = with_store(function(s, p) return s:write(p.path, p.value) end)
  run.rm = with_store(function(s, p) return s:rm(p.path) end)
  run.list = with_store(function(s, p)
    local names, err = s:list(p.path)
    if not names then return nil, err end
    if p.json then say("%s", json.encode(json.array(names))) else for _, n in ipairs(names) do say("%s", n) end end
    return true
  end)

  local function walk(s, path, depth, visit)
    local names = s:list(path)
    for _, n in ipairs(names or {}) do
      local child = (path == "/" and "" or path) .. "/" .. n
      local v = s:read(child) or ""
      local perms = s:get_perms(child) or {}
      visit(child, n, v, perms, depth)
      walk(s, child, depth + 1, visit)
    end
  end

  run.ls = with_store(function(s, p)
    local all = {}
    local names, err = s:list(p.path or "/")
    if not names then return nil, err end
    walk(s, p.path or "/", 0, function(path, name, v, perms, depth)
      if p.json then
        local text = utf8.len(v)
        all[#all + 1] = { path = path, value = text and v or nil, hex = not text and hex(v) or nil,
          perms = json.array(perms) }
      else
        say('%s%s = "%s"   (%s)', (" "):rep(depth), name, shown(v), table.concat(perms, ","))
      end
    end)
    if p.json then say("%s", json.encode(json.array(all))) end
    return true
  end)

  run.watch = with_store(function(s, p)
    local w, err, code = s:watch(p.path)
    local n = 0
    while w do
      local path
      path, err, code = w:next()
      if not path then break end
      out.write(path, "\n")
      out.flush()
      n = n + 1
      if p.count > 0 and n >= p.count then return true end
    end
    return nil, err, code
  end, true)

  local function number_of(s, key)
    local like = {}
    for _, id in ipairs(s:list("/local/domain") or {}) do
      local name = s:read("/local/domain/" .. id .. "/name")
      if name == key or id == key then return math.tointeger(tonumber(id)) end
      if name and name:match("^(.*)%-%d+$") == key then like[#like + 1] = name end
    end
    return nil, "no domain '" .. key .. "'" .. (#like > 0 and "; there is " .. table.concat(like, ", ") or "")
  end

  run.top = with_store(function(s, p) return require("xenkit.cli.store_top").run(s, p, say) end, true)

  run.why = with_store(function(s, p)
    local domid, e = number_of(s, p.domain)
    if not domid then return nil, e end
    local text, err = s:control("why", tostring(domid))
    if not text then return nil, err end
    say("%s", (text:gsub("\n$", "")))
    return true
  end)

  run.record = with_store(function(s, p)
    local domid, err = number_of(s, p.domain)
    if not domid then return nil, err end
    local total, lost = require("xenkit.cli.store_tape").record(s, domid, p.file, p.seconds)
    if not total then return nil, lost end
    say("%s: %d bytes of domain %d%s", p.file, total, domid,
      lost > 0 and ("; %d packets did not fit and are not in it"):format(lost) or "")
    return true
  end)

  run.replay = with_store(function(s, p)
    local tape = require "xenkit.cli.store_tape"
    local bytes, err = require("xenkit.host.files").read(p.file)
    local list
    if bytes then list, err = tape.parse(bytes) end
    if not list then return nil, err:find(p.file, 1, true) and err or p.file .. ": " .. err end
    if p.show then
      for _, e in ipairs(list) do say("%s", tape.line(e)) end
      return true
    end
    local asked, different = tape.replay(s, list, p.home, function(text) say("%s", text) end)
    say("%d requests, %d answers differ", asked, different)
    return different == 0 or nil, "the answers are not those of the tape (domain 0 may more than other domains)"
  end)

  run.history = with_store(function(s, p)
    local words = { "history", p.path }
    if p.keep then words = p.keep > 0 and { "history", "on", tostring(p.keep) } or { "history", "off" }
    elseif not p.path then return nil, "of which path? `xenkit store history --help` tells more" end
    local text, err = s:control(table.unpack(words))
    if not text then return nil, err end
    if text:find("^no history is kept") then
      return nil, "no history is kept; begin with `xenkit store history --keep N`"
    end
    if p.keep then
      say(p.keep > 0 and "the last %d changes are kept from now on" or "nothing is kept any more", p.keep)
    end
    if not p.keep then say("%s", text == "" and "no change of it is known" or (text:gsub("\n$", ""))) end
    return true
  end)

  run.undo = with_store(function(s, p)
    local r, err, code = s:control("undo", p.path, tostring(p.change or 1))
    if not r then
      return nil, p.path .. ": " .. (code == "XK_ENOENT" and
        "no such change is known; `xenkit store history " .. p.path .. "` lists them" or err)
    end
    return true
  end)

  -- The text goes over the store's own protocol, so that it reaches a store domain as well.
  local function send_policy(s, text)
    local r, err = s:control("policy", "begin")
    if not r then return nil, "this store takes no policy: " .. err end
    for i = 1, #text, 3000 do
      r, err = s:control("policy", "add", text:sub(i, i + 2999))
      if not r then return nil, err end
    end
    r, err = s:control("policy", "commit")
    if r and r ~= "OK" then return nil, r .. "; the policy of before goes on" end
    return r, err
  end

  run.policy = with_store(function(s, p)
    local r, err
    if p.off then
      r, err = s:control("policy", "off")
    elseif p.file then
      local text
      text, err = require("xenkit.host.files").read(p.file)
      if not text then return nil, err end
      r, err = send_policy(s, text)
    else
      r, err = s:control("policy", "show")
      if r then say("%s", (r:gsub("\n$", ""))) end
    end
    if not r then return nil, err end
    if p.off then say("the policy is taken away") elseif p.file then say("%s is the policy now", p.file) end
    return true
  end)

  run.control = with_store(function(s, p)
    local text, err, code = s:control(table.unpack(p.words))
    if not text then
      return nil, code == "XK_EINVAL" and
        "the store does not take these words: `xenkit store control help` lists them" or err
    end
    say("%s", text)
    return true
  end)

  function run.update(p)
    return with_world(p, function(world, dir)
      local r, err = require("xenkit.cli.client").call(world, dir, "update_store")
      if not r then return fail("the store goes on as it was: " .. err) end
      if p.json then say("%s", json.encode(r, { sorted = true }))
      else
        say("a new process serves the store, with the %d connections of tools it had; nobody was served for %.1f ms",
          r.sockets, r.pause_ms)
      end
    end)
  end

  local PATH = { "PATH", help = "absolute" }
  local specs = {
    { name = "ls", summary = "print the tree", options = { WORLD, JSON }, positionals = { { "PATH",
      optional = true } } },
    { name = "read", summary = "print a node's value", options = { WORLD, JSON }, positionals = { PATH } },
    { name = "write", summary = "set a node's value", options = { WORLD }, positionals = { PATH, { "VALUE" } } },
    { name = "list", summary = "print the names of a node's children", options = { WORLD, JSON },
      positionals = { PATH } },
    { name = "rm", summary = "remove a node and all below it", options = { WORLD }, positionals = { PATH } },
    { name = "watch", summary = "print each change below a node", options = { WORLD,
      { "-n", "--count", arg = "N", type = "integer", min = 0, default = 0, help = "end after so many; 0: never" } },
      positionals = { PATH } },
    { name = "top", summary = "what each domain does to the store", options = { WORLD, JSON,
      { "-n", "--count", arg = "N", type = "integer", min = 0, default = 0, help = "end after so many; 0: never" },
      { "-i", "--interval", arg = "SECONDS", type = "number", default = 1, min = 0.05, help = "between two" } } },
    { name = "why", summary = "why a domain's last requests were refused: path, limit, conflict", options = { WORLD },
      positionals = { { "DOMAIN", help = "its name or number" } } },
    { name = "record", summary = "write what a domain asks of the store, and is answered, to FILE", options = { WORLD,
      { "-t", "--seconds", arg = "N", type = "number", min = 0.1, default = 10, help = "for so long" } },
      positionals = { { "DOMAIN", help = "its name or number" }, { "FILE", help = "the tape" } } },
    { name = "replay", summary = "send the requests of a tape again, as domain 0, and compare the answers",
      options = { WORLD, { "--show", help = "print the tape instead" },
        { "--home", arg = "DOMID", type = "integer", default = 0, help = "whose home relative paths mean" } },
      positionals = { { "FILE", help = "the tape" } } },
    { name = "history", summary = "what a node was, and who changed it", options = { WORLD,
      { "--keep", arg = "N", type = "integer", min = 0, max = 4095, help = "keep the last N changes " ..
        "of the store from now on; 0: none, as at the start" } },
      positionals = { { "PATH", optional = true, help = "absolute" } } },
    { name = "undo", summary = "take the last change of a node and all below it back", options = { WORLD },
      positionals = { PATH, { "CHANGE", optional = true, type = "integer", help = "its number in `history`: " ..
        "all since then are taken back; default 1, the last" } } },
    { name = "policy", summary = "show the store's policy, or put FILE in its place while it runs",
      description = "A policy is a Lua file that returns a table of hooks: permit, quota, audit. " ..
        "docs/store.md has an example.",
      options = { WORLD, { "--off", help = "take the policy away" } },
      positionals = { { "FILE", optional = true, help = "the new policy" } } },
    { name = "update", summary = "hand the running store over to a new process", options = { WORLD, JSON } },
    { name = "control", summary = "a control command of the server, such as help", options = { WORLD },
      positionals = { { "WORD", key = "words", many = true } } },
  }
  local SOCKET = { "--socket", arg = "PATH", help = "a store's socket, instead of a world's; in dom0 " ..
    "/var/run/xenstored/socket" }
  for _, spec in ipairs(specs) do
    if spec.name ~= "update" then
      spec.options[#spec.options + 1] = SOCKET
      spec.options[#spec.options + 1] = ON
    end
  end
  specs.run = run
  return specs
end
