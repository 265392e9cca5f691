-- netfront to netback between two hosted guests, against the kernel's network over a veth pair between two network
-- namespaces. Ours carries datagrams, stack to stack, as there is no TCP of ours yet; the kernel a TCP stream, which is
-- what is asked of a network most, and datagrams. CPU is of both sides. SPDX-License-Identifier: MIT
local tools = require("tools")

return function(out)
  local ours, rounds, ms = tools.need("net_bench"), tools.quick and 3 or 7, tools.quick and 150 or 400
  local peer, why = tools.program("net_peer")
  if not peer then out.note("net", "peers skipped: " .. (why or "")) end
  if peer and not select(2, tools.sh(peer .. " udp 64 50 2>/dev/null >/dev/null")) then
    out.note("net", "peers skipped: they need root, or user namespaces, and ip (iproute2)")
    peer = nil
  end

  -- (what): the words of net_bench; (peers): {name, words}
  local function compare(title, unit, key, what, peers, lower)
    local t = { ours = {} }
    for _ = 1, rounds do
      table.insert(t.ours, tools.sample(("%s %s %d"):format(ours, what, ms))[1])
      for _, p in ipairs(peer and peers or {}) do
        t[p[1]] = t[p[1]] or {}
        table.insert(t[p[1]], tools.sample(("%s %s %d %s"):format(peer, p[2], ms, p[3] or ""))[1])
      end
    end
    local first = true
    for _, p in ipairs(peers) do
      if t[p[1]] then
        out.row({ workload = first and title or "", unit = unit, key = key, ours = t.ours, theirs = t[p[1]],
          peer = p[1], lower_is_better = lower })
        first = false
      end
    end
    if first then out.row({ workload = title, unit = unit, key = key, ours = t.ours, lower_is_better = lower }) end
  end

  compare("1472 bytes a datagram", "bit/s", "bits", "udp 1472",
    { { "veth, no offload, TCP", "tcp 65536", "off" }, { "veth, TCP", "tcp 65536" },
      { "veth, no offload, UDP", "udp 1472", "off" }, { "veth, UDP", "udp 1472" } })
  compare("frames of 65000 bytes", "bit/s", "bits", "frames 65000", { { "veth, TCP", "tcp 65536" } })
  compare("frames of 60 bytes", "frames/s", "rate", "frames 60", {})
  compare("UDP echo, 64 bytes", "echoes/s", "rate", "echo 64", { { "recvmmsg over veth", "echo 64" } })
  compare("UDP echo: processor time of who answers", "ns", "receiver_ns", "echo 64",
    { { "recvmmsg over veth", "echo 64" } }, true)
end
