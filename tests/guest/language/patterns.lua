--- Patterns (manual, 6.4.1): find, match, gmatch, gsub; every class and item, captures of both kinds, anchors, and what
-- is said about malformed ones.
return function(t)
  local err = t.err

  -- find: plain, from a position, with captures.
  t("('hello world'):find('wor'), ('hello'):find('l'), ('hello'):find('xyz')", 7, 3, nil)
  t("('hello'):find('l')", 3, 3)
  t("('hello'):find('l', 4)", 4, 4)
  t("('hello'):find('l', -1)", nil)
  t("('hello'):find('o', -1)", 5, 5)
  t("('hello'):find('')", 1, 0)
  t("('hello'):find('', 6)", 6, 5)
  t("('hello'):find('', 7)", nil)
  t("('hello'):find('', 100)", nil)
  t("('hello'):find('', -100)", 1, 0)
  t("(''):find('')", 1, 0)
  t("(''):find('', 2)", nil)
  t("('a.b'):find('.', 1, true)", 2, 2)
  t("('a.b'):find('%.')", 2, 2)
  t("('a+b'):find('+', 1, true)", 2, 2)
  t("('a[b'):find('[', 1, true)", 2, 2)
  t("('a.b'):find('.', 1, false)", 1, 1)
  t("('aXb'):find('(X)')", 2, 2, "X")
  t("('key = value'):find('(%w+)%s*=%s*(%w+)')", 1, 11, "key", "value")
  t("('abc'):find('()b()')", 2, 2, 2, 3)
  t("('a\\0b\\0c'):find('\\0c')", 4, 5)
  t("('a\\0b'):find('%z')", 2, 2)
  t("('a\\0b'):find('b', 1, true)", 3, 3)
  t("('aaab'):find('aab', 1, true)", 2, 4)
  t("('ababac'):find('abac', 1, true)", 3, 6)
  t("('abc'):find('abcd', 1, true)", nil)
  -- A pattern is searched for as plain text only if it has none of ^$*+?.([%- in it, before or behind a zero byte.
  t("each special makes a pattern", {1, 1, 1, 1, 3, 2, 1, 1, 1, 1}, function()
    local list = {}
    for i, row in ipairs {{"b", "^b"}, {"b", "b$"}, {"b", "bc*"}, {"b", "b+"}, {"aab", "a-b"}, {"bc", "bx?c"},
      {"b", "."}, {"b", "(b)"}, {"b", "[b]"}, {"b", "%a"}} do
      list[i] = select(2, row[1]:find(row[2]))
    end
    return list
  end)
  t("and behind a zero byte", {4, 4, 4, 4, 4, 4, 4, 4, 4}, function()
    local list = {}
    for i, pattern in ipairs {"\0bb$", "\0b*", "\0b+", "\0b-$", "\0bb?", "\0b.", "\0b(b)", "\0b[b]", "\0b%a"} do
      list[i] = select(2, ("a\0bb"):find(pattern))
    end
    return list
  end)
  t("string.find(12345, 34)", 3, 4)
  t("('abc'):find('b', nil)", 2, 2)
  t("('abc'):find('b', 'x')", err "bad argument #2 to 'find' (number expected, got string)")
  t("string.find()", err "bad argument #1 to 'find' (string expected, got no value)")
  t("string.find('a')", err "bad argument #2 to 'find' (string expected, got no value)")
  t("('a'):find({})", err "bad argument #1 to 'find' (string expected, got table)")

  -- match.
  t("('hello'):match('l+'), ('hello'):match('x'), ('hello'):match('h(.)l')", "ll", nil, "e")
  t("('hello'):match('(h)(e)(l)')", "h", "e", "l")
  t("('hello'):match('()ll()')", 3, 5)
  t("('hello'):match('.-(l+)(.*)')", "ll", "o")
  t("('hello'):match('^h'), ('hello'):match('^e'), ('hello'):match('o$'), ('hello'):match('l$')", "h", nil, "o", nil)
  t("('hello'):match('^hello$'), ('hello'):match('^$'), (''):match('^$')", "hello", nil, "")
  t("('hello'):match('^l', 3), ('hello'):match('^l', 2)", "l", nil)
  t("('2024-02-29'):match('(%d+)-(%d+)-(%d+)')", "2024", "02", "29")
  t("('  trim me '):match('^%s*(.-)%s*$')", "trim me")
  t("('a$b'):match('a$b'), ('a^b'):match('a^b')", "a$b", "a^b")
  t("('abc'):match('((a)(b))')", "ab", "a", "b")
  t("('abc'):match('(a(b(c)))')", "abc", "bc", "c")
  t("('abc'):match('')", "")
  t("('abc'):match('()')", 1)
  t("('abc'):match('.', 3), ('abc'):match('.', 4)", "c", nil)
  t("('hello'):match('.', -2)", "l")


  -- Every class: the C locale's members among the 256 bytes, and its complement.
  local function members(class)
    local set, first, last = {}, nil, nil
    for i = 0, 256 do
      local inside = i < 256 and string.char(i):match("^" .. class .. "$") ~= nil
      if inside then
        first, last = first or i, i
      elseif first then
        set[#set + 1] = first == last and tostring(first) or first .. "-" .. last
        first = nil
      end
    end
    return table.concat(set, " ")
  end
  local classes = {
    a = "65-90 97-122", c = "0-31 127", d = "48-57", g = "33-126", l = "97-122", p = "33-47 58-64 91-96 123-126",
    s = "9-13 32", u = "65-90", w = "48-57 65-90 97-122", x = "48-57 65-70 97-102",
  }

  for _, name in ipairs {"a", "c", "d", "g", "l", "p", "s", "u", "w", "x"} do
    local want = classes[name]
    t("class %" .. name, want, want, function() return members("%" .. name), members("[%" .. name .. "]") end)
    t("class %" .. name:upper(), true, true, function()
      local both, either = 0, 0
      for i = 0, 255 do
        local s = string.char(i)
        local inside, outside = s:find("%" .. name) ~= nil, s:find("%" .. name:upper()) ~= nil
        if inside and outside then both = both + 1 end
        if inside or outside then either = either + 1 end
      end
      return both == 0 and either == 256, members("[^%" .. name .. "]") == members("%" .. name:upper())
    end)
  end
  t("class .", "0-255", function() return members(".") end)
  t("class [a-c]", "97-99", function() return members("[a-c]") end)
  t("class [a-cx-z0]", "48 97-99 120-122", function() return members("[a-cx-z0]") end)
  t("class [^a-z]", "0-96 123-255", function() return members("[^a-z]") end)
  t("class []]", "93", function() return members("[]]") end)
  t("class [^]]", "0-92 94-255", function() return members("[^]]") end)
  t("class [a-]", "45 97", function() return members("[a-]") end)
  t("class [-a]", "45 97", function() return members("[-a]") end)
  t("class [a^]", "94 97", function() return members("[a^]") end)
  t("class [%]]", "93", function() return members("[%]]") end)
  t("class [%a%d]", "48-57 65-90 97-122", function() return members("[%a%d]") end)
  t("class [%a_]", "65-90 95 97-122", function() return members("[%a_]") end)
  t("class [%-x]", "45 120", function() return members("[%-x]") end)
  t("class [z-a]", "", function() return members("[z-a]") end)
  t("class [\\0-\\31]", "0-31", function() return members("[\0-\31]") end)
  t("class [\\128-\\255]", "128-255", function() return members("[\128-\255]") end)
  t("class [.]", "46", function() return members("[.]") end)
  t("class [%W]", "0-47 58-64 91-96 123-255", function() return members("[%W]") end)
  t("class [+-/]", "43-47", function() return members("[+-/]") end)
  t("class %%", "37", function() return members("%%") end)
  t("all punctuation can be escaped", {}, function()
    local wrong = {}
    for i = 33, 126 do
      local s = string.char(i)
      if s:match("%p") and s:match("^%" .. s .. "$") ~= s then wrong[#wrong + 1] = s end
    end
    return wrong
  end)

  -- Repetitions: greedy with backtracking, lazy, optional.
  t("('aaa'):match('a*'), ('aaa'):match('a+'), ('aaa'):match('a-'), ('aaa'):match('a?')", "aaa", "aaa", "", "a")
  t("('aaab'):match('a-b'), ('aaab'):match('^a-$'), ('xaaab'):match('a-b')", "aaab", nil, "aaab")
  t("('aXbXc'):match('(.*)X(.*)')", "aXb", "c")
  t("('aXbXc'):match('(.-)X(.*)')", "a", "bXc")
  t("('color colour'):gsub('colou?r', 'x')", "x x", 2)
  t("('aaa'):match('^(a?)(a?)(a?)(a?)$')", "a", "a", "a", "")
  t("('<<a>>'):match('<(.+)>'), ('<a><b>'):match('<(.-)>')", "<a>", "a")
  t("('a*b'):match('a%*b'), ('*'):match('*'), ('+'):match('+')", "a*b", "*", "+")
  t("('ab12'):match('%a*%d*$'), ('ab12'):match('%a-%d+')", "ab12", "ab12")
  t("('-12'):match('^[+-]?%d+$'), ('12'):match('^[+-]?%d+$'), ('x12'):match('^[+-]?%d+$')", "-12", "12", nil)

  -- %b, %f, back references.
  t("('f(a(b)c)d'):match('%b()'), ('(()'):match('%b()'), ('x'):match('%b()')", "(a(b)c)", "()", nil)
  t("('[[x]]'):match('%b[]'), ('aXbXc'):match('%bXX'), ('begin'):match('%bbn')", "[[x]]", "XbX", "begin")
  t("('THE (quick) fox'):find('%((%a+)%)')", 5, 11, "quick")
  t("('THE (quick) fox'):gsub('%f[%a]%a+', '.')", ". (.) .", 3)
  t("('hello'):find('%f[%a]')", 1, 0)
  t("('hello'):find('%f[%z]')", 6, 5)
  t("('a b'):gsub('%f[%w]', '<')", "<a <b", 2)
  t("('a b'):gsub('%f[%W]', '>')", "a> b>", 2)
  t("('foo.bar'):match('%f[%w]bar%f[%W]')", "bar")
  t("('aa'):find('%f[a]a%f[^a]')", nil)
  t("('aa'):find('%f[a]aa%f[^a]')", 1, 2)
  t("('\"x\" \\'y\\''):match([[(['\"])(.-)%1]])", '"', "x")
  t("('abab abac'):match('(%a%a)%1'), ('abcabd'):match('(%a+)%1')", "ab", nil)
  t("('xyxy'):match('(x)(y)%1%2')", "x", "y")
  t("('aa'):match('(a)%1$'), ('ab'):match('(a)%1')", "a", nil)
  t("('==[[x]]=='):match('(=*)%[%[(.-)%]%]%1')", "==", "x")
  t("('aba'):match('(a)(b)%1')", "a", "b")

  -- gmatch.
  local function all(s, pattern, init)
    local list = {}
    for a, b in s:gmatch(pattern, init) do list[#list + 1] = b == nil and a or {a, b} end
    return list
  end
  t("gmatch %a+", {"one", "two", "three"}, function() return all("one two  three", "%a+") end)
  t("gmatch pairs", {{"a", "1"}, {"b", "2"}}, function() return all("a=1, b=2", "(%w+)=(%w+)") end)
  t("gmatch positions", {1, 2, 3, 4}, function() return all("abc", "()") end)
  t("gmatch empty", {"", "", "", ""}, function() return all("abc", "") end)
  t("gmatch a*", {"", "aa", "a"}, function() return all("xaaya", "a*") end)
  t("gmatch .-", {"", "", ""}, function() return all("ab", ".-") end)
  t("gmatch on nothing", {""}, function() return all("", ".*") end)
  t("gmatch .*", {"abc"}, function() return all("abc", ".*") end)
  t("gmatch, no match", {}, function() return all("abc", "%d") end)
  t("gmatch: ^ is no anchor there", {}, function() return all("abc", "^a") end)
  t("gmatch: ^ matches itself", {"^a"}, function() return all("b^a", "^a") end)
  t("gmatch: $ is one", {"c"}, function() return all("abc", ".$") end)
  t("gmatch from 3", {"c", "d"}, function() return all("abcd", ".", 3) end)
  t("gmatch from -1", {"d"}, function() return all("abcd", ".", -1) end)
  t("gmatch from beyond", {}, function() return all("abcd", ".", 10) end)
  t("gmatch from the end", {""}, function() return all("abcd", "", 5) end)
  t("gmatch %f", {"THE", "quick"}, function() return all("THE (quick)", "%f[%a]%a+") end)
  t("gmatch nested", {"1a", "1b", "2a", "2b"}, function()
    local list = {}
    for x in ("12"):gmatch(".") do
      for y in ("ab"):gmatch(".") do list[#list + 1] = x .. y end
    end
    return list
  end)
  t("local f = ('a'):gmatch('.') return f(), (f()), (f())", "a", nil, nil)
  t("('a'):gmatch()", err "bad argument #1 to 'gmatch' (string expected, got no value)")
  t("('a'):gmatch('(')()", err "unfinished capture")
  t("string.gmatch(123, 2)()", "2")

  -- gsub: strings with %0 to %9, tables, functions; the count; a limit.
  t("('hello'):gsub('l', 'L')", "heLLo", 2)
  t("('hello'):gsub('l', 'L', 1)", "heLlo", 1)
  t("('hello'):gsub('l', 'L', 0)", "hello", 0)
  t("('hello'):gsub('l', 'L', -1)", "hello", 0)
  t("('hello'):gsub('l', 'L', 100)", "heLLo", 2)
  t("('hello'):gsub('x', 'L')", "hello", 0)
  t("('hello'):gsub('', '-')", "-h-e-l-l-o-", 6)
  t("(''):gsub('', '-')", "-", 1)
  t("('hello'):gsub('', '')", "hello", 6)
  t("('abc'):gsub('%w', '%0%0')", "aabbcc", 3)
  t("('abc'):gsub('%w', '%%')", "%%%", 3)
  t("('hello world'):gsub('(%w+) (%w+)', '%2 %1')", "world hello", 1)
  t("('abc'):gsub('.', '[%1]')", "[a][b][c]", 3)
  t("('abc'):gsub('()', '%1')", "1a2b3c4", 4)
  t("('abcdefghi'):gsub('(.)(.)(.)(.)(.)(.)(.)(.)(.)', '%9%8%7%6%5%4%3%2%1')", "ihgfedcba", 1)
  t("('a b'):gsub('%s', '%%20')", "a%20b", 1)
  t("('$name is $age'):gsub('%$(%w+)', {name = 'Ann', age = 7})", "Ann is 7", 2)
  t("('$a $b'):gsub('%$(%w+)', {a = 1.5})", "1.5 $b", 2)
  t("('abc'):gsub('.', {a = false, b = 'B'})", "aBc", 3)
  t("('abc'):gsub('(.)(.)', {a = 'X'})", "Xc", 1)
  t("('abc'):gsub('.', setmetatable({}, {__index = function(_, k) return k:upper() end}))", "ABC", 3)
  t("('abc'):gsub('.', string.upper)", "ABC", 3)
  t("('abc'):gsub('(.)(.)', function(a, b) return b .. a end)", "bac", 1)
  t("('abc'):gsub('.', function() end)", "abc", 3)
  t("('abc'):gsub('.', function() return false end)", "abc", 3)
  t("('abc'):gsub('.', function(c) return c == 'b' and 42 or nil end)", "a42c", 3)
  t("('abc'):gsub('()', function(p) return p end)", "1a2b3c4", 4)
  t("('abc'):gsub('^a', 'x')", "xbc", 1)
  t("('aaa'):gsub('^a', 'x')", "xaa", 1)
  t("('aaa'):gsub('a$', 'x')", "aax", 1)
  t("('abc'):gsub('^', 'x')", "xabc", 1)
  t("('abc'):gsub('$', 'x')", "abcx", 1)
  t("('abc'):gsub('b*', 'x')", "xaxcx", 3)
  t("('hello world'):gsub('o', '0', 1)", "hell0 world", 1)
  t("('a\\0b'):gsub('%z', 'Z')", "aZb", 1)
  t("('a\\0b'):gsub('\\0', '%0%0')", "a\0\0b", 1)
  t("a thousand replaced", 2000, 1000, function()
    local s, n = ("x"):rep(1000):gsub("x", "yy")
    return #s, n
  end)
  t("string.gsub(1112, 1, 2)", "2222", 3)
  t("('abc'):gsub('.', 5)", "555", 3)
  t("select('#', ('abc'):gsub('b', 'x'))", 2)
  t("('abc'):gsub('b', '%2')", err "invalid capture index %2")
  t("('abc'):gsub('(b)', '%2')", err "invalid capture index %2")
  t("('abc'):gsub('b', '%1')", "abc", 1)
  t("('abc'):gsub('b', '%x')", err "invalid use of '%' in replacement string")
  t("('abc'):gsub('b', '%')", err "invalid use of '%' in replacement string")
  t("('abc'):gsub('b', function() return {} end)", err "invalid replacement value (a table)")
  t("('abc'):gsub('b', {b = print})", err "invalid replacement value (a function)")
  t("('abc'):gsub('b', function() return true end)", err "invalid replacement value (a boolean)")
  t("('abc'):gsub('b')", err "bad argument #2 to 'gsub' (string/function/table expected, got no value)")
  t("('abc'):gsub('b', nil)", err "bad argument #2 to 'gsub' (string/function/table expected, got nil)")
  t("('abc'):gsub('b', true)", err "bad argument #2 to 'gsub' (string/function/table expected, got boolean)")
  t("('abc'):gsub('b', 'x', 'y')", err "bad argument #3 to 'gsub' (number expected, got string)")
  t("('abc'):gsub('b', function() error('inside', 0) end)", err "inside")
  t("('abc'):gsub('b', function() error({1}) end)", err {1})
  t("gsub in gsub", "[<1>][<2>]", 2, function()
    return ("12"):gsub("%d", function(d) return (("[" .. d .. "]"):gsub("%d", "<%0>")) end)
  end)

  -- Malformed patterns.
  t("('a'):find('[a')", err "malformed pattern (missing ']')")
  t("('a'):find('[]')", err "malformed pattern (missing ']')")
  t("('a'):find('[^]')", err "malformed pattern (missing ']')")
  t("('a'):find('[a%')", err "malformed pattern (missing ']')")
  t("('a'):find('[a%]')", err "malformed pattern (missing ']')")
  t("('a'):find('%')", err "malformed pattern (ends with '%')")
  t("('a'):find('a%')", err "malformed pattern (ends with '%')")
  t("('a'):find('(a')", err "unfinished capture")
  t("('a'):find('(')", err "unfinished capture")
  t("('a'):match('a)')", err "invalid pattern capture")
  t("('a'):gsub(')', '')", err "invalid pattern capture")
  -- A deviation of find: a pattern in which only a `)` is special is searched for as plain text.
  t("('a)'):find('a)')", 1, 2)
  t("('a'):find('%b')", err "malformed pattern (missing arguments to '%b')")
  t("('a'):find('%bx')", err "malformed pattern (missing arguments to '%b')")
  t("('a'):find('%f')", err "missing '[' after '%f' in pattern")
  t("('a'):find('%fa')", err "missing '[' after '%f' in pattern")
  t("('a'):find('%1')", err "invalid capture index %1")
  t("('aa'):find('(a%1)')", err "invalid capture index %1")
  t("('aa'):find('(a)%2')", err "invalid capture index %2")
  t("('a'):find('%0')", err "invalid capture index %0")
  t("32 captures", 32, function() return select("#", ("x"):rep(32):match(("(x)"):rep(32))) end)
  t("33 captures", err "too many captures", function() return ("x"):rep(33):match(("(x)"):rep(33)) end)
  t("a deep pattern", err "pattern too complex", function() return ("x"):rep(1000):match(("x?"):rep(1000)) end)
  t("a long greedy run is no recursion", 100000, function() return #("x"):rep(100000):match(".*") end)
  t("a long lazy run is no recursion", 100001, function() return #(("x"):rep(100000) .. "y"):match(".-y") end)
  t("optional backtracking", true, function() return ("a"):rep(20):match(("a?"):rep(20) .. ("a"):rep(20)) ~= nil end)

  -- Uses.
  t("splitting", {"a", "b", "", "c"}, function()
    local list = {}
    for field in ("a,b,,c"):gmatch("([^,]*)") do list[#list + 1] = field end
    return list
  end)
  t("escaping every byte", "%00%41%7f%ff", 4, function()
    return ("\0A\127\255"):gsub(".", function(c) return ("%%%02x"):format(c:byte()) end)
  end)
  t("unescaping", "a b/c", 2, function()
    return ("a%20b%2Fc"):gsub("%%(%x%x)", function(h) return string.char(tonumber(h, 16)) end)
  end)
  t("csv with quotes", {"a", 'b "q"', "c,d", ""}, function()
    local line, fields = 'a,"b ""q""","c,d",', {}
    local rest = line .. ","
    while rest ~= "" do
      local quoted, after = rest:match('^"(.-)",()')
      while quoted and select(2, quoted:gsub('"', "")) % 2 == 1 do
        local more, beyond = rest:match('^(.-)",()', after)
        quoted, after = quoted .. '",' .. more, beyond
      end
      local plain, next_plain = rest:match("^([^,]*),()")
      fields[#fields + 1] = quoted and quoted:gsub('""', '"') or plain
      rest = rest:sub(quoted and after or next_plain)
    end
    return fields
  end)
  t("counting words", 9, 6, function()
    local text, counts, total, different = "the cat the dog a the bird a frog", {}, 0, 0
    for word in text:gmatch("%a+") do
      if not counts[word] then different = different + 1 end
      counts[word], total = (counts[word] or 0) + 1, total + 1
    end
    return total, different
  end)
end
