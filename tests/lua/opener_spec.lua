-- The opener and its client in a private world: files of one folder, terminals, and nothing else.
local ok = pcall(require, "xenkit.core.world")

describe("opener", function()
  if not ok then
    pending("xenkit.so is not built")
    return
  end
  local xenkit = require "xenkit"
  local console = require "xenkit.core.console"
  local core_stream = require "xenkit.core.stream"
  local domain_open = require "xenkit.domain_open"
  local host = require "xenkit.core.host"
  local opener = require "xenkit.host.opener"
  local stream = require "xenkit.stream"
  local task = require "xenkit.task"

  local function slurp(path)
    local f <close> = io.open(path, "rb")
    return f and f:read "a"
  end

  local function put(ctx, fd, text)
    local s <close> = assert(stream.from_handle(ctx.world, fd))
    assert(s:write(text))
  end

  -- fn(ctx, dir, service, server): service has dir and pty as a service's context
  local function with_opener(fn)
    return function()
      xenkit.run(function(ctx)
        local dir = os.tmpname()
        os.remove(dir)
        local needs = { { kind = "dir", name = "logs", value = dir }, { kind = "pty", name = "tty", value = "any" } }
        assert(opener.prepare(needs))
        needs[3] = { kind = "dir", name = "keys", value = dir, mode = "r" }
        assert(opener.prepare(needs))
        local ours, theirs = assert(host.socketpair "seqpacket")
        local server = task.spawn(opener.serve, ctx.world, ours, needs)
        local service = { world = ctx.world, dir = {}, pty = {},
          desc = { dir = { "logs", "other", "keys" }, pty = { "tty", "none" } } }
        domain_open.enter(service, theirs)
        local good, err = pcall(fn, ctx, dir, service, server)
        server:cancel()
        os.execute("rm -rf '" .. dir .. "'")
        assert(good, err)
      end)
    end
  end

  it("opens files for appending, and rotates them", with_opener(function(ctx, dir, service)
    local logs = service.dir.logs
    local fd, size = assert(logs:open "a.log")
    assert.equal(0, size)
    put(ctx, fd, "one\n")
    fd, size = logs:open "a.log"
    assert.equal(4, size)
    put(ctx, fd, "two\n")
    assert.equal("one\ntwo\n", slurp(dir .. "/a.log"))
    for i = 1, 3 do
      fd, size = assert(logs:rotate("a.log", 2))
      assert.equal(0, size)
      put(ctx, fd, "new " .. i .. "\n")
    end
    assert.equal("new 3\n", slurp(dir .. "/a.log"))
    assert.equal("new 2\n", slurp(dir .. "/a.log.1"))
    assert.equal("new 1\n", slurp(dir .. "/a.log.2"))
    assert.is_nil(slurp(dir .. "/a.log.3"))
  end))

  it("sees that a file was renamed", with_opener(function(ctx, dir, service)
    local logs = service.dir.logs
    core_stream.handle_close((logs:open "a.log"))
    assert.is_false((logs:refresh "a.log"))
    os.rename(dir .. "/a.log", dir .. "/moved")
    local fd = assert(logs:refresh "a.log")
    put(ctx, fd, "again")
    assert.equal("again", slurp(dir .. "/a.log"))
    assert.is_false((logs:refresh "a.log"))
  end))

  it("gives terminals that work", with_opener(function(ctx, _, service)
    local fd, path = assert(service.pty.tty:open())
    local raw = assert(console.pty(ctx.world, fd))
    assert.is_false(console.attached(raw))
    local user <close> = assert(io.open(path, "r+b"))
    user:setvbuf "no"
    assert.is_true(console.attached(raw))
    assert.equal(6, raw:write "hello\n")
    assert.equal("hello", user:read "l")
    user:seek "cur"
    raw:close()
  end))

  it("refuses what was not granted", with_opener(function(_, _, service)
    local logs = service.dir.logs
    for _, name in ipairs { "../x", "/etc/passwd", ".hidden", "", "a/b", ("x"):rep(300), "a\nb", "-x" } do
      assert.is_nil((logs:open(name)), name)
    end
    assert.equal("XK_EPERM", select(3, service.dir.other:open "x"))
    assert.equal("XK_EPERM", select(3, service.pty.none:open()))
    core_stream.handle_close((assert(logs:open "still-there")))
  end))

  it("gives files of a folder that is only read, and changes none of them", with_opener(function(_, dir, service)
    local keys = service.dir.keys
    local f <close> = assert(io.open(dir .. "/disk", "wb"))
    f:write "secret\n"
    f:close()
    local fd, size = assert(keys:read "disk")
    assert.equal(7, size)
    core_stream.handle_close(fd)
    local says = 'this folder is not for that: needs.dir.keys says mode = "r"'
    assert.same({ nil, says, "XK_EPERM" }, { keys:open "disk" })
    assert.same({ nil, says, "XK_EPERM" }, { keys:rotate("disk", 0) })
    assert.equal("XK_EPERM", select(3, keys:image("disk", true)))
    assert.equal("XK_ENOENT", select(3, keys:read "none"))
    assert.equal("XK_EINVAL", select(3, keys:read "../etc"))
    assert.same({ nil, "this folder is not for that: needs.dir.logs says no mode", "XK_EPERM" },
      { service.dir.logs:read "disk" })
    assert.equal("secret\n", slurp(dir .. "/disk"))
    assert.same({ nil, dir .. "/none: no such folder", "XK_ENOENT" },
      { opener.prepare { { kind = "dir", name = "keys", value = dir .. "/none", mode = "r" } } })
  end))

  it("that is gone is said", with_opener(function(_, _, service, server)
    server:cancel()
    task.sleep(0.02)
    assert.equal("XK_EGONE", select(3, service.dir.logs:open "x"))
    assert.equal("XK_EGONE", select(3, service.dir.logs:open "x"))
  end))
end)
