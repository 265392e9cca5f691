-- The pure parts of the console service: what of a guest's bytes passes, what is kept, how fast, who types, what is
-- written into files, what triggers may do. Worlds: tests/e2e/console.sh, tests/lab/test_console.sh.
local bucket = require "xenkit.console.bucket"
local escape = require "xenkit.console.escape"
local policy = require "xenkit.console.policy"
local scrollback = require "xenkit.console.scrollback"
local trigger = require "xenkit.console.trigger"

describe("escape filter", function()
  -- Whole, and byte by byte: a filter must not care how output is cut.
  local function both(name, text)
    local whole = escape.filter(name)(text)
    local f, parts = escape.filter(name), {}
    for c in text:gmatch "." do parts[#parts + 1] = f(c) end
    assert.equal(whole, table.concat(parts))
    return whole
  end

  it("lets through what draws, by policy", function()
    local text = "a\27[1;31mred\27[0m\27[2K\27[10;5Hx\27[?25l\27[?1049h\27(B\8\7\r\n\tend"
    assert.equal(text, both("raw", text))
    assert.equal(text, both("safe", text))
    assert.equal("a\27[1;31mred\27[0mx\8\7\r\n\tend", both("sgr", text))
    assert.equal("aredx\r\n\tend", both("strip", text))
  end)

  it("drops what makes a terminal answer or act", function()
    for _, bad in ipairs { "\27[6n", "\27[c", "\27[>c", "\27[5i", "\27[21t", "\27[?1000h", "\27[?25;1000h",
      "\27]0;title\7", "\27]52;c;ZXZpbA==\27\\", "\27P+q544e\27\\", "\27_apc\27\\", "\27^pm\27\\",
      "\27Xsos\27\\", "\27c", "\27[!p", "\27[0 q", "\5", "\14", "\194\155\54n", "\27[99999b", "\27[?1m" } do
      for _, name in ipairs { "safe", "sgr", "strip" } do
        local out = both(name, "<" .. bad .. ">")
        assert.truthy(out == "<>" or out == "<6n>", ("%s: %q gives %q"):format(name, bad, out))
      end
    end
  end)

  it("is not swallowed by what never ends", function()
    local f = escape.filter "safe"
    assert.equal("", f "\27]0;")
    local out = {}
    for _ = 1, 100 do out[#out + 1] = f(("x"):rep(100)) end
    out[#out + 1] = f "seen"
    assert.truthy(table.concat(out):find "seen")
    f = escape.filter "safe"
    f("\27[" .. ("1;"):rep(1000))
    assert.truthy(f("m\nseen"):find "seen")
    assert.equal("ab", both("safe", "a\27]Rb"))
    assert.equal("ab", both("safe", "a\27]P0123456b"))
  end)

  it("keeps UTF-8 and marks what is none", function()
    assert.equal("gr\195\188n \226\130\172 \240\159\152\128", both("safe", "gr\195\188n \226\130\172 \240\159\152\128"))
    assert.equal("\239\191\189x", both("strip", "\252x"))
    assert.equal("x", both("strip", "\155x"))
  end)

  it("survives anything, however cut", function()
    math.randomseed(7)
    local pieces = { "\27", "[", "]", "P", "\\", "\7", ";", "1", "m", "\194", "\155", "\226\130", "\172", "(", "B",
      "\n", "x" }
    for _ = 1, 2000 do
      local t = {}
      for i = 1, 20 do t[i] = pieces[math.random(#pieces)] end
      local text = table.concat(t)
      for _, name in ipairs { "safe", "sgr", "strip" } do
        local out = both(name, text .. "\n")
        if name ~= "safe" then assert.is_nil(out:gsub("\27%[[%d;:]*m", ""):find "\27") end
        assert.is_nil(out:find "\27[]P]")
      end
    end
  end)

  it("writes control bytes as text", function()
    assert.equal("a\tb\\x1b[31mc\\x00\\x7f", escape.clean "a\tb\27[31mc\0\127")
    assert.equal("gr\195\188n\\xfc\\x9b\\xc2\\x9b!", escape.clean "gr\195\188n\252\155\194\155!")
  end)
end)

describe("scrollback", function()
  it("keeps the last bytes, by place", function()
    local s = scrollback.new(3000)
    for i = 1, 1000 do s:add(("line %d\n"):format(i), i) end
    assert.truthy(s.size <= 3000)
    assert.equal(s.total, s.size + s.dropped)
    local text = s:text()
    assert.equal(text, (s:from(s.total - #text)))
    assert.equal("line 1000\n", (s:from(s.total - 10)))
    local all, lost = s:from(0)
    assert.equal(text, all)
    assert.equal(s.dropped, lost)
    assert.equal("line 999\nline 1000\n", s:tail(2))
    s:add("begun", 2000)
    assert.equal("line 1000\nbegun", s:tail(2))
    assert.truthy(s:from(s:recent(100)):find "^line %d+\n")
    assert.equal(s.total - s.size, s:recent(1 << 20))
    local piece = s:from(s.total - 3000, 500)
    assert.truthy(#piece >= 500 and #piece < 1600)
  end)

  it("finds lines, with time and place", function()
    local s = scrollback.new(100000)
    s:add("first\r\n", 10)
    s:add(("x"):rep(2000) .. "\n", 20)
    s:add("Kernel pa", 30)
    s:add(("y"):rep(1500) .. "nic\nlast", 40)
    local found, count = s:search "Kernel"
    assert.equal(1, count)
    assert.equal(30, found[1].time)
    assert.equal("Kernel pa", (s:from(found[1].place)):sub(1, 9))
    assert.equal(4, select(2, s:search("", {})))
    found = s:search("^la.t$", { lua = true })
    assert.equal("last", found[1].line)
    assert.equal("first", s:search("first")[1].line)
    assert.same({}, (s:search "no such"))
    assert.equal("XK_EINVAL", select(3, s:search("(", { lua = true })))
    assert.equal(0, select(2, s:search("(", {})))
  end)

  it("gives the last ones when there are too many", function()
    local s = scrollback.new(100000)
    for i = 1, 50 do s:add(("hit %d\n"):format(i), i) end
    local found, count = s:search("hit", { max = 3 })
    assert.equal(50, count)
    assert.same({ "hit 48", "hit 49", "hit 50" }, { found[1].line, found[2].line, found[3].line })
  end)

  it("shares a pool, where the largest gives way", function()
    local pool = scrollback.pool(10000)
    local small, big = scrollback.new(8000, pool), scrollback.new(100000, pool)
    small:add(("s"):rep(2000), 1)
    for _ = 1, 100 do big:add(("b"):rep(1000), 1) end
    assert.equal(2000, small.size)
    assert.truthy(big.size <= 8000 and pool.size <= 10000)
    big:free()
    assert.equal(2000, pool.size)
  end)
end)

describe("token bucket", function()
  it("slows to its rate, and lets a burst pass", function()
    local b, now, taken = bucket.new(1000, 500, 0), 0, 0
    while now < 10 do
      local d = b:delay(now)
      if d > 0 then now = now + d else
        b:take(200, now)
        taken = taken + 200
      end
    end
    assert.truthy(taken >= 10000 and taken <= 11000, taken)
    b = bucket.new(0, 1, 0)
    b:take(1 << 40, 0)
    assert.equal(0, b:delay(0))
  end)
end)

describe("policy", function()
  local defaults = { escape = "safe", rate = 10 }

  it("decides key by key, the first entry that matches", function()
    local p = assert(policy.new([[return {
      { domain = "win*", escape = "strip" }, { domain = "w*", escape = "raw", rate = 5 },
      { domain = "a.b", rate = 7 } }]],
      "p.lua", defaults))
    assert.same({ escape = "strip", rate = 5 }, p:of "win10")
    assert.same({ escape = "raw", rate = 5 }, p:of "web")
    assert.same({ escape = "safe", rate = 7 }, p:of "a.b")
    assert.same(defaults, p:of "axb")
    assert.is_true(policy.glob("?-x*", "a-xyz"))
    assert.is_false(policy.glob("?-x*", "ab-xyz"))
  end)

  it("names what is wrong and where", function()
    local function wrong(text) return select(2, policy.new(text, "p.lua", defaults)) end
    assert.truthy(wrong "return 5":find "must return a list")
    assert.truthy(wrong "return {{}}":find "entry 1 needs domain")
    assert.truthy(wrong "return {{domain='x',escape='loud'}}":find "'escape' must be raw, safe, sgr or strip")
    assert.truthy(wrong "return {{domain='x',colour=1}}":find "no setting 'colour'")
    assert.truthy(wrong "while true do end":find "loops")
    assert.truthy(wrong "x =":find "^p.lua:1:")
    assert.truthy(wrong "return os.exit()":find "p.lua")
  end)
end)

describe("triggers", function()
  local function make(text)
    local out = { said = {}, written = {}, marked = {} }
    local t = assert(trigger.new(text, "t.lua", {
      say = function(s) out.said[#out.said + 1] = s end,
      write = function(k, v) out.written[k] = v end,
      mark = function(k, v) out.marked[#out.marked + 1] = k .. ": " .. v end,
    }))
    return t, out
  end
  local web, db = { name = "web", domid = 3, num = 0, key = "3" }, { name = "db", domid = 4, num = 1, key = "4.1" }

  it("act on lines that match, by domain", function()
    local t, out = make [[return {
      { domain = "w*", match = "panic: (%S+)", action = function(e)
        e.write("/panics/" .. e.domid, e.captures[1])
        e.mark("panic " .. e.count .. " of " .. e.domain)
      end },
      { match = "hello" } }]]
    t:line(web, "a panic: oops now")
    t:line(db, "a panic: other")
    t:line(web, "panic: again")
    t:line(db, "hello")
    assert.same({ ["/panics/3"] = "again" }, out.written)
    assert.same({ "3: panic 1 of web", "3: panic 2 of web" }, out.marked)
    assert.same({ 2, 1 }, { t:stats()[1].count, t:stats()[2].count })
  end)

  it("are switched off when they fail, and that is said", function()
    local t, out = make [[return {
      { match = "loop", action = function() while true do end end },
      { match = "error", action = function() error("broken") end },
      { match = "wait", action = function() coroutine.yield() end },
      { match = ".", action = function(e) e.mark(e.line) end } }]]
    for _ = 1, 2 do
      for _, line in ipairs { "loop", "error", "wait" } do t:line(web, line) end
    end
    assert.equal(3, #out.said)
    assert.truthy(out.said[1]:find "trigger 1 of t.lua is switched off: it took more than 100000 instructions")
    assert.truthy(out.said[2]:find "broken")
    assert.truthy(out.said[3]:find "coroutine")
    assert.equal(6, #out.marked)
  end)

  it("may wish for so much, and no more", function()
    local t, out = make [[return { { match = "x", action = function(e) for i = 1, 300 do e.mark(i) end end } }]]
    t:line(web, "x")
    assert.equal(256, #out.marked)
    assert.truthy(out.said[1]:find "44 wishes")
  end)

  it("see lines up to a length, and nothing of the outside", function()
    local t, out = make [[return { { match = "^(.*)$", action = function(e) e.mark(#e.line) end },
      { match = ".", action = function() return io.open("/etc/passwd") end } }]]
    t:line(web, ("x"):rep(5000))
    assert.same({ "3: 1024" }, out.marked)
    assert.truthy(out.said[1]:find "'io'")
  end)

  it("are refused when the file is wrong", function()
    local function wrong(text) return select(2, trigger.new(text, "t.lua", {})) end
    assert.truthy(wrong "return {{}}":find "trigger 1 needs match")
    assert.truthy(wrong "return {{match='('}}":find "no Lua pattern")
    assert.truthy(wrong "return {{match='x',action=1}}":find "'action' must be a function")
    assert.truthy(wrong "while true do end":find "instructions")
    assert.truthy(wrong "return":find "list of triggers")
  end)
end)

describe("finding consoles", function()
  -- The store as a table, and consoles that only say what is done with them.
  local function discovery(nodes)
    local said, before = {}, package.loaded["xenkit.core.console"]
    package.loaded["xenkit.core.console"] = { back = function() return {} end }
    package.loaded["xenkit.console.discover"] = nil
    local ok, discover = pcall(require, "xenkit.console.discover")
    package.loaded["xenkit.core.console"], package.loaded["xenkit.console.discover"] = before, nil
    if not ok then return nil end
    local store = { read = function(_, path) return nodes[path] end,
      write = function(_, path, value) nodes[path] = value end }
    local on = { open = function() said[#said + 1] = "open" return {} end,
      last_words = function() said[#said + 1] = "last words" end, close = function() said[#said + 1] = "close" end,
      rename = function() end, say = function() end }
    return discover.new({ ctx = {}, store = store, domid = 2 }, on), said
  end

  it("hears the last words of a domain that ended before anybody looked", function()
    local back = "/local/domain/2/backend/console/7/0"
    local nodes = { [back .. "/frontend"] = "/local/domain/7/console", ["/local/domain/7/console/port"] = "3",
      [back .. "/state"] = "5" }
    local d, said = discovery(nodes)
    if not d then
      pending("xenkit.so is not built")
      return
    end
    d:look(7, 0)
    assert.same({ "open", "last words" }, said)
    assert.equal("6", nodes[back .. "/state"])
    d:look(7, 0) -- and only once
    assert.same({ "open", "last words" }, said)
  end)
end)
