-- Policies: what is refused at load, and what hooks do to requests that come in.
local ok = pcall(require, "xenkit.core.store")

describe("a store's policy", function()
  if not ok then
    pending("xenkit.so is not built")
    return
  end
  local core = require "xenkit.core.store"
  local policy = require "xenkit.store_policy"
  local xenkit = require "xenkit"

  it("names what is wrong with its text", function()
    local function why(text) return (select(2, policy.load(text, "p.lua"))) end
    assert.matches("^p.lua:2:", why "\nreturn {")
    assert.matches("returns a table", why "return 5")
    assert.matches("no 'permits'", why "return { permits = 1 }")
    assert.matches("'budget' must be a number", why "return { budget = 'x' }")
    assert.matches("'permit' without 'permit_ops'", why "return { permit = function() end }")
    assert.matches("no operation 'WRIT'", why "return { permit = function() end, permit_ops = { 'WRIT' } }")
    assert.matches("loops at load", why "while true do end")
    assert.matches("attempt to call a nil value", why "return require 'os'")
  end)

  -- A service without clients but itself: requests by `ask` are domain 0's.
  local function with_service(fn)
    return xenkit.run(function(ctx)
      local said = {}
      local service = assert(core.service(ctx.world))
      local m = policy.manager(service, function(text) said[#said + 1] = text end, function() end)
      fn(service, m, said)
      service:close()
      return true
    end)
  end
  local function write(service, path, value)
    local _, _, code = service:ask(core.WRITE, path .. "\0" .. value)
    return code
  end

  it("permits and refuses", function()
    with_service(function(service, m)
      assert(m:set([[return { permit_ops = { "WRITE" }, permit = function(domid, op, path, rest)
        if path == "/no" then return false end
        if path == "/full" then return false, "ENOSPC" end
        return rest ~= "bad" end }]], "p"))
      assert.is_nil(write(service, "/yes", "1"))
      assert.equal("XK_EACCES", write(service, "/no", "1"))
      assert.equal("XK_ENOSPC", write(service, "/full", "1"))
      assert.equal("XK_EACCES", write(service, "/yes", "bad"))
      assert.is_truthy(service:ask(core.MKDIR, "/no\0"))
    end)
  end)

  it("is off after an error or beyond its budget, and says so", function()
    with_service(function(service, m)
      assert(m:set([[return { permit_ops = { "WRITE" }, permit = function() error "oh" end }]], "p"))
      assert.is_nil(write(service, "/a", "1"))
      assert.matches("policy: permit: p:1: oh; it is off", service:problem(0))
      assert.is_nil(service:problem(0))
      assert.is_nil(write(service, "/a", "2"))
      assert.is_nil(service:problem(0))
      assert(m:set([[return { budget = 1000, permit_ops = { "WRITE" },
        permit = function() while true do end end }]], "p"))
      assert.is_nil(write(service, "/a", "3"))
      assert.matches("used up its budget", service:problem(0))
    end)
  end)

  it("sets quotas at the introduction and is told of what happened", function()
    with_service(function(service, m, said)
      assert(m:set([[return { quota = function(domid) say("quota of " .. domid) return { nodes = 100 } end,
        audit_ops = { "RM" }, audit = function(domid, op, path, rest, err) say(domid .. op .. path .. tostring(err)) end
        }]], "p"))
      service:ask(core.INTRODUCE, "7\0001\0001\0") -- nobody is there to be connected
      assert.is_nil(service:problem(0))
      service:ask(core.RM, "/none/x\0")
      assert.same({ "quota of 7", "0RM/none/xENOENT" }, said)
    end)
  end)

  it("is kept in the store, and changed over its protocol", function()
    with_service(function(service, m)
      local function control(...) return service:ask(core.CONTROL, table.concat({ ... }, "\0") .. "\0") end
      assert.equal("OK\0", control("policy", "begin"))
      assert.equal("OK\0", control("policy", "add", "return { permit_ops = { 'WRITE' }, "))
      assert.equal("OK\0", control("policy", "add", "permit = function(_, _, path) return path ~= '/no' end }"))
      assert.equal("OK\0", control("policy", "commit"))
      m:settle()
      assert.equal("XK_EACCES", write(service, "/no", "1"))
      assert.equal("OK\0", control("policy", "begin"))
      assert.equal("OK\0", control("policy", "add", "return 5"))
      assert.matches("returns a table", control("policy", "commit"))
      assert.equal("XK_EACCES", write(service, "/no", "1"))
      local again = policy.manager(service, print, function() end)
      assert.is_nil(write(service, "/no", "1"))
      assert(again:begin())
      assert.equal("XK_EACCES", write(service, "/no", "1"))
      assert.equal("OK\0", control("policy", "off"))
      again:settle()
      assert.is_nil(write(service, "/no", "1"))
      assert.matches("no policy", control("policy", "show"))
      assert.is_nil(service:ask(core.READ, "/tool/xenstored/policy/1\0"))
    end)
  end)

  -- A request of another process: nothing but the hook concerns Lua here.
  it("may ready a task from within a hook", function()
    local host = require "xenkit.core.host"
    local task = require "xenkit.task"
    local path = os.tmpname()
    os.remove(path)
    local client
    local took = xenkit.run(function(ctx)
      local service, id = assert(core.service(ctx.world)), task.wait_id()
      local seen
      service:hooks { permit = function()
        seen = ctx.world:now()
        task.wake(id)
        return true
      end, permit_ops = { "WRITE" }, audit_ops = {}, budget = 10000, control = function() end }
      assert(service:listen(assert(host.listen_unix(path))))
      client = assert(io.popen("timeout -k 2 10 lua5.4 -e '" .. ([[require "xenkit".run(function(ctx)
        local stream = assert(require "xenkit.stream".from_handle(ctx.world,
          assert(require "xenkit.core.host".connect_unix "PATH")))
        local store = assert(require "xenkit.store".open(ctx.world, stream.raw))
        assert(store:write("/a", "1"))
      end)]]):gsub("PATH", path) .. "' 2>&1", "r"))
      task.wait(id, 5)
      local after = ctx.world:now() - (seen or 0)
      service:close()
      return after
    end)
    local said = client:read("a")
    client:close()
    os.remove(path)
    assert.equals("", said)
    assert.is_true(took < 1)
  end)
end)
