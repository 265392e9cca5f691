--- The generic for (manual, 3.3.5) and what is iterated with: functions, closures, coroutines, callables, the four
-- values of the list, and tables changed on the way.
-- luacheck: ignore 512 (loops that are left in their first round are what is looked at)
return function(t)
  local err = t.err

  local function collect(f, s, c, closing)
    local list = {}
    for a, b in f, s, c, closing do list[#list + 1] = b == nil and a or {a, b} end
    return list
  end
  t.env.collect = collect

  t("a stateless iterator", {{1, 1}, {2, 4}, {3, 9}}, function()
    return collect(function(s, i) if i < s then return i + 1, (i + 1) * (i + 1) end end, 3, 0)
  end)
  t("collect(function(s, c) if c < s then return c + 1 end end, 3, 0)", {1, 2, 3})
  t("collect(function() end)", {})
  t("collect(function() return nil, 1 end)", {})
  t("local n = 0 return collect(function() n = n + 1 if n <= 3 then return n end end)", {1, 2, 3})
  t("local n = 0 return collect(function() n = n + 1 if n <= 2 then return false, n end end)", {{false, 1}, {false, 2}})
  t("collect(ipairs {'a', 'b'})", {{1, "a"}, {2, "b"}})
  t("collect(next, {5})", {{1, 5}})
  t("collect(coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * 10) end end))", {10, 20, 30})
  t("collect(setmetatable({}, {__call = function(_, _, c) c = (c or 0) + 1 return c < 4 and c or nil end}))", {1, 2, 3})
  t("collect(('a b c'):gmatch('%a'))", {"a", "b", "c"})
  t("for i in nil do end", err "attempt to call a nil value (for iterator 'for iterator')")
  t("for i in 5 do end", err "attempt to call a number value (for iterator 'for iterator')")
  t("for i in {} do end", err "attempt to call a table value (for iterator 'for iterator')")
  t("for i in function() error('inside', 0) end do end", err "inside")
  t("state and control are passed as they are", {"state", nil, "state", 1, "state", 2}, function()
    local log = {n = 0}
    local function note(v) log.n = log.n + 1 log[log.n] = v end
    for _ in function(s, c)
      note(s)
      note(c)
      c = (c or 0) + 1
      return c < 3 and c or nil
    end, "state" do end -- luacheck: ignore 542
    log.n = nil
    return {log[1], log[2], log[3], log[4], log[5], log[6]}
  end)
  t("the loop's variable is a copy", {1, 2, 3}, function()
    local seen = {}
    for i in function(s, c) if c < s then return c + 1 end end, 3, 0 do
      seen[#seen + 1] = i
      i = 100 -- luacheck: ignore 311
    end
    return seen
  end)
  t("each round has fresh variables", 1, 2, 3, function()
    local list = {}
    for _, v in ipairs {1, 2, 3} do list[#list + 1] = function() return v end end
    return list[1](), list[2](), list[3]()
  end)
  t("numeric rounds, too", 1, 2, 3, function()
    local list = {}
    for i = 1, 3 do list[i] = function() return i end end
    return list[1](), list[2](), list[3]()
  end)
  t("more variables than values", {1, nil, nil}, function()
    for a, b, c in function(_, x) if not x then return 1 end end do return {a, b, c} end
  end)
  t("five values", {1, 2, 3, 4, 5}, function()
    for a, b, c, d, e in function(_, x) if not x then return 1, 2, 3, 4, 5, 6 end end do return {a, b, c, d, e} end
  end)
  t("break leaves the rest", 3, 7, function()
    local n, last = 0, nil
    for i in function(_, c) return (c or 0) + 1 end do
      if i % 2 == 1 then n = n + 1 end
      last = i
      if i == 7 then break end
      if n == 3 and i > 100 then return end
    end
    return n - 1, last
  end)
  t("return from two loops", 2, 3, function()
    for i = 1, 5 do
      for j in pairs {1, 2, 3} do
        if i == 2 and j == 3 then return i, j end
      end
    end
  end)

  -- Writing iterators.
  t("fibonacci by closure", {1, 1, 2, 3, 5, 8, 13, 21}, function()
    local function fibonacci(n)
      local a, b, i = 0, 1, 0
      return function()
        if i < n then
          a, b, i = b, a + b, i + 1
          return a
        end
      end
    end
    return collect(fibonacci(8))
  end)
  t("permutations by coroutine", 24, "abcd", "dabc", function()
    local function permute(list, n)
      if n <= 1 then
        coroutine.yield(table.concat(list))
      else
        for i = 1, n do
          list[n], list[i] = list[i], list[n]
          permute(list, n - 1)
          list[n], list[i] = list[i], list[n]
        end
      end
    end
    local all, seen = {}, {}
    for p in coroutine.wrap(function() permute({"a", "b", "c", "d"}, 4) end) do
      if not seen[p] then all[#all + 1] = p end
      seen[p] = true
    end
    table.sort(all)
    t.feed(table.unpack(all))
    return #all, all[1], all[19]
  end)
  t("a tree walked by coroutines", {1, 2, 3, 4, 5, 6, 7}, function()
    local function tree(low, high)
      if low > high then return nil end
      local mid = (low + high) // 2
      return {left = tree(low, mid - 1), value = mid, right = tree(mid + 1, high)}
    end
    local function walk(node)
      return coroutine.wrap(function()
        if not node then return end
        for v in walk(node.left) do coroutine.yield(v) end
        coroutine.yield(node.value)
        for v in walk(node.right) do coroutine.yield(v) end
      end)
    end
    return collect(walk(tree(1, 7)))
  end)
  t("iterators on iterators", {4, 16, 36}, function()
    local function map(f, next_value) return function() local v = next_value() return v and f(v) end end
    local function keep(f, next_value)
      return function()
        for v in next_value do
          if f(v) then return v end
        end
      end
    end
    local function range(n) local i = 0 return function() i = i + 1 return i <= n and i or nil end end
    return collect(map(function(v) return v * v end, keep(function(v) return v % 2 == 0 end, range(6))))
  end)
  t("sorted pairs", {{"a", 1}, {"b", 2}, {"c", 3}}, function()
    local function sorted(list)
      local keys, i = {}, 0
      for k in pairs(list) do keys[#keys + 1] = k end
      table.sort(keys)
      return function()
        i = i + 1
        if keys[i] then return keys[i], list[keys[i]] end
      end
    end
    return collect(sorted {c = 3, a = 1, b = 2})
  end)

  -- pairs sees everything once, whatever the order, and allows clearing.
  t("pairs sees everything once", 0, 600, function()
    local x, seen, wrong, n = {}, {}, 0, 0
    for i = 1, 200 do
      x[i], x["s" .. i], x[i + 0.25] = i, i, i
    end
    for k, v in pairs(x) do
      if seen[k] or x[k] ~= v then wrong = wrong + 1 end
      seen[k], n = true, n + 1
    end
    return wrong, n
  end)
  t("clearing while walking", 100, nil, function()
    local x, n = {}, 0
    for i = 1, 100 do x[i % 2 == 0 and i or "k" .. i] = i end
    for k in pairs(x) do
      x[k] = nil
      n = n + 1
    end
    return n, next(x)
  end)
  t("pairs over a list is in order", {1, 2, 3, 4, 5}, function()
    local list = {}
    for k in pairs {"a", "b", "c", "d", "e"} do list[#list + 1] = k end
    return list
  end)
  t("ipairs while growing", {1, 2, 3, 4}, function()
    local x, seen = {1}, {}
    for i in ipairs(x) do
      seen[#seen + 1] = i
      if i < 4 then x[i + 1] = true end
    end
    return seen
  end)
  t("ipairs over a string's metatable", 0, function()
    local n = 0
    for _ in ipairs("abc") do n = n + 1 end
    return n
  end)
  t("next by hand", 3, 6, function()
    local x, n, sum = {1, 2, 3}, 0, 0
    local k, v = next(x)
    while k do
      n, sum = n + 1, sum + v
      k, v = next(x, k)
    end
    return n, sum
  end)

  -- The fourth value is closed when the loop ends, however it ends.
  local function closing(log) return setmetatable({}, {__close = function(_, e) log[#log + 1] = tostring(e) end}) end
  t("closed at the end", {1, 2, "nil"}, function()
    local log = {}
    for i in function(s, c) if c < s then return c + 1 end end, 2, 0, closing(log) do log[#log + 1] = i end
    return log
  end)
  t("closed by break", {1, "nil", "after"}, function()
    local log = {}
    for i in function(s, c) if c < s then return c + 1 end end, 2, 0, closing(log) do
      log[#log + 1] = i
      break
    end
    log[#log + 1] = "after"
    return log
  end)
  t("closed by return", "value", {"nil"}, function()
    local log = {}
    local value = (function()
      for _ in function() return 1 end, nil, nil, closing(log) do return "value" end
    end)()
    return value, log
  end)
  t("closed by an error", false, "oops", {"oops"}, function()
    local log = {}
    local ok, message = pcall(function()
      for _ in function() return 1 end, nil, nil, closing(log) do error("oops", 0) end
    end)
    return ok, message, log
  end)
  t("closed by an error in the iterator", false, "it", {"it"}, function()
    local log = {}
    local ok, message = pcall(function()
      for _ in function() error("it", 0) end, nil, nil, closing(log) do return 1 end
    end)
    return ok, message, log
  end)
  t("closed by goto", {"nil"}, function()
    local log = {}
    for _ in function() return 1 end, nil, nil, closing(log) do goto out end
    ::out::
    return log
  end)
  t("for i in function() end, nil, nil, 5 do end", err "variable '(for state)' got a non-closable value")
  t("for i in function() end, nil, nil, false do end")
  t("for i in function() end, nil, nil, nil do end")
  t("for i in function() end, nil, nil, {} do end", err "variable '(for state)' got a non-closable value")
end
