-- The pure parts of the log: levels and rules, bytes of records, the sender's queue, the book and its cursors, what a
-- sequence of numbers says about loss, filters, times. End to end: tests/e2e/log.sh.
local book = require "xenkit.log.book"
local filter = require "xenkit.log.filter"
local format = require "xenkit.log.format"
local intake = require "xenkit.log.intake"
local level = require "xenkit.log.level"
local queue = require "xenkit.log.queue"
local rules = require "xenkit.log.rules"
local wire = require "xenkit.log.wire"

local function record(seq, text, n, source) return wire.record(seq, 1.5, 1e9, n or 2, source or "", text or "x") end

local function all(b, tail, wanted)
  local list, cursor = {}, b:cursor(tail, wanted or function() return true end)
  for r, missed in function() return cursor:next() end do
    if missed > 0 then list[#list + 1] = "-" .. missed end
    list[#list + 1] = r.log.name .. wire.decode(r.bytes).text
  end
  return table.concat(list, " "), cursor
end

describe("log levels", function()
  it("come from the most specific rule, the domain's first", function()
    local own, world = { level = "error", sources = { net = "debug" } }, { level = "warning", sources = { db = "off" } }
    local n = level.NUMBER
    assert.equal(n.debug, level.least({ own, world }, "net"))
    assert.equal(n.debug, level.least({ own, world }, "net.tcp.x"))
    assert.equal(n.error, level.least({ own, world }, "network"))
    assert.equal(5, level.least({ {}, world }, "db.sql"))
    assert.equal(n.warning, level.least({ {}, world }, ""))
    assert.equal(n.info, level.least({}, "x"))
  end)

  it("takes from others what is a rule, and no more", function()
    assert.same({}, level.checked("no table"))
    assert.same({ level = "off" }, level.checked { level = "off", sources = 7 })
    assert.same({ sources = { a = "debug" } },
      level.checked { level = "loud", sources = { a = "debug", b = 1, ["c d"] = "info" } })
    local many = { sources = {} }
    for i = 1, 100 do many.sources["s" .. i] = "info" end
    local count = 0
    for _ in pairs(level.checked(many).sources) do count = count + 1 end
    assert.equal(64, count)
  end)

  it("are set, reset, bounded, and adopted from domains that bring them", function()
    local r = rules.new()
    assert.truthy(r:set("www", nil, "debug"))
    assert.truthy(r:set("www", "net", "error"))
    assert.same({ level = "debug", sources = { net = "error" } }, r:of("www-12"))
    assert.same({}, r:of("wwwx"))
    r:adopt("www-1", { level = "off" })
    assert.equal("debug", r:of("www-1").level)
    r:adopt("other", { level = "off", junk = 1 })
    assert.same({ level = "off" }, r:of("other"))
    r:set("www", nil, "reset")
    r:set("www", "net", "reset")
    assert.same({}, r:of("www"))
    assert.equal("XK_EINVAL", select(3, r:set(nil, nil, "loud")))
    assert.equal("XK_EINVAL", select(3, r:set(nil, "a b", "info")))
    for i = 1, 255 do assert(r:set("d" .. i, nil, "info")) end
    assert.equal("XK_EMFILE", select(3, r:set("one more", nil, "info")))
    for i = 1, 64 do assert(r:set(nil, "s" .. i, "info")) end
    assert.equal("XK_EMFILE", select(3, r:set(nil, "one-more", "info")))
  end)
end)

describe("log records", function()
  it("come back as they were", function()
    local fields = { a = 1, b = 2.5, c = true, d = "x y", e = false }
    local r = wire.decode(wire.record(7, 1.25, 1e9 + 0.5, 3, "net", "héllo", fields))
    assert.same({ seq = 7, mono = 1.25, wall = 1e9 + 0.5, level = "warning", source = "net", text = "héllo",
      fields = fields }, r)
  end)

  it("hold what can be shown: no control characters, UTF-8 only, no odd numbers", function()
    local r = wire.decode(wire.record(1, 0, 0, 2, "", "a\27[2Jb\nc\255", { ["k\1"] = "\0", n = 0 / 0, i = math.huge }))
    assert.equal("a\\x1b[2Jb\\x0ac\\xff", r.text)
    assert.equal("\\x00", r.fields["k\\x01"])
    assert.equal("string", type(r.fields.n))
    assert.equal("inf", r.fields.i)
    assert.truthy(format.json(setmetatable({ domain = "d", time = 0 }, { __index = r })))
  end)

  it("are bounded, cut between characters", function()
    local fields = {}
    for i = 1, 100 do fields["key" .. i] = ("v"):rep(5000) end
    local bytes = wire.record(1, 0, 0, 2, "", ("ä"):rep(5000) .. "x", fields)
    assert.truthy(#bytes <= wire.RECORD_MAX)
    local r = wire.decode(bytes)
    assert.equal(("ä"):rep(2048), r.text)
    assert.equal(("ä"):rep(2047), wire.decode(wire.record(1, 0, 0, 2, "", "x" .. ("ä"):rep(5000))).text:sub(2))
  end)

  it("that are none are refused", function()
    local good = record(1)
    for cut = 0, #good - 1 do assert.is_nil(wire.peek(good:sub(1, cut))) end
    assert.is_nil(wire.peek(good .. "x"))
    assert.is_nil(wire.peek(record(0)))
    assert.is_nil(wire.peek(record(1 << 53)))
    assert.is_nil(wire.peek(record(1, "x", 5)))
    assert.is_nil(wire.peek(record(1, "x", 2, "a b")))
    assert.is_nil(wire.peek(wire.record(1, 0 / 0, 0, 2, "", "x")))
    assert.is_nil(wire.decode(record(1):sub(1, -3) .. "\1\0z"))
    assert.is_nil(wire.stamped("short"))
  end)

  it("travel in frames, however they are cut", function()
    local text = wire.frame("R", "one") .. wire.frame("B", "") .. wire.frame("A", ("z"):rep(300))
    for size = 1, 40 do
      local at = 1
      local frames = wire.frames { read = function()
        if at > #text then return nil, "end of stream" end
        at = at + size
        return text:sub(at - size, at - 1)
      end }
      local first, one = frames()
      assert.same({ "R", "one" }, { first, one })
      assert.equal("B", (frames()))
      local kind, body, more = frames()
      assert.same({ "A", 300, false }, { kind, #body, more })
      assert.same({ nil, "end of stream" }, { frames() })
    end
    local long = wire.frames({ read = function() return wire.frame("R", ("x"):rep(100)) end }, 50)
    assert.equal("XK_EPROTO", select(3, long()))
    local half = true
    local cut = wire.frames { read = function()
      if not half then return nil, "end of stream" end
      half = false
      return "\5\0\0\0R"
    end }
    assert.equal("XK_EPROTO", select(3, cut()))
  end)
end)

describe("the sender's queue", function()
  it("keeps the first, counts what does not fit, and gives batches", function()
    local q = queue.new(4, 100)
    for i = 1, 6 do q:push(i, ("x"):rep(10)) end
    assert.same({ 2, 1 }, { q.dropped, q:seq() })
    assert.equal(2, #q:peek(20))
    q:drop(2)
    assert.equal(3, q:seq())
    assert.falsy(q:push(7, ("x"):rep(90)))
    assert.truthy(q:push(8, ("x"):rep(80)))
    assert.equal(1, #q:peek(1))
    q:drop(3)
    assert.same({ nil, 0, 3 }, { q:seq(), q.size, q.dropped })
  end)
end)

describe("the book", function()
  local function fill(b, log, from, to)
    for i = from, to do b:add(log, { bytes = record(i, tostring(i)), flags = 0 }) end
  end

  it("keeps the last of each domain, in the order of arrival", function()
    local b = book.new { records = 3 }
    local x, y = b:log(1, "x"), b:log(2, "y")
    fill(b, x, 1, 2)
    fill(b, y, 1, 1)
    fill(b, x, 3, 4)
    assert.equal("x2 y1 x3 x4", (all(b)))
    assert.same({ 1, 3, 4, 1 }, { x.evicted, x.records, b.records, b.evicted })
  end)

  it("is bounded by bytes, too, and in all; who holds most gives way", function()
    local size = 512 + #record(1, "1")
    local b = book.new { records = 100, bytes = 4 * size, all_records = 100, all_bytes = 5 * size }
    local x, y = b:log(1, "x"), b:log(2, "y")
    fill(b, x, 1, 6)
    assert.equal("x3 x4 x5 x6", (all(b)))
    fill(b, y, 1, 2)
    assert.equal("x4 x5 x6 y1 y2", (all(b)))
    assert.equal(5 * size, b.bytes)
    b = book.new { all_records = 3 }
    x, y = b:log(1, "x"), b:log(2, "y")
    fill(b, y, 1, 1)
    fill(b, x, 1, 9)
    assert.equal("y1 x8 x9", (all(b)))
  end)

  it("tells a slow reader what was gone, of which domain, and follows", function()
    local b = book.new { records = 2 }
    local x, y = b:log(1, "x"), b:log(2, "y")
    fill(b, x, 1, 2)
    local _, cursor = all(b)
    assert.truthy(cursor:at_end())
    local woken = 0
    cursor.wake = function() woken = woken + 1 end
    fill(b, x, 3, 7)
    fill(b, y, 1, 1)
    assert.equal(1, woken)
    local r, missed = cursor:next()
    assert.same({ "6", 3 }, { wire.decode(r.bytes).text, missed })
    assert.same({ 0, 0 }, { select(2, cursor:next()), select(2, cursor:next()) })
    assert.is_nil(cursor:next())
    local late = b:cursor()
    assert.equal(0, select(2, late:next())) -- what was gone before it came is nobody's loss
    late:close()
    fill(b, x, 8, 30)
    assert.is_nil(next(b.waiting))
  end)

  it("counts exactly, whatever is read when", function()
    math.randomseed(5)
    for _ = 1, 200 do
      local b = book.new { records = math.random(1, 9), all_records = math.random(5, 20) }
      local logs, made, seen = {}, 0, 0
      for i = 1, 3 do logs[i] = b:log(i, "d" .. i) end
      local cursor = b:cursor(0, function() return true end)
      for _ = 1, 60 do
        for _ = 1, math.random(0, 8) do
          made = made + 1
          fill(b, logs[math.random(3)], made, made)
        end
        for _ = 1, math.random(0, 4) do
          local r, missed = cursor:next()
          if r then seen = seen + 1 + missed end
        end
      end
      for _, log in ipairs(logs) do -- the last of each domain are read after all
        made = made + 1
        fill(b, log, made, made)
        local r, missed = cursor:next()
        while r do
          seen = seen + 1 + missed
          r, missed = cursor:next()
        end
      end
      assert.equal(made, seen)
    end
  end)

  it("begins before the last that are wanted", function()
    local b = book.new()
    local x, y = b:log(1, "x"), b:log(2, "y")
    fill(b, x, 1, 3)
    fill(b, y, 1, 3)
    local wanted = function(r) return r.log == x end
    assert.equal("x2 x3 y1 y2 y3", (all(b, 2, wanted)))
    assert.equal("", (all(b, 0, wanted)))
    assert.equal("x1 x2 x3 y1 y2 y3", (all(b, 99, wanted)))
  end)

  it("remembers so many domains that ended", function()
    local b = book.new { ended = 2 }
    for i = 1, 4 do
      local log = b:log(i, "d" .. i)
      fill(b, log, 1, 1)
      b:close(log)
    end
    assert.equal("d31 d41", (all(b)))
    assert.is_not.equal(b.ended[2], b:log(4, "again")) -- a number that is used again is another domain
  end)
end)

describe("what came", function()
  local function new(rate, burst)
    local b = book.new()
    return intake.new(b, b:log(1, "x"), function() return 1e9 end, rate, burst), b
  end
  local function texts(b)
    local list = {}
    for r in function() return b.c:next() end do
      local d = wire.decode(r.bytes)
      list[#list + 1] = r.flags & wire.LOST ~= 0 and ("lost:%d"):format(d.fields.count) or
        d.text .. (r.flags & wire.LAST_WORDS ~= 0 and "!" or r.flags & wire.RECOVERED ~= 0 and "?" or "")
    end
    return table.concat(list, " ")
  end
  local function said(b)
    b.c = b:cursor()
    return texts(b)
  end

  it("is taken once, and what is missing said at its place", function()
    local s, b = new()
    s:hello(1)
    for _, seq in ipairs { 1, 2, 2, 5, 4, 6 } do s:record(record(seq, tostring(seq))) end
    assert.equal("1 2 lost:2 5 6", said(b))
    s:reached(9)
    s:reached(3)
    assert.equal("1 2 lost:2 5 6 lost:2", said(b))
    assert.same({ 4, 4, 2, 8 }, { s.received, s.lost, s.duplicates, s.seq })
    assert.is_nil((s:record("no record")))
    assert.equal(1, s.malformed)
  end)

  it("is filled up from the ring: at a hello what came before it, at the end the last words", function()
    local s, b = new()
    local ring = {}
    for i = 4, 9 do ring[#ring + 1] = record(i, tostring(i)) end
    s:hello(7, ring)
    assert.equal("lost:3 4? 5? 6?", said(b))
    s:record(record(7, "7"))
    assert.equal(2, s:ended { ring[3], "junk", ring[4], ring[5], ring[6] })
    assert.equal("lost:3 4? 5? 6? 7 8! 9!", said(b))
    assert.same({ 6, 3, 3, 2 }, { s.received, s.lost, s.recovered, s.last_words })
    s:hello(12)
    assert.equal(5, s.lost)
  end)

  it("begins where a resumed sender says, and nowhere beyond", function()
    local s, b = new()
    s:hello(8, { record(5, "5"), record(7, "7") }, 6)
    assert.equal("lost:1 7?", said(b))
    s:hello(8, {}, 3)
    s:record(record(8, "8"))
    assert.same({ 2, 1 }, { s.received, s.lost })
    s = new()
    s:hello(3, {}, 4)
    assert.equal(2, s.lost)
  end)

  it("of a liar hurts only itself", function()
    local s, b = new()
    s:hello(1, { record(1 << 52, "far"), "" })
    s:record(record((1 << 53) - 1, "end"))
    s:reached(math.mininteger)
    s:reached(math.maxinteger)
    s:record(record(1, "again"))
    assert.same({ (1 << 53) - 1, 1 }, { s.received + s.lost, s.duplicates })
    assert.truthy(said(b))
  end)

  it("adds up for any order and any loss", function()
    math.randomseed(7)
    for _ = 1, 300 do
      local s = new()
      local top = 0
      s:hello(math.random(1, 5), { record(math.random(1, 9)) })
      for _ = 1, 40 do
        local seq = math.random(1, 60)
        if math.random(4) == 1 then s:reached(seq + 1) else s:record(record(seq)) end
        top = math.max(top, seq)
      end
      assert.equal(s.seq, s.received + s.lost)
      assert.truthy(s.seq >= top)
    end
  end)

  it("is read at a rate", function()
    local s = new(100, 10)
    assert.equal(0, s:pace(10, 5.0))
    assert.near(0.05, s:pace(5, 5.0), 1e-9)
    assert.equal(0, s:pace(1, 5.1))
    assert.near(0.1, s:pace(20, 1000), 1e-9) -- no more than the burst was saved up
    assert.equal(2, s.limited)
    assert.equal(0, (new(0, 0)):pace(1e6, 1))
  end)
end)

describe("a query", function()
  local function r(name, n, source, time)
    return { log = { name = name, domid = 4 }, least = n or 2, source = source or "", time = time or 100 }
  end
  it("tests domain, level, source and time", function()
    local function test(q, x) return assert(filter.new(q))(x) end
    assert.truthy(test({}, r("a")))
    for name, want in pairs { www = true, ["www-2"] = true, ["www-x"] = false, wwwx = false, ["www-"] = false } do
      assert.equal(want, test({ domain = "www" }, r(name)))
    end
    assert.truthy(test({ domain = "4" }, r("a")))
    assert.falsy(test({ domain = 5 }, r("a")))
    assert.falsy(test({ level = "error" }, r("a", 3)))
    assert.truthy(test({ source = "net" }, r("a", 2, "net.tcp")))
    assert.falsy(test({ source = "net" }, r("a", 2, "network")))
    assert.falsy(test({ since = 101 }, r("a")))
    for _, bad in ipairs { { level = "loud" }, { since = "x" }, { source = {} } } do
      assert.equal("string", type(select(2, filter.new(bad))))
    end
  end)

  it("names times as people do", function()
    assert.equal(400.0, format.time("10m", 1000))
    assert.equal(1000 - 5400.0, format.time("1.5h", 1000))
    assert.equal(12.5, format.time("12.5", 0))
    assert.equal(1769860800.0, format.time("2026-01-31T12:00:00Z", 0))
    assert.equal(951782400.0, format.time("2000-02-29", 0))
    assert.equal(1769860800.0, format.time("2026-01-31 12:00", 0))
    assert.is_nil((format.time("yesterday", 0)))
    assert.is_nil((format.time("2026-01-31T12", 0)))
  end)

  it("is answered in lines", function()
    local line = format.line { time = 0.25, wall = -2, level = "info", domain = "d", source = "s", text = "t",
      fields = { b = "x y", a = 1 }, last_words = true }
    assert.equal('1970-01-01T00:00:00.250Z info    d[s]: t a=1 b="x y" (2.2 s before) [last words]', line)
  end)
end)

local built = pcall(require, "xenkit.core.world")

describe("the ring of last words", function()
  if not built then
    pending("xenkit.so is not built")
    return
  end
  local blackbox = require "xenkit.core.blackbox"
  local xenkit = require "xenkit"

  it("is read by a peer, moves to another, and outlives the writer", function()
    xenkit.run(function(ctx)
      local box = assert(blackbox.new(ctx.world, 2))
      box:put("before")
      local refs = assert(box:share(ctx.domid))
      assert.equal(2, #refs)
      local seen = assert(blackbox.map(ctx.world, ctx.domid, refs))
      box:put("after")
      assert.same({ { "before", "after" }, true }, { seen:records() })
      assert.equal("XK_E2BIG", select(3, box:put(("x"):rep(8192))))
      for i = 1, 1000 do box:put(("%04d"):format(i):rep(20)) end
      local list = seen:records()
      assert.equal(("1000"):rep(20), list[#list])
      assert.equal(1002 - #list, box:dropped())
      local again = assert(box:share(ctx.domid))
      local moved = assert(blackbox.map(ctx.world, ctx.domid, again))
      box:put("moved")
      box:close()
      local last = moved:records()
      assert.equal("moved", last[#last])
      assert.equal(list[#list], last[#last - 1])
      assert.same(list, (seen:records()))
      seen:close()
      moved:close()
    end)
  end)

  it("refuses what is no ring, and wrong use", function()
    xenkit.run(function(ctx)
      assert.is_nil((blackbox.map(ctx.world, ctx.domid, { 4000, 4001 })))
      assert.has_error(function() blackbox.map(ctx.world, ctx.domid, {}) end)
      assert.has_error(function() blackbox.map(ctx.world, ctx.domid, { "x" }) end)
      assert.has_error(function() blackbox.new(ctx.world, 17) end)
      local box = blackbox.new(ctx.world, 1)
      assert.has_error(function() box:records() end)
      box:close()
      assert.has_error(function() box:put("x") end, "attempt to use a closed black box")
    end)
  end)
end)

describe("ctx.log", function()
  local function make()
    local lines = {}
    local world = { now = function() return 1 end, wallclock = function() return 2 end }
    local log, hub = require("xenkit.domain_log").make({ world = world }, function(s) lines[#lines + 1] = s end)
    hub.alone = true
    return log, hub, lines
  end

  it("writes what is wanted, by level, source and name", function()
    local log, hub, lines = make()
    log("debug", "no")
    log.debug(function() error("not to be made") end)
    log("info", "yes", { b = 2, a = 1 })
    log.source("net").warning("lost")
    assert.same({ "info: yes a=1 b=2\n", "warning: net: lost\n" }, lines)
    hub:set_rules({ sources = { net = "debug" } }, { level = "error" })
    assert.same({ false, true, true }, { log.wants "warning", log.source("net.x").wants "debug", log.wants "error" })
    log("info", "no")
    log.source("net").debug(function() return "made" end)
    assert.equal("debug: net: made\n", lines[3])
    assert.equal(3, #lines)
  end)

  it("explains wrong use, and bounds sources", function()
    local log, hub = make()
    assert.has_error(function() log("loud", "x") end, "log: no level 'loud'")
    assert.has_error(function() log.source "a b" end)
    assert.equal(log.source "a", log.source "a")
    for i = 1, 100 do log.source("s" .. i) end
    assert.equal(64, hub.count)
    assert.equal(log, log.source "one-more")
  end)
end)
