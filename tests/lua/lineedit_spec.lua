-- The line editor against a scripted tty and a tiny terminal that knows only the escapes it should be sent.
local lineedit = require("xenkit.lineedit")

local ESC, UP, DOWN, RIGHT, LEFT = "\27", "\27[A", "\27[B", "\27[C", "\27[D"

-- A terminal: rows of cells. Raises on any escape that the editor has no business to send.
local Term = {}
Term.__index = Term

local function new_term(width)
  return setmetatable({width = width, rows = {{}}, row = 1, col = 0, pending = "", bells = 0, paste = false}, Term)
end

function Term:put(text)
  local columns = lineedit.width(text)
  if columns == 0 then
    self.rows[self.row][self.col] = (self.rows[self.row][self.col] or "") .. text
    return
  end
  assert(self.col + columns <= self.width, "the line reached the edge")
  self.rows[self.row][self.col + 1] = text
  if columns == 2 then self.rows[self.row][self.col + 2] = "" end
  self.col = self.col + columns
end

function Term:escape(params, final)
  local n = tonumber(params)
  if final == "K" and params == "" then
    for i = #self.rows[self.row], self.col + 1, -1 do self.rows[self.row][i] = nil end
  elseif final == "C" and n then self.col = math.min(self.width - 1, self.col + n)
  elseif final == "H" and params == "" then self.row, self.col = 1, 0
  elseif final == "J" and n == 2 then self.rows = {{}}
  elseif params == "?2004" then self.paste = final == "h"
  elseif final ~= "m" then error("unexpected escape " .. params .. final) end
end

function Term:write(s)
  assert(utf8.len(s), "invalid UTF-8 written")
  local at = 1
  while at <= #s do
    local params, final, stop = s:match("^\27%[([%d;?]*)(%a)()", at)
    if params then
      self:escape(params, final)
      at = stop
    else
      local text = s:match("^" .. utf8.charpattern, at)
      if text == "\r" then self.col = 0
      elseif text == "\n" then self.row = self.row + 1 self.rows[self.row] = self.rows[self.row] or {}
      elseif text == "\a" then self.bells = self.bells + 1
      else
        assert(text:byte() >= 0x20 and text ~= "\127" and not text:find("^\u{9B}"), "control byte written")
        self:put(text)
      end
      at = at + #text
    end
  end
end

function Term:text(row)
  local cells = {}
  for i = 1, self.width do cells[i] = self.rows[row or self.row][i] or " " end
  return (table.concat(cells):gsub(" +$", ""))
end

