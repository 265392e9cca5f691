--- Variable numbers of arguments and results: `...` in all its places, hundreds of values, table.pack and unpack.
return function(t)
  local err = t.err
  local function count(...) return select("#", ...) end
  local function same(...) return ... end
  t.env.count, t.env.same = count, same

  t("count()", 0)
  t("count(nil)", 1)
  t("count(nil, nil)", 2)
  t("count(same())", 0)
  t("count(same(), same())", 1)
  t("count((same()))", 1)
  t("count(same(1, 2), same(1, 2))", 3)
  t("count(same(1, 2), (same(1, 2)))", 2)
  t("count(same(nil, nil, nil))", 3)
  t("same(same(1, 2, 3))", 1, 2, 3)
  t("(same(1, 2, 3))", 1)
  t("{same(1, 2), same(1, 2)}", {1, 1, 2})
  t("#{same(1, 2), x = 5, same(1, 2, 3)}", 4)
  t("local a, b = ... return a, b", nil, nil)
  t("local f = load('return ...') return f(1, nil, 3)", 1, nil, 3)
  t("local f = load('local a, b = ... return b, a, ...') return f(1, 2)", 2, 1, 1, 2)
  t("(function(a, ...) return ..., a end)(1, 2, 3)", 2, 1)
  t("(function(a, ...) return a, ... end)(1, 2, 3)", 1, 2, 3)
  t("(function(a, b, ...) return count(...) end)(1)", 0)
  t("(function(a, b) return a, b end)(1)", 1, nil)
  t("(function(a, b) return a, b end)(1, 2, 3)", 1, 2)
  t("(function(...) local a, b, c = ... return a, b, c end)(1, 2)", 1, 2, nil)
  t("(function(...) local t = {...} return #t end)(1, 2, 3)", 3)
  t("(function(...) local t = {..., 'x'} return #t, t[2] end)(1, 2, 3)", 2, "x")
  t("(function(...) local t = {n = 1, ...} return t[2] end)(1, 2)", 2)
  t("(function(...) return ... + 1 end)(41, 5)", 42)
  t("(function(...) return -... end)(41, 5)", -41)
  t("(function(...) return (...) end)(1, 2)", 1)
  t("(function(...) return ((...)) end)()", nil)
  t("(function(...) return ... == 1 and 'one' end)(1, 2)", "one")
  t("(function(...) return (...) .. 'x' end)('a', 'b')", "ax")
  t("(function(...) local function g(...) return ... end return g(0, ...) end)(1, 2)", 0, 1, 2)
  t("(function(...) for i = 1, select('#', ...) do if select(i, ...) == 'c' then return i end end end)('b', 'c')", 2)
  t("local function f(n, ...) if n == 0 then return ... end return f(n - 1, n, ...) end return f(5)", 1, 2, 3, 4, 5)
  t("local s = setmetatable({}, {__call = function(self, ...) return count(...), ... end}) return s(1, nil)", 2, 1, nil)
  t("local o = {} function o:m(...) return self == o, ... end return o:m(1, 2)", true, 1, 2)
  t("string.char(same(72, 105))", "Hi")
  t("math.max(same(3, 9, 4))", 9)
  t("('%d-%d'):format(same(1, 2))", "1-2")
  t("select(2, same(1, 2, 3))", 2, 3)
  t("select(-2, same(1, 2, 3))", 2, 3)
  t("select(same('#', 2, 3))", 2)

  -- table.pack and table.unpack
  t("table.pack()", {n = 0})
  t("table.pack(1, 2)", {1, 2, n = 2})
  t("table.pack(nil)", {n = 1})
  t("table.pack(nil, 2, nil).n", 3)
  t("table.unpack({})")
  t("table.unpack({1, 2, 3})", 1, 2, 3)
  t("table.unpack({1, 2, 3}, 2)", 2, 3)
  t("table.unpack({1, 2, 3}, 2, 2)", 2)
  t("table.unpack({1, 2, 3}, 3, 2)")
  t("table.unpack({1, 2}, 1, 4)", 1, 2, nil, nil)
  t("table.unpack({1, 2}, 0, 2)", nil, 1, 2)
  t("table.unpack({[-1] = 'a', [0] = 'b'}, -1, 0)", "a", "b")
  t("table.unpack({}, 1, 3)", nil, nil, nil)
  t("table.unpack({1, 2, 3}, '2', 3.0)", 2, 3)
  t("table.unpack({n = 2}, 1, 2)", nil, nil)
  t("table.unpack(table.pack(1, nil, 3), 1, 3)", 1, nil, 3)
  t("table.unpack({}, math.maxinteger, math.maxinteger)", nil)
  t("table.unpack({}, math.mininteger, math.mininteger + 1)", nil, nil)
  t("table.unpack({}, math.maxinteger, math.mininteger)")
  t("table.unpack({}, 1, 1e7)", err "too many results to unpack")
  t("table.unpack({}, 0, math.maxinteger)", err "too many results to unpack")
  t("table.unpack({}, math.mininteger, math.maxinteger)", err "too many results to unpack")
  t("table.unpack({}, 1, 1 << 31)", err "too many results to unpack")
  t("table.unpack()", err "attempt to get length of a nil value")
  t("table.unpack(nil, 1, 1)", err "attempt to index a nil value")
  t("table.unpack('abc')", nil, nil, nil)
  t("table.unpack(setmetatable({}, {__index = function(_, k) return -k end, __len = function() return 2 end}))", -1, -2)

  -- Hundreds of values.
  for _, n in ipairs {1, 49, 50, 51, 99, 100, 200, 249, 250, 251, 254, 255, 256, 300, 1000, 5000} do
    t(("%d values through a call"):format(n), n, n, n * (n + 1) // 2, n, function()
      local list = {}
      for i = 1, n do list[i] = i end
      local back, sum = {same(table.unpack(list))}, 0
      for i = 1, #back do sum = sum + back[i] end
      return count(table.unpack(list)), #back, sum, (select(n, table.unpack(list)))
    end)
  end
  t("250 arguments written out", 250, 31375, function()
    local words = {}
    for i = 1, 250 do words[i] = tostring(i) end
    local list = load("return {...}", "=c")
    local call = load("local f = ... return f(" .. table.concat(words, ", ") .. ")", "=c")
    local sum = 0
    for _, v in ipairs(call(list)) do sum = sum + v end
    return #call(list), sum
  end)
  t("200 parameters", 1, 200, nil, function()
    local words = {}
    for i = 1, 199 do words[i] = "a" .. i end
    local text = table.concat(words, ", ")
    local f = load("local function f(" .. text .. ") return a1, a199 end return f", "=c")()
    local list = {}
    for i = 1, 199 do list[i] = i end
    list[199] = 200
    local first, last = f(table.unpack(list))
    return first, last, (select(2, f(1)))
  end)
  t("string.char of 1000", 1000, function() return #string.char(string.rep("a", 1000):byte(1, -1)) end)
  t("byte of 3000", 3000, 98, function()
    local list = {string.rep("b", 3000):byte(1, -1)}
    return #list, list[3000]
  end)
  t("max of 500", 500, 1, function()
    local list = {}
    for i = 1, 500 do list[i] = i end
    return math.max(table.unpack(list)), math.min(table.unpack(list))
  end)
  t("concat of 150 operands", 150, function()
    return #load("local x = 'a' return " .. string.rep("x", 150, " .. "), "=c")()
  end)
  t("return of 200 values", 200, function()
    return count(load("return " .. string.rep("1", 200, ", "), "=c")())
  end)
  t("many through pcall", 2000, function()
    local list = {}
    for i = 1, 2000 do list[i] = i end
    return (select("#", pcall(same, table.unpack(list)))) - 1
  end)
  t("many through a coroutine", 700, 700, function()
    local list = {}
    for i = 1, 700 do list[i] = i end
    local co = coroutine.wrap(function(...)
      local n = count(...)
      n = n + count(coroutine.yield(...)) - n
      return n
    end)
    return count(co(table.unpack(list))), co(table.unpack(list))
  end)
  t("tail calls with growing lists", 100, function()
    local function f(n, ...)
      if n == 0 then return count(...) end
      return f(n - 1, n, ...)
    end
    return f(100)
  end)
end
