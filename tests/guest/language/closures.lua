--- Functions and upvalues: what closures share and what they do not, loops' fresh variables, recursion, proper tail
-- calls, many upvalues.
return function(t)
  t("a counter", 1, 2, 3, 1, function()
    local function counter()
      local n = 0
      return function()
        n = n + 1
        return n
      end
    end
    local a, b = counter(), counter()
    return a(), a(), a(), b()
  end)
  t("two closures share one variable", 0, 10, 15, function()
    local value = 0
    local function get() return value end
    local function add(n) value = value + n end
    local first = get()
    add(10)
    local second = get()
    value = value + 5
    return first, second, get()
  end)
  t("a block makes new variables each time", {1, 2, 3}, {101, 102, 103}, function()
    local list, i = {}, 0
    while i < 3 do
      i = i + 1
      local x = i
      list[i] = {get = function() return x end, add = function() x = x + 100 end}
    end
    local before, after = {}, {}
    for k, item in ipairs(list) do
      before[k] = item.get()
      item.add()
      after[k] = item.get()
    end
    return before, after
  end)
  t("repeat's condition sees the block's locals", 3, {1, 2, 3}, function()
    local list, n = {}, 0
    repeat
      local x = n + 1
      list[x] = function() return x end
      n = x
    until x >= 3
    return n, {list[1](), list[2](), list[3]()}
  end)
  t("a parameter is captured", 7, 8, function()
    local function keep(x) return function() return x end, function(y) x = y end end
    local get, set = keep(7)
    local first = get()
    set(8)
    return first, get()
  end)
  t("varargs are captured through a local", 1, 3, function()
    local function keep(...)
      local list = table.pack(...)
      return function(i) return list[i] end
    end
    local get = keep(1, 2, 3)
    return get(1), get(3)
  end)
  t("upvalues of upvalues", 10, 11, 12, function()
    local x = 10
    local function outer()
      local function middle()
        local function inner()
          x = x + 1
          return x - 1
        end
        return inner
      end
      return middle()
    end
    local f = outer()
    return f(), f(), outer()()
  end)
  t("a loop's goto makes fresh variables", {1, 2, 3}, function()
    local list, n = {}, 0
    ::again::
    local x = n + 1
    list[x] = function() return x end
    n = n + 1
    if n < 3 then goto again end
    return {list[1](), list[2](), list[3]()}
  end)
  t("break closes what is captured", 5, function()
    local get
    for i = 1, 10 do
      local x = i
      get = function() return x end
      if i == 5 then break end
    end
    return get()
  end)
  t("a local function sees itself, a local variable does not", 120, "global", function()
    local function factorial(n) return n <= 1 and 1 or n * factorial(n - 1) end
    local env = setmetatable({f = function() return "global" end}, {__index = _G})
    return factorial(5), load("local f = function() return f() end return f()", "=c", "t", env)()
  end)
  t("mutual recursion", true, false, true, function()
    local even, odd
    function even(n) if n == 0 then return true end return odd(n - 1) end
    function odd(n) if n == 0 then return false end return even(n - 1) end
    return even(100), even(7), odd(9)
  end)
  t("a function is equal only to itself", true, false, function()
    local function make() return function() end end
    local f = make()
    return f == f, (function() return f end) == (function() return f end)
  end)
  t("Y", 3628800, function()
    local function fix(f)
      return (function(x) return x(x) end)(function(x) return f(function(...) return x(x)(...) end) end)
    end
    return fix(function(self) return function(n) return n == 0 and 1 or n * self(n - 1) end end)(10)
  end)
  t("currying", 6, "a-b-c", function()
    local function curry(f, n)
      local function more(list, left)
        if left == 0 then return f(table.unpack(list)) end
        return function(x)
          local longer = table.move(list, 1, #list, 1, {})
          longer[#longer + 1] = x
          return more(longer, left - 1)
        end
      end
      return more({}, n)
    end
    return curry(function(a, b, c) return a + b + c end, 3)(1)(2)(3),
      curry(function(a, b, c) return table.concat({a, b, c}, "-") end, 3)("a")("b")("c")
  end)
  t("memoizing", 1548008755920, 61, function()
    local calls, memo = 0, {}
    local function fibonacci(n)
      if memo[n] then return memo[n] end
      calls = calls + 1
      memo[n] = n < 2 and n or fibonacci(n - 1) + fibonacci(n - 2)
      return memo[n]
    end
    return fibonacci(60), calls
  end)
  t("composition of 100 functions", 5050, function()
    local f = function(x) return x end
    for i = 1, 100 do
      local g = f
      f = function(x) return g(x) + i end
    end
    return f(0)
  end)

  -- Tail calls take no stack: these would need far more than there is.
  t("a tail call 100000 deep", "done", function()
    local function down(n)
      if n == 0 then return "done" end
      return down(n - 1)
    end
    return down(100000)
  end)
  t("tail calls between two", false, function()
    local a, b
    function a(n) if n == 0 then return true end return b(n - 1) end
    function b(n) if n == 0 then return false end return a(n - 1) end
    return a(50001)
  end)
  t("tail calls of methods and callables", 30000, function()
    local object = setmetatable({}, {__call = function(self, n, sum)
      if n == 0 then return sum end
      return self(n - 1, sum + 1)
    end})
    return object(30000, 0)
  end)
  t("a state machine of tail calls", "aabbb", function()
    local out, states = {}, {}
    function states.a(n)
      out[#out + 1] = "a"
      return n == 0 and states.b(2) or states.a(n - 1)
    end
    function states.b(n)
      out[#out + 1] = "b"
      if n == 0 then return table.concat(out) end
      return states.b(n - 1)
    end
    return states.a(1)
  end)
  t("a plain recursion 5000 deep", 12502500, function()
    local function sum(n) if n == 0 then return 0 end return n + sum(n - 1) end
    return sum(5000)
  end)

  -- Many upvalues.
  t("200 upvalues", 20100, 20101, function()
    local names, sum = {}, {}
    for i = 1, 100 do names[i], sum[i] = "a" .. i, i end
    local text = "local " .. table.concat(names, ",") .. " = " .. table.concat(sum, ",") .. "\n"
    local more, sums = {}, {}
    for i = 1, 100 do more[i], sums[i] = "b" .. i, 100 + i end
    text = text .. "local function outer() local " .. table.concat(more, ",") .. " = " .. table.concat(sums, ",") ..
      "\nreturn function() a1 = a1 + 1 return a1 - 1 + " .. table.concat(names, "+", 2) .. "+" ..
      table.concat(more, "+") .. " end end return outer()"
    local f = load(text, "=c")()
    return f(), f()
  end)
  t("2000 closures of one function", 2000, 2001000, function()
    local list, sum = {}, 0
    for i = 1, 2000 do list[i] = function() return i end end
    for i = 1, 2000 do sum = sum + list[i]() end
    return #list, sum
  end)
  t("closures outlive a failed call", 42, function()
    local get
    pcall(function()
      local x = 41
      get = function() return x end
      x = x + 1
      error("out")
    end)
    return get()
  end)
  t("closures outlive a coroutine", 1, 2, function()
    local get
    local co = coroutine.wrap(function()
      local x = 1
      get = function() return x end
      coroutine.yield()
      x = 2
    end)
    co()
    local first = get()
    co()
    return first, get()
  end)
  t("a dead coroutine's variables live on", 9, function()
    local get
    local co = coroutine.create(function()
      local x = 9
      get = function() return x end
      coroutine.yield()
    end)
    coroutine.resume(co)
    co = nil -- luacheck: ignore 311
    collectgarbage()
    return get()
  end)

  -- Objects and inheritance, the usual ways.
  t("classes", "Rex says woof", "Tom says meow", true, false, function()
    local Animal = {}
    Animal.__index = Animal
    function Animal.new(class, name) return setmetatable({name = name}, class) end
    function Animal:speak() return self.name .. " says " .. self:sound() end
    local function extend(base)
      local class = setmetatable({}, {__index = base})
      class.__index = class
      return class
    end
    local Dog, Cat = extend(Animal), extend(Animal)
    function Dog.sound() return "woof" end
    function Cat.sound() return "meow" end
    local rex, tom = Dog:new("Rex"), Cat:new("Tom")
    return rex:speak(), tom:speak(), getmetatable(rex) == Dog, rawget(rex, "speak") ~= nil
  end)
  t("private state", 150, "nil", function()
    local function account(balance)
      return {deposit = function(n) balance = balance + n end, balance = function() return balance end}
    end
    local a = account(100)
    a.deposit(50)
    return a.balance(), tostring(a.amount)
  end)
end
