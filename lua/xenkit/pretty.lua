--- Prints Lua values for people.
--
-- Equal values print equally (keys are sorted), big ones stay readable (width, depth and item caps) and hostile ones
-- harmless: whatever a string, key or `__tostring` holds, no control byte, no terminal escape and no character that
-- reorders text comes out. What it prints resembles Lua, but is not meant to be read back; for that there is
-- `xenkit.json`. Tables are read raw; the only metamethods used are `__name` and `__tostring`.
--
-- @module xenkit.pretty

local M = {}

local format, find, gsub, rep = string.format, string.find, string.gsub, string.rep
local concat, sort = table.concat, table.sort
local mtype = math.type

local DEFAULTS = {
  width = 80,
  indent = 2,
  depth = 6,
  items = 100,
  nodes = 2000,
  string = 1000,
}

local MAX_SORTED = 10000

local PALETTE = {
  key = "\27[36m",
  string = "\27[32m",
  number = "\27[33m",
  boolean = "\27[35m",
  ["nil"] = "\27[35m",
  special = "\27[34m",
  mark = "\27[2m",
}
local RESET = "\27[0m"

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true
    until while]]):gmatch("%a+") do
  KEYWORDS[word] = true
end

-- ---------------------------------------------------------------------------------------------------- strings

local ESCAPES = {["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"'}

-- Characters that are valid, yet move, reorder or hide text on a terminal: C1 controls, bidirectional controls, line
-- separators, the byte order mark.
local function is_treacherous(code)
  return code >= 0x80 and code < 0xA0
    or code == 0x061C
    or code >= 0x200B and code <= 0x200F
    or code >= 0x2028 and code <= 0x202E
    or code >= 0x2060 and code <= 0x2069
    or code == 0xFEFF
end

local function escape_byte(char)
  return format("\\x%02X", char:byte())
end

-- Escapes all of s that is not plain text; also the bytes of the pattern.
local function escape_text(s, also)
  s = gsub(s, also, function(char) return ESCAPES[char] or escape_byte(char) end)
  if not find(s, "[\128-\255]") then return s end
  local parts, at = {}, 1
  while at <= #s do
    local _, bad = utf8.len(s, at)
    local stop = (bad or #s + 1) - 1
    for _, code in utf8.codes(s:sub(at, stop)) do
      parts[#parts + 1] = is_treacherous(code) and format("\\u{%X}", code) or utf8.char(code)
    end
    if bad then parts[#parts + 1] = escape_byte(s:sub(bad, bad)) end
    at = stop + 2
  end
  return concat(parts)
end

--- Makes a text harmless for a terminal: control bytes, invalid UTF-8 and reordering characters become visible escapes;
-- newlines and tabs stay.
function M.printable(s)
  return escape_text(s, "[\0-\8\11-\31\127]")
end

--- Quotes a string as Lua source would, cut after `limit` bytes (default: never).
function M.quote(s, limit)
  local rest = limit and #s - limit or 0
  if rest <= 0 then return '"' .. escape_text(s, '["\\\0-\31\127]') .. '"' end
  local stop = limit
  while stop > 0 and stop > limit - 4 and find(s, "^[\128-\191]", stop + 1) do stop = stop - 1 end
  return format('"%s"... (%d more bytes)', escape_text(s:sub(1, stop), '["\\\0-\31\127]'), #s - stop)
end

-- ---------------------------------------------------------------------------------------------------- leaves

-- A node is {text, kind} for a leaf, or {prefix, items = {{key, node}...}, list = ...} for a table; width is its width
-- on one line.
local function leaf(text, kind)
  return {text = text, kind = kind, width = utf8.len(text) or #text}
end

-- tostring with hostile metamethods kept in check: always one short, printable line.
local function safe_tostring(value)
  local ok, text = pcall(tostring, value)
  if not ok then text = format("%s: (its __tostring fails)", type(value)) end
  if #text > 500 then text = text:sub(1, 500) .. "..." end
  return escape_text(text, "[\0-\31\127]")
end

local function number_text(value)
  if mtype(value) == "integer" then return format("%d", value) end
  if value ~= value then return "nan" end
  if value == math.huge then return "inf" end
  if value == -math.huge then return "-inf" end
  local text = format("%.14g", value)
  if tonumber(text) ~= value then text = format("%.17g", value) end
  if not find(text, "[.e]") then text = text .. ".0" end
  return text
end

local function leaf_of(value, o)
  local kind = type(value)
  if kind == "string" then return leaf(M.quote(value, o.string), "string") end
  if kind == "number" then return leaf(number_text(value), "number") end
  if kind == "boolean" or kind == "nil" then return leaf(tostring(value), kind) end
  return leaf("<" .. safe_tostring(value) .. ">", "special")
end

-- ---------------------------------------------------------------------------------------------------- tables

local RANK = {number = 1, string = 2, boolean = 3}

local function key_before(a, b)
  local type_a, type_b = type(a), type(b)
  local rank_a, rank_b = RANK[type_a] or 4, RANK[type_b] or 4
  if rank_a ~= rank_b then return rank_a < rank_b end
  if rank_a <= 2 then return a < b end
  if rank_a == 3 then return a and not b end
  if type_a ~= type_b then return type_a < type_b end
  return false
end

-- The keys of t behind its array part, sorted, and their number. Of a huge table only some are kept.
local function other_keys(t, size)
  local keys, n = {}, 0
  for key in next, t do
    if mtype(key) ~= "integer" or key < 1 or key > size then
      n = n + 1
      if n <= MAX_SORTED then keys[n] = key end
    end
  end
  sort(keys, key_before)
  return keys, n
end

local function key_text(key, o)
  if type(key) == "string" then
    if #key <= 80 and find(key, "^[%a_][%w_]*$") and not KEYWORDS[key] then return key end
    return "[" .. M.quote(key, o.string) .. "]"
  end
  return "[" .. leaf_of(key, o).text .. "]"
end

local build

local function add_item(node, key, value, o, depth)
  local child = build(value, o, depth + 1)
  local item = {key = key ~= nil and key_text(key, o) or nil, node = child}
  if child.items then node.list = false end
  node.items[#node.items + 1] = item
  node.width = node.width + 2 + child.width + (item.key and (utf8.len(item.key) or #item.key) + 3 or 0)
end

-- Puts the items of t into node until a cap is met, then a mark that says how many are missing.
local function add_items(node, t, o, depth)
  local size, shown = 0, 0
  while rawget(t, size + 1) ~= nil do size = size + 1 end
  local keys, others = other_keys(t, size)
  local function room() return shown < o.items and o.left > 0 end
  for i = 1, size do
    if not room() then break end
    add_item(node, nil, rawget(t, i), o, depth)
    shown = shown + 1
  end
  for i = 1, #keys do
    if not room() then break end
    node.list = false
    add_item(node, keys[i], rawget(t, keys[i]), o, depth)
    shown = shown + 1
  end
  local missing = size + others - shown
  if missing > 0 then
    local mark = leaf(format("... (%d more)", missing), "mark")
    node.items[#node.items + 1] = {node = mark}
    node.width = node.width + 2 + mark.width
  end
end

local function metafield(t, name)
  local mt = getmetatable(t)
  return type(mt) == "table" and rawget(mt, name) or nil
end

local function build_table(t, o, depth)
  if o.active[t] then return leaf(format("<cycle, %d up>", depth - o.active[t]), "mark") end
  if metafield(t, "__tostring") then return leaf("<" .. safe_tostring(t) .. ">", "special") end
  local name = metafield(t, "__name")
  local prefix = type(name) == "string" and "<" .. escape_text(name:sub(1, 80), "[\0-\31\127]") .. "> " or ""
  if next(t) == nil then return leaf(prefix .. "{}", "table") end
  if depth >= o.depth then return leaf(prefix .. "{...}", "mark") end
  local node = {prefix = prefix, items = {}, list = true, width = (utf8.len(prefix) or #prefix)}
  o.active[t] = depth
  add_items(node, t, o, depth)
  o.active[t] = nil
  return node
end

-- The node of a value; depth is the number of tables around it.
function build(value, o, depth)
  o.left = o.left - 1
  if type(value) == "table" then return build_table(value, o, depth) end
  return leaf_of(value, o)
end

-- ---------------------------------------------------------------------------------------------------- layout

local function paint(o, kind, text)
  local colour = o.palette and o.palette[kind]
  return colour and colour .. text .. RESET or text
end

local function put_key(out, o, item)
  if item.key then out[#out + 1] = paint(o, "key", item.key) .. " = " end
end

local function put_flat(out, o, node)
  if not node.items then
    out[#out + 1] = paint(o, node.kind, node.text)
    return
  end
  out[#out + 1] = node.prefix .. "{"
  for i, item in ipairs(node.items) do
    if i > 1 then out[#out + 1] = ", " end
    put_key(out, o, item)
    put_flat(out, o, item.node)
  end
  out[#out + 1] = "}"
end

-- Scalars of a list, as many on a line as fit.
local function put_filled(out, o, node, indent)
  local pad = rep(" ", indent)
  local column = math.huge
  for i, item in ipairs(node.items) do
    local width = item.node.width + 1
    if column + 1 + width > o.width then
      out[#out + 1] = "\n" .. pad
      column = indent
    else
      out[#out + 1] = " "
      column = column + 1
    end
    put_flat(out, o, item.node)
    if i < #node.items then out[#out + 1] = "," end
    column = column + width
  end
end

local put

local function put_lines(out, o, node, indent)
  local pad = rep(" ", indent)
  for i, item in ipairs(node.items) do
    out[#out + 1] = "\n" .. pad
    put_key(out, o, item)
    local used = item.key and (utf8.len(item.key) or #item.key) + 3 or 0
    put(out, o, item.node, indent, used + 1)
    if i < #node.items then out[#out + 1] = "," end
  end
end

-- Puts a node whose line is indented so far, with `used` more columns taken on it.
function put(out, o, node, indent, used)
  if not node.items or indent + used + node.width <= o.width then return put_flat(out, o, node) end
  out[#out + 1] = node.prefix .. "{"
  if node.list then
    put_filled(out, o, node, indent + o.indent)
  else
    put_lines(out, o, node, indent + o.indent)
  end
  out[#out + 1] = "\n" .. rep(" ", indent) .. "}"
end

local function options(opts)
  local o = {left = 0, active = {}}
  for name, value in pairs(DEFAULTS) do
    local given = opts and opts[name]
    if given ~= nil and (not math.tointeger(given) or given < 0) then
      error(format("pretty: option '%s' must be a whole number", name), 3)
    end
    o[name] = given or value
  end
  o.left = o.nodes
  local colours = opts and opts.colours
  if colours then o.palette = colours == true and PALETTE or colours end
  return o
end

--- Formats a value.
--
-- @param value  anything
-- @tparam[opt] table opts  `width` (80), `indent` (2), `depth` (6): levels of tables shown, `items` (100): shown of
--   each table, `nodes` (2000): values shown in all, `string` (1000): bytes shown of each string, `colours`: true, or
--   a table from kind (key, string, number, boolean, nil, special, mark) to the escape that starts the colour
-- @treturn string  one or several lines, without a newline at the end
function M.format(value, opts)
  local o = options(opts)
  local out = {}
  put(out, o, build(value, o, 0), 0, 0)
  return concat(out)
end

return M
