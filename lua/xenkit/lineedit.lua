--- A line editor over a byte stream, for the consoles of domains.
--
-- It works on any `tty` with `tty:read(n)` (1..n bytes, blocks by yielding; nil, message, code at the end) and
-- `tty:write(s)`. There is no terminal driver below it in a stub domain, so it does all of echo, editing and history
-- itself, with the smallest set of escapes that every terminal knows (CR, erase to end of line, cursor right, clear).
-- It never asks the terminal anything, since the answer would arrive amid hostile input; the width is told.
--
-- Three layers: bytes to keys (any escape sequence, cut anywhere, known or not, becomes at most one key); keys to
-- changes of one line; the line to the screen, one row that scrolls sideways. Other than that of a shell the line may
-- contain newlines, from a paste; they show as `^J`.
--
-- What the terminal sends is not trusted: the line is valid UTF-8 without escapes at any time, its length is capped,
-- and control bytes show as `^X`.
--
-- @module xenkit.lineedit

local M = {}

local byte, char, find, sub = string.byte, string.char, string.find, string.sub

local LINE_MAX = 65536
local HISTORY_MAX = 500
local LISTED_MAX = 200
local READ_SIZE = 256
local BELL = "\a"

local Editor = {}
Editor.__index = Editor
Editor.__name = "xenkit.lineedit"

-- ---------------------------------------------------------------------------------------------------- characters

-- Ranges of code points that take no column, and two. Rough: a wrong width only misplaces the cursor on the screen.
local ZERO = {
  0x0300, 0x036F, 0x0483, 0x0489, 0x0591, 0x05BD, 0x0610, 0x061A, 0x064B, 0x065F, 0x0E34, 0x0E3A, 0x0E47, 0x0E4E,
  0x1AB0, 0x1AFF, 0x1DC0, 0x1DFF, 0x200B, 0x200D, 0x20D0, 0x20F0, 0xFE00, 0xFE0F, 0xFE20, 0xFE2F, 0x1F3FB, 0x1F3FF,
  0xE0100, 0xE01EF,
}
local WIDE = {
  0x1100, 0x115F, 0x2E80, 0x303E, 0x3041, 0x4DBF, 0x4E00, 0xA4CF, 0xA960, 0xA97F, 0xAC00, 0xD7A3, 0xF900, 0xFAFF,
  0xFE30, 0xFE6F, 0xFF00, 0xFF60, 0xFFE0, 0xFFE6, 0x1F300, 0x1F64F, 0x1F680, 0x1F6FF, 0x1F900, 0x1F9FF,
  0x1FA70, 0x1FAFF, 0x20000, 0x3FFFD,
}

local function in_ranges(ranges, code)
  for i = 1, #ranges, 2 do
    if code < ranges[i] then return false end
    if code <= ranges[i + 1] then return true end
  end
  return false
end

-- Characters that must not reach a terminal as they are: C1 controls and those that reorder text.
local function is_treacherous(code)
  return code >= 0x80 and code < 0xA0
    or code == 0x061C or code == 0x200E or code == 0x200F or code == 0xFEFF
    or code >= 0x2028 and code <= 0x202E
    or code >= 0x2060 and code <= 0x2069
end

-- How a code point shows: its text and columns.
local function show(code)
  if code >= 0x20 and code < 0x7F then return char(code), 1 end
  if code < 0x20 then return "^" .. char(code + 0x40), 2 end
  if code == 0x7F then return "^?", 2 end
  if is_treacherous(code) then return "\u{FFFD}", 1 end
  if code < 0x300 then return utf8.char(code), 1 end
  if in_ranges(ZERO, code) then return utf8.char(code), 0 end
  return utf8.char(code), in_ranges(WIDE, code) and 2 or 1
end

