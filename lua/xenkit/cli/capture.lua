--- `xenkit capture`: a network's frames as pcapng. @module xenkit.cli.capture
local client = require "xenkit.cli.client"
local core_stream = require "xenkit.core.stream"
local host = require "xenkit.core.host"
local out = require "xenkit.cli.out"
local rpc = require "xenkit.rpc"

local M = {}

local FRAME = 6 -- the type of a block that is a frame

M.options = {
  { "-o", "--output", arg = "FILE", help = "into this file; otherwise to standard output, which may be no terminal" },
  { "-c", "--count", arg = "N", type = "integer", min = 1, help = "end after so many frames" },
  { "-t", "--seconds", arg = "N", type = "integer", min = 1, help = "end after so many seconds" },
  { "-s", "--snap", arg = "BYTES", type = "integer", min = 14, max = 262144, help = "of each frame its first BYTES" },
}

M.examples = {
  { "xenkit capture web | tcpdump -n -r -", "watch" },
  { "xenkit capture web lan -o web.pcapng -t 60", "a minute, for Wireshark" },
  { "xenkit capture --on xen guest 0 | tcpdump -n -r -", "in dom0" },
}

M.description = "The domain that serves the network sees the frames; the guest is not asked and does not notice. " ..
  "What a slow reader has no room for (4 MiB) is left out, and its number stands with the next frame. Ends at " ..
  "Ctrl-C, or when the network is moved or its back end ends. Checksums that the guest left to its network card " ..
  "are blank. On Xen it is run in dom0, and the network is one that a service of ours has, there or in a stub domain."

local function connect(world, dir, p)
  local s, err = client.connect(world, dir)
  if not s then return nil, err end
  rpc.send(s, { id = 1, method = "capture", params = { name = p.domain, vif = p.vif, snap = p.snap } })
  local r, e = rpc.receive(s, 10)
  if r and not r.error then return s end
  s:close()
  return nil, r and r.error.message or e
end

-- The whole blocks at the beginning of `buf`: their length, how many of them are frames. At most `most` frames.
local function whole(buf, most)
  local at, frames = 1, 0
  while #buf - at >= 11 and frames < most do
    local kind, len = ("<I4I4"):unpack(buf, at)
    if len < 12 or at + len - 1 > #buf then break end
    if kind == FRAME then frames = frames + 1 end
    at = at + len
  end
  return at - 1, frames
end

-- Only whole blocks are written, so that whenever it is ended the file can be read.
local function copy(world, s, p, write)
  local buf, frames, until_ = "", 0, p.seconds and world:now() + p.seconds
  while frames < (p.count or math.huge) do
    local left = until_ and until_ - world:now()
    if left and left <= 0 then break end
    local bytes, err, code = s:read(nil, left)
    if not bytes then
      if code ~= "XK_ETIMEDOUT" then return frames, err end
      break
    end
    buf = buf .. bytes
    local n, more = whole(buf, (p.count or math.huge) - frames)
    if n > 0 then
      write(buf:sub(1, n))
      buf, frames = buf:sub(n + 1), frames + more
    end
  end
  return frames
end

-- Where the frames come from: `open(p)` gives a stream of pcapng.
local function run(world, open, p, fail)
  local file
  if p.output then -- the descriptor's error names the file
    local fd, err = host.open(p.output, "w")
    if not fd then return fail(err) end
    core_stream.handle_close(fd)
    file = assert(io.open(p.output, "wb"))
    file:setvbuf "no"
  elseif host.is_tty(1) then
    return fail(("pcapng is nothing for a terminal: `xenkit capture %s | tcpdump -n -r -`, or -o FILE")
      :format(p.domain), 2)
  end
  local s <close>, err = open()
  if not s then return fail(err) end
  local failed
  local frames, why = copy(world, s, p, function(bytes)
    if not file then
      out.write(bytes)
      return out.flush()
    end
    local ok, e = file:write(bytes)
    failed = failed or not ok and e
  end)
  if file then file:close() end
  if failed then return fail(p.output .. ": " .. failed) end
  if file or why then io.stderr:write(("%d frames\n"):format(frames)) end
  if why and (p.count or p.seconds) then
    return fail("it ended early: the network's back end is gone, or shows none")
  end
  return 0
end

--- @return function(p) for the verb
function M.verb(with_world, fail)
  return function(p)
    if (p.on or os.getenv "XENKIT_PLATFORM") == "xen" then
      return require("xenkit.cli.capture_xen").run(p, run, fail)
    end
    return with_world(p, function(world, dir)
      return run(world, function() return connect(world, dir, p) end, p, fail)
    end)
  end
end

return M
