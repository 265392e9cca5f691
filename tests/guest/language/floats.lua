--- Floats are IEEE 754 doubles: rounding, infinities, NaN, zeros of both signs, subnormals, and the way to integers.
return function(t)
  local err = t.err
  local inf, nan = math.huge, 0 / 0
  t.env.inf, t.env.nan = inf, nan

  -- Rounding to nearest, ties to even.
  t("0.1 + 0.2", 0x1.3333333333334p-2)
  t("0.1 + 0.2 == 0.3", false)
  t("0.1", 0x1.999999999999ap-4)
  t("1/3", 0x1.5555555555555p-2)
  t("2/3", 0x1.5555555555555p-1)
  t("0x1p53 + 1", 0x1p53)
  t("0x1p53 + 3", 0x1.0000000000002p53)
  t("1 + 0x1p-53, 1 + 0x1.8p-53, 1 + 0x1p-52", 1.0, 0x1.0000000000001p0, 0x1.0000000000001p0)
  t("1 - 0x1p-54, 1 - 0x1.8p-54", 1.0, 0x1.fffffffffffffp-1)
  t("0x1.fffffffffffffp1023 + 0x1p969", 0x1.fffffffffffffp1023)
  t("0x1.fffffffffffffp1023 + 0x1p970", inf)
  t("1e308 * 10, -1e308 * 10", inf, -inf)
  t("0.1 * 3", 0x1.3333333333334p-2)
  t("1e16 + 1 - 1e16", 0.0)
  t("4.35 * 100", 434.99999999999994)
  t("1.1 + 2.2", 3.3000000000000003)
  t("0.1 + 0.7", 0.7999999999999999)
  t("3 * 1.1", 3.3000000000000003)
  t("9007199254740993 + 0.0", 9007199254740992.0)
  t("9007199254740995 + 0.0", 9007199254740996.0)
  t("math.maxinteger + 0.0, math.mininteger + 0.0", 0x1p63, -0x1p63)
  t("math.maxinteger + 0.0 == math.maxinteger", false)
  t("(2^53 + 1) == 2^53", true)
  t("2^53 == (1 << 53)", true)

  -- Subnormals and the way to zero.
  t("0x1p-1074 / 2, 0x1p-1074 * 0.75", 0.0, 0x1p-1074)
  t("0x1p-1022 / 2 * 2", 0x1p-1022)
  t("0x1p-1022 - 0x1p-1074", 0x0.fffffffffffffp-1022)
  t("-0x1p-1074 / 2", -0.0)
  t("0x1p-1074 > 0, 0x1p-1075", true, 0.0)
  t("5e-324 == 0x1p-1074, 2.2250738585072014e-308 == 0x1p-1022", true, true)
  t("1e-320 + 1e-320 == 2e-320", true)
  t("0x1p-600 * 0x1p-600", 0.0)
  t("0x1p-537 * 0x1p-537", 0x1p-1074)

  -- Infinities.
  t("1 / 0, -1 / 0, 1 / 0.0, 1 / -0.0", inf, -inf, inf, -inf)
  t("inf + 1, inf + inf, -inf - 1, inf * -2", inf, inf, -inf, -inf)
  t("inf - inf, inf * 0, inf / inf, inf % 2, 0 / 0", nan, nan, nan, nan, nan)
  t("1 / inf, -1 / inf", 0.0, -0.0)
  t("inf == inf, inf > math.maxinteger, -inf < math.mininteger, inf > 1e308", true, true, true, true)
  t("inf // 1, -inf // 1, 1 // inf, -1 // inf", inf, -inf, 0.0, -0.0)

  -- NaN is unequal and unordered.
  t("nan == nan, nan ~= nan, nan < nan, nan > 1, nan <= 1", false, true, false, false, false)
  t("nan + 1, nan * 0, -nan, nan ^ 1, nan // 1, nan % 1", nan, nan, nan, nan, nan, nan)
  t("nan ^ 0, 1 ^ nan", 1.0, 1.0)
  t("not (nan < 1), not (nan >= 1)", true, true)
  t("({})[nan]", nil)
  t("({})[0/0] == nil", true)
  t("local x = {} x[nan] = 1", err "table index is NaN")
  t("math.max(1, nan), math.min(1, nan)", 1, 1)
  t("math.max(nan, 1), math.min(nan, 1)", nan, nan)
  t("nan or 1", nan)

  -- Signed zeros.
  t("0.0 == -0.0, 1 / 0.0 == 1 / -0.0", true, false)
  t("-0.0, 0.0 * -1, -0.0 + 0.0, -0.0 + -0.0, -0.0 - 0.0", -0.0, -0.0, 0.0, -0.0, -0.0)
  t("0.0 - 0.0, 0 * -1.0, 0 // -1.0, -0.0 // 1", 0.0, -0.0, -0.0, -0.0)
  t("-(0.0), - -0.0", -0.0, 0.0)
  t("tostring(-0.0), tostring(0.0), -0.0 | 0", "-0.0", "0.0", 0)
  t("local x = {} x[-0.0] = 'z' return x[0], x[0.0], next(x)", "z", "z", 0, "z")
  t("local a = -0.0 return a, 0 - a, a == 0", -0.0, 0.0, true)
  t("local a, b = 0.0, -0.0 return 1 / a, 1 / b", inf, -inf)
  t("math.abs(-0.0), math.max(-0.0, 0.0), math.max(0.0, -0.0)", 0.0, -0.0, 0.0)
  t("(-0.0) ^ 3, (-0.0) ^ 2, (-0.0) ^ -1, 0.0 ^ -1", -0.0, 0.0, -inf, inf)

  -- Floor division and remainder of floats.
  t("7.0 // 2, -7.0 // 2, 7.0 // -2, -7.0 // -2", 3.0, -4.0, -4.0, 3.0)
  t("7.5 // 2, -7.5 // 2, 0.5 // 1, -0.5 // 1", 3.0, -4.0, 0.0, -1.0)
  t("7.5 % 2, -7.5 % 2, 7.5 % -2, -7.5 % -2", 1.5, 0.5, -0.5, -1.5)
  t("5.3 % 1 < 0.3000000001, 5 % 3.0, -5 % 3.0, 5 % -3.0", true, 2.0, 1.0, -1.0)
  t("6.0 % 3, -6.0 % 3, 6.0 % -3, -6.0 % -3", 0.0, -0.0, 0.0, -0.0)
  t("1 % inf, -1 % inf, 1 % -inf, -1 % -inf", 1.0, inf, -inf, -1.0)
  t("0.0 % 5, -0.0 % 5, 0.0 % inf", 0.0, -0.0, 0.0)
  t("1 % 0.0, 0.0 % 0.0, inf % inf", nan, nan, nan)
  t("1 // 0.0, -1 // 0.0, 0.0 // 0.0, 0 // -0.0", inf, -inf, nan, nan)
  t("1e308 % 3, 2^53 % 3, 2^1000 % 7", 2.0, 2.0, 2.0)
  t("0x1p1023 % 0x1p-1074", 0.0)
  t("1e15 // 0.3, 1 // 0.1", 3333333333333333.0, 10.0)
  t("5.0 // 1e300, -5.0 // 1e300", 0.0, -1.0)
  t("-1e-300 % 1e300", 1e300)

  -- Exponentiation: what every right pow gives exactly.
  t("2 ^ 0.5 == math.sqrt(2), 4 ^ 0.5, 8 ^ (1/3)", true, 2.0, 2.0)
  t("2 ^ 1023, 2 ^ 1024, 2 ^ -1074, 2 ^ -1075", 0x1p1023, inf, 0x1p-1074, 0.0)
  t("10 ^ 2, 10 ^ 15, 10 ^ 22, 3 ^ 33, 7 ^ 18", 100.0, 1e15, 1e22, 5559060566555523.0, 1628413597910449.0)
  t("(-8) ^ (1/3), (-2) ^ 3, (-2) ^ 2, (-2) ^ 0.5", nan, -8.0, 4.0, nan)
  t("inf ^ 0, 0 ^ inf, 2 ^ inf, 2 ^ -inf, 0.5 ^ inf, 1 ^ inf, (-1) ^ inf", 1.0, 0.0, inf, 0.0, 0.0, 1.0, 1.0)
  t("(-inf) ^ 3, (-inf) ^ 2, (-inf) ^ -1, inf ^ -1", -inf, inf, -0.0, 0.0)
  t("1.5 ^ 2, 0.1 ^ 2", 2.25, 0.1 * 0.1)

  -- Floats that have an integer's value serve as integers; others say why not.
  t("('x'):rep(3.0)", "xxx")
  t("('x'):rep(3.5)", err "bad argument #1 to 'rep' (number has no integer representation)")
  t("('x'):rep(2^63)", err "bad argument #1 to 'rep' (number has no integer representation)")
  t("('x'):rep(nan)", err "bad argument #1 to 'rep' (number has no integer representation)")
  t("('x'):rep(-inf)", err "bad argument #1 to 'rep' (number has no integer representation)")
  t("string.char(65.0, 66.0)", "AB")
  t("string.format('%d', 3.0), string.format('%d', -0.0)", "3", "0")
  t("string.format('%d', 3.1)", err "bad argument #2 to 'format' (number has no integer representation)")
  t("string.format('%d', '3.0'), string.format('%d', '0x10')", "3", "16")
  t("string.format('%d', '3.1')", err "bad argument #2 to 'format' (number has no integer representation)")
  t("({10, 20, 30})[2.0]", 20)
  t("math.tointeger(3.0), math.tointeger(3.5), math.tointeger(2^63)", 3, nil, nil)
  t("math.tointeger(-2^63), math.tointeger(-2^63 - 2048)", math.mininteger, nil)
  t("math.tointeger(nan), math.tointeger(inf), math.tointeger(-0.0), math.tointeger(7)", nil, nil, 0, 7)
  t("math.tointeger('8'), math.tointeger('8.0'), math.tointeger('x'), math.tointeger({})", 8, 8, nil, nil)
  t("math.tointeger()", err "bad argument #1 to 'tointeger' (value expected)")
  t("2^53 // 1 | 0, math.floor(2^62) == 1 << 62", 1 << 53, true)

  -- Loops with floats count by adding.
  t("a loop by 0.1", {11, 0.9999999999999999}, function()
    local n, last = 0, nil
    for x = 0, 1, 0.1 do n, last = n + 1, x end
    return {n, last}
  end)
  -- A deviation: the manual repeats "while the value is less than or equal to the limit", yet the first round is only
  -- skipped when the limit is less than the first value, which it is not.
  t("a float loop to NaN", 1, 1, function()
    local n, m = 0, 0
    for _ = 1.0, nan do n = n + 1 end
    for _ = nan, 1 do m = m + 1 end
    return n, m
  end)
  t("machine epsilon", 0x1p-52, 53, function()
    local e, bits = 1.0, 0
    while 1 + e / 2 > 1 do e, bits = e / 2, bits + 1 end
    return e, bits + 1
  end)
  t("all powers of two", 2098, function()
    local n, x = 0, 0x1p-1074
    while x < inf and n < 3000 do
      local text = string.format("%.17g", x)
      if tonumber(text) ~= x then error(text) end
      t.feed(x)
      n, x = n + 1, x * 2
    end
    return n
  end)
  t("Kahan's sum of 0.1", 1000.0, true, function()
    local sum, lost, plain = 0.0, 0.0, 0.0
    for _ = 1, 10000 do
      local y = 0.1 - lost
      local s = sum + y
      lost, sum, plain = s - sum - y, s, plain + 0.1
    end
    t.feed(plain)
    return sum, plain ~= 1000.0
  end)
  t("a chaotic orbit", 1000, function()
    -- One wrong bit anywhere grows to a wrong orbit: the digest holds all of it.
    local x, n = 0.3, 0
    for i = 1, 1000 do
      x = 3.99 * x * (1 - x)
      if i % 50 == 0 then t.feed(x) end
      if x > 0 and x < 1 then n = n + 1 end
    end
    return n
  end)
end
