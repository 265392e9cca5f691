--- Command lines: one declarative description gives the parser, the help text, the man page and bash completion, so
-- that they cannot disagree.
--
--     local cli = args.new {
--       name = "xenkit", summary = "domains, stores and wires",
--       verbs = {{
--         name = "log", summary = "show what a domain says",
--         options = {
--           {"-f", "--follow", help = "wait for more"},
--           {"-n", "--lines", arg = "N", type = "integer", default = 10, min = 0, help = "how many lines"},
--         },
--         positionals = {{"NAME", help = "the domain"}},
--         examples = {{"xenkit log -f web", "follow the domain web"}},
--       }},
--     }
--     local result, message = cli:parse(argv)     -- {verb = "log", follow = true, lines = 10, name = "web"}
--
-- Services take `key=value` words instead: see `keyvalues`. A wrong spec raises; a wrong command line gives nil, a
-- message that names the word and the nearest right one, "XK_EINVAL". Nothing is printed here, nothing exits.
--
-- @module xenkit.args

local M = {}

local concat = table.concat
local NAME_MAX = 64

-- What is only said (help, man page, completion, what is wrong) is loaded when it is: most commands do without.
local function said() return require "xenkit.args_text" end

local Cli = {}
Cli.__index = Cli
Cli.__name = "xenkit.args"

local function bad(message, ...)
  return nil, message:format(...), "XK_EINVAL"
end

-- ---------------------------------------------------------------------------------------------------- nearest name

