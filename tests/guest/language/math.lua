--- math.*. What IEEE 754 makes exact (sqrt, floor, ceil, fmod, modf, abs) is compared and digested to the bit; the
-- transcendental functions, which C leaves to the library's art, to within two units of the last place, and they go
-- into the digest with 12 digits. math.random is held against xoshiro256** written out here.
local MIN, MAX, inf, nan = math.mininteger, math.maxinteger, math.huge, 0 / 0

--- The generator of the manual's math.random, by Blackman and Vigna, as 5.4 seeds it.
local function xoshiro(seed, second)
  local s0, s1, s2, s3 = seed, 0xFF, second or 0, 0
  local function rotate(x, n) return x << n | x >> 64 - n end
  local function nextrand()
    local result = rotate(s1 * 5, 7) * 9
    local shifted = s1 << 17
    s2, s3 = s2 ~ s0, s3 ~ s1
    s1, s0 = s1 ~ s2, s0 ~ s3
    s2, s3 = s2 ~ shifted, rotate(s3, 45)
    return result
  end
  for _ = 1, 16 do nextrand() end
  local r = {bits = nextrand}
  function r.float() return (nextrand() >> 11) * 0x1p-53 end
  function r.range(low, high)
    local span = high - low
    local ran, limit = nextrand(), span
    for _, n in ipairs {1, 2, 4, 8, 16, 32} do limit = limit | limit >> n end
    ran = ran & limit
    while math.ult(span, ran) do ran = nextrand() & limit end
    return low + ran
  end
  return r
end

