--- What boots as a stub domain: the kernel, the domain program with the boot archive appended, an xl config.
--
-- The program is the one that runs hosted. domain-core is enough for a script that requires none of xenkit's larger
-- modules, directly or through others; domain-crypt is for those that require encryption.
-- @module xenkit.host.image
local files = require "xenkit.host.files"
local host = require "xenkit.core.host"
local pack = require "xenkit.host.pack"
local service = require "xenkit.service"

local M = {}

local TRAILER = "XKBOOT1\n" -- after the archive's size; see src/platform/stub/abi.h
local FULL = { ["xenkit.core.http"] = true, ["xenkit.core.dns"] = true, ["xenkit.core.db"] = true,
  ["xenkit.core.markup"] = true, ["xenkit.core.resolve"] = true, ["xenkit.core.crunch"] = true,
  ["xenkit.core.fat"] = true }
local CRYPT = "xenkit.core.crypt"
local PROGRAMS = { core = "xenkit-domain-core.boot", full = "xenkit-domain.boot", crypt = "xenkit-domain-crypt.boot" }
local NOT_YET = { udp = true, unix = true, file = true, dir = true, pty = true, hypervisor = true }
local MEMORY = { core = 8, full = 24, crypt = 32 } -- MiB, where nothing else is said

-- What a text requires, by its look: a name in quotes after the word.
-- The names of the modules that a text requires. Bytecode has them as constants, as it has other names of ours.
local function required(text)
  local list = {}
  if text:sub(1, 4) == "\27Lua" then
    for name in text:gmatch "xenkit%.[%w_%.]*[%w_]" do list[#list + 1] = name end
    return list
  end
  for name in text:gmatch("require%s*%(?%s*[\"']([%w_%.]+)[\"']") do list[#list + 1] = name end
  return list
end

--- Which program a script needs.
-- @param text the script
-- @param source function(name) -> text or bytecode of an embedded module, or nil
-- @return "core", "full" or "crypt", and the module that made it more than core
function M.form(text, source)
  local seen, todo, full = {}, required(text), nil
  while #todo > 0 do
    local name = table.remove(todo)
    if name == CRYPT then return "crypt", name end
    if FULL[name] then full = name end
    if not seen[name] then
      seen[name] = true
      for _, more in ipairs(required(source(name) or "")) do todo[#todo + 1] = more end
    end
  end
  return full and "full" or "core", full
end

-- What the needs say of it, else what the script requires.
local function form_of(d, needs, embedded)
  for _, need in ipairs(needs) do
    if need.kind == "program" then return need.name end
  end
  return M.form(d.source, embedded)
end

local function program(name)
  local path = host.program(name)
  if not path then return nil, name .. " is not beside this program; build or install it", "XK_ENOENT" end
  return files.read(path)
end

local function write(path, ...)
  local f, err = io.open(path, "wb")
  if not f then return nil, err, "XK_EACCES" end
  local ok, e = f:write(...)
  if ok then ok, e = f:close() end
  if not ok then return nil, path .. ": " .. tostring(e), "XK_EIO" end
  return true
end

-- on_crash: the report is in `xl dmesg`; a domain that crashes at its start would be restarted for ever.
local function config(d, dir)
  return ([[
# Made by xenkit build from %s. Start it: xl create %s/%s.cfg
name = "%s"
type = "pvh"
kernel = "%s/xenkit-kernel"
ramdisk = "%s/%s.img"
memory = %d
vcpus = 1
tsc_mode = "native" # the kernel reads time by Xen's clock page, which is right after a migration, too
on_crash = "destroy"
on_reboot = "restart"
%s]]):format(d.path, dir, d.name, d.name, dir, dir, d.name, d.memory,
    d.extra ~= "" and ('extra = "%s"\n'):format(d.extra) or "")
end

local function describe(d)
  local svc, err, code = service.describe(d.source, d.path)
  if not svc then return nil, err, code end
  local params, e = service.params(svc, d.words or {})
  if not params then return nil, d.path .. ": " .. tostring(e), "XK_EINVAL" end
  local needs
  needs, e = service.needs(svc, params, d.path, "stub")
  if not needs then return nil, e, "XK_EINVAL" end
  local had = {}
  for _, need in ipairs(needs) do
    if not NOT_YET[need.kind] then
      had[#had + 1] = need
    elseif not need.optional then
      return nil, ("%s: needs.%s.%s cannot be had in a stub domain yet"):format(d.path, need.kind, need.name),
        "XK_ENOSYS"
    end
  end
  return { params = params, needs = had, offers = svc.offers or {} }
end

--- Makes the files.
-- @param d source, path, name, dir = where to, words = key=value, memory = MiB, as = how the folder is called where xl
--   runs, extra = the kernel's command line, form = "core", "full" or "crypt", watchdog = seconds
-- @param embedded function(name) -> text of an embedded module
-- @return {dir, config, image, kernel, form, memory, size, needs, offers}
function M.build(d, embedded)
  local svc, err, code = describe(d)
  if not svc then return nil, err, code end
  local form = d.form or form_of(d, svc.needs, embedded)
  d.memory = d.memory or MEMORY[form]
  d.extra = d.extra or ""
  local boot, kernel, domain
  boot, err, code = pack.boot { source = d.source, path = d.path, params = svc.params, needs = svc.needs,
    name = d.name, template = d.name, watchdog = d.watchdog,
    repl = d.repl }
  if boot then kernel, err, code = program("xenkit-kernel.boot") end
  if kernel and not PROGRAMS[form] then kernel, err, code = nil, "there is no domain-" .. form, "XK_EINVAL" end
  if kernel then domain, err, code = program(PROGRAMS[form]) end
  if not domain then return nil, err, code end
  local ok
  ok, err, code = host.mkdir(d.dir)
  if not ok then return nil, err, code end
  local image, cfg = d.dir .. "/" .. d.name .. ".img", d.dir .. "/" .. d.name .. ".cfg"
  ok, err, code = write(image, domain, boot, string.pack("<I8", #boot), TRAILER)
  if ok then ok, err, code = write(d.dir .. "/xenkit-kernel", kernel) end
  if ok then ok, err, code = write(cfg, config(d, d.as or d.dir)) end
  if not ok then return nil, err, code end
  return { dir = d.dir, config = cfg, image = image, kernel = d.dir .. "/xenkit-kernel", form = form,
    memory = d.memory, size = #domain + #boot + 16, kernel_size = #kernel, needs = svc.needs,
    offers = svc.offers }
end

return M