-- A tty that feeds the chunks, then ends. `looks` gets the visible row and cursor whenever the editor waits.
local function new_tty(chunks, width)
  local tty = {term = new_term(width or 80), looks = {}, next = 1, sent = {}}
  function tty:read(n)
    self.looks[#self.looks + 1] = self.term:text() .. "|" .. self.term.col
    local chunk = chunks[self.next]
    self.next = self.next + 1
    if type(chunk) == "function" then
      chunk(self)
      return self:read(n)
    end
    if not chunk then return nil, "gone", "XK_EGONE" end
    assert(#chunk <= n)
    return chunk
  end
  function tty:write(s)
    self.sent[#self.sent + 1] = s
    self.term:write(s)
  end
  return tty
end

local function chunked(input, size)
  local chunks = {}
  for i = 1, #input, size do chunks[#chunks + 1] = input:sub(i, i + size - 1) end
  return chunks
end

local function run(chunks, opts)
  local tty = new_tty(chunks, opts and opts.width)
  local editor = lineedit.new(tty, opts)
  local line, message, code = editor:read("> ")
  return line, message, code, tty, editor
end

-- The line that input gives: whole, byte by byte, and cut once at every place.
local function line_of(input, make_opts)
  local function once(chunks)
    local line, message = run(chunks, make_opts and make_opts())
    return line or message
  end
  local whole = once(chunked(input, 256))
  assert.equal(whole, once(chunked(input, 1)))
  if #input <= 256 then
    for cut = 1, #input - 1 do
      assert.equal(whole, once {input:sub(1, cut), input:sub(cut + 1)}, "cut at " .. cut)
    end
  end
  return whole
end

describe("lineedit keys", function()
  local cases = {
    {"plain", "abc\r", "abc"},
    {"newline as enter", "abc\n", "abc"},
    {"left, insert", "ac" .. LEFT .. "b\r", "abc"},
    {"application arrows", "ac\27ODb\27OCd\r", "abcd"},
    {"ctrl-b ctrl-f", "ac\2b\6d\r", "abcd"},
    {"home and end, ctrl", "b\1a\5c\r", "abc"},
    {"home and end, xterm", "b\27[Ha\27[Fc\r", "abc"},
    {"home and end, vt", "b\27[1~a\27[4~c\r", "abc"},
    {"home and end, rxvt", "b\27[7~a\27[8~c\r", "abc"},
    {"home and end, ss3", "b\27OHa\27OFc\r", "abc"},
    {"kill to end, yank", "abcd\2\2\11\1\25\r", "cdab"},
    {"kill to start", "abcd\2\21X\r", "Xd"},
    {"kill word, two add up", "one two  three\23\23\25\25\r", "one two  threetwo  three"},
    {"kills apart do not", "a b\23x\11\25\r", "a xb"},
    {"kills forward add up", "one two\1\27d\27d\25\25\r", "one twoone two"},
    {"alt-b alt-f", "foo.bar baz\27b\27bX\27fY\r", "foo.XbarY baz"},
    {"ctrl-arrows", "foo bar\27[1;5DX\27[1;5CY\r", "foo XbarY"},
    {"alt-d", "foo bar\1\27dx\r", "x bar"},
    {"alt-backspace", "foo bar\27\127\27\127x\r", "x"},
    {"backspace", "abx\127\8c\r", "ac"},
    {"backspace at start", "a\1\127b\r", "ba"},
    {"delete", "abc\1\27[3~\r", "bc"},
    {"ctrl-d deletes", "abc\1\4\r", "bc"},
    {"ctrl-d at end of text", "abc\4\r", "abc"},
    {"transpose at end", "acb\20\r", "abc"},
    {"transpose inside", "bac\1\6\20\r", "abc"},
    {"transpose at start", "ab\1\20\r", "ab"},
    {"clear keeps the line", "ab\12c\r", "abc"},
    {"UTF-8 moves by characters", "aé😀b" .. LEFT .. LEFT .. LEFT .. "X\r", "aXé😀b"},
    {"UTF-8 backspace", "é😀\127\r", "é"},
    {"UTF-8 transpose", "é😀\20\r", "😀é"},
    {"combining goes with its base", "ae\u{301}" .. LEFT .. "x\r", "axe\u{301}"},
    {"combining is deleted with its base", "ae\u{301}\127\r", "a"},
    {"words in UTF-8", "für über\27bX\r", "für Xüber"},
    {"bad UTF-8", "a\xFFb\xC3c\xE2\x82d\r", "a\u{FFFD}b\u{FFFD}c\u{FFFD}d"},
    {"overlong and surrogate", "\xC0\x80\xED\xA0\x80\r", "\u{FFFD}\u{FFFD}\u{FFFD}"},
    {"unknown CSI", "a\27[99;99Zb\27[?1;2cc\27[<0;1;1Md\r", "abcd"},
    {"function keys", "a\27[15~b\27OPc\27[[Ad\r", "abcd"},
    {"OSC, BEL and ST", "a\27]0;title\7b\27]11;rgb:0/0/0\27\\c\r", "abc"},
    {"DCS, APC", "a\27P1$r\27\\b\27_x\27\\c\r", "abc"},
    {"OSC left open ends at enter", "a\27]0;title\rb", "a"},
    {"OSC cut by a sequence", "ab\27]0;x" .. LEFT .. "c\r", "acb"},
    {"escape before enter", "a\27\r", "a"},
    {"escape escape arrow", "ab\27\27\27[Dc\r", "acb"},
    {"CSI cut by control", "ab\27[1;\1c\r", "cab"},
    {"CSI cut by escape", "ab\27[1;\27[Dc\r", "acb"},
    {"long CSI", "a\27[" .. ("1;"):rep(60) .. "Db\r", "ba"},
    {"control bytes ignored", "a\0\15\17\19\24\26\28b\r", "ab"},
    {"alt with a letter nobody knows", "a\27zb\r", "ab"},
    {"paste", "a\27[200~x\ty\27[201~b\r", "ax\tyb"},
    {"paste keeps newlines, does not act", "\27[200~a\r\nb\rc\nd\3\4\27[D\27[201~\r", "a\nb\nc\nd[D"},
    {"paste with half an end mark", "\27[200~a\27[20\27[201~\r", "a[20"},
    {"empty paste", "a\27[200~\27[201~b\r", "ab"},
    {"paste of bad UTF-8", "\27[200~\xFF\27[201~\r", "\u{FFFD}"},
    {"ctrl-c", "abc\3", "line cancelled"},
    {"ctrl-d at empty", "\4", "end of input"},
    {"ctrl-d when emptied", "a\127\4", "end of input"},
    {"end of the stream", "abc", "gone"},
    {"end inside an escape", "abc\27[", "gone"},
    {"end inside a paste", "\27[200~abc", "gone"},
    {"tab without completion", "a\tb\r", "ab"},
  }
  for _, case in ipairs(cases) do
    it(case[1], function() assert.equal(case[3], line_of(case[2])) end)
  end
end)

describe("lineedit endings", function()
  local function codes(input)
    local line, message, code = run(chunked(input, 256))
    return tostring(line) .. " " .. tostring(message) .. " " .. tostring(code)
  end
  it("have codes", function()
    assert.equal("nil line cancelled XK_ECANCELED", codes("a\3"))
    assert.equal("nil end of input XK_ECLOSED", codes("\4"))
    assert.equal("nil gone XK_EGONE", codes("a"))
    assert.equal("a nil nil", codes("a\r"))
  end)

  it("keep what was typed ahead, CR LF is one end", function()
    local tty = new_tty {"one\r", "\ntwo\r\nthree\n\nfi", "ve\r"}
    local editor = lineedit.new(tty)
    local lines = {}
    for i = 1, 5 do lines[i] = editor:read("> ") end
    assert.same({"one", "two", "three", "", "five"}, lines)
  end)

  it("show the prompt although only the LF of the last line waited", function()
    local tty = new_tty {"one\r\n", "x"}
    local editor = lineedit.new(tty)
    editor:read("> ")
    editor:read("$ ")
    assert.equal("$|2", tty.looks[2])
  end)

  it("switch marked paste off", function()
    for _, input in ipairs {"a\r", "a\3", "\4"} do
      local _, _, _, tty = run {input}
      assert.is_false(tty.term.paste)
      assert.truthy(table.concat(tty.sent):find("\27[?2004h", 1, true))
    end
    local _, _, _, tty = run({"a\r"}, {paste = false})
    assert.falsy(table.concat(tty.sent):find("2004", 1, true))
  end)
end)

describe("lineedit screen", function()
  -- What shows, with the cursor's column, each time the editor waits for the next chunk.
  local function looks(chunks, opts)
    local _, _, _, tty = run(chunks, opts)
    return tty.looks, tty
  end

  it("shows line and cursor", function()
    assert.same({">|2", "> a|3", "> ab|4", "> ab|3", "> aéb|4", "> éb|2"},
      {table.unpack(looks {"a", "b", LEFT, "é", "\1\4"}, 1, 6)})
  end)

  it("counts wide and combining characters", function()
    assert.same({">|2", "> 日本|6", "> 日本|4", "> 日e\u{301}本|5"}, looks {"日本", LEFT, "e\u{301}"})
  end)

  it("shows control bytes and treacherous characters harmlessly", function()
    assert.equal("> a^Jb^I\u{FFFD}\u{FFFD}|10", looks({"\27[200~a\nb\t\u{9B}\u{202E}\27[201~"})[2])
  end)

  it("scrolls sideways", function()
    local seen = looks({"0123456789", "abcdefghij", "k", "\1", "\6\6\6", "\5", LEFT:rep(5)}, {width = 20})
    assert.equal("> 0123456789|12", seen[2])
    for _, look in ipairs(seen) do
      local text, column = look:match("^(.*)|(%d+)$")
      assert.truthy(#text < 20 and tonumber(column) < 20, look)
    end
    assert.truthy(seen[4]:find("ijk|", 1, true), seen[4])
    assert.truthy(seen[5]:find("> 0123", 1, true) and seen[5]:find("|2", 1, true), seen[5])
    assert.truthy(seen[6]:find("|5", 1, true))
    assert.truthy(seen[7]:find("ijk|", 1, true))
  end)

  it("cuts a long prompt, counts none for colours", function()
    local tty = new_tty({"x"}, 20)
    lineedit.new(tty, {width = 20}):read("a very long prompt indeed> ")
    assert.equal("t indeed> x|11", tty.looks[2])
    tty = new_tty({"x"}, 40)
    lineedit.new(tty, {width = 40}):read("\27[1m\27[32m> \27[0m")
    assert.equal("> x|3", tty.looks[2])
  end)

  it("takes a new width", function()
    local tty = new_tty({"0123456789abcdef"}, 40)
    local editor = lineedit.new(tty, {width = 12})
    editor:set_width(40)
    editor:read("> ")
    assert.equal("> 0123456789abcdef|18", tty.looks[2])
    editor:set_width(-5)
    assert.error_matches(function() editor:set_width("x") end, "integer")
  end)

  it("draws once for a burst", function()
    local _, tty = looks {("x"):rep(200) .. LEFT:rep(10)}
    assert.truthy(#table.concat(tty.sent) < 400)
  end)

  it("stays right over random keys, at every width", function()
    math.randomseed(11, 12)
    local keys = {
      "a", "b", " ", "é", "日", "e\u{301}", LEFT, RIGHT, UP, DOWN, "\1", "\5", "\11", "\21", "\23", "\25", "\20", "\127",
      "\4", "\27b", "\27f", "\27d", "\27[3~", "hello world", "\12", "\27[200~x\ny\27[201~", "\18", "\7", "\t",
      "\27[31~",
    }
    for round = 1, 150 do
      local width = math.random(8, 40)
      local chunks = {}
      for i = 1, 80 do chunks[i] = keys[math.random(#keys)] end
      table.insert(chunks, 1, "z")
      local tty = new_tty(chunks, width)
      local editor = lineedit.new(tty, {
        width = width,
        history = {"old line", "older日本 line that is quite long indeed"},
        complete = function(_, pos) return pos + 1, {"xa", "xb"} end,
      })
      local line = editor:read("$ ")
      assert.is_nil(line)
      assert.truthy(utf8.len(editor.line), "round " .. round)
      assert.truthy(editor.cursor == #editor.line + 1 or utf8.codepoint(editor.line, editor.cursor))
    end
  end)

  it("survives random bytes", function()
    math.randomseed(13, 14)
    for _ = 1, 300 do
      local bytes = {}
      for i = 1, 200 do
        local kind = math.random(4)
        bytes[i] = kind == 1 and "\27" or kind == 2 and ("[O]P~;0123456789ABCDMHR"):sub(math.random(23)):sub(1, 1)
          or string.char(math.random(0, 255))
      end
      local tty = new_tty(chunked(table.concat(bytes), math.random(1, 40)), 30)
      local editor = lineedit.new(tty, {width = 30, history = {"one", "two"}})
      repeat
        local line, _, code = editor:read("> ")
        if line then
          assert.truthy(utf8.len(line))
          assert.falsy(line:find("[\0\27]"))
          editor:add_history(line)
        end
      until code == "XK_EGONE"
    end
  end)
end)

describe("lineedit history", function()
  local function with(entries)
    return function() return {history = {table.unpack(entries)}} end
  end
  local cases = {
    {"up", UP .. "\r", "three"},
    {"up up", UP .. UP .. "\r", "two"},
    {"ctrl-p ctrl-n", "\16\16\14\r", "three"},
    {"beyond the oldest", UP:rep(9) .. "\r", "one"},
    {"back to what was typed", "dra" .. UP .. UP .. DOWN .. DOWN .. "ft\r", "draft"},
    {"edits a copy", UP .. "X\r", "threeX"},
    {"search", "\18wo\r", "two"},
    {"search again", "\18o\18\r", "one"},
    {"search, shorter", "\18onx\127\127\r", "two"},
    {"search, not found, goes on with what there was", "\18twx\r", "two"},
    {"search aborted", "abc\18tw\7\r", "abc"},
    {"search left with an arrow, edits there", "\18wo" .. LEFT .. "X\r", "Xtwo"},
    {"search, cancelled line", "\18tw\3", "line cancelled"},
    {"search, unknown sequence ignored", "\18t\27[99zw\r", "two"},
    {"search then down", "abc\18wo" .. DOWN .. "\r", "three"},
    {"search then down to the draft", "abc\18wo" .. DOWN .. DOWN .. "\r", "abc"},
    {"search for the empty pattern", "ab\18\18\r", "ab"},
  }
  for _, case in ipairs(cases) do
    it(case[1], function() assert.equal(case[3], line_of(case[2], with {"one", "two", "three"})) end)
  end

  it("is bounded, without neighbours that are equal or blank", function()
    local history = {}
    local editor = lineedit.new(new_tty {}, {history = history, history_max = 3})
    for _, line in ipairs {"a", "a", "", "  ", "b", "a", "c", "c", "d"} do editor:add_history(line) end
    assert.same({"a", "c", "d"}, history)
  end)

  it("shows the search", function()
    local tty = new_tty {"\18", "w", "x"}
    lineedit.new(tty, {history = {"one", "two"}}):read("> ")
    assert.same({">|2", "(search)`':|12", "(search)`w': two|14", "(failed search)`wx': two|22"}, tty.looks)
  end)
end)

describe("lineedit completion", function()
  local function completer(list)
    return function(line, pos)
      local start = line:sub(1, pos):find("[%w_]*$")
      local found = {}
      for _, name in ipairs(list) do
        if name:sub(1, pos - start + 1) == line:sub(start, pos) then found[#found + 1] = name end
      end
      return start, found
    end
  end
  local function opts(list)
    return function() return {complete = completer(list)} end
  end

  it("completes one, a common prefix, none", function()
    assert.equal("x = print", line_of("x = pr\t\r", opts {"print", "pairs"}))
    assert.equal("alpha", line_of("a\t\r", opts {"alphabet", "alpha"}))
    assert.equal("alphab", line_of("a\tb\r", opts {"alphaxy", "alphaxz"}):gsub("xb", "b"))
    assert.equal("q", line_of("q\t\t\r", opts {"print"}))
    assert.equal("(print)", line_of("(pr)" .. LEFT .. "\t\r", opts {"print"}))
    assert.equal("é", line_of("\t\r", opts {"éa", "éb"}))
    assert.equal("", line_of("\t\r", opts {"é", "è"}))
  end)

  it("lists on the second tab and draws the line again", function()
    local tty = new_tty({"a", "\t", "\t"}, 20)
    lineedit.new(tty, {width = 20, complete = completer {"aa", "ab", "ac"}}):read("> ")
    assert.equal("> a|3", tty.looks[3])
    assert.equal("> a|3", tty.looks[4])
    assert.equal("aa  ab  ac", tty.term:text(2))
    assert.equal(1, tty.term.bells)
  end)

  it("bounds a long list", function()
    local list = {}
    for i = 1, 500 do list[i] = ("item%03d"):format(i) end
    local tty = new_tty({"i\t\t\t"}, 80)
    lineedit.new(tty, {complete = completer(list)}):read("> ")
    assert.truthy(table.concat(tty.sent):find("... and 300 more", 1, true))
  end)

  it("survives callbacks that fail or lie", function()
    local liars = {
      function() error("no") end, function() return "x", {} end, function() return 99, {"a"} end,
      function() return 0, {"a"} end, function() return 1 end, function() end, function() return 1, {} end,
    }
    for _, liar in ipairs(liars) do
      assert.equal("ab", line_of("a\t\tb\r", function() return {complete = liar} end))
    end
    local function hostile() return 1, {"x\27[2J\xFF", "y\27]0;\7"} end
    assert.equal("a", line_of("a\t\t\r", function() return {complete = hostile} end))
  end)
end)

describe("lineedit caps", function()
  it("stop a line from growing", function()
    local line, _, _, tty = run(chunked(("x"):rep(150) .. "\r", 7), {line_max = 100})
    assert.equal(("x"):rep(100), line)
    assert.truthy(tty.term.bells > 0)
  end)

  it("refuse a paste that is too long, and go on", function()
    assert.equal("ab", line_of("a\27[200~" .. ("x"):rep(200) .. "\27[201~b\r", function() return {line_max = 100} end))
  end)

  it("hold for yanks and completion", function()
    assert.equal(100, #line_of(("x"):rep(60) .. "\21\25\25\r", function() return {line_max = 100} end))
    local function long() return 1, {("y"):rep(200)} end
    assert.equal("a", line_of("a\t\r", function() return {line_max = 100, complete = long} end))
  end)

  it("let 64 KiB in at once in little time", function()
    local start = os.clock()
    local line = run(chunked(("x"):rep(70000) .. "\r", 256))
    assert.equal(65536, #line)
    assert.truthy(os.clock() - start < 5)
  end)
end)

describe("lineedit in dumb mode", function()
  local function lines(input, size, opts)
    opts = opts or {}
    opts.dumb = true
    local tty = new_tty(chunked(input, size))
    local editor = lineedit.new(tty, opts)
    local all = {}
    while true do
      local line, _, code = editor:read("")
      all[#all + 1] = line or code
      if code and code ~= "XK_EMSGSIZE" then break end
    end
    return all, tty
  end

  it("reads plain lines, writes nothing", function()
    for size = 1, 12 do
      local all, tty = lines("one\ntwo\r\n\n\27[A\tx\nlast", size)
      assert.same({"one", "two", "", "\27[A\tx", "last", "XK_EGONE"}, all)
      assert.equal(0, #tty.sent)
    end
  end)

  it("skips lines that are too long and says so", function()
    for size = 1, 12 do
      assert.same({"ok", "XK_EMSGSIZE", "fine", "XK_EGONE"},
        lines("ok\n" .. ("x"):rep(50) .. "\nfine\n", size, {line_max = 10}))
    end
  end)

  it("writes the prompt it is given", function()
    local tty = new_tty {"a\n"}
    lineedit.new(tty, {dumb = true}):read("? ")
    assert.same({"? "}, tty.sent)
  end)
end)

describe("lineedit under a loop", function()
  it("yields in tty:read", function()
    local out = {}
    local tty = {read = function() return coroutine.yield("wait") end, write = function(_, s) out[#out + 1] = s end}
    local co = coroutine.wrap(function() return lineedit.new(tty):read("> ") end)
    assert.equal("wait", co())
    assert.equal("wait", co("h"))
    assert.equal("wait", co("i" .. ESC))
    assert.equal("wait", co("[D"))
    assert.equal("h!i", co("!\r"))
  end)
end)

describe("lineedit.width", function()
  it("counts columns", function()
    assert.equal(0, lineedit.width(""))
    assert.equal(3, lineedit.width("aé\u{301}b"))
    assert.equal(4, lineedit.width("日本"))
    assert.equal(2, lineedit.width("\1"))
    assert.equal(2, lineedit.width("😀"))
    assert.equal(1, lineedit.width("\u{202E}"))
  end)
end)