return function(t)
  local err = t.err
  t.env.inf, t.env.nan, t.env.MIN, t.env.MAX = inf, nan, MIN, MAX

  local function near(x, y) return math.abs(x - y) <= math.abs(y) * 0x1p-51 end
  t.env.near = near

  -- Constants.
  t("math.pi", 3.141592653589793)
  t("math.huge, -math.huge", inf, -inf)
  t("math.maxinteger, math.mininteger", 0x7fffffffffffffff, 0x8000000000000000)

  -- floor, ceil: integers where they fit.
  t("math.floor(3.7), math.floor(-3.7), math.floor(3), math.floor(-0.0)", 3, -4, 3, 0)
  t("math.ceil(3.2), math.ceil(-3.2), math.ceil(3), math.ceil(-0.5)", 4, -3, 3, 0)
  t("math.floor(2^62), math.floor(-2^63), math.floor(2^63)", 1 << 62, MIN, 0x1p63)
  t("math.ceil(2^62), math.ceil(-2^63), math.ceil(1e300)", 1 << 62, MIN, 1e300)
  t("math.floor(inf), math.ceil(-inf), math.floor(nan)", inf, -inf, nan)
  t("math.floor(0x1.fffffffffffffp62)", MAX - 1023)
  t("math.floor(0.49999999999999994), math.floor(0.5), math.ceil(0x1p-1074)", 0, 0, 1)
  t("math.floor('3.7'), math.ceil('0x.8')", 3, 1)
  t("math.floor('x')", err "bad argument #1 to 'floor' (number expected, got string)")
  t("math.floor()", err "bad argument #1 to 'floor' (number expected, got no value)")
  t("math.ceil({})", err "bad argument #1 to 'ceil' (number expected, got table)")

  -- abs, max, min.
  t("math.abs(-5), math.abs(5), math.abs(-5.5), math.abs(-0.0), math.abs(-inf)", 5, 5, 5.5, 0.0, inf)
  t("math.abs(MIN), math.abs(MAX), math.abs(MIN + 1)", MIN, MAX, MAX)
  t("math.abs('-7'), math.abs('-7.5')", 7.0, 7.5)
  t("math.max(1, 2.5), math.max(2.5, 1), math.max(1), math.max(1, 1.0), math.max(1.0, 1)", 2.5, 2.5, 1, 1, 1.0)
  t("math.min(1, 2.5), math.min(1, 1.0), math.min(-1, -2, -3), math.min(inf, -inf)", 1, 1, -3, -inf)
  t("math.max(MAX, 2^63), math.max(2^63, MAX), math.min(MIN, -2^63)", 0x1p63, 0x1p63, MIN)
  t("math.max((1 << 53) + 1, 2^53)", (1 << 53) + 1)
  -- "According to the Lua operator <": strings have an order too.
  t("math.max('10', '9'), math.min('b', 'a', 'c')", "9", "a")
  t("math.max('10', 9)", err "attempt to compare string with number")
  t("math.max()", err "bad argument #1 to 'max' (value expected)")
  t("math.min()", err "bad argument #1 to 'min' (value expected)")
  t("math.max(1, 2, {})", err "attempt to compare number with table")

  -- fmod: the remainder has the dividend's sign.
  t("math.fmod(7, 3), math.fmod(-7, 3), math.fmod(7, -3), math.fmod(-7, -3)", 1, -1, 1, -1)
  t("math.fmod(7.5, 2), math.fmod(-7.5, 2), math.fmod(7.5, -2)", 1.5, -1.5, 1.5)
  t("math.fmod(6, 3), math.fmod(-6, 3), math.fmod(-6.0, 3)", 0, 0, -0.0)
  t("math.fmod(MIN, -1), math.fmod(MAX, -1), math.fmod(MIN, MIN), math.fmod(5, MIN)", 0, 0, 0, 5)
  t("math.fmod(MIN, MAX), math.fmod(MAX, MIN), math.fmod(MIN, 10)", -1, MAX, -8)
  t("math.fmod(1, 0)", err "bad argument #2 to 'fmod' (zero)")
  t("math.fmod(1, 0.0), math.fmod(inf, 2), math.fmod(nan, 2)", nan, nan, nan)
  t("math.fmod(5, inf), math.fmod(-5, inf), math.fmod(0.0, 5), math.fmod(-0.0, 5)", 5.0, -5.0, 0.0, -0.0)
  t("math.fmod(2^1000, 7), math.fmod(1e308, 1e-5) < 1e-5, math.fmod(5.3, 0.1) < 0.1", 2.0, true, true)
  t("math.fmod(3, 'x')", err "bad argument #2 to 'fmod' (number expected, got string)")

  -- modf: the integral part, an integer where it fits, and the fraction, "always a float".
  t("math.modf(3.7)", 3, 3.7 - 3)
  t("math.modf(-3.5)", -3, -0.5)
  t("math.modf(5)", 5, 0.0)
  t("math.modf(-5.0)", -5, 0.0)
  t("math.modf(0.25)", 0, 0.25)
  t("math.modf(-0.25)", 0, -0.25)
  t("math.modf(inf)", inf, 0.0)
  t("math.modf(-inf)", -inf, 0.0)
  t("math.modf(nan)", nan, nan)
  t("math.modf(2^53)", 1 << 53, 0.0)
  t("math.modf(2^63)", 0x1p63, 0.0)
  t("math.modf(1e300)", 1e300, 0.0)
  t("math.modf()", err "bad argument #1 to 'modf' (number expected, got no value)")

  -- sqrt is exact by IEEE 754.
  t("math.sqrt(4), math.sqrt(2), math.sqrt(0), math.sqrt(-0.0)", 2.0, 1.4142135623730951, 0.0, -0.0)
  t("math.sqrt(3), math.sqrt(0.1), math.sqrt(1e300)", 1.7320508075688772, 0.31622776601683794, 1e150)
  t("math.sqrt(-1), math.sqrt(inf), math.sqrt(nan)", nan, inf, nan)
  t("math.sqrt(0x1p-1074), math.sqrt(0x1.fffffffffffffp1023)", 0x1p-537, 0x1.fffffffffffffp511)
  t("math.sqrt(MAX)", 3037000499.97605)
  t("sqrt of squares", 0, function()
    local wrong = 0
    for i = 0, 2000 do
      if math.sqrt(i * i) ~= i then wrong = wrong + 1 end
      t.feed(math.sqrt(i))
    end
    return wrong
  end)

  -- exp, log.
  t("math.exp(0), math.exp(-inf), math.exp(inf), math.exp(nan)", 1.0, 0.0, inf, nan)
  t("math.exp(710), math.exp(-746)", inf, 0.0)
  t("near(math.exp(1), 2.718281828459045), near(math.exp(-1), 0.36787944117144233)", true, true)
  t("near(math.exp(0.5), 1.6487212707001282), near(math.exp(10), 22026.465794806718)", true, true)
  t("near(math.exp(700), 1.0142320547350045e304), near(math.exp(-700), 9.8596765437597708e-305)", true, true)
  t("math.log(1), math.log(0), math.log(inf), math.log(-1), math.log(nan)", 0.0, -inf, inf, nan, nan)
  t("near(math.log(2), 0.6931471805599453), near(math.log(10), 2.302585092994046)", true, true)
  t("near(math.log(0.5), -0.6931471805599453), near(math.log(1e300), 690.7755278982137)", true, true)
  t("math.log(8, 2), math.log(1024, 2), math.log(0x1p-1074, 2), math.log(2^1000, 2)", 3.0, 10.0, -1074.0, 1000.0)
  t("math.log(1000, 10), math.log(1e15, 10), math.log(0.01, 10)", 3.0, 15.0, -2.0)
  t("near(math.log(27, 3), 3), near(math.log(2, 4), 0.5), math.log(1, 7), near(math.log(100, 10.0), 2)",
    true, true, 0.0, true)
  t("math.log(2, 1), math.log(1, 1), math.log(5, 0)", inf, nan, -0.0)
  t("math.log(10, '10'), math.log('8', 2)", 1.0, 3.0)
  t("math.log()", err "bad argument #1 to 'log' (number expected, got no value)")
  t("math.log(2, 'x')", err "bad argument #2 to 'log' (number expected, got string)")

  -- Trigonometry, in radians.
  t("math.sin(0), math.cos(0), math.tan(0), math.sin(-0.0)", 0.0, 1.0, 0.0, -0.0)
  t("math.asin(0), math.acos(1), math.atan(0)", 0.0, 0.0, 0.0)
  t("near(math.sin(1), 0.8414709848078965), near(math.cos(1), 0.5403023058681398)", true, true)
  t("near(math.tan(1), 1.5574077246549023), near(math.sin(math.pi / 6), 0.5)", true, true)
  t("math.cos(math.pi), near(math.sin(math.pi), 1.2246467991473532e-16)", -1.0, true)
  t("near(math.sin(1e22), -0.8522008497671888), near(math.cos(1e15), -0.5131937377869703)", true, true)
  t("near(math.sin(1e300), -0.8178819121159085), near(math.tan(1e10), -0.5583496378112418)", true, true)
  t("math.sin(inf), math.cos(-inf), math.tan(nan)", nan, nan, nan)
  t("near(math.asin(1), math.pi / 2), near(math.acos(-1), math.pi), near(math.acos(0), math.pi / 2)", true, true, true)
  t("near(math.asin(0.5), 0.5235987755982989), near(math.acos(0.3), 1.266103672779499)", true, true)
  t("math.asin(2), math.acos(-1.5)", nan, nan)
  t("near(math.atan(1), math.pi / 4), near(math.atan(inf), math.pi / 2), near(math.atan(0.5), 0.4636476090008061)",
    true, true, true)
  t("near(math.atan(1, -1), 3 * math.pi / 4), near(math.atan(-1, -1), -3 * math.pi / 4)", true, true)
  t("math.atan(0, 1), math.atan(-0.0, 1), near(math.atan(0, -1), math.pi), near(math.atan(-0.0, -1), -math.pi)",
    0.0, -0.0, true, true)
  t("near(math.atan(5, 0), math.pi / 2), near(math.atan(-5, 0), -math.pi / 2), math.atan(0.0, 0.0)", true, true, 0.0)
  t("near(math.atan(inf, inf), math.pi / 4), near(math.atan(inf, -inf), 3 * math.pi / 4)", true, true)
  t("near(math.deg(math.pi), 180), near(math.rad(180), math.pi), math.deg(0), math.rad(0)", true, true, 0.0, 0.0)
  t("near(math.deg(1), 57.29577951308232), near(math.rad(1), 0.017453292519943295)", true, true)
  t("math.sin('x')", err "bad argument #1 to 'sin' (number expected, got string)")
  t("math.atan()", err "bad argument #1 to 'atan' (number expected, got no value)")
  t("identities hold", 0, function()
    local wrong = 0
    for i = -200, 200 do
      local x = i / 16
      local s, c = math.sin(x), math.cos(x)
      if math.abs(s * s + c * c - 1) > 1e-15 then wrong = wrong + 1 end
      if not near(math.log(math.exp(x)), x) and math.abs(math.log(math.exp(x)) - x) > 1e-15 then wrong = wrong + 1 end
      if math.abs(math.atan(s, c) - math.fmod(x, 1e9)) % (2 * math.pi) > 1e-14
        and 2 * math.pi - math.abs(math.atan(s, c) - x) % (2 * math.pi) > 1e-14 then wrong = wrong + 1 end
      t.feed(("%.12g %.12g %.12g %.12g"):format(s + 2, c + 2, math.exp(x), math.log(x + 13)))
    end
    return wrong
  end)


  -- random: bits, floats and ranges of the generator.
  for _, seed in ipairs {0, 1, 42, -1, 123456789, MAX, MIN} do
    t(("seed %d: bits"):format(seed), true, function()
      local r, right = xoshiro(seed), true
      math.randomseed(seed)
      for _ = 1, 40 do
        local got = math.random(0)
        right = right and got == r.bits()
        t.feed(got)
      end
      return right
    end)
  end
  t("two seeds", true, function()
    local r, right = xoshiro(7, -9), true
    math.randomseed(7, -9)
    for _ = 1, 20 do right = right and math.random(0) == r.bits() end
    return right
  end)
  t("floats", true, true, function()
    local r, right, inside = xoshiro(2024), true, true
    math.randomseed(2024)
    for _ = 1, 200 do
      local x = math.random()
      right, inside = right and x == r.float(), inside and x >= 0 and x < 1
      t.feed(x)
    end
    return right, inside
  end)
  for _, range in ipairs {{1, 6}, {1, 1}, {0, 1}, {-5, 5}, {1, 100}, {MIN, MAX}, {0, MAX}, {MIN, 0}, {-3, -3},
    {1, 1 << 40}, {MAX - 9, MAX}, {1, 65536}, {0, (1 << 62) + 5}} do
    local low, high = range[1], range[2]
    t(("random(%d, %d)"):format(low, high), true, true, function()
      local r, right, inside = xoshiro(99), true, true
      math.randomseed(99)
      for _ = 1, 40 do
        local x = math.random(low, high)
        right, inside = right and x == r.range(low, high), inside and x >= low and x <= high
        t.feed(x)
      end
      return right, inside
    end)
  end
  t("random(n) is random(1, n)", true, function()
    math.randomseed(5)
    local list = {}
    for i = 1, 20 do list[i] = math.random(1000) end
    math.randomseed(5)
    for i = 1, 20 do
      if math.random(1, 1000) ~= list[i] then return false end
    end
    return true
  end)
  t("every face comes, evenly", 6, true, function()
    math.randomseed(11)
    local seen, faces, even = {}, 0, true
    for _ = 1, 6000 do
      local x = math.random(6)
      if not seen[x] then faces = faces + 1 end
      seen[x] = (seen[x] or 0) + 1
    end
    for i = 1, 6 do even = even and seen[i] > 850 and seen[i] < 1150 end
    return faces, even
  end)
  t("math.random(3.0) <= 3, math.random('1', 1)", true, 1)
  t("math.random(1, 0)", err "bad argument #1 to 'random' (interval is empty)")
  t("math.random(-1)", err "bad argument #1 to 'random' (interval is empty)")
  t("math.random(MAX, MIN)", err "bad argument #1 to 'random' (interval is empty)")
  t("math.random(1, 2, 3)", err "wrong number of arguments")
  t("math.random(1.5)", err "bad argument #1 to 'random' (number has no integer representation)")
  t("math.random('x')", err "bad argument #1 to 'random' (number expected, got string)")
  t("math.random(1, 2.5)", err "bad argument #2 to 'random' (number has no integer representation)")
  t("math.randomseed(42)", 42, 0)
  t("math.randomseed(42, 7)", 42, 7)
  t("math.randomseed(3.0)", 3, 0)
  t("math.randomseed('x')", err "bad argument #1 to 'randomseed' (number expected, got string)")
  t("randomseed() gives the seeds it took", true, function()
    local a, b = math.randomseed()
    local first = math.random(0)
    math.randomseed(a, b)
    return math.random(0) == first
  end)
end
