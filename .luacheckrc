-- luacheck . : Lua 5.4 everywhere; specs may use busted's words.
std = "lua54"
max_line_length = 120
exclude_files = {"build*/**", "*.rockspec"}
files["tests/lua"] = {std = "+busted"}
