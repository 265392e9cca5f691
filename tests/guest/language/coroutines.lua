--- coroutine.*: life and death, values both ways, yields across everything that allows them, errors, closing, and
-- nesting until the C stack says no.
return function(t)
  local err = t.err
  local create, resume, yield, status, wrap = coroutine.create, coroutine.resume, coroutine.yield, coroutine.status,
    coroutine.wrap

  -- Values travel both ways.
  t("values", true, "a", 1, true, "b", 2, nil, true, "c", false, "cannot resume dead coroutine", function()
    local co = create(function(...)
      local x, y = yield("a", ...)
      local z = yield("b", x, y)
      return "c" .. (z or "")
    end)
    local a, b, c = resume(co, 1)
    local d, e, f, g = resume(co, 2)
    local h, i = resume(co)
    return a, b, c, d, e, f, g, h, i, resume(co)
  end)
  t("status", "suspended", "running", "normal", "suspended", "dead", function()
    local co, inner, seen
    co = create(function()
      seen = {status(co)}
      inner = create(function() seen[2] = status(co) end)
      resume(inner)
      yield()
    end)
    local first = status(co)
    resume(co)
    local after = status(co)
    resume(co)
    return first, seen[1], seen[2], after, status(co)
  end)
  t("running", true, false, true, function()
    local main, is_main = coroutine.running()
    local outer = is_main or type(main) == "thread"
    local co, self, flag
    co = create(function() self, flag = coroutine.running() end)
    resume(co)
    return self == co, flag, outer
  end)
  t("isyieldable", true, true, false, function()
    local co = create(function() return coroutine.isyieldable() end)
    local suspended = coroutine.isyieldable(co)
    local _, inside = resume(co)
    return inside, suspended, wrap(function()
      local within
      string.gsub("x", "x", function() within = coroutine.isyieldable() end)
      return within
    end)()
  end)
  t("wrap", 1, 2, 3, function()
    local f = wrap(function(a)
      local b = yield(a)
      local c = yield(b)
      return c
    end)
    return f(1), f(2), f(3)
  end)
  t("wrap of the dead", err "cannot resume dead coroutine", function()
    local f = wrap(function() end)
    f()
    f()
  end)
  t("many values", 200, 200, 200, function()
    local list = {}
    for i = 1, 200 do list[i] = i end
    local co = wrap(function(...)
      local n = select("#", ...)
      local m = select("#", yield(n))
      return yield(m) or m
    end)
    return co(table.unpack(list)), co(table.unpack(list)), co(200)
  end)
  t("nothing travels as nothing", 1, 1, 0, function()
    local co = create(function(...)
      local n = select("#", ...)
      local m = select("#", yield())
      return n + m
    end)
    local a = select("#", resume(co))
    local b, c = resume(co)
    return a, b and 1, c
  end)

  t("coroutine.create(1)", err "bad argument #1 to 'create' (function expected, got number)")
  t("coroutine.create()", err "bad argument #1 to 'create' (function expected, got no value)")
  t("coroutine.wrap({})", err "bad argument #1 to 'wrap' (function expected, got table)")
  t("coroutine.resume(1)", err "bad argument #1 to 'resume' (thread expected, got number)")
  t("coroutine.status({})", err "bad argument #1 to 'status' (thread expected, got table)")
  t("coroutine.close(1)", err "bad argument #1 to 'close' (thread expected, got number)")
  t("coroutine.isyieldable(1)", err "bad argument #1 to 'isyieldable' (thread expected, got number)")
  t("coroutine.create(print) == coroutine.create(print)", false)
  t("a C function as a body", true, 3, "dead", function()
    local co = create(math.max)
    local ok, value = resume(co, 1, 3, 2)
    return ok, value, status(co)
  end)
  t("yield as a body", true, 1, 2, true, 3, "dead", function()
    local co = create(yield)
    local ok, a, b = resume(co, 1, 2)
    local ok2, c = resume(co, 3)
    return ok, a, b, ok2, c, status(co)
  end)

  -- Errors.
  t("an error ends it", false, "oops", "dead", false, "cannot resume dead coroutine", function()
    local co = create(function() error("oops", 0) end)
    local a, b = resume(co)
    return a, b, status(co), resume(co)
  end)
  t("an error object", true, function()
    local object = {}
    local _, e = resume(create(function() error(object) end))
    return e == object
  end)
  t("an error with nil", false, nil, function() return resume(create(function() error() end)) end)
  -- wrap puts its caller's position before the text; one of the two is cut off here.
  t("do coroutine.wrap(function() error('inner') end)() end", err "check:1: inner")
  t("do coroutine.wrap(function() error({1}) end)() end", err {1})
  t("resuming itself", false, "cannot resume non-suspended coroutine", function()
    local co
    co = create(function() return resume(co) end)
    local _, a, b = resume(co)
    return a, b
  end)
  t("wrapping itself", false, "cannot resume non-suspended coroutine", function()
    local f
    f = wrap(function() return pcall(f) end)
    return f()
  end)
  t("resuming a normal one", false, "cannot resume non-suspended coroutine", function()
    local outer
    outer = create(function()
      local _, a, b = resume(create(function() return resume(outer) end))
      return a, b
    end)
    local _, a, b = resume(outer)
    return a, b
  end)
  t("a resume in a loop until dead", 10, false, function()
    local co, n = create(function() for i = 1, 9 do yield(i) end end), 0
    while resume(co) do n = n + 1 end
    return n, (resume(co))
  end)

  -- Yields across pcall, xpcall, error handlers, metamethods, iterators, and closes.
  t("across pcall", "y", true, "r", function()
    local co = wrap(function() return pcall(function() return yield("y") end) end)
    return co(), co("r")
  end)
  t("across pcall, then an error", 1, false, "late", function()
    local co = wrap(function()
      return pcall(function()
        yield(1)
        error("late", 0)
      end)
    end)
    return co(), co()
  end)
  t("across nested pcalls", 1, 2, true, true, false, "e", function()
    local co = wrap(function()
      return pcall(pcall, pcall, function()
        yield(1)
        yield(2)
        error("e", 0)
      end)
    end)
    return co(), co(), co()
  end)
  t("across xpcall", 1, false, "handled e", function()
    local co = wrap(function()
      return xpcall(function(x)
        yield(x)
        error("e", 0)
      end, function(e) return "handled " .. e end, 1)
    end)
    return co(), co()
  end)
  t("yields inside and after a caught error", "a", "b", "done", function()
    local co = wrap(function()
      local ok = pcall(function()
        yield("a")
        error("x")
      end)
      if not ok then yield("b") end
      return "done"
    end)
    return co(), co(), co()
  end)
  local metamethods = {
    {"+", "__add"}, {"-", "__sub"}, {"*", "__mul"}, {"/", "__div"}, {"%", "__mod"}, {"^", "__pow"}, {"//", "__idiv"},
    {"&", "__band"}, {"|", "__bor"}, {"~", "__bxor"}, {"<<", "__shl"}, {">>", "__shr"}, {"..", "__concat"},
  }
  for _, pair in ipairs(metamethods) do
    local op, event = pair[1], pair[2]
    t("across " .. event, event, "sum 5", event, "sum 6", function()
      local x = setmetatable({}, {[event] = function() return "sum " .. yield(event) end})
      local f = load("local a, b = ... return a " .. op .. " b", "=c")
      local g = load("local a = ... return 10 " .. op .. " a", "=c")
      local co, other = wrap(f), wrap(g)
      return co(x, 1), co(5), other(x), other(6)
    end)
  end
  t("across __concat of many", "bc", "xd", "a-done", function()
    local mt = {}
    local x = setmetatable({}, mt)
    function mt.__concat(a, b)
      local left, right = type(a) == "table" and "x" or a, type(b) == "table" and "x" or b
      return yield(left .. right)
    end
    local co = wrap(function() return "a" .. ("-" .. ((x .. "d") .. "")) end)
    local other = wrap(function() return x .. "c" end)
    local first = other()
    local second = co()
    return first == "xc" and "bc", second, co("done")
  end)
  t("across __unm, __bnot, __len", "u", 1, "n", 2, "l", 3, function()
    local x = setmetatable({}, {
      __unm = function() return yield("u") end, __bnot = function() return yield("n") end,
      __len = function() return yield("l") end,
    })
    local a, b, c = wrap(function() return -x end), wrap(function() return ~x end), wrap(function() return #x end)
    return a(), a(1), b(), b(2), c(), c(3)
  end)
  t("across __index and __newindex", "get k", "value", "set k=1", "end", function()
    local x = setmetatable({}, {
      __index = function(_, k) return yield("get " .. k) end,
      __newindex = function(_, k, v) yield("set " .. k .. "=" .. v) end,
    })
    local get, set = wrap(function() return x.k end), wrap(function() x.k = 1 return "end" end)
    return get(), get("value"), set(), set()
  end)
  t("across __call", "in 7", "out", function()
    local x = setmetatable({}, {__call = function(_, v) return yield("in " .. v) end})
    local co = wrap(function() return x(7) end)
    return co(), co("out")
  end)
  t("across __eq, __lt, __le", "eq", true, "lt", false, "le", true, "gt", true, "ne", false, function()
    local mt = {
      __eq = function() return yield("eq") end, __lt = function() return yield("lt") end,
      __le = function() return yield("le") end,
    }
    local a, b = setmetatable({}, mt), setmetatable({}, mt)
    local eq, lt, le = wrap(function() return a == b end), wrap(function() return a < b end), wrap(function()
      return a <= b end)
    local gt, ne = wrap(function() return a > b end), wrap(function() return a ~= b end)
    local e1, e2, l1, l2, m1, m2 = eq(), eq(1), lt(), lt(nil), le(), le("yes")
    local g1, g2, n1, n2 = gt(), gt(true), ne(), ne(true)
    return e1, e2, l1, l2, m1, m2, g1 == "lt" and "gt", g2, n1 == "eq" and "ne", n2
  end)
  t("across __lt in conditions", "lt", "then", "lt", "else", function()
    local x = setmetatable({}, {__lt = function() return yield("lt") end})
    local function body() if x < 5 then return "then" else return "else" end end
    local a, b = wrap(body), wrap(body)
    return a(), a(true), b(), b(false)
  end)
  t("across __pairs", "pairs", "k", "v", function()
    local x = setmetatable({}, {__pairs = function(self)
      yield("pairs")
      return function(_, k) if not k then return "k", "v" end end, self
    end})
    local co = wrap(function() for k, v in pairs(x) do return k, v end end) -- luacheck: ignore 512
    return co(), co()
  end)
  t("across a generic for's iterator", "ask", 1, "ask", {1}, function()
    local co = wrap(function()
      local list = {}
      for v in function() return yield("ask") end do
        list[#list + 1] = v
        yield(v)
      end
      return list
    end)
    local a, b, c = co(), co(1), co()
    return a, b, c, co(nil)
  end)
  t("across select, table.unpack and tail calls", 5, 6, function()
    local function deep(n)
      if n == 0 then return yield(5) end
      return deep(n - 1)
    end
    local co = wrap(function() return (select(1, deep(1000))) end)
    return co(), co(6)
  end)

  -- Where yields are refused: across C functions that keep no continuation, and outside of any coroutine.
  local function boundary(name, body)
    t("no yield in " .. name, false, "attempt to yield across a C-call boundary", function()
      local ok, message = resume(create(body))
      return ok, (tostring(message):gsub("^.-:%d+: ", ""))
    end)
  end
  boundary("gsub's function", function() string.gsub("x", "x", yield) end)
  boundary("sort's order", function() table.sort({3, 2, 1}, function() yield() end) end)
  boundary("load's reader", function()
    local ok, message = load(function() yield() end)
    return ok or error(message, 0)
  end)
  boundary("__tostring", function() tostring(setmetatable({}, {__tostring = yield})) end)
  boundary("__index from C", function()
    table.concat(setmetatable({}, {__index = yield, __len = function() return 1 end}))
  end)
  boundary("gsub's function, within pcall", function()
    local ok, message = pcall(string.gsub, "x", "x", function() yield() end)
    return ok or error(message, 0)
  end)
  t("yield outside", true, function()
    -- The suite itself may run in a coroutine; a C boundary is between then.
    local message
    string.gsub("x", "x", function() message = select(2, pcall(yield)) end)
    return message == "attempt to yield across a C-call boundary"
      or message == "attempt to yield from outside a coroutine"
  end)

  -- coroutine.close (to-be-closed variables have a theme of their own).
  t("close the suspended", true, "dead", false, "cannot resume dead coroutine", function()
    local co = create(function() yield() end)
    resume(co)
    local ok = coroutine.close(co)
    return ok, status(co), resume(co)
  end)
  t("close the unstarted and the dead", true, "dead", true, "dead", function()
    local fresh, dead = create(function() end), create(function() end)
    resume(dead)
    local a = coroutine.close(fresh)
    local b = status(fresh)
    return a, b, coroutine.close(dead), status(dead)
  end)
  t("close after an error gives the error, once", false, "e", true, function()
    local co = create(function() error("e", 0) end)
    resume(co)
    local a, b = coroutine.close(co)
    return a, b, (coroutine.close(co))
  end)
  t("close the running", false, "cannot close a running coroutine", function()
    return wrap(function() return pcall(coroutine.close, (coroutine.running())) end)()
  end)
  t("close the normal", false, "cannot close a normal coroutine", function()
    return wrap(function()
      local outer = coroutine.running()
      return wrap(function() return pcall(coroutine.close, outer) end)()
    end)()
  end)

  -- Nesting and number.
  t("100 coroutines nested", 100, function()
    local function nest(n) return n == 0 and 0 or 1 + wrap(nest)(n - 1) end
    return nest(100)
  end)
  t("nesting without end is caught", false, true, true, function()
    local depth = 0
    local function nest()
      depth = depth + 1
      return wrap(nest)()
    end
    local ok, message = pcall(nest)
    return ok, message:find("C stack overflow", 1, true) ~= nil, depth > 100 and depth < 220
  end)
  t("and by resume", true, true, function()
    local depth, last = 0, nil
    local function nest()
      depth = depth + 1
      local ok, message = resume(create(nest))
      if not ok and not last then last = message end
    end
    nest()
    return last == "C stack overflow", depth > 100 and depth < 220
  end)
  t("1000 at a time, in turns", 1000, 3000, function()
    local list, sum = {}, 0
    for i = 1, 1000 do
      list[i] = wrap(function()
        for _ = 1, 3 do
          sum = sum + 1
          yield()
        end
      end)
    end
    for _ = 1, 3 do
      for i = 1, 1000 do list[i]() end
    end
    return #list, sum
  end)
  t("20000 one after the other", 20000, function()
    local n = 0
    for _ = 1, 20000 do wrap(function() n = n + 1 end)() end
    return n
  end)
  t("a deep stack in a coroutine", 3000, 3000, function()
    local co = wrap(function()
      local function down(n)
        if n == 0 then return yield(3000) end
        return (down(n - 1))
      end
      return down(3000)
    end)
    return co(), co(3000)
  end)

  -- Uses.
  t("producer and consumer", {2, 4, 6, 8, 10}, function()
    local producer = create(function() for i = 1, 5 do yield(i) end end)
    local doubled = create(function()
      while true do
        local _, v = resume(producer)
        if not v then return end
        yield(v * 2)
      end
    end)
    local list = {}
    while true do
      local _, v = resume(doubled)
      if not v then return list end
      list[#list + 1] = v
    end
  end)
  t("a scheduler", "a1 b1 c1 a2 b2 a3", function()
    local log, ready = {}, {}
    for name, n in ("a3 b2 c1"):gmatch("(%a)(%d)") do
      ready[#ready + 1] = create(function()
        for i = 1, tonumber(n) do
          log[#log + 1] = name .. i
          yield()
        end
      end)
    end
    while #ready > 0 do
      local co = table.remove(ready, 1)
      resume(co)
      if status(co) ~= "dead" then ready[#ready + 1] = co end
    end
    return table.concat(log, " ")
  end)
  t("the sieve of Eratosthenes by filters", {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47}, function()
    local function filter(p, source)
      return wrap(function()
        for n in source do
          if n % p ~= 0 then yield(n) end
        end
      end)
    end
    local source = wrap(function() for n = 2, 50 do yield(n) end end)
    local primes = {}
    while true do
      local p = source()
      if not p then return primes end
      primes[#primes + 1] = p
      source = filter(p, source)
    end
  end)
  t("same fringe", true, false, function()
    local function leaves(tree)
      return wrap(function()
        local function walk(node)
          if type(node) == "table" then
            walk(node[1])
            walk(node[2])
          else
            yield(node)
          end
        end
        walk(tree)
      end)
    end
    local function same(a, b)
      local x, y = leaves(a), leaves(b)
      while true do
        local l, r = x(), y()
        if l ~= r then return false end
        if not l then return true end
      end
    end
    return same({{1, 2}, {3, 4}}, {1, {2, {3, 4}}}), same({1, {2, 3}}, {{1, 3}, 2})
  end)
end