-- Any bytes as valid UTF-8: bad bytes become U+FFFD, escapes and NUL go.
local function clean(s)
  s = s:gsub("[\0\27]", "")
  if utf8.len(s) then return s end
  local parts, at = {}, 1
  while at <= #s do
    local _, bad = utf8.len(s, at)
    parts[#parts + 1] = sub(s, at, (bad or #s + 1) - 1)
    if bad then parts[#parts + 1] = "\u{FFFD}" end
    at = (bad or #s) + 1
  end
  return table.concat(parts)
end

--- The number of columns a text takes, as this module shows it.
-- @tparam string s
-- @treturn integer
function M.width(s)
  local width = 0
  for _, code in utf8.codes(clean(s)) do
    local _, columns = show(code)
    width = width + columns
  end
  return width
end

-- The byte position behind the character that starts at pos, with the combining ones that follow it.
local function after(line, pos)
  if pos > #line then return pos end
  repeat
    pos = utf8.offset(line, 2, pos)
  until pos > #line or not in_ranges(ZERO, utf8.codepoint(line, pos))
  return pos
end

-- The byte position of the character before pos, combining ones skipped.
local function before(line, pos)
  while pos > 1 do
    pos = utf8.offset(line, -1, pos)
    if not in_ranges(ZERO, utf8.codepoint(line, pos)) then break end
  end
  return pos
end

local function is_word(line, pos)
  return find(line, "^[%w_\128-\255]", pos) ~= nil
end

local function word_end(line, pos)
  while pos <= #line and not is_word(line, pos) do pos = pos + 1 end
  while pos <= #line and is_word(line, pos) do pos = pos + 1 end
  return pos
end

local function word_start(line, pos)
  while pos > 1 and not is_word(line, pos - 1) do pos = pos - 1 end
  while pos > 1 and is_word(line, pos - 1) do pos = pos - 1 end
  return pos
end

-- ---------------------------------------------------------------------------------------------------- bytes to keys

-- The next byte, or nil at the end; what is read ahead stays for later lines. Drawing waits until there is nothing left
-- to read, so that a burst of input costs one drawing.
local function next_byte(self)
  if self.at > #self.input then
    if self.ended then return nil end
    self.input, self.at = "", 1
    if self.stale then self:draw() end
    local got, message, code = self.tty:read(READ_SIZE)
    if not got or got == "" then
      self.ended = {message, code}
      return nil
    end
    self.input = got
  end
  local b = byte(self.input, self.at)
  self.at = self.at + 1
  return b
end

local function unread(self)
  self.at = self.at - 1
end

local CONTROL = {
  [1] = "home", [2] = "left", [3] = "cancel", [4] = "ctrl-d", [5] = "end", [6] = "right", [7] = "abort",
  [8] = "backspace", [9] = "tab", [10] = "enter", [11] = "kill-end", [12] = "clear", [13] = "enter", [14] = "down",
  [16] = "up", [18] = "search", [20] = "transpose", [21] = "kill-start", [23] = "kill-blank", [25] = "yank",
  [127] = "backspace",
}
local META = {
  b = "word-left", f = "word-right", d = "kill-word", B = "word-left", F = "word-right", D = "kill-word",
  ["\8"] = "kill-word-left", ["\127"] = "kill-word-left",
}
local CSI_FINAL = {A = "up", B = "down", C = "right", D = "left", H = "home", F = "end"}
local CSI_TILDE = {["1"] = "home", ["3"] = "delete", ["4"] = "end", ["7"] = "home", ["8"] = "end", ["200"] = "paste"}

-- The text of a bracketed paste, up to its end mark; what goes beyond the cap is read and dropped. Nothing in it acts.
local function read_paste(self)
  local parts, size, tail = {}, 0, ""
  while true do
    local b = next_byte(self)
    if not b then return nil end
    tail = tail .. char(b)
    if tail == "\27[201~" then break end
    while tail ~= sub("\27[201~", 1, #tail) do
      if size <= self.line_max then
        size = size + 1
        parts[size] = sub(tail, 1, 1)
      end
      tail = sub(tail, 2)
    end
  end
  local text = table.concat(parts):gsub("\r\n?", "\n"):gsub("[\1-\8\11-\31\127]", "")
  return "paste", clean(text)
end

-- Behind ESC [ : parameters, intermediates, one final byte. Any control byte ends the sequence and acts by itself.
local function read_csi(self)
  local params = ""
  while true do
    local b = next_byte(self)
    if not b then return nil end
    if b < 0x20 or b > 0x7E then
      unread(self)
      return "unknown"
    end
    if b >= 0x40 then
      local final = char(b)
      if final == "[" and params == "" then return next_byte(self) and "unknown" end
      if final == "~" then
        local key = CSI_TILDE[params:match("^%d+")]
        if key == "paste" then return read_paste(self) end
        return key or "unknown"
      end
      local key = find(params, "^[%d;]*$") and CSI_FINAL[final] or "unknown"
      local modified = params:match("^1;([35])$")
      if modified and key == "left" then return "word-left" end
      if modified and key == "right" then return "word-right" end
      return key
    end
    if #params < 16 then params = params .. char(b) end
  end
end

-- Behind ESC O : one byte, digits before it skipped.
local function read_ss3(self)
  repeat
    local b = next_byte(self)
    if not b then return nil end
    if b < 0x20 or b > 0x7E then
      unread(self)
      return "unknown"
    end
    if b >= 0x40 then return CSI_FINAL[char(b)] or "unknown" end
  until false
end

-- Behind ESC ] and its like: a string up to BEL or ESC \. A line end or ctrl-c also ends it, so that nobody is stuck.
local function read_string_sequence(self)
  while true do
    local b = next_byte(self)
    if not b then return nil end
    if b == 0x07 or b == 0x18 or b == 0x1A then return "unknown" end
    if b == 0x03 or b == 0x0A or b == 0x0D then
      unread(self)
      return "unknown"
    end
    if b == 0x1B then
      local stop = next_byte(self)
      if not stop then return nil end
      if stop ~= 0x5C then
        unread(self)
        return self:read_escape()
      end
      return "unknown"
    end
  end
end

local STRING_STARTS = {[0x50] = true, [0x58] = true, [0x5D] = true, [0x5E] = true, [0x5F] = true}

function Editor:read_escape()
  local b
  repeat b = next_byte(self) until b ~= 0x1B
  if not b then return nil end
  if b == 0x5B then return read_csi(self) end
  if b == 0x4F then return read_ss3(self) end
  if STRING_STARTS[b] then return read_string_sequence(self) end
  if META[char(b)] then return META[char(b)] end
  if b < 0x20 or b >= 0x7F then
    unread(self)
    return "unknown"
  end
  while b and b >= 0x20 and b < 0x30 do b = next_byte(self) end
  if b and b < 0x20 then unread(self) end
  return b and "unknown"
end

-- A character of several bytes that starts with lead; U+FFFD for anything that is not UTF-8.
local function read_utf8(self, lead)
  local more = lead >= 0xF0 and 3 or lead >= 0xE0 and 2 or lead >= 0xC2 and 1 or 0
  local text = char(lead)
  for _ = 1, more do
    local b = next_byte(self)
    if not b then return nil end
    if b < 0x80 or b > 0xBF then
      unread(self)
      break
    end
    text = text .. char(b)
  end
  if utf8.len(text) ~= 1 then return "text", "\u{FFFD}" end
  return "text", text
end

-- The next key: its name and, for "text" and "paste", what it inserts. Nil at the end of the stream.
local function read_key(self)
  local b = next_byte(self)
  if b == 0x0A and self.after_cr then b = next_byte(self) end
  self.after_cr = b == 0x0D
  if not b then return nil end
  if b == 0x1B then return self:read_escape() end
  if b >= 0x80 then return read_utf8(self, b) end
  if b >= 0x20 and b < 0x7F then
    local first = self.at - 1
    self.at = find(self.input, "[^\32-\126]", first) or #self.input + 1
    return "text", sub(self.input, first, self.at - 1)
  end
  return CONTROL[b] or "unknown"
end

-- ---------------------------------------------------------------------------------------------------- the screen

local function write(self, s)
  self.tty:write(s)
end

-- Goes back from pos to floor at most, over no more than room columns: the position reached, the columns gone over.
local function walk_back(text, pos, floor, room)
  local columns = 0
  while pos > floor do
    local previous = before(text, pos)
    local width = M.width(sub(text, previous, pos - 1))
    if columns + width > room then break end
    pos, columns = previous, columns + width
  end
  return pos, columns
end

-- A prompt and its columns; colours (SGR sequences) take none. Of one that leaves no room its end is shown.
local function fit_prompt(prompt, most)
  local plain = clean((prompt:gsub("\27%[[%d;]*m", "")))
  local width = M.width(plain)
  if width <= most then return prompt, width end
  local start, columns = walk_back(plain, #plain + 1, 1, most)
  return sub(plain, start), columns
end

-- Where on the line the window starts, and the cursor's column in it. It stays where it was while the cursor is inside.
local function place_window(self, room)
  local line, first = self.line, math.min(self.scroll, #self.line + 1)
  while first > 1 and find(line, "^[\128-\191]", first) do first = first - 1 end
  local start, columns = walk_back(line, self.cursor, first, room)
  local outside = start > first or self.cursor < first or (self.cursor == first and first > 1)
  if outside then start, columns = walk_back(line, self.cursor, 1, room // 2) end
  return start, columns
end

-- The characters of text from start on that fit room columns, as they show.
local function visible(text, start, room)
  local parts, used = {}, 0
  while start <= #text do
    local shown, columns = show(utf8.codepoint(text, start))
    used = used + columns
    if used > room then break end
    parts[#parts + 1] = shown
    start = utf8.offset(text, 2, start)
  end
  return table.concat(parts)
end

-- Draws the row: prompt, visible part of the line, cursor. The last column stays free, so that nothing wraps. Returns
-- the cursor's column.
local function draw(self)
  self.stale = false
  local prompt = self.prompt
  if self.pattern then
    prompt = ("(%s)`%s': "):format(self.failing and "failed search" or "search", self.pattern)
  end
  local shown, width = fit_prompt(prompt, self.columns // 2)
  local room = self.columns - width - 1
  local start, column = place_window(self, room)
  self.scroll = start
  column = column + width
  local right = column > 0 and "\27[" .. column .. "C" or ""
  write(self, "\r" .. shown .. visible(self.line, start, room) .. "\27[K\r" .. right)
  return column
end
Editor.draw = draw

-- ---------------------------------------------------------------------------------------------------- editing

local function insert(self, text)
  local room = self.line_max - #self.line
  if #text > room then
    write(self, BELL)
    text = find(text, "^[\1-\127]*$") and sub(text, 1, math.max(room, 0)) or ""
  end
  self.line = sub(self.line, 1, self.cursor - 1) .. text .. sub(self.line, self.cursor)
  self.cursor = self.cursor + #text
end

-- A paste goes in whole or not at all.
local function paste(self, text)
  if #self.line + #text > self.line_max then text = "" end
  insert(self, text)
  if text == "" then write(self, BELL) end
end

-- Removes the bytes from..to-1 and leaves the cursor there. With `keep` they can be yanked; kills in a row add up.
local function remove(self, from, to, keep)
  if from >= to then return end
  local gone = sub(self.line, from, to - 1)
  self.line = sub(self.line, 1, from - 1) .. sub(self.line, to)
  if keep then
    if not self.killing then
      self.killed = gone
    elseif from < self.cursor then
      self.killed = gone .. self.killed
    else
      self.killed = self.killed .. gone
    end
    self.kills = true
  end
  self.cursor = from
end

local function set_line(self, line)
  self.line = line
  self.cursor = #line + 1
end

local function recall(self, step)
  local index = self.history_index + step
  if index < 1 or index > #self.history + 1 then
    write(self, BELL)
    return
  end
  if self.history_index == #self.history + 1 then self.draft = self.line end
  self.history_index = index
  set_line(self, index == #self.history + 1 and self.draft or clean(self.history[index]))
end

local function transpose(self)
  local at = self.cursor > #self.line and before(self.line, self.cursor) or self.cursor
  if at <= 1 then return end
  local left, right = before(self.line, at), after(self.line, at)
  self.line = sub(self.line, 1, left - 1) .. sub(self.line, at, right - 1) .. sub(self.line, left, at - 1)
    .. sub(self.line, right)
  self.cursor = right
end

local function blank_start(line, pos)
  while pos > 1 and find(line, "^%s", pos - 1) do pos = pos - 1 end
  while pos > 1 and not find(line, "^%s", pos - 1) do pos = pos - 1 end
  return pos
end

-- ---------------------------------------------------------------------------------------------------- completion

local function common_prefix(list)
  local prefix = list[1]
  for i = 2, #list do
    local n = 0
    while n < #prefix and byte(prefix, n + 1) == byte(list[i], n + 1) do n = n + 1 end
    while n > 0 and find(prefix, "^[\128-\191]", n + 1) do n = n - 1 end
    prefix = sub(prefix, 1, n)
  end
  return prefix
end

-- Lists candidates below the line in columns, then the line comes again.
local function list_candidates(self, list)
  local widest, shown = 1, math.min(#list, LISTED_MAX)
  for i = 1, shown do widest = math.max(widest, M.width(list[i])) end
  local per_row = math.max(1, self.columns // (widest + 2))
  local rows = (shown + per_row - 1) // per_row
  local out = {"\r\n"}
  for row = 1, rows do
    for i = row, shown, rows do
      local text = list[i]:gsub("[\0-\31\127]", "?")
      out[#out + 1] = text .. (i + rows <= shown and (" "):rep(widest + 2 - M.width(text)) or "")
    end
    out[#out + 1] = "\r\n"
  end
  if shown < #list then out[#out + 1] = ("... and %d more\r\n"):format(#list - shown) end
  write(self, table.concat(out))
end

-- What the callback gives, made safe: the start of the word, the candidates.
local function candidates(self)
  if not self.complete then return nil end
  local ok, start, list = pcall(self.complete, self.line, self.cursor - 1)
  if not ok or math.type(start) ~= "integer" or type(list) ~= "table" then return nil end
  if start < 1 or start > self.cursor or find(self.line, "^[\128-\191]", start) then return nil end
  local safe = {}
  for i, text in ipairs(list) do safe[i] = clean(tostring(text)) end
  if #safe == 0 then return nil end
  return start, safe
end

local function complete(self, again)
  local start, list = candidates(self)
  if not start then
    write(self, BELL)
    return
  end
  local word = sub(self.line, start, self.cursor - 1)
  local prefix = common_prefix(list)
  if #list == 1 or #prefix > #word then
    if #self.line - #word + #prefix > self.line_max then return write(self, BELL) end
    self.line = sub(self.line, 1, start - 1) .. prefix .. sub(self.line, self.cursor)
    self.cursor = start + #prefix
  elseif again then
    list_candidates(self, list)
  else
    write(self, BELL)
  end
end

-- ---------------------------------------------------------------------------------------------------- search

-- The newest entry at or before index that contains pattern: its index and the position of the pattern in it.
local function search_from(self, pattern, index)
  for i = math.min(index, #self.history), 1, -1 do
    local entry = clean(self.history[i])
    local at = find(entry, pattern, 1, true)
    if at then return i, at, entry end
  end
end

-- Shows the newest match from index on, or says that there is none. Returns the index of what shows.
local function look(self, index)
  local i, at, entry = search_from(self, self.pattern, index)
  self.failing = not i
  if not i then return index end
  self.line, self.cursor, self.history_index = entry, at, i
  return i
end

local function search_key(self, key, text, state)
  if key == "text" then
    for one in text:gmatch(utf8.charpattern) do
      if #self.pattern < 256 then self.pattern = self.pattern .. one end
      state.index = look(self, state.index)
    end
  elseif key == "backspace" then
    self.pattern = sub(self.pattern, 1, before(self.pattern, #self.pattern + 1) - 1)
    state.index = #self.history
    if self.pattern ~= "" then state.index = look(self, state.index) end
  elseif key == "search" and self.pattern == "" then
    self.pattern = self.last_pattern
    if self.pattern ~= "" then state.index = look(self, state.index) end
  elseif key == "search" then
    local found = look(self, state.index - 1)
    if not self.failing then state.index = found end
  end
end

local SEARCH_KEYS = {text = true, backspace = true, search = true, unknown = true}

-- Reverse search. Returns the key that ended it, which then acts; nil at the end of the stream.
local function search(self)
  local line, cursor, history_index = self.line, self.cursor, self.history_index
  local state = {index = #self.history}
  self.pattern, self.failing = "", false
  local key, text
  while true do
    self.stale = true
    key, text = read_key(self)
    if not SEARCH_KEYS[key] then break end
    search_key(self, key, text, state)
  end
  if key == "abort" then
    self.line, self.cursor, self.history_index = line, cursor, history_index
  elseif history_index == #self.history + 1 and self.history_index ~= history_index then
    self.draft = line
  end
  if self.pattern ~= "" then self.last_pattern = self.pattern end
  self.pattern = nil
  self.stale = true
  return key, text
end

-- ---------------------------------------------------------------------------------------------------- key table

local ACTIONS = {
  text = insert,
  paste = paste,
  left = function(self) self.cursor = before(self.line, self.cursor) end,
  right = function(self) self.cursor = after(self.line, self.cursor) end,
  home = function(self) self.cursor = 1 end,
  ["end"] = function(self) self.cursor = #self.line + 1 end,
  ["word-left"] = function(self) self.cursor = word_start(self.line, self.cursor) end,
  ["word-right"] = function(self) self.cursor = word_end(self.line, self.cursor) end,
  backspace = function(self) remove(self, before(self.line, self.cursor), self.cursor) end,
  delete = function(self) remove(self, self.cursor, after(self.line, self.cursor)) end,
  ["kill-end"] = function(self) remove(self, self.cursor, #self.line + 1, true) end,
  ["kill-start"] = function(self) remove(self, 1, self.cursor, true) end,
  ["kill-word"] = function(self) remove(self, self.cursor, word_end(self.line, self.cursor), true) end,
  ["kill-word-left"] = function(self) remove(self, word_start(self.line, self.cursor), self.cursor, true) end,
  ["kill-blank"] = function(self) remove(self, blank_start(self.line, self.cursor), self.cursor, true) end,
  yank = function(self) insert(self, self.killed) end,
  transpose = transpose,
  up = function(self) recall(self, -1) end,
  down = function(self) recall(self, 1) end,
  clear = function(self) write(self, "\27[H\27[2J") end,
}
ACTIONS["ctrl-d"] = ACTIONS.delete

local function finish(self, tail)
  self.cursor = #self.line + 1
  if draw(self) + #tail >= self.columns then tail = "" end
  write(self, tail .. (self.bracketed and "\27[?2004l" or "") .. "\r\n")
end

local function ending(self)
  self.stale, self.pattern = false, nil
  return nil, self.ended[1] or "end of input", self.ended[2] or "XK_ECLOSED"
end

local function read_edited(self)
  self.line, self.cursor, self.scroll = "", 1, 1
  self.draft, self.history_index = "", #self.history + 1
  self.killing, self.kills = false, false
  if self.bracketed then write(self, "\27[?2004h") end
  self.stale = true
  local last
  while true do
    local key, text = read_key(self)
    if key == "search" then key, text = search(self) end
    if key == nil then return ending(self) end
    if key == "enter" then
      finish(self, "")
      return self.line
    elseif key == "cancel" then
      finish(self, "^C")
      return nil, "line cancelled", "XK_ECANCELED"
    elseif key == "ctrl-d" and self.line == "" then
      finish(self, "")
      return nil, "end of input", "XK_ECLOSED"
    end
    self.kills = false
    if key == "tab" then
      complete(self, last == "tab")
    elseif ACTIONS[key] then
      ACTIONS[key](self, text)
    end
    self.killing = self.kills
    last = key
    self.stale = true
  end
end

-- ---------------------------------------------------------------------------------------------------- dumb streams

-- Adds to parts what the input holds up to a newline; true when the newline was met.
local function take_until_newline(self, parts, size)
  local stop = find(self.input, "\n", self.at, true)
  local text = sub(self.input, self.at, (stop or #self.input + 1) - 1)
  self.at = (stop or #self.input) + 1
  if size <= self.line_max then parts[#parts + 1] = text end
  return size + #text, stop
end

local function read_plain(self)
  if self.prompt ~= "" then write(self, self.prompt) end
  local parts, size, stop = {}, 0, nil
  repeat
    if not next_byte(self) then break end
    unread(self)
    size, stop = take_until_newline(self, parts, size)
  until stop
  if not stop and size == 0 then return ending(self) end
  if size > self.line_max then
    return nil, ("line longer than %d bytes"):format(self.line_max), "XK_EMSGSIZE"
  end
  return (table.concat(parts):gsub("\r$", ""))
end

-- ---------------------------------------------------------------------------------------------------- public

--- Makes an editor. It keeps what it read ahead, so use one editor for one stream.
--
-- @param tty  the stream: `tty:read(n)`, `tty:write(s)`
-- @tparam[opt] table opts  `width` (80): columns; `history`: array of lines, oldest first, which the editor changes;
--   `history_max` (500); `line_max` (65536): bytes; `dumb`: true for pipes, plain lines without editing and escapes;
--   `paste` (true): ask the terminal to mark pastes; `complete`: function(line, pos) where pos is the number of bytes
--   before the cursor, to return the position where the word to complete starts and the list of whole words it may
--   become
-- @return the editor
function M.new(tty, opts)
  opts = opts or {}
  if opts.complete ~= nil and type(opts.complete) ~= "function" then
    error("lineedit.new: complete must be a function", 2)
  end
  local self = setmetatable({
    tty = tty,
    input = "",
    at = 1,
    line = "",
    cursor = 1,
    scroll = 1,
    prompt = "",
    killed = "",
    last_pattern = "",
    history = opts.history or {},
    history_max = opts.history_max or HISTORY_MAX,
    line_max = opts.line_max or LINE_MAX,
    dumb = opts.dumb or false,
    bracketed = opts.paste ~= false,
    complete = opts.complete,
  }, Editor)
  self:set_width(opts.width or 80)
  return self
end

--- Tells the width of the terminal, in columns; takes effect when the line is next drawn.
function Editor:set_width(columns)
  if not math.tointeger(columns) then error("lineedit: the width must be an integer", 2) end
  self.columns = math.max(8, math.min(math.tointeger(columns), 10000))
end

--- Adds a line to the history, unless it is blank or equal to the newest; the oldest goes when the bound is met.
function Editor:add_history(line)
  local history = self.history
  if not find(line, "%S") or history[#history] == line then return end
  history[#history + 1] = line
  while #history > self.history_max do table.remove(history, 1) end
end

--- Reads one line. History is only added to by `add_history`.
--
-- @tparam[opt] string prompt  one row; may hold colours (SGR escapes)
-- @treturn string  the line, without its end; or nil, message, code: "XK_ECANCELED" after ctrl-c, "XK_ECLOSED" after
--   ctrl-d in an empty line or at the end of the stream (or the code that the stream gave), "XK_EMSGSIZE" for a line
--   that is too long in dumb mode (it is skipped)
function Editor:read(prompt)
  self.prompt = prompt or ""
  if self.dumb then return read_plain(self) end
  return read_edited(self)
end

return M
