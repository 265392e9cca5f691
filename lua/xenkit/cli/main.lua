--- The `xenkit` command: finds the verb that its words ask for, and runs it. Verbs for files are done without what only
-- worlds need, as half of a short command's time would be its start. @module xenkit.cli.main
local args = require "xenkit.args"
local common = require "xenkit.cli.common"
local out = require "xenkit.cli.out"

local fail = common.fail
local M = {}

-- The verbs by name, and in the order of the help text.
local function verbs_for(word)
  local group = word and common.group(word)
  if group then return { [word] = group }, { word } end
  local all = require "xenkit.cli.verbs"
  return all.verbs, all.ORDER
end

local function make_cli(verbs, order)
  local list = {}
  for _, name in ipairs(order) do
    local v = verbs[name]
    list[#list + 1] = { name = name, summary = v.summary, description = v.description, options = v.options,
      positionals = v.positionals, examples = v.examples, verbs = v.verbs }
  end
  return args.new { name = "xenkit", version = "xenkit " .. common.version,
    summary = "services made of small isolated domains that talk over shared-memory rings",
    examples = { { "xenkit up -d examples/demo.lua", "start a world" }, { "xenkit list", "see it" },
      { "xenkit run hello.lua port=8080", "run one service alone" } },
    verbs = list }
end

-- `run FILE --help` is the service's own help.
local function service_help(argv)
  if argv[1] ~= "run" or not argv[2] or argv[2]:sub(1, 1) == "-" then return end
  for i = 3, #argv do
    if argv[i] == "--help" or argv[i] == "-h" then
      return require("xenkit.cli.run").help(argv[2], fail)
    end
  end
end

-- `crunch DIR` is `crunch make DIR`.
local function crunch_dir(words, verbs)
  local word = words[1] == "crunch" and words[2]
  if word and word ~= "help" and word ~= "--help" and word ~= "-h" and not verbs.crunch.verbs.run[word] then
    table.insert(words, 2, "make")
  end
end

--- @return exit code: 0 well, 1 failed, 2 wrong use, 3 no such world
function M.main(argv)
  local words = {}
  for i = 1, #argv do words[i] = argv[i] end
  local code = service_help(words)
  if code then return code end
  local verbs, order = verbs_for(words[1])
  crunch_dir(words, verbs)
  local cli = make_cli(verbs, order)
  local p, message = cli:parse(words)
  if not p then return fail(message .. "\nTry 'xenkit --help'.", 2) end
  if p.help or p.version then
    out.write(p.help or (p.version .. "\n"))
    out.flush()
    return 0
  end
  local name, sub = p.verb:match("^(%S+)%s*(.*)$")
  local run = sub ~= "" and verbs[name].verbs.run[sub] or verbs[name].run
  local ok, result = xpcall(run, function(e)
    return type(e) == "string" and not os.getenv("XENKIT_DEBUG") and e:gsub("^[^\n]-:%d+: ", "")
      or debug.traceback(tostring(e))
  end, p, cli)
  if not ok then return fail(result) end
  if name ~= "up" and name ~= "run" then out.flush() end
  return result or 0
end

return M
