-- xenkit.size
describe("xenkit.size", function()
  local size = require "xenkit.size"

  it("reads what people write", function()
    for text, bytes in pairs { ["0"] = 0, ["512"] = 512, ["64M"] = 64 << 20, ["64m"] = 64 << 20, ["1k"] = 1024,
      ["10GiB"] = 10 << 30, ["3TB"] = 3 << 40, ["7B"] = 7, ["8388607T"] = 8388607 << 40 } do
      assert.equal(bytes, size.read(text))
    end
  end)

  it("says of anything else that it is none", function()
    for _, text in ipairs { "", "M", "-1", "1.5G", "1 G", "0x10", "1X", "64MM", "9223372036854775808", "8388608T",
      "99999999999999999999", "16777216T", "1e3" } do
      local got, err, code = size.read(text)
      assert.is_nil(got)
      assert.equal("XK_EINVAL", code)
      assert.matches("'" .. text .. "' is no size", err, 1, true)
    end
  end)

  it("writes them in the largest unit", function()
    assert.same({ "0 B", "17 B", "1 KiB", "1.5 KiB", "64 MiB", "2 TiB" },
      { size.write(0), size.write(17), size.write(1024), size.write(1536), size.write(64 << 20), size.write(2 << 40) })
  end)
end)