-- Edit distance with neighbours swapped as one step.
local function distance(a, b)
  local before, last = {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local row = {[0] = i}
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local best = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, before[j - 2] + 1)
      end
      row[j] = best
    end
    before, last = last, row
  end
  return last[#b]
end

--- The name most like a word: the only one that it begins, or the one fewest typing errors away.
-- @tparam string word
-- @tparam table names  array
-- @treturn ?string  nil when none is near
function M.nearest(word, names)
  local bare = word:gsub("^%-+", ""):lower()
  if bare == "" or #bare > NAME_MAX then return nil end
  local best, best_distance, begun, count = nil, math.huge, nil, 0
  for _, name in ipairs(names) do
    local target = tostring(name):gsub("^%-+", ""):lower()
    if #target > 1 or #bare == 1 then
      local d = distance(bare, target)
      if d < best_distance then best, best_distance = name, d end
      if target:sub(1, #bare) == bare then begun, count = name, count + 1 end
    end
  end
  if best_distance <= math.max(1, #bare // 3) and best_distance < #bare then return best end
  return count == 1 and begun or nil
end

local function hint(word, names)
  local near = M.nearest(word, names)
  return near and (" (did you mean '%s'?)"):format(near) or ""
end

-- A word of the user's, fit to be in a message.
local function quoted(word)
  if #word > NAME_MAX then word = word:sub(1, NAME_MAX) .. "..." end
  return "'" .. word:gsub("%c", "?") .. "'"
end

-- ---------------------------------------------------------------------------------------------------- values

local BOOLEANS = {
  ["true"] = true, yes = true, on = true, ["1"] = true, ["false"] = false, no = false, off = false, ["0"] = false,
}

local READERS = {
  string = function(text) return text end,
  path = function(text)
    if text == "" then return nil, "an empty path" end
    if text:find("\0", 1, true) then return nil, "a path with a NUL in it" end
    return text
  end,
  integer = function(text)
    local value = text:find("^[+-]?%d+$") and math.tointeger(tonumber((text:gsub("^%+", ""))))
      or text:find("^0[xX]%x+$") and #text <= 18 and math.tointeger(tonumber(text))
    if not value then return nil, "not an integer" end
    return value
  end,
  number = function(text)
    local value = text:find("^[+-]?%.?%d[%d%.eE+-]*$") and tonumber((text:gsub("^%+", "")))
    if not value or value ~= value or value == math.huge or value == -math.huge then return nil, "not a number" end
    return value
  end,
  boolean = function(text)
    local value = BOOLEANS[text:lower()]
    if value == nil then return nil, "neither true nor false" end
    return value
  end,
}

local function read_one(item, kind, text)
  local value, complaint = READERS[kind](text)
  if value == nil then return nil, ("%s is %s"):format(quoted(text), complaint) end
  if type(value) == "number" and (item.min and value < item.min or item.max and value > item.max) then
    return nil, ("%s %s"):format(quoted(text), said().range(item))
  end
  if item.choices then
    for _, choice in ipairs(item.choices) do
      if tostring(choice) == text then return choice end
    end
    return nil, ("%s is not one of %s%s"):format(quoted(text), concat(item.choices, ", "), hint(text, item.choices))
  end
  return value
end

-- The value of a text for an item of the spec: nil and what is wrong with it when it does not fit.
local function read_value(item, text)
  local kind = item.type or "string"
  if kind ~= "list" then return read_one(item, kind, text) end
  local list = {}
  for part in (text .. ","):gmatch("([^,]*),") do
    if part ~= "" then
      local value, complaint = read_one(item, item.of or "string", part)
      if value == nil then return nil, complaint end
      list[#list + 1] = value
    end
  end
  return list
end

-- ---------------------------------------------------------------------------------------------------- checking a spec

local function spec_error(spec, message, ...)
  error(("args: spec of '%s': "):format(tostring(spec.name)) .. message:format(...), 0)
end

local function check_item(spec, item, what)
  local kind = item.type or "string"
  if kind ~= "list" and not READERS[kind] then spec_error(spec, "%s has the unknown type '%s'", what, kind) end
  if item.of and not READERS[item.of] then spec_error(spec, "%s has the unknown type '%s'", what, item.of) end
end

local RESERVED = {verb = true, spec = true, help = true, version = true}

-- Names an option: its long and short name, the key of its value. Both are kept beside the user's table.
local function normal_option(spec, given)
  local option = setmetatable({}, {__index = given})
  for _, name in ipairs(given) do
    if name:find("^%-%-[%w][%w-]*$") then
      option.long = option.long or name
    elseif name:find("^%-%w$") then
      option.short = option.short or name
    else
      spec_error(spec, "option name '%s' is neither -x nor --word", tostring(name))
    end
  end
  option.shown = option.long or option.short or spec_error(spec, "an option without a name")
  option.key = given.key or option.shown:gsub("^%-+", ""):gsub("%-", "_")
  option.takes = given.arg ~= nil or given.type ~= nil and given.type ~= "boolean"
  option.arg = given.arg or (option.takes and given.type:upper()) or nil
  if RESERVED[option.key] then spec_error(spec, "option '%s' uses a reserved key", option.shown) end
  check_item(spec, given, "option '" .. option.shown .. "'")
  return option
end

local function normal_positional(spec, given, last)
  local name = given[1]
  if type(name) ~= "string" or not name:find("^[%a][%w_-]*$") then spec_error(spec, "a positional without a name") end
  local positional = setmetatable({shown = name}, {__index = given})
  positional.key = given.key or name:lower():gsub("%-", "_")
  if given.many and not last then spec_error(spec, "only the last positional can be many: '%s'", name) end
  if RESERVED[positional.key] then spec_error(spec, "positional '%s' uses a reserved key", name) end
  check_item(spec, given, "positional '" .. name .. "'")
  return positional
end

local function take_names(spec, node, option)
  for _, name in ipairs {option.long or false, option.short or false} do
    if name then
      if node.by_name[name] then spec_error(spec, "option '%s' occurs twice", name) end
      node.by_name[name] = option
    end
  end
end

-- The checked form of a spec and of the verbs in it. `up` is the node around it, whose options also count here.
local function normal_spec(spec, up)
  if type(spec.name) ~= "string" or not spec.name:find("^%w[%w_.-]*$") then spec_error(spec, "needs a name") end
  local node = {
    spec = spec,
    up = up,
    path = up and up.path .. " " .. spec.name or spec.name,
    options = {},
    positionals = {},
    verbs = {},
    by_name = setmetatable({}, {__index = up and up.by_name}),
  }
  for i, given in ipairs(spec.options or {}) do
    node.options[i] = normal_option(spec, given)
    take_names(spec, node, node.options[i])
  end
  local help = {long = "--help", key = "help", shown = "--help", help = "show this text", builtin = "help"}
  if not node.by_name["-h"] then help.short = "-h" end
  if not up then
    take_names(spec, node, help)
    node.options[#node.options + 1] = help
    if spec.version then
      local version = {long = "--version", key = "version", shown = "--version", help = "show the version"}
      version.builtin = "version"
      take_names(spec, node, version)
      node.options[#node.options + 1] = version
    end
  end
  for i, given in ipairs(spec.positionals or {}) do
    node.positionals[i] = normal_positional(spec, given, i == #spec.positionals)
  end
  if spec.verbs and #node.positionals > 0 then spec_error(spec, "has both verbs and positionals") end
  for i, verb in ipairs(spec.verbs or {}) do
    node.verbs[i] = normal_spec(verb, node)
    if node.verbs[verb.name] then spec_error(spec, "verb '%s' occurs twice", verb.name) end
    node.verbs[verb.name] = node.verbs[i]
  end
  return node
end

-- ---------------------------------------------------------------------------------------------------- parsing

local function store(result, item, value)
  if item.many or item.type == "list" then
    local list = rawget(result, item.key) or {}
    if item.type == "list" then table.move(value, 1, #value, #list + 1, list) else list[#list + 1] = value end
    result[item.key] = list
  else
    result[item.key] = value
  end
end

-- One option with its value, which may be nil as yet. Gives the number of words used up behind it, or nil, message.
local function take_option(state, option, shown, value, following)
  local used = 0
  if option.builtin then
    state.wants = state.wants or option.builtin
    return 0
  end
  if not option.takes then
    if option.count then
      state.result[option.key] = (state.result[option.key] or 0) + 1
      return 0
    end
    local flag = true
    if value then
      flag = BOOLEANS[value:lower()]
      if flag == nil then return bad("option '%s': %s is neither true nor false", shown, quoted(value)) end
    end
    state.result[option.key] = flag
    return 0
  end
  if not value then
    if not following then return bad("option '%s' needs a value %s", shown, option.arg) end
    value, used = following, 1
  end
  local read, complaint = read_value(option, value)
  if read == nil then return bad("option '%s': %s", shown, complaint) end
  store(state.result, option, read)
  return used
end

local function take_long(state, word, following)
  local name, value = word:match("^(%-%-[^=]*)=(.*)$")
  name = name or word
  local option = state.node.by_name[name]
  if not option then return bad("unknown option %s%s", quoted(name), hint(name, said().option_names(state.node))) end
  return take_option(state, option, name, value, following)
end

-- Short options, several in a word; the first that takes a value takes the rest of the word.
local function take_short(state, word, following)
  local at = 2
  while at <= #word do
    local name = "-" .. word:sub(at, at)
    local option = state.node.by_name[name]
    if not option then
      local near = #word > 2 and hint(word, said().option_names(state.node)) or ""
      return bad("unknown option %s%s", quoted(#word > 2 and near ~= "" and word or name), near)
    end
    local rest = at < #word and option.takes and word:sub(at + 1):gsub("^=", "") or nil
    local used, message, code = take_option(state, option, name, rest, following)
    if not used then return nil, message, code end
    if option.takes then return used end
    at = at + 1
  end
  return 0
end

local function take_verb(state, word)
  local node = state.node
  if word == "help" and not node.verbs.help then
    state.wants = "help"
    return 0
  end
  local verb = node.verbs[word]
  if not verb then return bad("unknown verb %s%s", quoted(word), hint(word, said().verb_names(node))) end
  state.node = verb
  state.result.verb = state.result.verb and state.result.verb .. " " .. word or word
  return 0
end

local function take_positional(state, word)
  local node = state.node
  if #node.verbs > 0 then return take_verb(state, word) end
  if state.wants then return 0 end
  local item = node.positionals[state.position]
  if not item then return bad("unexpected argument %s", quoted(word)) end
  local value, complaint = read_value(item, word)
  if value == nil then return bad("%s: %s", item.shown, complaint) end
  store(state.result, item, value)
  if not item.many then state.position = state.position + 1 end
  return 0
end

local function is_option(state, word)
  if state.literal or word == "-" or word:sub(1, 1) ~= "-" then return false end
  return not (word:find("^%-%.?%d") and not state.node.by_name[word:sub(1, 2)])
end

-- Defaults of every option around the chosen verb; what is missing.
local function complete_result(state)
  local result, node = state.result, state.node
  if #node.verbs > 0 and not node.spec.run then
    return bad("missing verb: one of %s", concat(said().verb_names(node), ", "))
  end
  for _, item in ipairs(node.positionals) do
    if result[item.key] == nil then
      result[item.key] = item.default
      if item.default == nil and not item.optional then return bad("missing %s", item.shown) end
      if item.default == nil and item.many then result[item.key] = {} end
    end
  end
  while node do
    for _, option in ipairs(node.options) do
      if result[option.key] == nil and not option.builtin then
        if option.required then return bad("missing option '%s'", option.shown) end
        result[option.key] = option.default
        if option.default == nil and not option.takes then result[option.key] = option.count and 0 or false end
      end
    end
    node = node.up
  end
  return result
end

--- Parses the words of a command line.
--
-- @tparam table argv  the words, without the program's name
-- @treturn table  values by key: options (`--dry-run` is `dry_run`; flags are true or false), positionals (in lower
--   case; a table for `many`), `verb` (nested ones with a blank between), `spec`: the spec of the verb. When help or
--   the version was asked for, nothing more is checked and `help` or `version` is the text to print. Or nil, message,
--   "XK_EINVAL"
function Cli:parse(argv)
  local state = {node = self.root, result = {}, position = 1}
  local i = 1
  while argv[i] do
    local word = argv[i]
    local used, message, code
    if word == "--" and not state.literal then
      state.literal, used = true, 0
    elseif not is_option(state, word) then
      used, message, code = take_positional(state, word)
    elseif word:sub(1, 2) == "--" then
      used, message, code = take_long(state, word, argv[i + 1])
    else
      used, message, code = take_short(state, word, argv[i + 1])
    end
    if not used then return nil, state.node.path .. ": " .. message, code end
    i = i + 1 + used
  end
  if state.wants == "help" then return {verb = state.result.verb, help = self:help(state.result.verb)} end
  if state.wants == "version" then return {version = self.root.spec.version} end
  local result, message, code = complete_result(state)
  if not result then
    return nil, ("%s: %s (see '%s --help')"):format(state.node.path, message, state.node.path), code
  end
  result.spec = state.node.spec
  return result
end

--- The help text of the command, or of one of its verbs ("image build" for a nested one).
-- @tparam[opt] string verb
-- @treturn string  with a newline at the end
function Cli:help(verb) return said().help(self.root, verb) end

--- The man page, as roff source.
-- @tparam[opt] table opts  `section` (1), `date`, `manual`: the head's texts; `see_also`: array like {"lua(1)"}
-- @treturn string
function Cli:man(opts) return said().man(self.root, opts) end

--- The bash completion script.
-- @treturn string
function Cli:completion() return said().completion(self.root) end

--- Checks a spec and makes a parser of it.
--
-- @tparam table spec  `name`, `summary`, `description`, `version`, `options`, `positionals` or `verbs` (specs of
--   their own, with any depth), `examples` (commands, or {command, what it does}), `run`: with verbs, allows none to be
--   given.
--   An option is {"-x", "--long", ...} with `help`, `arg`: the name of its value (without: a flag), `type` (string,
--   integer, number, boolean, path, list; `of` for a list's items), `default`, `min`, `max`, `choices`, `many`,
--   `required`, `count` (-vvv), `key`. A positional is {"NAME", ...} with `optional`, `many` and the like
-- @return the parser: methods parse, help, man, completion
function M.new(spec)
  return setmetatable({root = normal_spec(spec)}, Cli)
end

-- ---------------------------------------------------------------------------------------------------- key=value

local function key_names(spec)
  local names = {}
  for i, item in ipairs(spec.keys or {}) do names[i] = item[1] end
  return names
end

local function keys_by_name(spec)
  local by_name = {}
  for _, item in ipairs(spec.keys or {}) do
    local name = item[1]
    if type(name) ~= "string" or not name:find("^[%a_][%w_.-]*$") then spec_error(spec, "a key without a name") end
    if name == "help" or by_name[name] then spec_error(spec, "key '%s' is reserved or occurs twice", name) end
    check_item(spec, item, "key '" .. name .. "'")
    by_name[name] = setmetatable({key = name}, {__index = item})
  end
  return by_name
end

local function take_key(spec, by_name, result, word)
  local name, text = word:match("^([^=]*)=(.*)$")
  name = name or word
  local item = by_name[name]
  if not item then return bad("unknown key %s%s", quoted(name), hint(name, key_names(spec))) end
  if not text then
    if item.type ~= "boolean" then return bad("key '%s' needs a value: %s=...", name, name) end
    text = "true"
  end
  if result[name] ~= nil and item.type ~= "list" then return bad("key '%s' is given twice", name) end
  if text == "" and item.default == "" then -- what holds without a word may be said
    store(result, item, "")
    return true
  end
  local value, complaint = read_value(item, text)
  if value == nil then return bad("key '%s': %s", name, complaint) end
  store(result, item, value)
  return true
end

--- Parses the `key=value` words that a service is started with.
--
-- @tparam table spec  `name`, `summary`, `description`, `examples`, `keys`: array of {"port", type = "integer",
--   default = 80, min = 1, max = 65535, help = "..."} as options of `new`; a boolean may be given by its key alone, a
--   list several times, with commas between
-- @tparam table argv  the words
-- @treturn table  values by key; only `help`, the text, when --help was among the words; or nil, message, "XK_EINVAL"
function M.keyvalues(spec, argv)
  local by_name, result = keys_by_name(spec), {}
  for _, word in ipairs(argv) do
    if word == "--help" or word == "-h" or word == "help" then return {help = said().keys(spec)} end
  end
  for _, word in ipairs(argv) do
    local ok, message, code = take_key(spec, by_name, result, word)
    if not ok then return nil, message, code end
  end
  for _, item in ipairs(spec.keys or {}) do
    local name = item[1]
    if result[name] == nil then
      if item.required then return bad("missing key '%s'%s", name, item.help and ": " .. item.help or "") end
      result[name] = item.default
    end
  end
  return result
end

return M
