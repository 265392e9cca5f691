--- What `xenkit.args` says of a command line: help texts, the man page, the completion for bash. Nodes are as
-- `normal_spec` there makes them. @module xenkit.args_text
local M = {}

local concat = table.concat
local WIDTH = 80

--- Between which numbers a value has to be.
function M.range(item)
  if item.min and item.max then return ("must be from %s to %s"):format(item.min, item.max) end
  if item.min then return ("must be at least %s"):format(item.min) end
  return ("must be at most %s"):format(item.max)
end

function M.option_names(node)
  local names = {}
  while node do
    for _, option in ipairs(node.options) do names[#names + 1] = option.long end
    node = node.up
  end
  return names
end

function M.verb_names(node)
  local names = {}
  for i, verb in ipairs(node.verbs) do names[i] = verb.spec.name end
  return names
end

-- ---------------------------------------------------------------------------------------------------- help

-- Breaks text into lines that are at most width wide; empty lines part paragraphs.
local function wrap(text, width)
  local lines = {}
  for paragraph in (text .. "\n\n"):gmatch("(.-)\n%s*\n") do
    if #lines > 0 then lines[#lines + 1] = "" end
    local line = ""
    for word in paragraph:gmatch("%S+") do
      if line ~= "" and utf8.len(line) + 1 + (utf8.len(word) or #word) > width then
        lines[#lines + 1] = line
        line = word
      else
        line = line == "" and word or line .. " " .. word
      end
    end
    lines[#lines + 1] = line
  end
  return lines
end

-- Rows of {left, right}, the right sides aligned and wrapped.
local function table_text(out, rows)
  local left = 0
  for _, row in ipairs(rows) do
    if #row[1] <= 24 then left = math.max(left, #row[1]) end
  end
  for _, row in ipairs(rows) do
    local lines = wrap(row[2], WIDTH - left - 4)
    local head = "  " .. row[1]
    if #row[1] > left and row[2] ~= "" then
      out[#out + 1] = head
      head = ""
    end
    for _, line in ipairs(lines) do
      out[#out + 1] = (head .. (" "):rep(left + 4 - #head) .. line):gsub("%s+$", "")
      head = ""
    end
  end
end

local function show_default(value)
  if type(value) == "table" then return concat(value, ",") end
  return tostring(value)
end

-- The help of an item, with what the parser knows: choices, range, default.
local function item_help(item)
  local notes = {}
  if item.choices then notes[#notes + 1] = "one of " .. concat(item.choices, ", ") end
  if item.min or item.max then notes[#notes + 1] = (M.range(item):gsub("^must be ", "")) end
  if item.default ~= nil then notes[#notes + 1] = "default " .. show_default(item.default) end
  if item.required then notes[#notes + 1] = "required" end
  if item.many and item.takes then notes[#notes + 1] = "may be repeated" end
  local help = item.help or ""
  if #notes == 0 then return help end
  return (help == "" and "" or help .. " ") .. "(" .. concat(notes, "; ") .. ")"
end

local function option_left(option)
  local names = option.short and option.long and option.short .. ", " .. option.long
    or option.long and "    " .. option.long or option.short
  return names .. (option.arg and " " .. option.arg or "")
end

local function positional_usage(item)
  local text = item.shown .. (item.many and "..." or "")
  return (item.optional or item.default ~= nil) and "[" .. text .. "]" or text
end

local function usage(node)
  local parts = {node.path, "[options]"}
  for _, option in ipairs(node.options) do
    if option.required then parts[#parts + 1] = option.shown .. " " .. option.arg end
  end
  if #node.verbs > 0 then parts[#parts + 1] = node.spec.run and "[VERB ...]" or "VERB ..." end
  for _, item in ipairs(node.positionals) do parts[#parts + 1] = positional_usage(item) end
  return concat(parts, " ")
end

local function find_node(root, verb)
  local node = root
  for name in (verb or ""):gmatch("%S+") do
    node = node.verbs[name] or error(("args: no verb '%s'"):format(verb), 3)
  end
  return node
end

local function section(out, title, rows)
  if #rows == 0 then return end
  out[#out + 1] = ""
  out[#out + 1] = title
  table_text(out, rows)
end

local function option_rows(node)
  local rows = {}
  for i, option in ipairs(node.options) do rows[i] = {option_left(option), item_help(option)} end
  return rows
end

local function example_lines(out, examples)
  if not examples or #examples == 0 then return end
  out[#out + 1] = ""
  out[#out + 1] = "Examples:"
  for _, example in ipairs(examples) do
    local command, note = example, nil
    if type(example) == "table" then command, note = example[1], example[2] end
    if note then
      for _, line in ipairs(wrap(note, WIDTH - 4)) do out[#out + 1] = "  # " .. line end
    end
    out[#out + 1] = "  " .. command
  end
end

local function summary_line(name, spec)
  return spec.summary and name .. " - " .. spec.summary or name
end

function M.help(root, verb)
  local node = find_node(root, verb)
  local out, rows = wrap(summary_line(node.path, node.spec), WIDTH), {}
  table.move({"", "Usage: " .. usage(node)}, 1, 2, #out + 1, out)
  if node.spec.description then
    out[#out + 1] = ""
    for _, line in ipairs(wrap(node.spec.description, WIDTH)) do out[#out + 1] = line end
  end
  for i, child in ipairs(node.verbs) do rows[i] = {child.spec.name, child.spec.summary or ""} end
  section(out, "Verbs:", rows)
  rows = {}
  for i, item in ipairs(node.positionals) do rows[i] = {item.shown, item_help(item)} end
  section(out, "Arguments:", rows)
  section(out, "Options:", option_rows(node))
  if node.up then section(out, "Options of every verb:", option_rows(root)) end
  example_lines(out, node.spec.examples)
  if #node.verbs > 0 then
    out[#out + 1] = ""
    out[#out + 1] = ("'%s VERB --help' tells more about a verb."):format(node.path)
  end
  return concat(out, "\n") .. "\n"
end

-- ---------------------------------------------------------------------------------------------------- man page

local function roff(text)
  text = text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("\n%s*", "\n")
  return (text:gsub("^([.'])", "\\&%1"):gsub("\n([.'])", "\n\\&%1"))
end

local function roff_items(out, items, left)
  for _, item in ipairs(items) do
    out[#out + 1] = ".TP"
    out[#out + 1] = ".B " .. roff(left(item):gsub("^ +", "")):gsub('"', "\\(dq")
    local help = item_help(item)
    out[#out + 1] = help == "" and "\\&" or roff(help)
  end
end

local function roff_paragraphs(out, text)
  for _, paragraph in ipairs(wrap(text, math.huge)) do
    out[#out + 1] = paragraph == "" and ".PP" or roff(paragraph)
  end
end

local function roff_examples(out, examples)
  for _, example in ipairs(examples or {}) do
    local command, note = example, nil
    if type(example) == "table" then command, note = example[1], example[2] end
    out[#out + 1] = ".PP"
    if note then out[#out + 1] = roff(note) end
    out[#out + 1] = ".PP\n.RS 4\n.nf\n" .. roff(command) .. "\n.fi\n.RE"
  end
end

local function roff_verbs(out, node)
  for _, child in ipairs(node.verbs) do
    out[#out + 1] = ".SS " .. roff(usage(child))
    if child.spec.summary then out[#out + 1] = roff(child.spec.summary:gsub("^%l", string.upper)) .. "." end
    if child.spec.description then
      out[#out + 1] = ".PP"
      roff_paragraphs(out, child.spec.description)
    end
    roff_items(out, child.positionals, function(item) return item.shown end)
    roff_items(out, child.options, option_left)
    roff_examples(out, child.spec.examples)
    roff_verbs(out, child)
  end
end

function M.man(root, opts)
  opts = opts or {}
  local spec = root.spec
  local source = spec.version or "" -- with or without the program's name before the number
  if source:sub(1, #spec.name) ~= spec.name then source = (spec.name .. " " .. source):gsub(" $", "") end
  local out = {
    ('.TH "%s" "%s" "%s" "%s" "%s"'):format(roff(spec.name:upper()), opts.section or 1, opts.date or "", roff(source),
      opts.manual or ""),
    ".SH NAME",
    roff(spec.name) .. " \\- " .. roff(spec.summary or ""),
    ".SH SYNOPSIS",
    ".B " .. roff(spec.name),
    roff(usage(root):sub(#root.path + 2)),
  }
  if spec.description then
    out[#out + 1] = ".SH DESCRIPTION"
    roff_paragraphs(out, spec.description)
  end
  if #root.positionals > 0 then out[#out + 1] = ".SH ARGUMENTS" end
  roff_items(out, root.positionals, function(item) return item.shown end)
  out[#out + 1] = ".SH OPTIONS"
  roff_items(out, root.options, option_left)
  if #root.verbs > 0 then out[#out + 1] = ".SH VERBS" end
  roff_verbs(out, root)
  if spec.examples then out[#out + 1] = ".SH EXAMPLES" end
  roff_examples(out, spec.examples)
  if opts.see_also then
    out[#out + 1] = ".SH SEE ALSO"
    out[#out + 1] = roff(concat(opts.see_also, ", "))
  end
  return concat(out, "\n") .. "\n"
end

-- ---------------------------------------------------------------------------------------------------- bash completion

-- All nodes, depth first.
local function all_nodes(node, list)
  list[#list + 1] = node
  for _, child in ipairs(node.verbs) do all_nodes(child, list) end
  return list
end

-- The words that may be completed literally: bash expands word lists, so anything odd is left out.
local function plain_words(words)
  local safe = {}
  for _, word in ipairs(words) do
    word = tostring(word)
    if word:find("^[%w_.:@%%+,/=-]+$") then safe[#safe + 1] = word end
  end
  return concat(safe, " ")
end

-- The shell command that fills COMPREPLY for the value of an item.
local function reply_for(item)
  if item.choices then return ("COMPREPLY=($(compgen -W '%s' -- \"$cur\"))"):format(plain_words(item.choices)) end
  if item.type == "path" then return 'COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null' end
  return "COMPREPLY=()"
end

-- Case arms for the options that take a value: "path:option" of each node and what completes the value.
local function value_arms(nodes)
  local arms, patterns = {}, {}
  for _, node in ipairs(nodes) do
    local at = node
    while at do
      for _, option in ipairs(at.options) do
        if option.takes then
          local names = {}
          for _, name in ipairs {option.long or false, option.short or false} do
            if name then names[#names + 1] = ("'%s:%s'"):format(node.path, name) end
          end
          patterns[#patterns + 1] = concat(names, "|")
          arms[#arms + 1] = ("    %s) %s; return ;;"):format(concat(names, "|"), reply_for(option))
        end
      end
      at = at.up
    end
  end
  return arms, patterns
end

local function word_arms(nodes)
  local arms = {}
  for _, node in ipairs(nodes) do
    local options = plain_words(M.option_names(node))
    local reply
    if #node.verbs > 0 then
      local verbs = M.verb_names(node)
      reply = ("COMPREPLY=($(compgen -W '%s' -- \"$cur\"))"):format(plain_words(verbs))
    else
      -- One kind of completion for all positionals: the first one's that knows any.
      reply = "COMPREPLY=()"
      for i = #node.positionals, 1, -1 do
        local item = node.positionals[i]
        if item.choices or item.type == "path" then reply = reply_for(item) end
      end
    end
    local arm = "    '%s') options='%s'\n      [[ $cur == -* ]] || { %s; return; } ;;"
    arms[#arms + 1] = arm:format(node.path, options, reply)
  end
  return arms
end

local COMPLETION = [=[
# bash completion for @NAME@, made by xenkit.args
_@FUNCTION@() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path='@NAME@' options= word i
  COMPREPLY=()
  # bash parts --name=value into three words
  if [[ $cur == '=' ]]; then cur=; elif [[ $prev == '=' ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case "$path:$word" in
@SKIP@    esac
    case "$path $word" in
@VERBS@    *) ;;
    esac
  done
  case "$path:$prev" in
@VALUES@    *) ;;
  esac
  case "$path" in
@WORDS@  esac
  COMPREPLY=($(compgen -W "$options" -- "$cur"))
}
complete -F _@FUNCTION@ @NAME@
]=]

function M.completion(root)
  local nodes = all_nodes(root, {})
  local values, patterns = value_arms(nodes)
  local verbs = {}
  for i = 2, #nodes do verbs[#verbs + 1] = ("    '%s') path='%s' ;;"):format(nodes[i].path, nodes[i].path) end
  local function block(lines) return #lines > 0 and concat(lines, "\n") .. "\n" or "" end
  local name = root.spec.name
  local skip = #patterns > 0 and "    " .. concat(patterns, "|") .. ")\n"
    .. "      [[ ${COMP_WORDS[i+1]-} == '=' ]] && i=$((i + 1))\n      i=$((i + 1)); continue ;;\n" or "    *) ;;\n"
  local fill = {
    FUNCTION = (name:gsub("[^%w_]", "_")),
    NAME = name,
    SKIP = skip,
    VERBS = block(verbs),
    VALUES = block(values),
    WORDS = block(word_arms(nodes)),
  }
  return (COMPLETION:gsub("@(%u+)@", fill))
end

-- --- key=value

--- The help of a service's keys.
function M.keys(spec)
  local out, rows = wrap(summary_line(spec.name or "service", spec), WIDTH), {}
  if spec.description then
    out[#out + 1] = ""
    for _, line in ipairs(wrap(spec.description, WIDTH)) do out[#out + 1] = line end
  end
  for i, item in ipairs(spec.keys or {}) do
    rows[i] = {item[1] .. "=" .. (item.arg or (item.type or "string"):upper()), item_help(item)}
  end
  section(out, "Keys:", rows)
  example_lines(out, spec.examples)
  return concat(out, "\n") .. "\n"
end

return M
