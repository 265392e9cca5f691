--- Every metamethod (manual, 2.4): when it is called, with what, from which operand, and what becomes of its results.
return function(t)
  local err = t.err

  -- Arithmetic, bits and concatenation: called with both operands as they stand, the first operand's handler first,
  -- one result. All operators in all the forms the compiler has.
  local operators = {
    add = "+", sub = "-", mul = "*", div = "/", mod = "%", pow = "^", idiv = "//", band = "&", bor = "|", bxor = "~",
    shl = "<<", shr = ">>", concat = "..",
  }
  local order = {"add", "sub", "mul", "div", "mod", "pow", "idiv", "band", "bor", "bxor", "shl", "shr", "concat"}
  local function object(name, event)
    return setmetatable({name = name}, {["__" .. event] = function(a, b)
      local function text(v) return type(v) == "table" and v.name or v end
      return {text(a), name, text(b)}, "second result is dropped"
    end})
  end
  for _, event in ipairs(order) do
    local op = operators[event]
    local x, y = object("x", event), object("y", event)
    t("__" .. event .. " of two objects", {"x", "x", "y"}, function()
      return load(("local a, b = ... return a %s b"):format(op))(x, y)
    end)
    t("__" .. event .. " with a constant on the right", {"x", "x", 2}, {"x", "x", 1000000}, {"x", "x", 0.5}, function()
      local function with(constant) return load(("local a = ... return a %s %s"):format(op, constant))(x) end
      return with("2"), with("1000000"), with("0.5")
    end)
    t("__" .. event .. " with a constant on the left", {2, "y", "y"}, {1000000, "y", "y"}, {0.5, "y", "y"}, function()
      local function with(constant) return load(("local a = ... return %s %s a"):format(constant, op))(y) end
      return with("2"), with("1000000"), with("0.5")
    end)
    t("__" .. event .. " with nil, booleans, strings", {"x", "x"}, {true, "y", "y"}, {"x", "x", "s"}, {"t", "y", "y"},
      function()
        local f = load(("local a, b = ... return a %s b"):format(op))
        local with_nil = f(x, nil)
        return {with_nil[1], with_nil[2], with_nil[3]}, f(true, y), f(x, "s"), f("t", y)
      end)
    t("__" .. event .. " that raises", false, "inside " .. event, function()
      local bad = setmetatable({}, {["__" .. event] = function() error("inside " .. event, 0) end})
      return pcall(load(("local a, b = ... return a %s b"):format(op)), bad, 1)
    end)
  end
  t("__unm", {"x", true}, {"x", true}, function()
    local x = setmetatable({}, {__unm = function(a, b) return {"x", rawequal(a, b)}, 2 end})
    return -x, (function(v) return -v end)(x)
  end)
  t("__bnot", {"x", true}, function()
    local x = setmetatable({}, {__bnot = function(a, b) return {"x", rawequal(a, b)} end})
    return ~x
  end)
  t("bitwise operators ask the metamethod before they complain of a float", "called", "called", function()
    local x = setmetatable({}, {__bor = function() return "called" end})
    return x | 1.5, 1.5 | x
  end)
  t("only the second has one", "second", function()
    return setmetatable({}, {}) + setmetatable({}, {__add = function() return "second" end})
  end)
  t("the first's is asked first", "first", function()
    return setmetatable({}, {__add = function() return "first" end})
      + setmetatable({}, {__add = function() return "second" end})
  end)
  t("a handler may be any callable", "called by call", function()
    local callable = setmetatable({}, {__call = function() return "called by call" end})
    return setmetatable({}, {__add = callable}) + 1
  end)
  t("setmetatable({}, {__add = 5}) + 1", err "attempt to call a number value (metamethod 'add')")
  t("setmetatable({}, {__add = function() end}) + 1", nil)
  t("setmetatable({}, {__add = function() return 1, 2 end}) + 1", 1)
  t("metatables are read raw", err "attempt to perform arithmetic on a table value (local 'x')", function()
    return load([[local mt = setmetatable({}, {__index = {__add = function() return 1 end}})
      local x = setmetatable({}, mt) return x + 1]])()
  end)

  -- __concat: right associative; numbers and strings need none.
  t("'a' .. x .. 'b' .. 'c'", "a[x[bc]]", function()
    local mt = {}
    local x = setmetatable({}, mt)
    function mt.__concat(a, b)
      local function text(v) return v == x and "x" or v end
      return text(a) == "x" and "[x[" .. text(b) .. "]]" or text(a) .. text(b)
    end
    return "a" .. x .. "b" .. "c"
  end)
  t("1 .. x", {1, "x"}, function() return 1 .. setmetatable({}, {__concat = function(a) return {a, "x"} end}) end)
  t("nil .. x", "nil", function() return nil .. setmetatable({}, {__concat = function(a) return tostring(a) end}) end)
  t("a long concat with one object in the midst", "a b <c d>", function()
    local x = setmetatable({}, {__concat = function(a, b)
      if type(a) == "table" then return "<c" .. b .. ">" end
      return a .. b
    end})
    return "a" .. " b " .. x .. " " .. "d"
  end)

  -- __len
  t("#setmetatable({}, {__len = function() return 42 end})", 42)
  t("#setmetatable({}, {__len = function() return 'any', 2 end})", "any")
  t("#setmetatable({1, 2}, {__len = function(s) return rawlen(s) * 10 end})", 20)
  t("#setmetatable({1, 2}, {})", 2)
  t("#setmetatable({}, {__len = function(...) return select('#', ...) end})", 2)

  -- __eq: only for two tables (or two userdata) that are not the same object; the result is a boolean.
  t("__eq", true, false, true, false, function()
    local log = 0
    local mt = {__eq = function(a, b)
      log = log + 1
      return a.v == b.v
    end}
    local a, b, c = setmetatable({v = 1}, mt), setmetatable({v = 1}, mt), setmetatable({v = 2}, mt)
    return a == b, a == c, a ~= c, log ~= 3
  end)
  t("__eq is not asked of one object with itself, nor of two types", true, false, false, 0, function()
    local n = 0
    local x = setmetatable({}, {__eq = function() n = n + 1 return true end})
    return x == x, x == 1, x == "x", n
  end)
  t("__eq gives a boolean", true, false, function()
    local function with(result) return setmetatable({}, {__eq = function() return result end}) == {} end
    return with("true enough"), with(nil)
  end)
  t("the second's __eq serves", true, function() return {} == setmetatable({}, {__eq = function() return true end}) end)
  t("__eq is not asked by keys and rawequal", nil, false, function()
    local mt = {__eq = function() return true end}
    local a, b = setmetatable({}, mt), setmetatable({}, mt)
    return ({[a] = 1})[b], rawequal(a, b)
  end)

  -- __lt and __le: for mixed types, too; a > b is b < a; the result is a boolean.
  t("__lt", true, false, false, true, function()
    local mt = {__lt = function(a, b)
      return (type(a) == "table" and a.v or a) < (type(b) == "table" and b.v or b)
    end}
    local a, b = setmetatable({v = 1}, mt), setmetatable({v = 2}, mt)
    return a < b, b < a, a > b, b > a
  end)
  t("__le", true, true, false, true, function()
    local mt = {__le = function(a, b) return a.v <= b.v end}
    local a, b = setmetatable({v = 1}, mt), setmetatable({v = 2}, mt)
    return a <= b, a <= a, a >= b, b >= a
  end)
  t("order with numbers and strings, operands as they stand", {"x", 5}, {5, "x"}, {"x", "s"}, {"s", "x"}, {"x", 5.5},
    function()
      local seen
      local x = setmetatable({}, {})
      getmetatable(x).__lt = function(a, b)
        seen = {a == x and "x" or a, b == x and "x" or b}
        return true
      end
      local list = {}
      for i, f in ipairs {function() return x < 5 end, function() return x > 5 end, function() return x < "s" end,
        function() return x > "s" end, function() return x < 5.5 end} do
        f()
        list[i] = seen
      end
      return table.unpack(list)
    end)
  t("__le with small constants", {"x", 3}, {3, "x"}, {3, "x"}, {"x", 3}, function()
    local seen
    local x = setmetatable({}, {})
    getmetatable(x).__le = function(a, b)
      seen = {a == x and "x" or a, b == x and "x" or b}
      return true
    end
    local function see(f) f() return seen end
    return see(function() return x <= 3 end), see(function() return x >= 3 end), see(function() return 3 <= x end),
      see(function() return 3 >= x end)
  end)
  t("order gives a boolean", true, false, true, function()
    local function with(result) return setmetatable({}, {__lt = function() return result end, __le = function()
      return result end}) end
    return with(0) < 1, with(nil) <= 1, with("") <= {}
  end)
  -- Whether `<=` falls back on `not (b < a)` is no check: the manual says no, Debian's build yes (LUA_COMPAT_LT_LE).
  t("setmetatable({}, {}) < 1", err "attempt to compare table with number")

  -- __index
  t("__index function", "got k", "got 1", "got true", function()
    local x = setmetatable({}, {__index = function(self, k) return "got " .. tostring(k), self end})
    return x.k, x[1], x[true]
  end)
  t("__index is not asked for what is there", 1, "other", function()
    local x = setmetatable({a = 1, b = nil}, {__index = function() return "other" end})
    return x.a, x.b
  end)
  t("__index false and nil", false, nil, function()
    local x = setmetatable({}, {__index = function(_, k) if k == "f" then return false end end})
    return x.f, x.n
  end)
  t("__index table, chained", 1, 2, 3, nil, function()
    local a = {x = 1}
    local b = setmetatable({y = 2}, {__index = a})
    local c = setmetatable({z = 3}, {__index = b})
    return c.x, c.y, c.z, c.w
  end)
  t("__index table that has a function", "deep k", function()
    local a = setmetatable({}, {__index = function(_, k) return "deep " .. k end})
    return setmetatable({}, {__index = a}).k
  end)
  t("__index of integers, floats and long keys", "i7", "f2.5", "s60", function()
    local x = setmetatable({}, {__index = function(_, k)
      return math.type(k) == "integer" and "i" .. k or math.type(k) == "float" and "f" .. k or "s" .. #k
    end})
    return x[7], x[2.5], x[("x"):rep(60)]
  end)
  t("a method through __index", "ab", function()
    local x = setmetatable({v = "a"}, {__index = {m = function(self, w) return self.v .. w end}})
    return x:m("b")
  end)
  t("setmetatable({}, {__index = 5}).x", err "attempt to index a number value")
  t("a loop of __index", err "'__index' chain too long; possible loop", function()
    local a, b = {}, {}
    setmetatable(a, {__index = b})
    setmetatable(b, {__index = a})
    return a.x
  end)
  t("a long chain of __index", "found", function()
    local x = {key = "found"}
    for _ = 1, 100 do x = setmetatable({}, {__index = x}) end
    return x.key
  end)
  t("__index on nil, numbers and functions, by debug.setmetatable", "n", "num5", "fn", nil, function()
    local f = function() end
    debug.setmetatable(nil, {__index = function() return "n" end})
    debug.setmetatable(0, {__index = function(n) return "num" .. n end})
    debug.setmetatable(f, {__index = function() return "fn" end})
    local a, b, c = (nil).x, (5).x, f.x
    debug.setmetatable(nil, nil)
    debug.setmetatable(0, nil)
    debug.setmetatable(f, nil)
    return a, b, c, getmetatable(nil)
  end)
  t("all booleans share a metatable", "yes", "no", function()
    debug.setmetatable(true, {__index = function(b) return b and "yes" or "no" end})
    local a, b = (true).x, (false).x
    debug.setmetatable(true, nil)
    return a, b
  end)

  -- __newindex
  t("__newindex function", {"k", "v"}, nil, function()
    local seen
    local x = setmetatable({}, {__newindex = function(_, k, v) seen = {k, v} end})
    x.k = "v"
    return seen, rawget(x, "k")
  end)
  t("__newindex is not asked for what is there", 2, 0, function()
    local n = 0
    local x = setmetatable({k = 1}, {__newindex = function() n = n + 1 end})
    x.k = 2
    return x.k, n
  end)
  t("__newindex table", nil, "v", 7, function()
    local store = {}
    local x = setmetatable({}, {__newindex = store})
    x.k = "v"
    x[1] = 7
    return rawget(x, "k"), store.k, store[1]
  end)
  t("__newindex chain", {k = 1}, function()
    local last = {}
    local x = setmetatable({}, {__newindex = setmetatable({}, {__newindex = setmetatable({}, {__newindex = last})})})
    x.k = 1
    return last
  end)
  t("assigning nil to an absent key asks, too", 1, function()
    local n = 0
    local x = setmetatable({}, {__newindex = function() n = n + 1 end})
    x.k = nil
    return n
  end)
  t("setmetatable({}, {__newindex = 5}).x = 1", err "attempt to index a number value")
  t("a loop of __newindex", err "'__newindex' chain too long; possible loop", function()
    local a, b = {}, {}
    setmetatable(a, {__newindex = b})
    setmetatable(b, {__newindex = a})
    a.x = 1
  end)
  t("read-only", false, "read only: x", 1, function()
    local x = setmetatable({}, {__index = {x = 1}, __newindex = function(_, k) error("read only: " .. k, 0) end})
    local ok, message = pcall(function() x.x = 2 end)
    return ok, message, x.x
  end)
  t("defaults that remember", 0, 1, function()
    local x = setmetatable({}, {__index = function(s, k) s[k] = 0 return 0 end})
    local first = x.n
    x.n = x.n + 1
    return first, x.n
  end)

  -- __call
  t("__call", {"self", 1, nil, 3}, function()
    local x = setmetatable({}, {})
    getmetatable(x).__call = function(self, a, b, c) return {self == x and "self", a, b, c} end
    return x(1, nil, 3)
  end)
  t("__call gives many results", 1, 2, 3, function()
    return setmetatable({}, {__call = function() return 1, 2, 3 end})()
  end)
  t("__call through __call", {"inner", "outer", 5}, function()
    local function names(self, other, x) return {self.name, other.name, x} end
    local inner = setmetatable({name = "inner"}, {__call = names})
    return setmetatable({name = "outer"}, {__call = inner})(5)
  end)
  t("setmetatable({}, {__call = 5})()", err "attempt to call a number value")
  t("local x = setmetatable({}, {}) x()", err "attempt to call a table value (local 'x')")
  t("pcall(setmetatable({}, {__call = function(_, a) return a end}), 7)", true, 7)
  t("__call by method and tail call", 3, 7, function()
    local o = {m = setmetatable({}, {__call = function(_, _, x) return x end})}
    local function tail() return o.m(nil, 7) end
    return o:m(3), tail()
  end)

  -- __tostring, __name, __metatable, __pairs; see also the basic functions.
  t("tostring(setmetatable({}, {__tostring = function(s) return 'T' .. #s end}))", "T0")
  t("('%s'):format(setmetatable({}, {__tostring = function() return 'X' end}))", "X")
  t("setmetatable({}, {__name = 'Thing'}) + 1", err "attempt to perform arithmetic on a Thing value")
  t("#setmetatable({}, {__name = 'Thing'})", 0)
  t("setmetatable({}, {__name = 'Thing'})()", err "attempt to call a Thing value")
  t("setmetatable({}, {__name = 'A'}) < setmetatable({}, {__name = 'B'})", err "attempt to compare A with B")
  t("setmetatable({}, {__name = 'A'}) < setmetatable({}, {__name = 'A'})", err "attempt to compare two A values")
  t("string.rep(setmetatable({}, {__name = 'Thing'}))", err "bad argument #1 to 'rep' (string expected, got Thing)")
  t("getmetatable(setmetatable({}, {__metatable = 'mine'}))", "mine")
  t("debug.getmetatable(setmetatable({}, {__metatable = 'mine'})).__metatable", "mine")

  -- Metamethods come and go with the metatable's fields, though absences are remembered.
  t("absence is not remembered wrongly", false, 1, false, function()
    local mt = {}
    local x = setmetatable({}, mt)
    local before = pcall(function() return x + 1 end)
    mt.__add = function() return 1 end
    local with = x + 1
    mt.__add = nil
    return before, with, (pcall(function() return x + 1 end))
  end)
  t("the same for index, newindex, eq, len and call", nil, "i", 0, "l", false, true, nil, function()
    local mt = {}
    local x, y = setmetatable({}, mt), setmetatable({}, mt)
    local a, b, c = x.k, #x, x == y
    mt.__index = function() return "i" end
    mt.__len = function() return "l" end
    mt.__eq = function() return true end
    local d, e, f = x.k, #x, x == y
    mt.__index = nil
    return a, d, b, e, c, f, x.k
  end)

  -- Classes of numbers, all operators at once.
  t("complex numbers", "(3,1)", "(1,3)", "(4,3)", "(-1,-2)", true, false, 5.0, function()
    local C = {}
    C.__index = C
    local function new(re, im) return setmetatable({re = re, im = im}, C) end
    local function lift(v) return type(v) == "number" and new(v, 0) or v end
    function C.__add(a, b) a, b = lift(a), lift(b) return new(a.re + b.re, a.im + b.im) end
    function C.__mul(a, b)
      a, b = lift(a), lift(b)
      return new(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re)
    end
    function C.__unm(a) return new(-a.re, -a.im) end
    function C.__eq(a, b) return a.re == b.re and a.im == b.im end
    function C.__tostring(a) return ("(%d,%d)"):format(a.re, a.im) end
    function C.__len(a) return math.sqrt(a.re * a.re + a.im * a.im) end
    local i, z = new(0, 1), new(1, 2)
    return tostring(z + 2 + -1 * i), tostring(1 + z + i + -1), tostring(2 * z + 2 + -1 * i), tostring(-z),
      i * i == new(-1, 0), i == z, #new(3, 4)
  end)
  t("sets", {1, 2, 3, 4}, {2, 3}, {1}, true, false, function()
    local S = {}
    local function set(list)
      local s = setmetatable({}, S)
      for _, v in ipairs(list) do s[v] = true end
      return s
    end
    local function list(s)
      local l = {}
      for k in pairs(s) do l[#l + 1] = k end
      table.sort(l)
      return l
    end
    function S.__bor(a, b)
      local s = set(list(a))
      for k in pairs(b) do s[k] = true end
      return s
    end
    function S.__band(a, b)
      local s = set {}
      for k in pairs(a) do s[k] = b[k] end
      return s
    end
    function S.__sub(a, b)
      local s = set {}
      for k in pairs(a) do
        if not b[k] then s[k] = true end
      end
      return s
    end
    function S.__le(a, b)
      for k in pairs(a) do
        if not b[k] then return false end
      end
      return true
    end
    local a, b = set {1, 2, 3}, set {2, 3, 4}
    return list(a | b), list(a & b), list(a - b), a & b <= a, a <= b
  end)
  t("proxies count accesses", 3, 2, true, function()
    local reads, writes, store = 0, 0, {}
    local p = setmetatable({}, {
      __index = function(_, k) reads = reads + 1 return store[k] end,
      __newindex = function(_, k, v) writes = writes + 1 store[k] = v end,
    })
    p.a = 1
    p.a = p.a + 1
    local right = p.a == 2 and p.b == nil
    return reads, writes, right
  end)
end
