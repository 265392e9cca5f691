--- Encrypted disks: with a LUKS1 header, as cryptsetup and QEMU make them, or with AES-XTS alone.
--
--     local key <close> = assert(crypt.key(fd))               -- a key file: all of its bytes
--     local plain = assert(crypt.luks(disk, key))             -- in the place of disk
--
-- A failure gives nil, message, "XK_ENAME"; then `disk` is to be closed and nothing else.
-- @module xenkit.crypt
local block = require "xenkit.block"
local core = require "xenkit.core.crypt"
local task = require "xenkit.task"

local M = {}

local STEP = 4000 -- iterations: some milliseconds

--- All bytes of the file behind a descriptor, which belongs to this from now on, or of a string. Close it when it was
-- used: then it is overwritten. (Of a string Lua keeps what it had.)
function M.key(from) return core.key(from) end

--- What is in a disk with a LUKS1 header. Other tasks run while it is found out whether the key opens it, which takes a
-- second or more. @param options {discard = true: pass discards on, which tell what is in use}
function M.luks(disk, key, options)
  local opening <close>, err, code = core.luks(disk.raw, key)
  if not opening then return nil, err, code end
  repeat
    local open, e, c = opening:step(STEP)
    if open == nil then return nil, e, c end
    if not open then task.sleep(0) end
  until open
  return block.of(core.open(disk.raw, opening, options))
end

--- A disk that is encrypted from its first sector on. The key has 32 bytes for AES-128, 64 for AES-256.
-- @param options {discard, tweak = number of its first sector}
function M.xts(disk, key, options) return block.of(core.xts(disk.raw, key, options)) end

return M
