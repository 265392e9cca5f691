-- A stock lua5.4 with xenkit: private worlds, store, vchan flows between two domains of one process.
local ok = pcall(require, "xenkit.core.world")

describe("xenkit under a stock lua5.4", function()
  if not ok then
    pending("xenkit.so is not built")
    return
  end
  local xenkit = require "xenkit"
  local task = require "xenkit.task"

  it("watches with values, and goes on with them after a suspend", function()
    local seen = xenkit.run(function(ctx)
      local s, list = ctx.store, {}
      s:write("/v", "1")
      local w <close> = assert(s:watch("/v", { value = true }))
      local function take()
        local path, value, generation = w:next(5)
        list[#list + 1] = ("%s=%s %s"):format(path, value, generation and "known" or "unknown")
      end
      take()
      s:write("/v", "two")
      take()
      s:rm("/v")
      take()
      assert.is_true(s:is_watched("/v"))
      local waiting = task.spawn(function() return w:next(5) end)
      task.yield()
      s:suspend()
      assert.is_true(s:reopen(ctx.world))
      list[#list + 1] = "again " .. tostring(waiting:join())
      s:write("/v", "three")
      take()
      assert.is_true(s:reset_watches())
      assert.is_false(s:is_watched("/v"))
      local bits = tonumber(s:get_feature())
      assert.is_true(bits > 0)
      assert.equal("1000", s:get_quota("nodes"))
      return list
    end)
    assert.same({ "/v=1 known", "/v=two known", "/v=nil unknown", "again /v", "/v=three known" }, seen)
  end)

  it("has a store in a private world", function()
    local v = xenkit.run(function(ctx)
      assert.is_true(ctx.store:write("/a/b", "hi"))
      assert.same({ "b" }, ctx.store:list "/a")
      local none, missing, code = ctx.store:read "/nope"
      assert.is_nil(none)
      assert.truthy(missing:find("/nope", 1, true))
      assert.equal("XK_ENOENT", code)
      return ctx.store:read "/a/b"
    end)
    assert.equal("hi", v)
  end)

  it("retries transactions and fires watches", function()
    xenkit.run(function(ctx)
      local w <close> = assert(ctx.store:watch "/w")
      assert.equal("/w", w:next(5))
      local tries = 0
      local r = ctx.store:transaction(function(t)
        tries = tries + 1
        local n = tonumber(t:read "/w/n" or "0")
        if tries == 1 then ctx.store:write("/w/n", "41") end
        t:write("/w/n", n + 1)
        return n + 1
      end)
      assert.equal(2, tries)
      assert.equal(42, r)
      assert.equal("/w/n", w:next(5))
      assert.equal("42", ctx.store:read "/w/n")
    end)
  end)

  it("lists a directory that needs many parts", function()
    xenkit.run(function(ctx)
      for i = 1, 700 do assert(ctx.store:write("/big/some-longer-name-" .. i, "")) end
      assert.equal(700, #ctx.store:list "/big")
    end)
  end)

  it("cancels tasks, unwinding <close>, and times out", function()
    xenkit.run(function()
      local closed = false
      local t = task.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() closed = true end })
        task.sleep(100)
      end)
      task.sleep(0.01)
      t:cancel()
      local good, err = pcall(t.join, t)
      assert.is_false(good)
      assert.equal(task.cancelled, err)
      assert.is_true(closed)
      local r, _, code = task.with_timeout(0.02, function() task.sleep(10) end)
      assert.is_nil(r)
      assert.equal("XK_ETIMEDOUT", code)
    end)
  end)

  it("does not let children outlive their parent", function()
    xenkit.run(function()
      local order = {}
      local t = task.spawn(function()
        task.spawn(function()
          task.sleep(0.05)
          order[#order + 1] = "child"
        end)
        order[#order + 1] = "parent"
      end)
      t:join()
      assert.same({ "parent", "child" }, order)
    end)
  end)

  it("raises the error of a task at its join, with a traceback", function()
    xenkit.run(function()
      local t = task.spawn(function() error("boom") end)
      local good, err = pcall(t.join, t)
      assert.is_false(good)
      assert.truthy(err:find("boom", 1, true))
      assert.truthy(err:find("traceback", 1, true))
    end)
  end)
end)
