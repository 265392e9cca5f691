--- Integer arithmetic, bits and comparisons, wrapped to 64 bits. Each row of an operator's table is computed five ways,
-- because the compiler has five: both operands in registers, either one a constant, folded while compiling, and
-- through a string, whose arithmetic is the string metatable's.
local MIN, MAX = math.mininteger, math.maxinteger

local function ways(op, a, b)
  local folded = ("return (%q) %s (%q)"):format(a, op, b)
  local right = ("local a = ... return a %s (%q)"):format(op, b)
  local left = ("local b = ... return (%q) %s b"):format(a, op)
  local both = ("local a, b = ... return a %s b"):format(op)
  return load(both)(a, b), load(right)(a), load(left)(b), load(folded)()
end

return function(t)
  local err = t.err

  local function operator(op, rows)
    for _, row in ipairs(rows) do
      local a, b, want = table.unpack(row, 1, 3)
      t(("%d %s %d"):format(a, op, b), want, want, want, want, function() return ways(op, a, b) end)
    end
  end

  operator("+", {
    {1, 2, 3}, {-1, 1, 0}, {MAX, 1, MIN}, {MIN, -1, MAX}, {MAX, MAX, -2}, {MIN, MIN, 0}, {MIN, MAX, -1}, {0, MIN, MIN},
  })
  operator("-", {
    {1, 2, -1}, {0, MIN, MIN}, {MIN, 1, MAX}, {MAX, -1, MIN}, {MIN, MAX, 1}, {-1, MAX, MIN}, {5, 5, 0},
  })
  operator("*", {
    {6, 7, 42}, {-6, 7, -42}, {MAX, 2, -2}, {MIN, 2, 0}, {MIN, -1, MIN}, {MAX, MAX, 1}, {MIN, MIN, 0}, {0, MIN, 0},
    {1 << 32, 1 << 32, 0}, {1 << 32, 1 << 31, MIN}, {3037000500, 3037000500, -9223372036709301616},
    {0xFFFFFFFF, 0xFFFFFFFF, -8589934591}, {0x100000001, 0x100000001, 0x200000001},
  })
  -- Floor division and its remainder: the quotient is rounded down, the remainder has the divisor's sign.
  operator("//", {
    {7, 2, 3}, {-7, 2, -4}, {7, -2, -4}, {-7, -2, 3}, {6, 3, 2}, {-6, 3, -2}, {0, 5, 0}, {0, -5, 0}, {1, 7, 0},
    {-1, 7, -1}, {1, -7, -1}, {MIN, -1, MIN}, {MIN, 1, MIN}, {MAX, -1, -MAX}, {MIN, MAX, -2}, {MAX, MIN, -1},
    {MIN, 2, -4611686018427387904}, {MAX, 2, 4611686018427387903}, {MIN, 10, -922337203685477581},
  })
  operator("%", {
    {7, 2, 1}, {-7, 2, 1}, {7, -2, -1}, {-7, -2, -1}, {6, 3, 0}, {-6, 3, 0}, {6, -3, 0}, {0, 5, 0}, {1, 7, 1},
    {-1, 7, 6}, {1, -7, -6}, {-1, -7, -1}, {MIN, -1, 0}, {MAX, -1, 0}, {MIN, MAX, MAX - 1}, {MAX, MIN, -1},
    {MIN, 10, 2}, {MAX, 10, 7}, {MIN, 3, 1}, {5, MAX, 5}, {-5, MAX, MAX - 5},
  })
  operator("&", {
    {12, 10, 8}, {-1, 0xFF, 0xFF}, {MIN, MAX, 0}, {MIN, -1, MIN}, {0, -1, 0}, {0x0F0F, 0x00FF, 0x000F},
  })
  operator("|", {{12, 10, 14}, {MIN, MAX, -1}, {0, 0, 0}, {-2, 1, -1}, {0xF0, 0x0F, 0xFF}})
  operator("~", {{12, 10, 6}, {MIN, MAX, -1}, {-1, -1, 0}, {-1, 0, -1}, {0x5555, 0xFFFF, 0xAAAA}})
  -- Shifts fill with zeros; by 64 and more nothing is left; a negative shift goes the other way.
  operator("<<", {
    {1, 0, 1}, {1, 1, 2}, {1, 62, 1 << 62}, {1, 63, MIN}, {1, 64, 0}, {1, 65, 0}, {-1, 63, MIN}, {-1, 64, 0},
    {3, 63, MIN}, {1, MAX, 0}, {1, MIN, 0}, {16, -4, 1}, {-1, -1, MAX}, {-1, -63, 1}, {-1, -64, 0}, {5, -100, 0},
    {0xFF, 60, 0xF << 60}, {1, 127, 0}, {2, -1, 1},
  })
  operator(">>", {
    {16, 4, 1}, {1, 1, 0}, {-1, 1, MAX}, {-1, 63, 1}, {-1, 64, 0}, {-1, 65, 0}, {MIN, 63, 1}, {MIN, 0, MIN}, {1, -1, 2},
    {1, -63, MIN}, {1, -64, 0}, {1, MIN, 0}, {1, MAX, 0}, {-16, 4, 0x0FFFFFFFFFFFFFFF}, {1, -62, 1 << 62}, {255, 4, 15},
  })
  operator("==", {{1, 1, true}, {MIN, MAX, false}, {-1, MAX, false}, {MIN, MIN, true}})
  operator("~=", {{1, 1, false}, {MIN, MAX, true}, {0, -0, false}})
  operator("<", {{1, 2, true}, {2, 1, false}, {1, 1, false}, {MIN, MAX, true}, {MAX, MIN, false}, {-1, 0, true}})
  operator("<=", {{1, 2, true}, {2, 1, false}, {1, 1, true}, {MIN, MAX, true}, {MAX, MIN, false}, {MIN, MIN, true}})
  operator(">", {{1, 2, false}, {2, 1, true}, {1, 1, false}, {MAX, MIN, true}, {MIN, MAX, false}, {-1, -2, true}})
  operator(">=", {{1, 2, false}, {2, 1, true}, {1, 1, true}, {MAX, MIN, true}, {MIN, MAX, false}, {MAX, MAX, true}})
  -- These two give floats always.
  operator("/", {
    {7, 2, 3.5}, {6, 2, 3.0}, {1, 3, 1 / 3}, {-1, 2, -0.5}, {1, 0, math.huge}, {-1, 0, -math.huge}, {0, 5, 0.0},
    {MIN, -1, 0x1p63}, {MAX, 1, 0x1p63}, {MAX, 2, 0x1p62}, {0, -5, -0.0},
  })
  operator("^", {{2, 10, 1024.0}, {2, 0, 1.0}, {0, 0, 1.0}, {-2, 3, -8.0}, {2, -2, 0.25}, {2, 63, 0x1p63}})

  t("1 // 0", err "attempt to divide by zero")
  t("1 % 0", err "attempt to perform 'n%0'")
  t("local a = 0 return 1 // a", err "attempt to divide by zero")
  t("local a = 0 return 1 % a", err "attempt to perform 'n%0'")
  t("local a = 5 return a // 0", err "attempt to divide by zero")
  t("local a = 5 return a % 0", err "attempt to perform 'n%0'")
  t("math.mininteger // 0", err "attempt to divide by zero")

  -- Unary.
  t("-math.mininteger", MIN)
  t("-math.maxinteger", MIN + 1)
  t("~0, ~-1, ~math.maxinteger, ~5", -1, 0, MIN, -6)
  t("local a = 5 return -a, ~a, - -a", -5, -6, 5)
  t("-9223372036854775808", -0x1p63)
  t("math.mininteger == -9223372036854775807 - 1", true)
  t("math.maxinteger, math.mininteger", 9223372036854775807, -9223372036854775807 - 1)
  t("math.maxinteger + 1 == math.mininteger", true)
  t("math.abs(math.mininteger)", MIN)
  t("0xffffffffffffffff", -1)
  t("0x7fffffffffffffff + 1 == 0x8000000000000000", true)
  t("5 // 0.0, -5 // 0.0", math.huge, -math.huge)
  t("5 % math.huge, -5 % math.huge, 5 % -math.huge", 5.0, math.huge, -math.huge)
  t("3 | 0.0, 2.0 & 6, 1 << 2.0, ~2.0", 3, 2, 4, -3)
  -- "Bitwise operators do not do this coercion": strings are no integers to them.
  t("'3' | 4", err "attempt to perform bitwise operation on a string value (constant '3')")
  t("4 ~ '3'", err "attempt to perform bitwise operation on a string value (constant '3')")
  t("local a = '1' return ~a", err "attempt to perform bitwise operation on a string value (local 'a')")
  t("'10' + 5, '0x10' * 2, '7' // 2, '7' % 4, -'3', '2' - 1", 15, 32, 3, 3, -3, 1)
  t("'10' / 4, '2' ^ 2", 2.5, 4.0)
  t("'9223372036854775807' + 1", MIN)
  t("10 .. 20", "1020")
  t("2^53 | 0, 2^62 | 0", 1 << 53, 1 << 62)
  t("2^63 | 0", err "number has no integer representation")
  t("1.5 | 0", err "number has no integer representation")
  t("(0/0) | 0", err "number has no integer representation")
  t("math.huge | 0", err "number (field 'huge') has no integer representation")
  t("-math.huge & 1", err "number has no integer representation")
  t("~1.5", err "number has no integer representation")
  t("1 << 0.5", err "number has no integer representation")
  t("-2^63 | 0", MIN)
  t("local a = 1.5 return a | 0", err "number (local 'a') has no integer representation")

  -- math.ult: below, as unsigned.
  t("math.ult(1, 2), math.ult(2, 1), math.ult(1, 1)", true, false, false)
  t("math.ult(1, -1), math.ult(-1, 1), math.ult(-2, -1)", true, false, true)
  t("math.ult(math.maxinteger, math.mininteger), math.ult(math.mininteger, math.maxinteger)", true, false)
  t("math.ult(0, math.mininteger), math.ult(1.0, 2)", true, true)
  t("math.ult(1.5, 2)", err "bad argument #1 to 'ult' (number has no integer representation)")
  t("math.ult(1)", err "bad argument #2 to 'ult' (number expected, got no value)")

  -- Integers and floats compare by their mathematical value, exactly, at the edges of both.
  local edges = {
    {1 << 53, 0x1p53, 0}, {(1 << 53) + 1, 0x1p53, 1}, {(1 << 53) - 1, 0x1p53, -1}, {-(1 << 53) - 1, -0x1p53, -1},
    {MAX, 0x1p63, -1}, {MIN, -0x1p63, 0}, {MIN + 1, -0x1p63, 1}, {MAX, 0x1.fffffffffffffp62, 1}, {MIN, -0x1.8p63, 1},
    {MAX, math.huge, -1}, {MIN, -math.huge, 1}, {0, -0.0, 0}, {0, 0x1p-1074, -1}, {1, 1.5, -1}, {2, 1.5, 1},
    {-1, -1.5, 1}, {-2, -1.5, -1}, {1 << 62, 0x1p62, 0}, {(1 << 62) + 1, 0x1p62, 1}, {MAX - 1023, 0x1p63 - 1024, 0},
    {MAX - 1024, 0x1p63 - 2048, 1}, {9007199254740993, 9007199254740992.0, 1}, {3, 3.0, 0},
  }
  for _, edge in ipairs(edges) do
    local i, f, order = table.unpack(edge)
    local below, equal, above = order < 0, order == 0, order > 0
    t(("compare %d and %.17g"):format(i, f), below, not above, equal, above, not below, above, not below, equal, below,
      not above, function() return i < f, i <= f, i == f, i > f, i >= f, f < i, f <= i, f == i, f > i, f >= i end)
  end
  t("an integer and NaN", false, false, false, false, false, true, function()
    local nan = 0 / 0
    return 1 < nan, 1 <= nan, 1 == nan, 1 > nan, MAX >= nan, 1 ~= nan
  end)

  -- Laws over many pairs: a == (a // b) * b + a % b, the remainder lies between 0 and b.
  t("division law", 0, function()
    local wrong = 0
    local list = {MIN, MIN + 1, -(1 << 53), -1000, -7, -3, -2, -1, 0, 1, 2, 3, 7, 1000, 1 << 53, MAX - 1, MAX}
    for _, a in ipairs(list) do
      for _, b in ipairs(list) do
        if b ~= 0 then
          local q, r = a // b, a % b
          if q * b + r ~= a or r ~= 0 and (r < 0) ~= (b < 0) or b ~= MIN and math.abs(r) >= math.abs(b) then
            wrong = wrong + 1
          end
          t.feed(q, r)
        end
        t.feed(a * b, a + b, a - b, a & b, a | b, a ~ b, a << (b & 127), a >> (b & 127), a < b, math.ult(a, b))
      end
    end
    return wrong
  end)
  t("shift laws", 0, function()
    local wrong = 0
    for _, a in ipairs {1, -1, MIN, MAX, 0x123456789ABCDEF} do
      for n = 0, 70 do
        if a << n ~= a >> -n or a >> n ~= a << -n then wrong = wrong + 1 end
        if n < 63 and a << n ~= a * (1 << n) then wrong = wrong + 1 end
      end
    end
    return wrong
  end)
  t("a multiply by parts", 0, function()
    -- The low 64 bits of a product, made from 16 bit digits.
    local function digits(x) return {x & 0xFFFF, x >> 16 & 0xFFFF, x >> 32 & 0xFFFF, x >> 48} end
    local state, wrong = 88172645463325252, 0
    local function random()
      state = state ~ state << 13
      state = state ~ state >> 7
      state = state ~ state << 17
      return state
    end
    for _ = 1, 200 do
      local a, b = random(), random()
      local x, y, sum = digits(a), digits(b), 0
      for i = 1, 4 do
        for j = 1, 5 - i do sum = sum + (x[i] * y[j] << 16 * (i + j - 2)) end
      end
      if sum ~= a * b then wrong = wrong + 1 end
      t.feed(sum)
    end
    return wrong
  end)

  -- Loops and keys keep integers integers.
  t("local s = 0 for i = 1, 10 do s = s + i end return math.type(s)", "integer")
  t("math.type(1), math.type(1.0), math.type('1'), math.type(nil)", "integer", "float", nil, nil)
  t("math.type()", err "bad argument #1 to 'type' (value expected)")
  t("1 == 1.0, math.type(1 + 0), math.type(1 + 0.0), math.type(3 // 1.0)", true, "integer", "float", "float")
  t("local x = {} x[1] = 'a' x[1.0] = 'b' x[2^53] = 'c' return x[1], x[1 << 53]", "b", "c")
  t("next({[3.0] = 1})", 3, 1)
end
