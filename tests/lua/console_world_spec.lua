-- The console service's moving parts in a private world: readers and the writer, a console over a stream, log files,
-- sessions of tools. What needs no world: console_spec.lua.
local ok = pcall(require, "xenkit.core.world")

describe("console service", function()
  if not ok then
    pending("xenkit.so is not built")
    return
  end
  local xenkit = require "xenkit"
  local console = require "xenkit.console.console"
  local logfile = require "xenkit.console.logfile"
  local policy = require "xenkit.console.policy"
  local readers = require "xenkit.console.readers"
  local rpc = require "xenkit.rpc"
  local scrollback = require "xenkit.console.scrollback"
  local service = require "xenkit.console.service"
  local session = require "xenkit.console.session"
  local stream = require "xenkit.stream"
  local task = require "xenkit.task"
  local core_vchan = require "xenkit.core.vchan"

  local function in_world(fn)
    return function() xenkit.run(fn) end
  end

  -- Two ends of a stream: a vchan within the domain.
  local function pair(ctx)
    local a, ref, port = core_vchan.listen(ctx.world, ctx.domid, 16384, 16384)
    return stream.wrap(a), stream.wrap(assert(core_vchan.connect(ctx.world, ctx.domid, ref, port)))
  end

  local defaults = { escape = "safe", rate = 0, burst = 1, scrollback = 64, stamps = "none", log = true, tty = false }

  -- A folder of files in memory, as ctx.dir.NAME.
  local function folder()
    local f = { content = {}, full = false }
    local function out(name)
      f.content[name] = f.content[name] or ""
      return { write = function(_, text)
        if f.full then return nil, "no space", "XK_ENOSPC" end
        f.content[name] = f.content[name] .. text
        return true
      end, close = function() end }
    end
    function f:open(name) return out(name), #(self.content[name] or "") end
    function f:rotate(name, keep)
      for i = keep, 1, -1 do
        self.content[name .. "." .. i] = self.content[i == 1 and name or name .. "." .. (i - 1)]
      end
      self.content[name] = nil
      return self:open(name)
    end
    function f.refresh() return false end
    return f
  end

  -- Log files take descriptors; here they take what the folder gives.
  local function with_files(fn)
    local real = stream.from_handle
    stream.from_handle = function(world, h) -- luacheck: ignore
      return type(h) == "table" and h or real(world, h)
    end
    local good, err = pcall(fn)
    stream.from_handle = real -- luacheck: ignore
    assert(good, err)
  end

  local function log_opts(ctx, more)
    local o = { world = ctx.world, size = 0, keep = 2, stamps = "none" }
    for k, v in pairs(more or {}) do o[k] = v end
    return o
  end

  local function new_service(ctx, opts)
    opts = opts or {}
    opts.policy = opts.policy or assert(policy.new(nil, "", defaults))
    opts.pool, opts.log = 1 << 20, { size = 0, keep = 1 }
    local real = print
    _G.print = function() end
    local s = assert(service.new(ctx, opts))
    _G.print = real
    s.said = {}
    function s.note(_, text) s.said[#s.said + 1] = text end
    return s
  end

  describe("log file", function()
    it("is clean, with times at line starts, however output is cut", in_world(function(ctx)
      with_files(function()
        for cut = 1, 7 do
          local f = folder()
          local log = logfile.new(f, "x", log_opts(ctx, { stamps = "line" }))
          local text = "one\r\ntwo \27[1mbold\r\n\r\ngr\195\188n\r\nlast"
          for i = 1, #text, cut do
            log:feed("c", text:sub(i, i + cut - 1))
            assert(log:flush())
          end
          log:done("c")
          log:close()
          local plain = f.content.x:gsub("%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ ", "@")
          assert.equal("@one\n@two \\x1b[1mbold\n@\n@gr\195\188n\n@last\n", plain)
        end
      end)
    end))

    it("shared by several keeps lines whole", in_world(function(ctx)
      with_files(function()
        local f = folder()
        local log = logfile.new(f, "x", log_opts(ctx))
        log:feed("a", "be", "[a] ")
        log:feed("b", "other\n", "[b] ")
        log:feed("a", "gun\n", "[a] ")
        log:mark("a", "note", "[a] ")
        log:feed("b", ("y"):rep(5000), "[b] ")
        log:done("b", "[b] ")
        log:close()
        assert.equal("[b] other\n[a] begun\n[a] [xenkit] note\n[b] " .. ("y"):rep(5000) .. "\n", f.content.x)
      end)
    end))

    it("rotates by size and count", in_world(function(ctx)
      with_files(function()
        local f = folder()
        local log = logfile.new(f, "x", log_opts(ctx, { size = 100 }))
        for i = 1, 40 do
          log:feed("c", ("line %02d\n"):format(i))
          log:flush()
        end
        log:close()
        assert.truthy(#f.content.x <= 108 and #f.content["x.1"] <= 108 and #f.content["x.2"] <= 108)
        assert.is_nil(f.content["x.3"])
        assert.truthy(f.content.x:find "line 40\n$")
        assert.equal(f.content["x.1"]:match "line (%d+)\n$" + 1, tonumber(f.content.x:match "^line (%d+)"))
      end)
    end))

    it("counts what cannot be written, and says so later", in_world(function(ctx)
      with_files(function()
        local f = folder()
        local log = logfile.new(f, "x", log_opts(ctx))
        log:feed("c", "before\n")
        log:flush()
        f.full = true
        log:feed("c", "lost!\n")
        assert.equal("XK_ENOSPC", select(3, log:flush()))
        f.full = false
        log:feed("c", "after\n")
        assert.is_true(log:flush())
        assert.equal("before\n[xenkit] 6 bytes were lost here\nafter\n", f.content.x)
        assert.equal(6, log.lost_total)
      end)
    end))
  end)

  describe("readers", function()
    local function console_of(limit)
      local history = scrollback.new(limit or 65536)
      local all = readers.new(history)
      return all, function(text)
        history:add(text, 1)
        all:more()
      end
    end

    it("all see, one types, and a take-over is told", in_world(function()
      local all, say = console_of()
      say "old "
      local a, b = assert(all:add { who = "a" }), assert(all:add { who = "b", place = 0 })
      say "new"
      assert.equal("new", a:next())
      assert.equal("old new", b:next())
      assert.is_true(a:claim(0))
      assert.same({ false, "a" }, { b:claim(100) })
      assert.is_true(b:claim(100, true))
      assert.truthy(a:next():find "b has taken the keyboard")
      assert.same({ false, "b" }, { a:claim(100) })
      b:leave()
      assert.is_nil(b:next())
      assert.is_true(a:claim(100))
      say "last"
      all:finish()
      assert.equal("last", a:next())
      assert.is_nil(a:next())
    end))

    it("who became the writer by typing gives way after a while", in_world(function()
      local all = console_of()
      local a, b = assert(all:add { who = "a", lazy = true }), assert(all:add { who = "b" })
      assert.is_true(a:claim(0))
      assert.is_false(b:claim(5))
      assert.is_true(b:claim(20))
      assert.is_false(a:claim(100))
    end))

    it("a slow one loses what is gone and is told, a complete one holds the console", in_world(function(ctx)
      local all, say = console_of(100000)
      local function now() return ctx.world:now() end
      local slow, complete = assert(all:add {}), assert(all:add { complete = true })
      assert.equal(0, all:hold(now))
      for i = 1, 150 do say(("%04d"):format(i):rep(250)) end
      local holding = task.spawn(function() return all:hold(now) end)
      task.sleep(0.05)
      assert.is_falsy(holding.done)
      local got = 0
      while got < 99000 do got = got + #complete:next() end
      assert.truthy(holding:join() >= 0.04)
      local text = slow:next()
      local lost = tonumber(text:match "(%d+) bytes were lost here")
      assert.equal(50000, lost)
      assert.equal(2 * lost, all.lost)
      assert.equal("0051", text:match "%]%c+(%d%d%d%d)")
    end))

    it("are bounded", in_world(function()
      local all = console_of()
      for _ = 1, 64 do assert(all:add {}) end
      assert.equal("XK_EMFILE", select(3, all:add {}))
      assert.equal(1, all.refused)
    end))
  end)

  describe("console", function()
    it("keeps, gives, slows down, and passes typing on", in_world(function(ctx)
      local s = new_service(ctx, { policy = assert(policy.new("return {{domain='slow',rate=20000,burst=1000}}", "p",
        defaults)) })
      local guest, ours = pair(ctx)
      local c = s:open { domid = 5, num = 0, name = "slow", stream = ours }
      local reader = assert(c.readers:add {})
      local began = ctx.world:now()
      local writer = task.spawn(function() assert(guest:write(("z"):rep(8000), 5)) end)
      local got = ""
      while #got < 8000 do got = got .. reader:next() end
      assert.equal(("z"):rep(8000), got)
      writer:join()
      guest:write "x"
      assert.equal("x", reader:next())
      assert.truthy(ctx.world:now() - began > 0.2)
      assert.truthy(c.stats.throttled > 0)
      assert.is_true(c:type "keys")
      assert.equal("keys", guest:read(100, 1))
      assert.equal(8001, c:info().out)
      s:close(c)
      assert.is_nil(reader:next())
      assert.same({ nil, false }, { s:find(6, 0), select(2, s:find(5, 0)) })
    end))

    it("whose ring makes no sense ends alone, and that is said", in_world(function(ctx)
      local s = new_service(ctx)
      local guest, ours = pair(ctx)
      local good = s:open { domid = 5, num = 0, name = "good", stream = ours }
      local bad = s:open { domid = 6, num = 0, name = "bad", stream = { buf = "", close = function() end,
        read = function() return nil, "the peer broke the protocol", "XK_EPEER" end } }
      guest:write "hello"
      task.sleep(0.02)
      assert.equal("its ring makes no sense", bad.broken)
      assert.truthy(s.said[1]:find "console of bad %(6%) ended: its ring makes no sense")
      assert.equal("hello", good.history:text())
      assert.equal("XK_EPIPE", select(3, bad:type "x"))
      s:close(bad)
      s:close(good)
    end))

    it("has a name for itself and its files", function()
      assert.equal("3", console.key(3, 0))
      assert.equal("3.1", console.key(3, 1))
      assert.equal("web", console.title { num = 0, name = "web" })
      assert.equal("web+1", console.title { num = 1, name = "web" })
      assert.equal("web+log", console.title { num = 1, name = "web", channel = "log" })
    end)
  end)

  describe("session", function()
    local function open(ctx, s)
      local tool, theirs = pair(ctx)
      local t = task.spawn(function()
        local conn <close> = theirs
        session.serve(s, conn)
      end)
      return tool, t
    end
    local function ask(tool, method, params)
      assert(rpc.send(tool, { id = 1, method = method, params = params }, 5))
      local r = assert(rpc.receive(tool, 5))
      return r.result, r.error
    end

    it("attaches: what was said, what comes, what is typed", in_world(function(ctx)
      local s = new_service(ctx)
      local guest, ours = pair(ctx)
      local c = s:open { domid = 5, num = 0, name = "web", stream = ours }
      guest:write "said before\27]0;title\7\n"
      task.sleep(0.02)
      local a, at = open(ctx, s)
      local r = ask(a, "attach", { domid = 5, write = true, who = "first" })
      assert.is_true(r.write)
      assert.equal("said before\n", a:read(100, 1))
      local b, bt = open(ctx, s)
      r = ask(b, "attach", { domid = 5, write = true, tail = 0 })
      assert.same({ false, "first" }, { r.write, r.writer })
      a:write "typed"
      assert.equal("typed", guest:read(100, 1))
      b:write "refused"
      assert.truthy(b:read(200, 1):find "first has the keyboard")
      guest:write "now"
      assert.equal("now", a:read(100, 1))
      s:close(c)
      at:join(5)
      bt:join(5)
      local _, e = ask(open(ctx, s), "attach", { domid = 5, escape = "loud" })
      assert.equal("XK_EINVAL", e.code)
      r = ask(open(ctx, s), "attach", { domid = 5, write = true })
      assert.same({ true, false }, { r.ended, r.write })
    end))

    it("searches and lists, and says what is not there", in_world(function(ctx)
      local s = new_service(ctx)
      local guest, ours = pair(ctx)
      local c = s:open { domid = 5, num = 1, name = "web", channel = "log", stream = ours }
      guest:write "one\ntwo \27[1mpanic\nthree\n"
      task.sleep(0.02)
      local tool, t = open(ctx, s)
      local r = ask(tool, "search", { domid = 5, console = "log", pattern = "panic" })
      assert.equal("two \\x1b[1mpanic", r.lines[1].line)
      assert.equal("three\n", ask(tool, "tail", { domid = 5, console = 1, lines = 1 }).text)
      assert.equal(24, ask(tool, "list").consoles[1].out)
      local _, e = ask(tool, "search", { domid = 5, console = 1, pattern = "(", lua = true })
      assert.equal("XK_EINVAL", e.code)
      assert.equal("XK_ENOSYS", select(2, ask(tool, "nonsense")).code)
      assert.equal("XK_ENOENT", select(2, ask(tool, "tail", { domid = 77 })).code)
      tool:close()
      t:join(5)
      s:close(c)
    end))

    it("tells a bridge of consoles, and goes on where the last one stopped", in_world(function(ctx)
      local s = new_service(ctx)
      local guest, ours = pair(ctx)
      local c = s:open { domid = 5, num = 0, name = "web", stream = ours }
      local events, et = open(ctx, s)
      assert.is_true((ask(events, "events")))
      assert.same({ event = "open", domid = 5, console = 0 }, rpc.receive(events, 1))
      guest:write "before "
      local b, bt = open(ctx, s)
      ask(b, "attach", { domid = 5, lazy = true, complete = true, resume = true, escape = "raw" })
      assert.equal("before ", b:read(100, 1))
      task.sleep(0.15)
      b:close()
      bt:join(5)
      guest:write "between "
      task.sleep(0.05)
      b, bt = open(ctx, s)
      ask(b, "attach", { domid = 5, lazy = true, complete = true, resume = true, escape = "raw" })
      assert.equal("between ", b:read(100, 1))
      guest:write "last words"
      s:close(c)
      assert.equal("close", rpc.receive(events, 1).event)
      assert.equal("last words", b:read_exactly(10, 1))
      assert.same({ nil, "end of stream" }, { b:read(1, 2) })
      bt:join(5)
      events:close()
      et:join(5)
    end))
  end)
end)
