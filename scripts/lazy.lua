#!/usr/bin/env lua5.4
-- Makes a C file by which a program's shared libraries are loaded when the first of their functions is called, and not
-- when it starts: lazy.lua OUT LIBRARY... -- OBJECT...
-- For each function of a library that an object wants there is one of the same name, which jumps to where a table
-- says: first to what has src/cli/lazy.c find the true one, then there. x86-64.
local out, libraries, objects = assert(arg[1], "usage: lazy.lua OUT LIBRARY... -- OBJECT..."), {}, {}
do
  local list = libraries
  for i = 2, #arg do
    if arg[i] == "--" then list = objects else list[#list + 1] = arg[i] end
  end
end

local function lines(...)
  local words = { ... }
  for i, w in ipairs(words) do words[i] = "'" .. w:gsub("'", "'\\''") .. "'" end
  local p = assert(io.popen(table.concat(words, " ")))
  local text = p:read "a"
  assert(p:close(), words[1] .. " failed")
  return text:gmatch "[^\n]+"
end

local wanted = {}
for line in lines("nm", "--undefined-only", table.unpack(objects)) do
  local name = line:match "^%s+U ([%w_]+)$"
  if name then wanted[name] = true end
end

local slots, names = {}, {}
for _, library in ipairs(libraries) do
  local soname
  for line in lines("readelf", "-d", library) do soname = line:match "%(SONAME%).*%[(.-)%]" or soname end
  assert(soname, library .. " is no shared library")
  for line in lines("nm", "-D", "--defined-only", library) do
    local kind, name = line:match "^%x+ (%a) ([%w_]+)"
    if name and wanted[name] then
      assert(kind == "T" or kind == "W" or kind == "i", name .. " is no function; its library cannot wait")
      wanted[name] = nil
      slots[#slots + 1] = { name, soname }
      names[#names + 1] = name
    end
  end
end

local text = { ([[
/* Made by scripts/lazy.lua. */
#include "cli/lazy.h"

const struct xk__lazy xk__lazy[] = {]]) }
local function add(...) text[#text + 1] = string.format(...) end
for _, s in ipairs(slots) do add('    {"%s", "%s"},', s[2], s[1]) end
add "    {0, 0},\n};\nconst unsigned xk__lazy_count = sizeof(xk__lazy) / sizeof(*xk__lazy) - 1;\n\n__asm__("
local function asm(...) text[#text + 1] = '    "' .. string.format(...) .. '\\n"' end
asm ".section .data.xk__lazy, \\\"aw\\\", @progbits"
asm ".balign 8"
asm ".globl xk__lazy_slot"
asm ".hidden xk__lazy_slot"
asm "xk__lazy_slot:"
for i in ipairs(slots) do asm(".quad .Lfirst%d", i) end
asm ".text"
for i, name in ipairs(names) do
  asm ".balign 16"
  asm(".globl %s", name)
  asm(".hidden %s", name)
  asm(".type %s, @function", name)
  asm("%s: endbr64", name)
  asm("jmp *xk__lazy_slot+%d(%%rip)", (i - 1) * 8)
  asm(".Lfirst%d: endbr64", i)
  asm("pushq $%d", i - 1)
  asm "jmp xk__lazy_first"
  asm(".size %s, .-%s", name, name)
end
-- All registers that may have arguments are as they were: six, the number of vectors (rax), eight vectors.
local registers = { "rax", "rdi", "rsi", "rdx", "rcx", "r8", "r9" }
local room = 64 + 8 * 16 -- what was pushed and the return address before it keep the stack at a multiple of 16
asm "xk__lazy_first:"
asm("subq $%d, %%rsp", room)
for i, r in ipairs(registers) do asm("movq %%%s, %d(%%rsp)", r, (i - 1) * 8) end
for i = 0, 7 do asm("movups %%xmm%d, %d(%%rsp)", i, 64 + i * 16) end
asm("movq %d(%%rsp), %%rdi", room)
asm "call xk__lazy_find"
asm "movq %%rax, %%r11"
for i, r in ipairs(registers) do asm("movq %d(%%rsp), %%%s", (i - 1) * 8, r) end
for i = 0, 7 do asm("movups %d(%%rsp), %%xmm%d", 64 + i * 16, i) end
asm("addq $%d, %%rsp", room + 8)
asm "jmp *%%r11"
text[#text + 1] = ");\n"

local f = assert(io.open(out, "w"))
assert(f:write(table.concat(text, "\n")))
assert(f:close())
