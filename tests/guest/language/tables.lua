--- table.*: insert, remove, concat, move, sort (pack and unpack are with the varargs); the border; constructors of
-- thousands; tables that grow, shrink, and mix lists with hashes.
return function(t)
  local err = t.err

  -- The border: with no holes it is the length.
  t("#{}, #{1}, #{1, 2, 3}, #{n = 1}, #{nil}, #{1, nil}", 0, 1, 3, 0, 0, 1)
  t("#{[1] = 'a', [2] = 'b'}", 2)
  t("#{[2] = 'b'}", 0)
  t("any border will do", true, function()
    local list = {1, 2, nil, 4, nil, 6}
    local n = #list
    return n >= 0 and (n == 0 or list[n] ~= nil) and list[n + 1] == nil
  end)
  t("borders of random holes", 0, function()
    local wrong = 0
    math.randomseed(4)
    for _ = 1, 200 do
      local list = {}
      for i = 1, math.random(0, 40) do list[i] = math.random(3) > 1 and i or nil end
      local n = #list
      if not (n == 0 or list[n] ~= nil) or list[n + 1] ~= nil then wrong = wrong + 1 end
    end
    return wrong
  end)
  t("length follows the end", {1, 2, 3, 4, 5, 4, 3, 2, 1, 0}, function()
    local list, seen = {}, {}
    for i = 1, 5 do
      list[i] = true
      seen[#seen + 1] = #list
    end
    for i = 5, 1, -1 do
      list[i] = nil
      seen[#seen + 1] = #list
    end
    return seen
  end)

  -- insert
  t("local x = {1, 2} table.insert(x, 3) return x", {1, 2, 3})
  t("local x = {1, 2} table.insert(x, 1, 0) return x", {0, 1, 2})
  t("local x = {1, 2} table.insert(x, 2, 'm') return x", {1, "m", 2})
  t("local x = {1, 2} table.insert(x, 3, 'e') return x", {1, 2, "e"})
  t("local x = {} table.insert(x, 1, 'only') return x", {"only"})
  t("local x = {} table.insert(x, nil) return #x", 0)
  t("table.insert({}, 1)")
  t("local x = {1, 2} table.insert(x, 2.0, 'f') return x", {1, "f", 2})
  t("table.insert({1, 2}, 4, 'x')", err "bad argument #2 to 'insert' (position out of bounds)")
  t("table.insert({1, 2}, 0, 'x')", err "bad argument #2 to 'insert' (position out of bounds)")
  t("table.insert({}, -1, 'x')", err "bad argument #2 to 'insert' (position out of bounds)")
  t("table.insert({}, 1.5, 'x')", err "bad argument #2 to 'insert' (number has no integer representation)")
  t("table.insert({}, 'a', 'x')", err "bad argument #2 to 'insert' (number expected, got string)")
  t("table.insert({})", err "wrong number of arguments to 'insert'")
  t("table.insert({}, 1, 2, 3)", err "wrong number of arguments to 'insert'")
  t("table.insert(nil, 1)", err "bad argument #1 to 'insert' (table expected, got nil)")
  t("table.insert('x', 1)", err "bad argument #1 to 'insert' (table expected, got string)")

  -- remove
  t("local x = {1, 2, 3} return table.remove(x), x", 3, {1, 2})
  t("local x = {1, 2, 3} return table.remove(x, 1), x", 1, {2, 3})
  t("local x = {1, 2, 3} return table.remove(x, 2), x", 2, {1, 3})
  t("local x = {1, 2, 3} return table.remove(x, 3), x", 3, {1, 2})
  t("local x = {1, 2, 3} return table.remove(x, 4), x", nil, {1, 2, 3})
  t("local x = {} return table.remove(x), x", nil, {})
  t("local x = {} return table.remove(x, 0)", nil)
  t("local x = {[0] = 'z'} return table.remove(x, 0), x[0]", "z", nil)
  t("local x = {} return table.remove(x, 1)", nil)
  t("select('#', table.remove({}))", 1)
  t("table.remove({1, 2, 3}, 5)", err "bad argument #1 to 'remove' (position out of bounds)")
  t("table.remove({1, 2, 3}, 0)", err "bad argument #1 to 'remove' (position out of bounds)")
  t("table.remove({1, 2, 3}, -1)", err "bad argument #1 to 'remove' (position out of bounds)")
  t("table.remove({}, 2)", err "bad argument #1 to 'remove' (position out of bounds)")
  t("table.remove(5)", err "bad argument #1 to 'remove' (table expected, got number)")
  t("a queue", {1, 2, 3, 4, 5}, 0, function()
    local queue, out = {}, {}
    for i = 1, 5 do table.insert(queue, 1, i) end
    while #queue > 0 do out[#out + 1] = table.remove(queue) end
    return out, #queue
  end)

  -- concat
  t("table.concat({})", "")
  t("table.concat({'a', 'b', 'c'}), table.concat({'a', 'b', 'c'}, '-')", "abc", "a-b-c")
  t("table.concat({'a', 'b', 'c'}, ', ', 2), table.concat({'a', 'b', 'c'}, ', ', 2, 2)", "b, c", "b")
  t("table.concat({'a', 'b'}, ',', 3), table.concat({'a', 'b'}, ',', 2, 1)", "", "")
  t("table.concat({1, 2.5, 'x', -0.0}, ' ')", "1 2.5 x -0.0")
  t("table.concat({'a', 'b'}, 1)", "a1b")
  t("table.concat({'a\\0', 'b'}, '\\0')", "a\0\0b")
  t("table.concat({[5] = 'x', [6] = 'y'}, '', 5, 6)", "xy")
  t("table.concat({[math.maxinteger] = 'last'}, '', math.maxinteger, math.maxinteger)", "last")
  t("table.concat({}, '', 1, 2)", err "invalid value (nil) at index 1 in table for 'concat'")
  t("table.concat({'a', {}}, '')", err "invalid value (table) at index 2 in table for 'concat'")
  t("table.concat({'a', true})", err "invalid value (boolean) at index 2 in table for 'concat'")
  t("table.concat({'a', nil, 'c'}, '', 1, 3)", err "invalid value (nil) at index 2 in table for 'concat'")
  t("table.concat({'a'}, {})", err "bad argument #2 to 'concat' (string expected, got table)")
  t("table.concat('x')", err "bad argument #1 to 'concat' (table expected, got string)")
  t("table.concat()", err "bad argument #1 to 'concat' (table expected, got no value)")
  t("concat of 5000", 18893, "12345678910", 3892, function()
    local list = {}
    for i = 1, 5000 do list[i] = i end
    local text = table.concat(list)
    return #text, text:sub(1, 11), #table.concat(list, ",", 1, 1000)
  end)

  -- move
  t("table.move({1, 2, 3}, 1, 3, 2)", {1, 1, 2, 3})
  t("table.move({1, 2, 3}, 2, 3, 1)", {2, 3, 3})
  t("table.move({1, 2, 3}, 1, 3, 1, {})", {1, 2, 3})
  t("table.move({1, 2, 3}, 1, 3, 3, {9, 9})", {9, 9, 1, 2, 3})
  t("table.move({1, 2, 3}, 1, 0, 5)", {1, 2, 3})
  t("table.move({1, 2, 3}, 3, 2, 1)", {1, 2, 3})
  t("table.move({1, 2, 3}, 1, 3, 1)", {1, 2, 3})
  t("table.move({1, 2, 3}, 2, 2, 5)[5]", 2)
  t("table.move({1, nil, 3}, 1, 3, 2)", {1, 1, nil, 3})
  t("table.move({[-1] = 'a', [0] = 'b'}, -1, 0, 1)", {"a", "b", [-1] = "a", [0] = "b"})
  t("local a = {1} return table.move(a, 1, 1, 2) == a, table.move(a, 1, 1, 1, {}) == a", true, false)
  t("table.move({[math.maxinteger] = 'x'}, math.maxinteger, math.maxinteger, 1)[1]", "x")
  t("table.move({[math.mininteger] = 'x'}, math.mininteger, math.mininteger, 1)[1]", "x")
  t("table.move({'x'}, 1, 1, math.maxinteger)[math.maxinteger]", "x")
  t("table.move({}, 1, 2, math.maxinteger)", err "bad argument #4 to 'move' (destination wrap around)")
  t("table.move({}, math.mininteger, math.maxinteger, 1)", err "bad argument #3 to 'move' (too many elements to move)")
  t("table.move({}, 0, math.maxinteger, 1)", err "bad argument #3 to 'move' (too many elements to move)")
  t("table.move({}, 1, 'x', 1)", err "bad argument #3 to 'move' (number expected, got string)")
  t("table.move(1, 1, 1, 1)", err "bad argument #1 to 'move' (table expected, got number)")
  t("table.move({}, 1, 1, 1, 5)", err "bad argument #5 to 'move' (table expected, got number)")
  t("table.move({}, 1, 1)", err "bad argument #4 to 'move' (number expected, got no value)")

  -- Metamethods are honoured by insert, remove, concat, move, unpack and sort.
  local function proxy(list, log)
    return setmetatable({}, {
      __len = function() return #list end,
      __index = function(_, k) return list[k] end,
      __newindex = function(_, k, v)
        if log then log[#log + 1] = k end
        list[k] = v
      end,
    })
  end
  t("through a proxy", {1, 2, 3, 4}, {2, 3, 4}, "2-3-4", {4, 3, 2}, function()
    local list = {1, 2, 3}
    local p = proxy(list)
    table.insert(p, 4)
    local grown = table.move(list, 1, #list, 1, {})
    table.remove(p, 1)
    local shrunk = table.move(list, 1, #list, 1, {})
    local text = table.concat(p, "-")
    table.sort(p, function(a, b) return a > b end)
    return grown, shrunk, text, list
  end)
  t("a proxy sees what insert writes", {3, 2, 1}, {"n", "a", "b"}, function()
    local log, list = {}, {"a", "b"}
    table.insert(proxy(list, log), 1, "n")
    return log, list
  end)
  t("table.insert(setmetatable({}, {__len = function() return 'x' end}), 1)", err "object length is not an integer")
  t("table.unpack(setmetatable({}, {__len = function() return 1.5 end}))", err "object length is not an integer")
  t("table.concat(setmetatable({}, {__len = function() return 2.0 end, __index = function() return 'x' end}))", "xx")
  t("table.insert(setmetatable({}, {__len = function() return -5 end}), 'x')")

  -- sort
  t("local x = {3, 1, 2} table.sort(x) return x", {1, 2, 3})
  t("local x = {} table.sort(x) return x", {})
  t("local x = {1} table.sort(x) return x", {1})
  t("local x = {2, 1} table.sort(x) return x", {1, 2})
  t("local x = {3, 1, 2} table.sort(x, function(a, b) return a > b end) return x", {3, 2, 1})
  t("local x = {'b', 'a', 'C', '10', '9', ''} table.sort(x) return x", {"", "10", "9", "C", "a", "b"})
  t("local x = {1.5, 1, -2, 1e10, -0.5} table.sort(x) return x", {-2, -0.5, 1, 1.5, 1e10})
  t("local x = {2^53, 2^53 + 2, (1 << 53) + 1} table.sort(x) return x", {0x1p53, (1 << 53) + 1, 0x1.0000000000001p53})
  t("select('#', table.sort({2, 1}))", 0)
  t("table.sort({1, 'x'})", err "attempt to compare string with number")
  t("table.sort({1, 2, 'x'})", err "attempt to compare string with number")
  t("table.sort({{}, {}})", err "attempt to compare two table values")
  t("table.sort({nil, 2}, nil)", err "attempt to compare number with nil", function() table.sort({nil, 2}, nil) end)
  t("table.sort({1, 2}, 5)", err "bad argument #2 to 'sort' (function expected, got number)")
  t("table.sort(1)", err "bad argument #1 to 'sort' (table expected, got number)")
  t("table.sort({3, 2, 1}, function() error('inside', 0) end)", err "inside")
  t("table.sort({1, 2, 3, 4, 5}, function() return true end)", err "invalid order function for sorting")
  t("sort by metamethod", {1, 2, 3}, function()
    local mt = {__lt = function(a, b) return a.v < b.v end}
    local list, out = {}, {}
    for i, v in ipairs {2, 3, 1} do list[i] = setmetatable({v = v}, mt) end
    table.sort(list)
    for i, item in ipairs(list) do out[i] = item.v end
    return out
  end)
  for _, n in ipairs {2, 3, 4, 5, 10, 100, 101, 500, 2000} do
    t(("sorting %d random, sorted, reversed and equal items"):format(n), true, true, true, true, function()
      local function sorted(list, less)
        table.sort(list, less)
        for i = 2, #list do
          if list[i] < list[i - 1] then return false end
        end
        return #list == n
      end
      math.randomseed(n)
      local random, up, down, equal = {}, {}, {}, {}
      for i = 1, n do random[i], up[i], down[i], equal[i] = math.random(n), i, n - i, 7 end
      local ok = sorted(random)
      t.feed(table.unpack(random, 1, 200))
      return ok, sorted(up), sorted(down, function(a, b) return a < b end), sorted(equal)
    end)
  end
  t("sorting keeps every item", 0, function()
    math.randomseed(6)
    local list, sum = {}, 0
    for i = 1, 1000 do
      list[i] = math.random(0) >> 12
      sum = sum + list[i]
    end
    table.sort(list, function(a, b) return a > b end)
    for i = 1, 1000 do sum = sum - list[i] end
    return sum
  end)

  -- Keys of all types; nil and NaN are none.
  t("keys of all types", 1, 2, 3, 4, 5, 6, 7, function()
    local key, f, co = {}, function() end, coroutine.create(function() end)
    local x = {[key] = 1, [f] = 2, [co] = 3, [true] = 4, [false] = 5, [1.5] = 6, [""] = 7}
    return x[key], x[f], x[co], x[true], x[false], x[1.5], x[""]
  end)
  t("({})[nil]", nil)
  t("local x = {} x[nil] = 1", err "table index is nil")
  t("local x = {[nil] = 1}", err "table index is nil")
  t("local x = {} x[nil] = nil", err "table index is nil")
  t("local x = {} x.y.z = 1", err "attempt to index a nil value (field 'y')")
  t("local x = {} x[1.0] = 'a' x[1] = x[1] .. 'b' return x[1], #x", "ab", 1)
  t("local x = {} x['1'] = 'text' x[1] = 'number' return x['1'], x[1]", "text", "number")
  t("local x = {a = 1} x.a = nil return next(x)", nil)

  -- Growth, holes, negative and huge keys.
  t("10000 integers in, half out, all right", 0, 5000, function()
    local x, wrong, n = {}, 0, 0
    for i = 1, 10000 do x[i] = i * i end
    for i = 1, 10000, 2 do x[i] = nil end
    for i = 1, 10000 do
      if x[i] ~= (i % 2 == 0 and i * i or nil) then wrong = wrong + 1 end
    end
    for _ in pairs(x) do n = n + 1 end
    return wrong, n
  end)
  t("5000 strings in and out", 5000, 0, function()
    local x, n = {}, 0
    for i = 1, 5000 do x["key" .. i] = i end
    for _ in pairs(x) do n = n + 1 end
    for i = 1, 5000 do x["key" .. i] = nil end
    local left = 0
    for _ in pairs(x) do left = left + 1 end
    return n, left
  end)
  t("filled from behind", 1000, 500500, function()
    local x, sum = {}, 0
    for i = 1000, 1, -1 do x[i] = i end
    for _, v in ipairs(x) do sum = sum + v end
    return #x, sum
  end)
  t("negative, zero and huge keys", "a", "b", "c", "d", 0, function()
    local x = {[-1] = "a", [0] = "b", [math.maxinteger] = "c", [math.mininteger] = "d"}
    return x[-1], x[0], x[math.maxinteger], x[math.mininteger], #x
  end)
  t("sparse powers of two", 63, 0, function()
    local x, n, wrong = {}, 0, 0
    for i = 0, 62 do x[1 << i] = i end
    for k, v in pairs(x) do
      n = n + 1
      if 1 << v ~= k then wrong = wrong + 1 end
    end
    return n, wrong
  end)
  t("float keys do not collide", 1000, 0, function()
    local x, n, wrong = {}, 0, 0
    for i = 1, 1000 do x[i + 0.5] = i end
    for k, v in pairs(x) do
      n = n + 1
      if k ~= v + 0.5 then wrong = wrong + 1 end
    end
    return n, wrong
  end)

  -- Constructors of thousands.
  t("a constructor of 3000 integers", 3000, 4501500, function()
    local words = {}
    for i = 1, 3000 do words[i] = i end
    local x, sum = load("return {" .. table.concat(words, ",") .. "}", "=c")(), 0
    for _, v in ipairs(x) do sum = sum + v end
    return #x, sum
  end)
  t("a constructor of 1000 fields", 1000, 500500, function()
    local words = {}
    for i = 1, 1000 do words[i] = ("f%d=%d"):format(i, i) end
    local n, sum = 0, 0
    for _, v in pairs(load("return {" .. table.concat(words, ",") .. "}", "=c")()) do n, sum = n + 1, sum + v end
    return n, sum
  end)
  t("a constructor of 500 strings and a call", 502, "s1", "s500", "z", function()
    local words = {}
    for i = 1, 500 do words[i] = ("'s%d'"):format(i) end
    local make = load("local f = ... return {" .. table.concat(words, ",") .. ", f()}", "=c")
    local x = make(function() return "y", "z" end)
    return #x, x[1], x[500], x[502]
  end)
  t("100 levels of tables", 100, function()
    local x, n = load("return " .. ("{"):rep(100) .. ("}"):rep(100), "=c")(), 0
    while x do x, n = x[1], n + 1 end
    return n
  end)
  t("a list of lists", 30, 30, 435 * 30, function()
    local m, sum = {}, 0
    for i = 1, 30 do
      m[i] = {}
      for j = 1, 30 do m[i][j] = i - 1 end
    end
    for _, r in ipairs(m) do
      for _, v in ipairs(r) do sum = sum + v end
    end
    return #m, #m[1], sum
  end)
  t("functions of table", {}, function()
    local missing = {}
    for name in ("concat insert move pack remove sort unpack"):gmatch("%l+") do
      if type(table[name]) ~= "function" then missing[#missing + 1] = name end
    end
    return missing
  end)
end
