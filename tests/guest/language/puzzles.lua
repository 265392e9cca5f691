--- Numbers with answers known from elsewhere: puzzles, number theory, big numbers made of small ones, simulations in
-- floats that need nothing but IEEE arithmetic and sqrt.
return function(t)
  -- Counting and number theory.
  t("eight queens", 92, "15863724", function()
    local n, first = 0, nil
    local columns, up, down, place = {}, {}, {}, {}
    local function try(row)
      if row > 8 then
        n = n + 1
        first = first or table.concat(place)
        return
      end
      for c = 1, 8 do
        if not (columns[c] or up[row + c] or down[row - c]) then
          columns[c], up[row + c], down[row - c], place[row] = true, true, true, c
          try(row + 1)
          columns[c], up[row + c], down[row - c] = nil, nil, nil
        end
      end
    end
    try(1)
    return n, first
  end)
  t("primes below 10000", 1229, 5736396, 9973, function()
    local composite, n, sum, last = {}, 0, 0, nil
    for i = 2, 9999 do
      if not composite[i] then
        n, sum, last = n + 1, sum + i, i
        for k = i * i, 9999, i do composite[k] = true end
      end
    end
    return n, sum, last
  end)
  t("perfect numbers below 10000", {6, 28, 496, 8128}, function()
    local list, sums = {}, {}
    for i = 1, 9999 do sums[i] = 0 end
    for d = 1, 4999 do
      for k = 2 * d, 9999, d do sums[k] = sums[k] + d end
    end
    for i = 2, 9999 do
      if sums[i] == i then list[#list + 1] = i end
    end
    return list
  end)
  t("the longest Collatz chain below 10000", 6171, 262, function()
    local best, longest, memo = 0, 0, {[1] = 1}
    for i = 2, 9999 do
      local n, steps = i, 0
      while not memo[n] do
        n = n % 2 == 0 and n // 2 or 3 * n + 1
        steps = steps + 1
      end
      memo[i] = steps + memo[n]
      if memo[i] > longest then best, longest = i, memo[i] end
    end
    return best, longest
  end)
  t("fibonacci", 2880067194370816120, 7540113804746346429, -6246583658587674878, function()
    local function fibonacci(n)
      local a, b = 0, 1
      for _ = 1, n do a, b = b, a + b end
      return a
    end
    return fibonacci(90), fibonacci(92), fibonacci(93)
  end)
  t("ackermann", 9, 125, function()
    local function ackermann(m, n)
      if m == 0 then return n + 1 end
      if n == 0 then return ackermann(m - 1, 1) end
      return ackermann(m - 1, ackermann(m, n - 1))
    end
    return ackermann(2, 3), ackermann(3, 4)
  end)
  t("greatest common divisors and modular powers", 21, 1, 445, 1, function()
    local function gcd(a, b) return b == 0 and a or gcd(b, a % b) end
    local function power(b, e, m)
      local r = 1
      while e > 0 do
        if e & 1 == 1 then r = r * b % m end
        b, e = b * b % m, e >> 1
      end
      return r
    end
    return gcd(1071, 462), gcd(17, 3120), power(4, 13, 497), power(2, 1000000006, 1000000007)
  end)
  t("hanoi", 1023, "AB", function()
    local moves, first = 0, nil
    local function move(n, from, to, by)
      if n == 0 then return end
      move(n - 1, from, by, to)
      moves, first = moves + 1, first or from .. to
      move(n - 1, by, to, from)
    end
    move(10, "A", "C", "B")
    return moves, first
  end)
  t("ways to change a pound", 73682, 292, function()
    local function ways(total, coins)
      local n = {[0] = 1}
      for _, coin in ipairs(coins) do
        for v = coin, total do n[v] = (n[v] or 0) + (n[v - coin] or 0) end
      end
      return n[total]
    end
    return ways(200, {1, 2, 5, 10, 20, 50, 100, 200}), ways(100, {50, 25, 10, 5, 1})
  end)
  t("lattice paths, partitions, Catalan", 184756, 190569292, 16796, function()
    local row = {1}
    for i = 1, 20 do
      for k = i, 2, -1 do row[k] = row[k] + row[k - 1] end
      row[i + 1] = 1
    end
    local p = {[0] = 1}
    for k = 1, 100 do
      for n = k, 100 do p[n] = (p[n] or 0) + (p[n - k] or 0) end
    end
    local c = {[0] = 1}
    for n = 1, 10 do
      c[n] = 0
      for i = 0, n - 1 do c[n] = c[n] + c[i] * c[n - 1 - i] end
    end
    return row[11], p[100], c[10]
  end)

  -- Big numbers, in lists of 7 digits each.
  local function big_multiply(a, m)
    local carry = 0
    for i = 1, #a do
      local v = a[i] * m + carry
      a[i], carry = v % 10000000, v // 10000000
    end
    while carry > 0 do a[#a + 1], carry = carry % 10000000, carry // 10000000 end
    return a
  end
  local function big_text(a)
    local parts = {tostring(a[#a])}
    for i = #a - 1, 1, -1 do parts[#parts + 1] = ("%07d"):format(a[i]) end
    return table.concat(parts)
  end
  t("2^200 and 50!", "1606938044258990275541962092341162602522202993782792835301376",
    "30414093201713378043612608166064768844377641568960512000000000000", function()
      local power, factorial = {1}, {1}
      for _ = 1, 200 do big_multiply(power, 2) end
      for i = 2, 50 do big_multiply(factorial, i) end
      return big_text(power), big_text(factorial)
    end)
  t("50 digits of pi", "31415926535897932384626433832795028841971693993751", function()
    -- The spigot of Rabinowitz and Wagon.
    local n = 52
    local length = 10 * n // 3 + 1
    local a, out, nines, predigit = {}, {}, 0, 0
    for i = 1, length do a[i] = 2 end
    for _ = 1, n do
      local q = 0
      for i = length, 1, -1 do
        local x = 10 * a[i] + q * i
        a[i], q = x % (2 * i - 1), x // (2 * i - 1)
      end
      a[1], q = q % 10, q // 10
      if q == 9 then
        nines = nines + 1
      else
        out[#out + 1] = q == 10 and predigit + 1 or predigit
        for _ = 1, nines do out[#out + 1] = q == 10 and 0 or 9 end
        nines, predigit = 0, q == 10 and 0 or q
      end
    end
    return table.concat(out):sub(2, 51)
  end)
  t("40 digits of e", "2718281828459045235360287471352662497757", function()
    local terms, digits = {}, {"2"}
    for i = 1, 50 do terms[i] = 1 end
    for _ = 1, 39 do
      local carry = 0
      for i = 50, 1, -1 do
        local v = terms[i] * 10 + carry
        terms[i], carry = v % (i + 1), v // (i + 1)
      end
      digits[#digits + 1] = carry
    end
    return table.concat(digits)
  end)
  t("the square root of 2 to 30 digits", "141421356237309504880168872420", function()
    -- By subtraction only (Jarvis), on numbers kept as lists of digits, the lowest first: from a = 5n and b = 5, while
    -- a >= b take b from a and add 10 to b; else a gains two zeros, and b a zero before its last digit.
    local function less(x, y)
      if #x ~= #y then return #x < #y end
      for i = #x, 1, -1 do
        if x[i] ~= y[i] then return x[i] < y[i] end
      end
      return false
    end
    local function subtract(x, y)
      local borrow = 0
      for i = 1, #x do
        local v = x[i] - (y[i] or 0) - borrow
        borrow = v < 0 and 1 or 0
        x[i] = v % 10
      end
      while #x > 1 and x[#x] == 0 do x[#x] = nil end
    end
    local function add(x, n)
      local i = 1
      while n > 0 do
        local v = (x[i] or 0) + n
        x[i], n = v % 10, v // 10
        i = i + 1
      end
    end
    local a, b = {0, 1}, {5}
    while #b < 34 do
      if not less(a, b) then
        subtract(a, b)
        add(b, 10)
      else
        table.insert(a, 1, 0)
        table.insert(a, 1, 0)
        while #a > 1 and a[#a] == 0 do a[#a] = nil end
        table.insert(b, 1, 5)
        b[2] = 0
      end
    end
    local out = {}
    for i = #b, 1, -1 do out[#out + 1] = b[i] end
    return table.concat(out):sub(1, 30)
  end)

  -- Simulations in floats, of IEEE arithmetic and sqrt only.
  t("n bodies", "-0.169075164", "-0.169087605", function()
    local mass, days = 4 * math.pi * math.pi, 365.24
    local function body(x, y, z, vx, vy, vz, m)
      return {x = x, y = y, z = z, vx = vx * days, vy = vy * days, vz = vz * days, mass = m * mass}
    end
    local bodies = {
      body(0, 0, 0, 0, 0, 0, 1),
      body(4.84143144246472090e+00, -1.16032004402742839e+00, -1.03622044471123109e-01, 1.66007664274403694e-03,
        7.69901118419740425e-03, -6.90460016972063023e-05, 9.54791938424326609e-04),
      body(8.34336671824457987e+00, 4.12479856412430479e+00, -4.03523417114321381e-01, -2.76742510726411899e-03,
        4.99852801234917238e-03, 2.30417297573763929e-05, 2.85885980666130812e-04),
      body(1.28943695621391310e+01, -1.51111514016986312e+01, -2.23307578892655734e-01, 2.96460137564761618e-03,
        2.37847173959480950e-03, -2.96589568540237556e-05, 4.36624404335156298e-05),
      body(1.53796971148509165e+01, -2.59193146099879641e+01, 1.79258772950371181e-01, 2.68067772490389322e-03,
        1.62824170038242295e-03, -9.51592254519715870e-05, 5.15138902046611451e-05),
    }
    local function energy()
      local e = 0
      for i, a in ipairs(bodies) do
        e = e + 0.5 * a.mass * (a.vx * a.vx + a.vy * a.vy + a.vz * a.vz)
        for k = i + 1, #bodies do
          local b = bodies[k]
          local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
          e = e - a.mass * b.mass / math.sqrt(dx * dx + dy * dy + dz * dz)
        end
      end
      t.feed(e)
      return ("%.9f"):format(e)
    end
    local px, py, pz = 0, 0, 0
    for _, b in ipairs(bodies) do px, py, pz = px + b.vx * b.mass, py + b.vy * b.mass, pz + b.vz * b.mass end
    bodies[1].vx, bodies[1].vy, bodies[1].vz = -px / mass, -py / mass, -pz / mass
    local first = energy()
    for _ = 1, 1000 do
      for i, a in ipairs(bodies) do
        for k = i + 1, #bodies do
          local b = bodies[k]
          local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
          local d = dx * dx + dy * dy + dz * dz
          local mag = 0.01 / (d * math.sqrt(d))
          a.vx, a.vy, a.vz = a.vx - dx * b.mass * mag, a.vy - dy * b.mass * mag, a.vz - dz * b.mass * mag
          b.vx, b.vy, b.vz = b.vx + dx * a.mass * mag, b.vy + dy * a.mass * mag, b.vz + dz * a.mass * mag
        end
      end
      for _, b in ipairs(bodies) do b.x, b.y, b.z = b.x + 0.01 * b.vx, b.y + 0.01 * b.vy, b.z + 0.01 * b.vz end
    end
    return first, energy()
  end)
  t("a spectral norm", "1.274219991", function()
    local n = 100
    local function element(i, j) return 1 / ((i + j - 1) * (i + j - 2) // 2 + i) end
    local function times(v, get)
      local r = {}
      for i = 1, n do
        local sum = 0.0
        for j = 1, n do sum = sum + get(i, j) * v[j] end
        r[i] = sum
      end
      return r
    end
    local function back(i, j) return element(j, i) end
    local u, v = {}
    for i = 1, n do u[i] = 1 end
    for _ = 1, 4 do
      v = times(times(u, element), back)
      u = times(times(v, element), back)
    end
    v = times(times(u, element), back)
    local vbv, vv = 0, 0
    for i = 1, n do vbv, vv = vbv + u[i] * v[i], vv + v[i] * v[i] end
    local ubu = 0
    for i = 1, n do ubu = ubu + u[i] * u[i] end
    t.feed(vbv / ubu)
    return ("%.9f"):format(math.sqrt(vv / vbv))
  end)
  t("fannkuch of 7", 228, 16, function()
    local n, max, sum, odd = 7, 0, 0, false
    local p, q, s = {}, {}, {}
    for i = 1, n do p[i], q[i], s[i] = i, i, i end
    while true do
      local q1 = p[1]
      if q1 ~= 1 then
        for i = 2, n do q[i] = p[i] end
        local flips = 1
        while true do
          local qq = q[q1]
          if qq == 1 then
            sum = odd and sum - flips or sum + flips
            max = math.max(max, flips)
            break
          end
          q[q1] = q1
          if q1 >= 4 then
            local i, j = 2, q1 - 1
            repeat
              q[i], q[j] = q[j], q[i]
              i, j = i + 1, j - 1
            until i >= j
          end
          q1, flips = qq, flips + 1
        end
      end
      if not odd then
        p[1], p[2], odd = p[2], p[1], true
      else
        p[2], p[3], odd = p[3], p[2], false
        for i = 3, n do
          local sx = s[i]
          if sx ~= 1 then
            s[i] = sx - 1
            break
          end
          if i == n then return sum, max end
          s[i] = i
          table.insert(p, i + 1, table.remove(p, 1))
        end
      end
    end
  end)
  t("mandelbrot", 600, function()
    local inside = 0
    for row = 0, 19 do
      local line = {}
      for column = 0, 29 do
        local cr, ci = column / 30 * 3 - 2, row / 20 * 2 - 1
        local zr, zi, n = 0.0, 0.0, 0
        while n < 50 and zr * zr + zi * zi < 4 do zr, zi, n = zr * zr - zi * zi + cr, 2 * zr * zi + ci, n + 1 end
        line[#line + 1] = n
        inside = inside + 1
      end
      t.feed(table.unpack(line))
    end
    return inside
  end)
  t("a determinant and an inverse", -306.0, 0, function()
    local function determinant(m)
      local d = 1.0
      for i = 1, #m do
        local pivot = i
        for k = i + 1, #m do
          if math.abs(m[k][i]) > math.abs(m[pivot][i]) then pivot = k end
        end
        if pivot ~= i then m[i], m[pivot], d = m[pivot], m[i], -d end
        d = d * m[i][i]
        for k = i + 1, #m do
          local f = m[k][i] / m[i][i]
          for c = i, #m do m[k][c] = m[k][c] - f * m[i][c] end
        end
      end
      return d
    end
    local wrong = 0
    for n = 1, 6 do
      -- Hilbert's matrices: 1/det is an integer, known from the product of factorials.
      local h, want = {}, 1.0
      for i = 1, n do
        h[i] = {}
        for k = 1, n do h[i][k] = 1 / (i + k - 1) end
      end
      local known = {1, 12, 2160, 6048000, 266716800000, 186313420339200000}
      want = want / known[n]
      local got = determinant(h)
      if math.abs(got - want) > want * 1e-9 then wrong = wrong + 1 end
    end
    local d = determinant {{6, 1, 1}, {4, -2, 5}, {2, 8, 7}}
    return math.floor(d + 0.5) + 0.0, wrong
  end)
  t("life", "blinker", "block", 5, function()
    local function step(cells)
      local n, after = {}, {}
      for key in pairs(cells) do
        local x, y = key // 1000, key % 1000
        for dx = -1, 1 do
          for dy = -1, 1 do
            local k = (x + dx) * 1000 + y + dy
            n[k] = (n[k] or 0) + (k == key and 0 or 1)
          end
        end
      end
      for k, v in pairs(n) do
        if v == 3 or v == 2 and cells[k] then after[k] = true end
      end
      return after
    end
    local function set(...)
      local s = {}
      for _, k in ipairs {...} do s[k] = true end
      return s
    end
    local function same(a, b)
      for k in pairs(a) do if not b[k] then return false end end
      for k in pairs(b) do if not a[k] then return false end end
      return true
    end
    local blinker, block = set(5004, 5005, 5006), set(1001, 1002, 2001, 2002)
    local glider = set(10011, 11012, 12010, 12011, 12012)
    local moved = glider
    for _ = 1, 40 do moved = step(moved) end
    local n = 0
    for k in pairs(moved) do
      if glider[k - 10010] then n = n + 1 end
    end
    return same(step(step(blinker)), blinker) and not same(step(blinker), blinker) and "blinker",
      same(step(block), block) and "block", n
  end)
end
