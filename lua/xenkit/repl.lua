--- The read-eval-print loop on the console of a domain, and over a channel into a running one.
--
-- It edits lines with `xenkit.lineedit` and shows values with `xenkit.pretty`. What is typed runs in the coroutine that
-- called `run`, so it may wait for anything, and everything else in the domain goes on meanwhile. It runs in a thin
-- overlay over the given environment: `print` and `_` belong to the session, all other names to the domain.
--
-- A chunk that computes without end would stop the whole domain, and ctrl-c cannot help, as nobody reads it; so a chunk
-- has a budget of instructions (when the `debug` library is there). That is a net for slips, not a wall: it does not
-- count what C functions do, nor coroutines that the chunk starts, nor message handlers of xpcall.
--
-- @module xenkit.repl

local lineedit = require("xenkit.lineedit")
local pretty = require("xenkit.pretty")

local M = {}

local CHUNK = "=repl"
local SOURCE_MAX = 1 << 20
local BUDGET = 100000000
local GRACE = 100000
local FRAMES_MAX = 20
local UNSHOWN_MAX = 500
local COMPLETIONS_MAX = 1000
local INDEX_DEPTH = 10

local debug = debug
local OWN_SOURCE = debug and debug.getinfo(1, "S").source

local HELP = [[
Type Lua. An expression shows its values, a statement runs; what is not
complete goes on in the next line.
  =EXPR     the same as EXPR         _         the last value
  help      this text                exit      leave (or ctrl-d)
Keys:
  tab             complete a name, twice: list
  up, down        history (ctrl-p, ctrl-n); ctrl-r searches it backwards
  ctrl-a, ctrl-e  start, end of the line; alt-b, alt-f a word back, forward
  ctrl-k, ctrl-u  delete to the end, to the start; ctrl-y puts it back
  ctrl-w, alt-d   delete a word back, forward
  ctrl-c          drop the line (it does not stop a running chunk)
]]

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true
    until while]]):gmatch("%a+") do
  KEYWORDS[#KEYWORDS + 1] = word
end

-- ---------------------------------------------------------------------------------------------------- output

-- Without a terminal driver a newline does not go back to the first column.
local function put(session, text)
  if not session.dumb then text = text:gsub("\r?\n", "\r\n") end
  session.tty:write(text)
end

local function put_error(session, text)
  text = pretty.printable(text)
  if session.colours then text = "\27[31m" .. text .. "\27[0m" end
  put(session, text .. "\n")
end

local function session_print(session)
  return function(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    put(session, table.concat(parts, "\t") .. "\n")
  end
end

local function format_values(session, values)
  local opts = {width = session.width - 1, colours = session.colours}
  local parts, lines = {}, false
  for i = 1, values.n do
    parts[i] = pretty.format(values[i], opts)
    lines = lines or parts[i]:find("\n", 1, true) ~= nil or #parts[i] > 40
  end
  return table.concat(parts, lines and "\n" or "\t")
end

-- ---------------------------------------------------------------------------------------------------- environment

-- The overlay: print and _ are the session's, all else is read from and written to env.
local function overlay(session, env)
  return setmetatable({print = session_print(session)}, {
    __index = env,
    __newindex = env,
    __pairs = function() return next, env, nil end,
    __name = "repl environment",
  })
end

-- ---------------------------------------------------------------------------------------------------- compiling

local function is_incomplete(message)
  return message:find("near <eof>", -10, true) ~= nil
end

-- Compiles a source: a function, or nil and a message, or nil, message, true when more lines may complete it.
local function compile(session, source)
  local expression = source:match("^%s*=(.*)") or source
  local chunk, message = load("return " .. expression, CHUNK, "t", session.env)
  if chunk then return chunk end
  local incomplete = is_incomplete(message)
  if expression == source then
    chunk, message = load(source, CHUNK, "t", session.env)
    if chunk then return chunk end
    incomplete = incomplete or is_incomplete(message)
  end
  return nil, message, incomplete
end

-- ---------------------------------------------------------------------------------------------------- running

local evaluate

-- What is shown of an error value.
local function error_text(value)
  if type(value) == "string" then return value end
  local mt = type(value) == "table" and getmetatable(value)
  if type(mt) == "table" and rawget(mt, "__tostring") then
    local ok, text = pcall(tostring, value)
    if ok then return text end
  end
  return "error: " .. pretty.format(value)
end

local function frame_text(info)
  local where = info.short_src
  if info.currentline > 0 then where = where .. ":" .. info.currentline end
  if info.what == "main" then return where .. ": in main chunk" end
  if info.name then return ("%s: in %s '%s'"):format(where, info.namewhat, info.name) end
  if info.what == "C" then return where .. ": in a C function" end
  return ("%s: in a function of line %d"):format(where, info.linedefined)
end

-- The frames between the error and the repl, innermost first. Empty when the message already says it all. Looks at a
-- bounded number, as each costs its depth.
local function traceback(level)
  local frames, more = {}, 0
  while more < UNSHOWN_MAX do
    local info = debug.getinfo(level, "Slnft")
    if not info or info.func == evaluate then break end
    local raises = #frames == 0 and (info.func == error or info.func == assert)
    if #frames < FRAMES_MAX and not raises and info.source ~= OWN_SOURCE then
      frames[#frames + 1] = "  " .. frame_text(info) .. (info.istailcall and " (after tail calls)" or "")
    elseif #frames > 0 then
      more = more + 1
    end
    level = level + 1
  end
  if more > 0 then
    frames[#frames + 1] = ("  ... %s%d more"):format(more == UNSHOWN_MAX and "at least " or "", more)
  end
  if #frames <= 1 then return "" end
  return "\nwhere:\n" .. table.concat(frames, "\n")
end

-- Runs chunk and formats its results: inside the budget, as __tostring may loop too. Marks where the repl's frames
-- begin.
function evaluate(session, chunk)
  local values = table.pack(chunk())
  if values.n == 0 then return values, nil end
  return values, format_values(session, values)
end

-- Calls evaluate under the budget. The first time the budget is used up an error is raised and a little is granted to
-- whoever catches it to clean up; after that every instruction raises, so a loop around a pcall ends as well.
local function call_limited(session, chunk)
  local limit, spent = session.max_instructions, false
  local hook, mask, count = debug.gethook()
  local call, on_error
  local function on_count()
    local info = debug.getinfo(2, "f")
    if info and (info.func == call or info.func == on_error) then return end
    debug.sethook(on_count, "", spent and 1 or GRACE)
    spent = true
    error(("stopped: more than %d instructions (see max_instructions)"):format(limit), 0)
  end
  function on_error(value)
    debug.sethook(on_count, "", GRACE)
    return error_text(value) .. traceback(3)
  end
  function call()
    debug.sethook(on_count, "", limit)
    local ok, values, text = xpcall(evaluate, on_error, session, chunk)
    debug.sethook(hook, mask, count)
    return ok, values, text
  end
  return call()
end

local function call_unlimited(session, chunk)
  return xpcall(evaluate, function(value)
    return error_text(value) .. (debug and traceback(3) or "")
  end, session, chunk)
end

local function run_chunk(session, chunk)
  -- A hook set in C cannot be put back from here: it stays, and so it is the budget.
  local limited = debug and debug.sethook and session.max_instructions and type(debug.gethook()) ~= "string"
  local ok, values, text = (limited and call_limited or call_unlimited)(session, chunk)
  if not ok then return put_error(session, type(values) == "string" and values or error_text(values)) end
  if values.n > 0 then
    rawset(session.env, "_", values[1])
    put(session, text .. "\n")
  end
end

-- ---------------------------------------------------------------------------------------------------- completion

local function raw_metatable(value)
  if debug and debug.getmetatable then return debug.getmetatable(value) end
  local mt = getmetatable(value)
  return type(mt) == "table" and mt or nil
end

-- The tables in which a field of value may be found, without calling anything: itself, its __index, and so on.
local function field_tables(value)
  local tables = {}
  for _ = 1, INDEX_DEPTH do
    if type(value) == "table" then tables[#tables + 1] = value end
    local mt = raw_metatable(value)
    value = mt and rawget(mt, "__index")
    if type(value) ~= "table" then break end
  end
  return tables
end

local function get_field(value, name)
  for _, t in ipairs(field_tables(value)) do
    local field = rawget(t, name)
    if field ~= nil then return field end
  end
end

local function is_callable(value)
  local mt = raw_metatable(value)
  return type(value) == "function" or (mt and rawget(mt, "__call") ~= nil)
end

-- Adds the names in value that start with prefix to the set and list found.
local function add_names(found, value, prefix, methods)
  for _, t in ipairs(field_tables(value)) do
    for name, field in next, t do
      if type(name) == "string" and name:sub(1, #prefix) == prefix and name:find("^[%a_][%w_]*$") and not found[name]
        and (not methods or is_callable(field)) and #found < COMPLETIONS_MAX then
        found[name] = true
        found[#found + 1] = name
      end
    end
  end
end

--- Completes the Lua name before a position: globals and keywords, or the fields of a.b.c and methods of a.b:c. Nothing
-- of the program is called for it.
-- @tparam table env  the globals
-- @tparam string line
-- @tparam integer pos  the number of bytes before the cursor
-- @treturn integer  where the name starts
-- @treturn table  the names, sorted
function M.complete(env, line, pos)
  local text = line:sub(1, pos)
  if not text:find("%S") then return pos + 1, {"  "} end
  local path, prefix = text:match("([%w_%.:]*[%.:])%s*([%w_]*)$")
  local found = {}
  if not path or path:find("%.%.$") then
    prefix = text:match("[%w_]*$")
    add_names(found, env, prefix)
    for _, word in ipairs(KEYWORDS) do
      if word:sub(1, #prefix) == prefix and not found[word] then found[#found + 1] = word end
    end
  elseif path:find("^[%a_]") then
    local value = env
    for name in path:gmatch("[^%.:]+") do value = get_field(value, name) end
    add_names(found, value, prefix, path:sub(-1) == ":")
  end
  local names = table.move(found, 1, #found, 1, {})
  table.sort(names)
  return pos - #prefix + 1, names
end

-- ---------------------------------------------------------------------------------------------------- the loop

-- Reads lines until they make a chunk: the source and the chunk; or nil, message, code. A source that cannot be
-- compiled comes with the message.
local function read_chunk(session)
  local line, message, code = session.editor:read(session.prompt)
  if not line then return nil, message, code end
  local source = line
  while true do
    local chunk, complaint, incomplete = compile(session, source)
    if chunk or not incomplete then return source, chunk, complaint end
    line, message, code = session.editor:read(session.prompt2)
    if not line then
      -- At the end of a pipe an open chunk is an error worth showing.
      if code ~= "XK_ECANCELED" and code ~= "XK_EMSGSIZE" then put_error(session, complaint) end
      return nil, message, code
    end
    source = source .. "\n" .. line
    if #source > SOURCE_MAX then return nil, "chunk is too long", "XK_EMSGSIZE" end
  end
end

-- Words that are commands while the environment has no such global. Returns whether it was one, and whether to leave.
local function command(session, source)
  local word = source:match("^%s*(%a+)%s*$") or source:match("^%s*(%a+)%(%)%s*$")
  if word ~= "help" and word ~= "exit" and word ~= "quit" then return false end
  if get_field(session.env, word) ~= nil then return false end
  if word ~= "help" then return true, true end
  put(session, HELP .. session.help)
  return true
end

-- Handles one complete input; true to leave.
local function handle(session, source, chunk, complaint)
  session.editor:add_history(source)
  if session.on_line then
    local answer = session.on_line(source)
    if answer == false then return false end
    if type(answer) == "string" then
      source = answer
      chunk, complaint = compile(session, source)
    end
  end
  local done, leave = command(session, source)
  if done then return leave end
  if chunk then run_chunk(session, chunk) else put_error(session, complaint) end
end

local function new_session(tty, opts)
  local session = {
    tty = tty,
    dumb = opts.dumb or false,
    colours = opts.colours or false,
    width = opts.width or 80,
    prompt = opts.prompt or "> ",
    prompt2 = opts.prompt2 or ">> ",
    help = opts.help or "",
    on_line = opts.on_line,
  }
  if opts.max_instructions ~= false then session.max_instructions = opts.max_instructions or BUDGET end
  session.env = overlay(session, opts.env or _G)
  session.editor = lineedit.new(tty, {
    width = session.width,
    dumb = session.dumb,
    history = opts.history,
    history_max = opts.history_max,
    paste = opts.paste,
    complete = function(line, pos) return M.complete(session.env, line, pos) end,
  })
  return session
end

--- Runs the loop until the user leaves or the stream ends.
--
-- @param tty  the stream, as in `xenkit.lineedit`
-- @tparam[opt] table opts  `env` (the globals): where names live; `banner`: shown first; `prompt` ("> "), `prompt2`
--   (">> "); `history`: array of former inputs, changed in place, so the caller can keep it; `history_max`; `width`
--   (80); `colours`: true; `dumb`: no editing, for pipes; `paste`: see lineedit; `help`: text added to `help`;
--   `max_instructions` (100 million): the budget of one input, false for none; `on_line`: function(source), called with
--   each complete input before it runs: a string runs instead, false means that it was dealt with
-- @treturn boolean  true when the user left or the stream ended; or nil, message, code when reading failed otherwise
function M.run(tty, opts)
  local session = new_session(tty, opts or {})
  if opts and opts.banner then put(session, opts.banner .. "\n") end
  while true do
    local source, chunk, complaint = read_chunk(session)
    if source then
      if handle(session, source, chunk, complaint) then return true end
    elseif complaint == "XK_EMSGSIZE" then
      put_error(session, chunk)
    elseif complaint == "XK_ECLOSED" or complaint == "XK_EGONE" then
      return true
    elseif complaint ~= "XK_ECANCELED" then
      return nil, chunk, complaint
    end
  end
end

return M
