--- To-be-closed variables (manual, 3.3.8): the order, every way out of a block, errors on the way, in coroutines, and
-- what may be closed.
-- luacheck: ignore 211 512 (variables that are there to be closed, loops that are there to be left)
return function(t)
  local err = t.err
  local log

  --- A value that notes its name, and the error it is closed with, if any.
  local function item(name, action)
    return setmetatable({}, {__close = function(_, e)
      log[#log + 1] = e == nil and name or name .. ":" .. tostring(e)
      if action then return action(e) end
    end})
  end
  local function logged(body)
    return function()
      log = {}
      return log, body()
    end
  end
  t.env.item = item

  t("closed at the block's end, in reverse order", {"in", "c", "b", "a", "out"}, logged(function()
    do
      local a <close> = item("a")
      local b <close> = item("b")
      local c <close> = item("c")
      log[#log + 1] = "in"
    end
    log[#log + 1] = "out"
  end))
  t("closed by return, after its values are made", {"value", "b", "a"}, 1, 2, logged(function()
    local function value(...)
      log[#log + 1] = "value"
      return ...
    end
    return (function()
      local a <close> = item("a")
      local b <close> = item("b")
      return value(1, 2)
    end)()
  end))
  t("closed by break", {"y1", "x1", "y2", "x2", "end"}, logged(function()
    for i = 1, 5 do
      local x <close> = item("x" .. i)
      local y <close> = item("y" .. i)
      if i == 2 then break end
    end
    log[#log + 1] = "end"
  end))
  t("closed each round", {"r1", "r2", "r3"}, logged(function()
    for i = 1, 3 do
      local x <close> = item("r" .. i)
    end
  end))
  t("closed by goto out", {"x", "done"}, logged(function()
    do
      local x <close> = item("x")
      goto out
    end
    ::out::
    log[#log + 1] = "done"
  end))
  t("closed by goto back", {"x", "x", "x"}, logged(function()
    local n = 0
    ::again::
    do
      n = n + 1
      local x <close> = item("x")
      if n < 3 then goto again end
    end
  end))
  t("closed in repeat, after its condition", {"cond1", "x1", "cond2", "x2"}, logged(function()
    local n = 0
    repeat
      n = n + 1
      local x <close> = item("x" .. n)
    until (function()
      log[#log + 1] = "cond" .. n
      return n == 2
    end)()
  end))
  t("closed by an error, which it is given", {"b:oops", "a:oops"}, false, "oops", logged(function()
    return pcall(function()
      local a <close> = item("a")
      local b <close> = item("b")
      error("oops", 0)
    end)
  end))
  t("closed by a runtime error", {"a:attempt"}, false, logged(function()
    local ok = pcall(function()
      local a <close> = setmetatable({}, {__close = function(_, e)
        log[#log + 1] = "a:" .. e:match("(attempt)")
      end})
      return nil + 1
    end)
    return ok
  end))
  t("an error object is given as it is", {true}, false, true, logged(function()
    local object = {}
    local ok, e = pcall(function()
      local a <close> = setmetatable({}, {__close = function(_, x) log[#log + 1] = x == object end})
      error(object)
    end)
    return ok, e == object
  end))
  t("an error in a close replaces the error", {"c:first", "b:second", "a:second"}, false, "second", logged(function()
    return pcall(function()
      local a <close> = item("a")
      local b <close> = item("b")
      local c <close> = item("c", function() error("second", 0) end)
      error("first", 0)
    end)
  end))
  t("an error in a close is an error", {"b", "a:from b"}, false, "from b", logged(function()
    return pcall(function()
      local a <close> = item("a")
      local b <close> = item("b", function() error("from b", 0) end)
      return "never"
    end)
  end))
  t("every close raises", {"c", "b:ec", "a:eb"}, false, "ea", logged(function()
    return pcall(function()
      local a <close> = item("a", function() error("ea", 0) end)
      local b <close> = item("b", function() error("eb", 0) end)
      local c <close> = item("c", function() error("ec", 0) end)
    end)
  end))
  t("a close's results are dropped", {"a"}, 1, logged(function()
    return (function()
      local a <close> = item("a", function() return "dropped", "too" end)
      return 1
    end)()
  end))
  t("__close gets the value and the error", {true, 2, true}, logged(function()
    local value
    do
      local x <close> = setmetatable({}, {__close = function(...)
        log[1], log[2], log[3] = select(1, ...) == value, select("#", ...), select(2, ...) == nil
      end})
      value = x
    end
  end))
  t("nested calls", {"inner", "middle", "outer"}, "result", logged(function()
    local function inner() local x <close> = item("inner") return "result" end
    local function middle() local x <close> = item("middle") return inner() end
    local function outer() local x <close> = item("outer") return (middle()) end
    return outer()
  end))
  t("a return in a block with one is no tail call", {"deep", "x"}, 2, logged(function()
    local function deep()
      log[#log + 1] = "deep"
      return 2
    end
    local function f()
      local x <close> = item("x")
      return deep()
    end
    return f()
  end))
  t("many results pass a close", {"x"}, 100, 5050, logged(function()
    local function f(n)
      local x <close> = item("x")
      local list = {}
      for i = 1, n do list[i] = i end
      return table.unpack(list)
    end
    local all, sum = {f(100)}, 0
    for _, v in ipairs(all) do sum = sum + v end
    return #all, sum
  end))
  t("varargs and a close", {"x"}, 1, nil, 3, logged(function()
    local function f(...)
      local x <close> = item("x")
      return ...
    end
    return f(1, nil, 3)
  end))
  t("the variable is captured", {"x"}, true, logged(function()
    local get
    do
      local x <close> = item("x")
      get = function() return x end
    end
    return type(get()) == "table"
  end))
  t("a close that opens a close", {"outer", "inner", "end"}, logged(function()
    do
      local x <close> = item("outer", function()
        local y <close> = item("inner")
      end)
    end
    log[#log + 1] = "end"
  end))
  t("a close that catches", {"x", "caught"}, "fine", logged(function()
    return (function()
      local x <close> = item("x", function()
        if not pcall(error, "e") then log[#log + 1] = "caught" end
      end)
      return "fine"
    end)()
  end))
  t("deep recursion with closes", 100, 100, function()
    local opened, closed = 0, 0
    local function down(n)
      local x <close> = setmetatable({}, {__close = function() closed = closed + 1 end})
      opened = opened + 1
      if n > 1 then down(n - 1) end
    end
    down(100)
    return opened, closed
  end)

  -- nil and false are no values to close; others must have a __close when they are assigned.
  t("local x <close> = nil return 1", 1)
  t("local x <close> = false return 1", 1)
  t("local x <close> return x", nil)
  t("local x <close> = 5", err "variable 'x' got a non-closable value")
  t("local x <close> = {}", err "variable 'x' got a non-closable value")
  t("local x <close> = 'str'", err "variable 'x' got a non-closable value")
  t("local x <close> = true", err "variable 'x' got a non-closable value")
  t("local x <close> = setmetatable({}, {__close = 5})", err "attempt to call a number value (metamethod 'close')")
  t("local x <close> = setmetatable({}, {__close = nil})", err "variable 'x' got a non-closable value")
  t("closable among others in a list", {"z"}, 1, 3, logged(function()
    local a, x <close>, c = 1, item("z"), 3
    return a, c
  end))
  t("a metamethod lost before the close", false, "attempt to call a nil value (metamethod 'close')", function()
    local ok, message = pcall(function()
      local x <close> = item("x")
      getmetatable(x).__close = nil
    end)
    return ok, (message:gsub("^.-:%-?%d+: ", ""))
  end)
  t("a refused value closes those before it", {"a:variable"}, false, logged(function()
    local ok = pcall(function()
      local a <close> = setmetatable({}, {__close = function(_, e) log[1] = "a:" .. e:match("variable") end})
      local b <close> = 1
    end)
    return ok
  end))

  -- In coroutines.
  t("a yield within the block", {"x"}, 1, 2, logged(function()
    local co = coroutine.wrap(function()
      local x <close> = item("x")
      coroutine.yield(1)
      return 2
    end)
    return co(), co()
  end))
  t("a yield within the close", {"x"}, "in close", "result", "dead", logged(function()
    local co = coroutine.create(function()
      local x <close> = item("x", function() coroutine.yield("in close") end)
      return "result"
    end)
    local _, a = coroutine.resume(co)
    local _, b = coroutine.resume(co)
    return a, b, coroutine.status(co)
  end))
  t("yields within two closes, by an error", {"b:e", "a:e"}, "yb", "ya", false, "e", logged(function()
    local co = coroutine.wrap(function()
      return pcall(function()
        local a <close> = item("a", function() coroutine.yield("ya") end)
        local b <close> = item("b", function() coroutine.yield("yb") end)
        error("e", 0)
      end)
    end)
    local first, second = co(), co()
    return first, second, co()
  end))
  t("a yield within the close of a break", {"x", "end"}, "y", logged(function()
    local co = coroutine.wrap(function()
      while true do
        local x <close> = item("x", function() coroutine.yield("y") end)
        break
      end
      log[#log + 1] = "end"
    end)
    local y = co()
    co()
    return y
  end))
  t("coroutine.close closes", {"b", "a"}, true, "dead", logged(function()
    local co = coroutine.create(function()
      local a <close> = item("a")
      local b <close> = item("b")
      coroutine.yield()
    end)
    coroutine.resume(co)
    return coroutine.close(co), coroutine.status(co)
  end))
  t("coroutine.close with an error in a close", {"b", "a:from b"}, false, "from b", logged(function()
    local co = coroutine.create(function()
      local a <close> = item("a")
      local b <close> = item("b", function() error("from b", 0) end)
      coroutine.yield()
    end)
    coroutine.resume(co)
    return coroutine.close(co)
  end))
  t("an error leaves the variables to coroutine.close", {"x:e"}, false, "e", false, "e", logged(function()
    local co = coroutine.create(function()
      local x <close> = item("x")
      error("e", 0)
    end)
    local ok, message = coroutine.resume(co)
    local before = #log
    local closed, e = coroutine.close(co)
    if before ~= 0 then log[1] = "too early" end
    return ok, message, closed, e
  end))
  t("coroutine.wrap closes by itself", {"x:e"}, false, "e", logged(function()
    return pcall(coroutine.wrap(function()
      local x <close> = item("x")
      error("e", 0)
    end))
  end))
  t("a generic for closes its coroutine", {"x"}, 3, logged(function()
    local function generate()
      local co = coroutine.create(function()
        local x <close> = item("x")
        for i = 1, 10 do coroutine.yield(i) end
      end)
      local function step()
        local _, v = coroutine.resume(co)
        return v
      end
      return step, nil, nil, setmetatable({}, {__close = function() coroutine.close(co) end})
    end
    for i in generate() do
      if i == 3 then return i end
    end
  end))

  -- By xpcall, the handler runs before the closes.
  t("the handler first, then the closes", {"handler", "x:e!"}, false, "e!", logged(function()
    return xpcall(function()
      local x <close> = item("x")
      error("e", 0)
    end, function(e)
      log[#log + 1] = "handler"
      return e .. "!"
    end)
  end))
  t("a lock", 1, 0, 0, function()
    local held = 0
    local function lock()
      held = held + 1
      return setmetatable({}, {__close = function() held = held - 1 end})
    end
    local inside
    do
      local l <close> = lock()
      inside = held
    end
    local after = held
    pcall(function()
      local l <close> = lock()
      error("x")
    end)
    return inside, after, held
  end)
end
