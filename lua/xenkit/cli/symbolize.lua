--- `xenkit symbolize`: a stub domain's crash report as a backtrace. @module xenkit.cli.symbolize
local elf = require "xenkit.host.elf"
local files = require "xenkit.host.files"
local host = require "xenkit.core.host"

local M = {}

--- Reads reports out of text, whatever stands around and before the lines (`(d3) `, time stamps).
-- @return a list of {why, base, registers, stack}
function M.parse(text)
  local list, now = {}, nil
  for line in text:gmatch("[^\r\n]+") do
    local rest = line:match("xk%-crash (.*)")
    if rest then
      local why = rest:match("^begin: (.*)")
      if why then
        now = { why = why, registers = {}, stack = {} }
        list[#list + 1] = now
      elseif now and rest:find("^stack ") then
        local at, words = rest:match("^stack 0x(%x+):(.*)")
        at = at and tonumber(at, 16)
        for word in (words or ""):gmatch("0x(%x+)") do
          now.stack[#now.stack + 1] = { at = at, value = tonumber(word, 16) }
          at = at + 8
        end
      elseif now then
        for name, value in rest:gmatch("(%w+) 0x(%x+)") do now.registers[name] = tonumber(value, 16) end
      end
    end
  end
  return list
end

local function line_of(program, offset)
  local p = io.popen(("addr2line -e '%s' 0x%x 2>/dev/null"):format(program.path:gsub("'", "'\\''"), offset))
  local text = p and p:read("l")
  if p then p:close() end
  return text and not text:find("^%?%?") and "  " .. text or ""
end

local function place(r, programs, address, lines)
  for _, p in ipairs(programs) do
    local offset = address - (p.kernel and 0 or r.registers.base or 0)
    local name, into = p.elf:find(offset)
    if name and p.elf:is_code(offset) then
      return ("%s+0x%x%s%s"):format(name, into, p.kernel and " (kernel)" or "", lines and line_of(p.elf, offset) or ""),
        p, offset
    end
  end
end

local function show(r, programs, say, lines)
  say("%s", r.why)
  local rip = r.registers.rip or 0
  say("  at   0x%012x  %s", rip, place(r, programs, rip, lines) or "?")
  for _, w in ipairs(r.stack) do
    -- The call stands before where it returns to, which after the last call of a function is already the next one.
    local text, p, offset = place(r, programs, w.value - 1, lines)
    if text and p.elf:after_call(offset + 1) then say("  from 0x%012x  %s", w.value, text) end
  end
end

local function open_all(p)
  local programs = {}
  local function add(path, kernel)
    local e, err = elf.open(path)
    if not e then return err end
    programs[#programs + 1] = { elf = e, kernel = kernel }
  end
  local kernel = p.kernel or host.program("xenkit-kernel")
  local program = p.program or host.program(p.full and "xenkit-domain" or "xenkit-domain-core")
  local err = program and add(program) or (not program and "no program: give one with --program") or nil
  if not err and kernel then err = add(kernel, true) end
  return programs, err
end

function M.run(p, fail, say)
  local text = p.file and p.file ~= "-" and files.read(p.file) or (not p.file or p.file == "-") and io.stdin:read("a")
  if not text then return fail(p.file .. " cannot be read") end
  local reports = M.parse(text)
  if #reports == 0 then return fail("no crash report in it: its lines have 'xk-crash' in them") end
  local programs, err = open_all(p)
  if err then return fail(err) end
  for _, r in ipairs(reports) do show(r, programs, say, not p.no_lines) end
end

M.options = {
  { "--program", arg = "FILE", help = "the domain program with symbols; default: xenkit-domain-core beside this tool" },
  { "--full", help = "it was domain-full" },
  { "--kernel", arg = "FILE", help = "the kernel with symbols; default: xenkit-kernel beside this tool" },
  { "--no-lines", help = "names only; do not ask addr2line for files and lines" },
}

return M
