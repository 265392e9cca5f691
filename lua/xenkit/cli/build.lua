--- `xenkit build`: a stub domain's files from a service. @module xenkit.cli.build
local files = require "xenkit.host.files"
local host = require "xenkit.core.host"
local image = require "xenkit.host.image"
local json = require "xenkit.json"

local M = {}

--- The source of an embedded module, for those who look what requires what.
function M.embedded(name) return require("xenkit.core.embedded")(name) end

local function absolute(path)
  if path:sub(1, 1) == "/" then return path end
  return (os.getenv("PWD") or ".") .. "/" .. path
end
M.absolute = absolute

--- A domain's name from its script's file.
function M.name_of(path) return ((path:match("([^/]+)%.lua$") or "domain"):gsub("[^%w_%-]", "_")) end

--- The verb. @param p the parsed command line
function M.run(p, fail, say)
  local source, err = files.read(p.script)
  if not source then return fail(err) end
  local name = p.name or M.name_of(p.script)
  local r, e, code = image.build({ source = source, path = p.script, name = name, words = p.words or {},
    dir = absolute(p.output or name), as = p.as, memory = p.memory, extra = p.extra, form = p.form,
    watchdog = p.watchdog, repl = p.repl }, M.embedded)
  if not r then return fail(e, code == "XK_EINVAL" and 2 or 1) end
  if p.json then
    r.needs = nil
    say("%s", json.encode(r, { sorted = true }))
  else
    say("%s: domain-%s, %.2f MB, to boot in %d MiB", r.image, r.form, r.size / 1e6, r.memory)
    say("start it with:  xl create %s", r.config)
  end
end

M.options = {
  { "-o", "--output", arg = "DIR", help = "folder for the files; default: one of the domain's name, here" },
  { "--name", arg = "NAME", help = "the domain's name; default: the file's" },
  { "-m", "--memory", arg = "MIB", type = "integer", min = 3, max = 65536, help = "its memory; default 8, or 24 for " ..
    "domain-full, 32 for domain-crypt" },
  { "--as", arg = "PATH", help = "how the folder is called where xl runs, if that is elsewhere" },
  { "--extra", arg = "TEXT", help = "command line of the kernel: key=value sets a parameter" },
  { "--form", arg = "FORM", choices = { "core", "full", "crypt" }, help = "core, full, or crypt, with " ..
    "encryption; default: what the script requires" },
  { "--watchdog", arg = "SECONDS", type = "integer", min = 0, help = "how long Lua code may run without giving way; " ..
    "default 10, 0: for ever" },
  { "--repl", help = "a Lua prompt on its console, beside the service" },
  { "--json", help = "print JSON" },
}

M.is_root = function() return host.uid() == 0 end

return M
