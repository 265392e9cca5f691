--- Small whole programs with answers known from elsewhere: sorting, searching, parsing, interpreters, compression. They
-- mix what the other themes look at one by one.
return function(t)
  -- Sorting and searching, in Lua.
  t("four sorts agree with table.sort", 0, function()
    local function insertion(a)
      for i = 2, #a do
        local v, k = a[i], i - 1
        while k > 0 and a[k] > v do a[k + 1], k = a[k], k - 1 end
        a[k + 1] = v
      end
      return a
    end
    local function merge(a)
      if #a < 2 then return a end
      local mid = #a // 2
      local x, y = merge(table.move(a, 1, mid, 1, {})), merge(table.move(a, mid + 1, #a, 1, {}))
      local r, i, j = {}, 1, 1
      while x[i] or y[j] do
        if not y[j] or x[i] and x[i] <= y[j] then
          r[#r + 1], i = x[i], i + 1
        else
          r[#r + 1], j = y[j], j + 1
        end
      end
      return r
    end
    local function quick(a, low, high)
      low, high = low or 1, high or #a
      if low < high then
        local p, i = a[high], low
        for k = low, high - 1 do
          if a[k] < p then
            a[i], a[k] = a[k], a[i]
            i = i + 1
          end
        end
        a[i], a[high] = a[high], a[i]
        quick(a, low, i - 1)
        quick(a, i + 1, high)
      end
      return a
    end
    local function heap(a)
      local function sift(root, n)
        while 2 * root <= n do
          local child = 2 * root
          if child < n and a[child] < a[child + 1] then child = child + 1 end
          if a[root] >= a[child] then return end
          a[root], a[child], root = a[child], a[root], child
        end
      end
      for i = #a // 2, 1, -1 do sift(i, #a) end
      for i = #a, 2, -1 do
        a[1], a[i] = a[i], a[1]
        sift(1, i - 1)
      end
      return a
    end
    math.randomseed(12)
    local wrong = 0
    for _, n in ipairs {0, 1, 2, 50, 300} do
      local list = {}
      for i = 1, n do list[i] = math.random(100) end
      local right = table.move(list, 1, n, 1, {})
      table.sort(right)
      for _, sort in ipairs {insertion, merge, quick, heap} do
        local got = sort(table.move(list, 1, n, 1, {}))
        for i = 1, n do
          if got[i] ~= right[i] then wrong = wrong + 1 end
        end
      end
      t.feed(table.unpack(right))
    end
    return wrong
  end)
  t("edit distances and common subsequences", 3, 2, 8, "MJAU", function()
    local function distance(a, b)
      local row = {}
      for j = 0, #b do row[j] = j end
      for i = 1, #a do
        local last = i - 1
        row[0] = i
        for j = 1, #b do
          local cost = a:byte(i) == b:byte(j) and last or last + 1
          last = row[j]
          row[j] = math.min(cost, last + 1, row[j - 1] + 1)
        end
      end
      return row[#b]
    end
    local function common(a, b)
      local best = {}
      for i = 0, #a do
        best[i] = {}
        for j = 0, #b do
          if i == 0 or j == 0 then
            best[i][j] = ""
          elseif a:byte(i) == b:byte(j) then
            best[i][j] = best[i - 1][j - 1] .. a:sub(i, i)
          else
            local x, y = best[i - 1][j], best[i][j - 1]
            best[i][j] = #x >= #y and x or y
          end
        end
      end
      return best[#a][#b]
    end
    return distance("kitten", "sitting"), distance("flaw", "lawn"), distance("rosettacode", "raisethysword"),
      common("XMJYAUZ", "MZJAWXU")
  end)
  t("a shortest path", 20, "1>3>6>5", function()
    local graph = {
      {[2] = 7, [3] = 9, [6] = 14}, {[1] = 7, [3] = 10, [4] = 15}, {[1] = 9, [2] = 10, [4] = 11, [6] = 2},
      {[2] = 15, [3] = 11, [5] = 6}, {[4] = 6, [6] = 9}, {[1] = 14, [3] = 2, [5] = 9},
    }
    local far, from, done = {[1] = 0}, {}, {}
    for _ = 1, #graph do
      local at
      for node = 1, #graph do
        if far[node] and not done[node] and (not at or far[node] < far[at]) then at = node end
      end
      done[at] = true
      for to, cost in pairs(graph[at]) do
        if not far[to] or far[at] + cost < far[to] then far[to], from[to] = far[at] + cost, at end
      end
    end
    local path, node = {5}, 5
    while from[node] do
      node = from[node]
      table.insert(path, 1, node)
    end
    return far[5], table.concat(path, ">")
  end)
  t("a sudoku", "534678912672195348198342567859761423426853791713924856961537284287419635345286179", function()
    local puzzle = "530070000600195000098000060800060003400803001700020006060000280000419005000080079"
    local cell, rows, columns, boxes = {}, {}, {}, {}
    for i = 0, 8 do rows[i], columns[i], boxes[i] = 0, 0, 0 end
    local function place(at, bit)
      local r, c = at // 9, at % 9
      local b = r // 3 * 3 + c // 3
      rows[r], columns[c], boxes[b] = rows[r] ~ bit, columns[c] ~ bit, boxes[b] ~ bit
    end
    for i = 0, 80 do
      cell[i] = tonumber(puzzle:sub(i + 1, i + 1))
      if cell[i] > 0 then place(i, 1 << cell[i]) end
    end
    local function solve(at)
      while at < 81 and cell[at] > 0 do at = at + 1 end
      if at == 81 then return true end
      local r, c = at // 9, at % 9
      local used = rows[r] | columns[c] | boxes[r // 3 * 3 + c // 3]
      for digit = 1, 9 do
        if used & 1 << digit == 0 then
          cell[at] = digit
          place(at, 1 << digit)
          if solve(at + 1) then return true end
          place(at, 1 << digit)
          cell[at] = 0
        end
      end
      return false
    end
    solve(0)
    return table.concat(cell, "", 0, 80)
  end)

  -- Languages in the language.
  t("an interpreter of eight instructions", "Hello World!\n", function()
    local program = "++++++++[>++++[>++>+++>+++>+<<<<-]>+>+>->>+[<]<-]>>.>---.+++++++..+++.>>.<-.<.+++.------" ..
      ".--------.>>+.>++."
    local jump, stack = {}, {}
    for i = 1, #program do
      local c = program:sub(i, i)
      if c == "[" then
        stack[#stack + 1] = i
      elseif c == "]" then
        local open = table.remove(stack)
        jump[open], jump[i] = i, open
      end
    end
    local tape, at, pc, out = {}, 0, 1, {}
    while pc <= #program do
      local c = program:sub(pc, pc)
      local v = tape[at] or 0
      if c == ">" then at = at + 1
      elseif c == "<" then at = at - 1
      elseif c == "+" then tape[at] = v + 1 & 0xFF
      elseif c == "-" then tape[at] = v - 1 & 0xFF
      elseif c == "." then out[#out + 1] = string.char(v)
      elseif c == "[" and v == 0 or c == "]" and v ~= 0 then pc = jump[pc]
      end
      pc = pc + 1
    end
    return table.concat(out)
  end)
  t("a compiler to closures", 14, 20, -7, 512, 2, false, "unexpected ) at 4", function()
    local function calculate(text)
      local at, expression = 1, nil
      local function peek()
        at = text:find("%S", at) or #text + 1
        return text:sub(at, at)
      end
      local function fail()
        error(("unexpected %s at %d"):format(peek(), at), 0)
      end
      local function atom()
        local c = peek()
        if c == "(" then
          at = at + 1
          local inner = expression(1)
          if peek() ~= ")" then fail() end
          at = at + 1
          return inner
        elseif c == "-" then
          at = at + 1
          local inner = expression(3)
          return function() return -inner() end
        end
        local digits = text:match("^%d+", at)
        if not digits then fail() end
        at = at + #digits
        local value = math.tointeger(tonumber(digits))
        return function() return value end
      end
      local binary = {
        ["+"] = {1, 2, function(a, b) return a + b end}, ["-"] = {1, 2, function(a, b) return a - b end},
        ["*"] = {2, 3, function(a, b) return a * b end}, ["/"] = {2, 3, function(a, b) return a // b end},
        ["^"] = {4, 4, function(a, b)
          local r = 1
          for _ = 1, b do r = r * a end
          return r
        end},
      }
      function expression(level)
        local left = atom()
        while true do
          local op = binary[peek()]
          if not op or op[1] < level then return left end
          at = at + 1
          local a, b, f = left, expression(op[2]), op[3]
          left = function() return f(a(), b()) end
        end
      end
      local f = expression(1)
      if at <= #text and peek() ~= "" then fail() end
      return f()
    end
    local ok, message = pcall(calculate, "1 +) 2")
    return calculate "2 + 3 * 4", calculate "(2 + 3) * 4", calculate "-(3+4)", calculate "2^3^2", calculate "10/4*1",
      ok, message
  end)
  t("a serializer and back", true, 1e300, function()
    local function write(v, out)
      if type(v) == "table" then
        out[#out + 1] = "{"
        local keys = {}
        for k in pairs(v) do keys[#keys + 1] = k end
        table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
        for _, k in ipairs(keys) do
          out[#out + 1] = "["
          write(k, out)
          out[#out + 1] = "]="
          write(v[k], out)
          out[#out + 1] = ","
        end
        out[#out + 1] = "}"
      else
        out[#out + 1] = ("%q"):format(v)
      end
      return out
    end
    local value = {1, 2.5, "three\n\0", {a = true, b = {false, -0.0, 1e300}}, [-5] = math.mininteger, ["k k"] = {{{}}}}
    local text = table.concat(write(value, {}))
    local back = load("return " .. text, "=c", "t", {})()
    local again = table.concat(write(back, {}))
    t.feed(text)
    return text == again, back[4].b[3]
  end)
  t("huffman", 0, true, function()
    local text, counts, nodes = ("abracadabra alakazam "):rep(5), {}, {}
    for c in text:gmatch(".") do counts[c] = (counts[c] or 0) + 1 end
    for c, n in pairs(counts) do nodes[#nodes + 1] = {n = n, c = c, low = c} end
    while #nodes > 1 do
      table.sort(nodes, function(a, b) return a.n > b.n or a.n == b.n and a.low > b.low end)
      local x, y = table.remove(nodes), table.remove(nodes)
      nodes[#nodes + 1] = {n = x.n + y.n, x, y, low = x.low < y.low and x.low or y.low}
    end
    local codes = {}
    local function walk(node, code)
      if node.c then
        codes[node.c] = code
      else
        walk(node[1], code .. "0")
        walk(node[2], code .. "1")
      end
    end
    walk(nodes[1], "")
    local bits = text:gsub(".", codes)
    local out, at = {}, nodes[1]
    for bit in bits:gmatch(".") do
      at = at[bit == "0" and 1 or 2]
      if at.c then out[#out + 1], at = at.c, nodes[1] end
    end
    t.feed(bits)
    return table.concat(out) == text and 0 or 1, #bits < #text * 4
  end)
  t("lzw", true, true, function()
    local text = ("to be or not to be, "):rep(20)
    local codes, n, w, out = {}, 256, "", {}
    for i = 0, 255 do codes[string.char(i)] = i end
    for c in text:gmatch(".") do
      if codes[w .. c] then
        w = w .. c
      else
        out[#out + 1] = codes[w]
        codes[w .. c], n, w = n, n + 1, c
      end
    end
    out[#out + 1] = codes[w]
    local words, m, back = {}, 256, {}
    for i = 0, 255 do words[i] = string.char(i) end
    local last = words[out[1]]
    back[1] = last
    for i = 2, #out do
      local entry = words[out[i]] or last .. last:sub(1, 1)
      back[i] = entry
      words[m], m, last = last .. entry:sub(1, 1), m + 1, entry
    end
    t.feed(table.unpack(out))
    return table.concat(back) == text, #out < #text // 3
  end)
  t("roman numerals", "MCMXCIV", "MMXXIV", "CDXLIV", 0, function()
    local steps = {
      {1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"}, {50, "L"}, {40, "XL"}, {10, "X"},
      {9, "IX"}, {5, "V"}, {4, "IV"}, {1, "I"},
    }
    local function roman(n)
      local out = ""
      for _, step in ipairs(steps) do
        out = out .. step[2]:rep(n // step[1])
        n = n % step[1]
      end
      return out
    end
    local values = {I = 1, V = 5, X = 10, L = 50, C = 100, D = 500, M = 1000}
    local wrong = 0
    for i = 1, 1500 do
      local sum, last = 0, 0
      for c in roman(i):reverse():gmatch(".") do
        sum, last = values[c] < last and sum - values[c] or sum + values[c], values[c]
      end
      if sum ~= i then wrong = wrong + 1 end
    end
    return roman(1994), roman(2024), roman(444), wrong
  end)
  t("binary trees", 2047, 255, 4095, function()
    local function tree(depth)
      if depth == 0 then return {} end
      return {tree(depth - 1), tree(depth - 1)}
    end
    local function count(node) return node[1] and 1 + count(node[1]) + count(node[2]) or 1 end
    local n = count(tree(10))
    for _ = 1, 8 do tree(8) end
    return n, count(tree(7)), count(tree(11))
  end)
  t("a cache that forgets the least recently used", {4, 3, 1}, 4, function()
    local cache, order, misses = {}, {}, 0
    local function get(k)
      if not cache[k] then
        misses = misses + 1
        cache[k] = k * k
        if #order == 3 then cache[table.remove(order)] = nil end
      else
        for i, v in ipairs(order) do
          if v == k then
            table.remove(order, i)
            break
          end
        end
      end
      table.insert(order, 1, k)
      return cache[k]
    end
    for _, k in ipairs {1, 2, 3, 1, 4, 1, 3, 4} do get(k) end
    return order, misses
  end)
  t("99 bottles", 100, "no more", function()
    local verses = {}
    for i = 99, 0, -1 do
      verses[#verses + 1] = ("%s bottle%s"):format(i == 0 and "no more" or i, i == 1 and "" or "s")
    end
    t.feed(table.concat(verses, "\n"))
    return #verses, verses[100]:match("^(.-) bottles$")
  end)
end
