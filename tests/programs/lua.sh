# lua5.4: tables, strings, closures, coroutines, metatables, integers and floats, garbage.
cat > program.lua <<'END'
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(fib(20), 7 // 2, -7 // 2, 7 % -3, 7 / 2, 2 ^ 10, 1 << 62, math.maxinteger + 1 == math.mininteger, 3 | 4, "10" + 5)
local t = {} for i = 1, 1000 do t[i] = (i * 7919) % 1009 end table.sort(t) print(t[1], t[500], #t, table.concat(t, ",", 1, 5))
print(("hello world"):gsub("o", "0"), ("key = value"):match("(%w+)%s*=%s*(%w+)"), string.format("%5.2f|%d|%q|%x", 3.14159, 42, "a\nb", 255))
local co = coroutine.wrap(function(a) for i = 1, 3 do a = coroutine.yield(a * i) end return "done" end)
print(co(5), co(6), co(7), co(8))
local V = {} V.__index = V V.__add = function(a, b) return setmetatable({ x = a.x + b.x }, V) end V.__tostring = function(v) return "V(" .. v.x .. ")" end
print(tostring(setmetatable({ x = 1 }, V) + setmetatable({ x = 2 }, V)))
print(pcall(error, { code = 3 }), select("#", 1, nil, nil), math.type(1), math.type(1.0), 1e15, 0.1, -0.0, 1 / 0, math.tointeger(3.0))
print(string.pack("<i4z", 100, "abc"):byte(1, -1)) print(utf8.char(228, 8364), utf8.len("äöü"), #"äöü")
local s = 0 for i = 1, 20000 do local o = { i, tostring(i) } s = s + #o[2] end collectgarbage() print(s, collectgarbage("count") < 4000)
for w in ("one two three"):gmatch("%a+") do io.write(w:upper(), " ") end print()
local f = io.open("file", "w") f:write("line1\nline2\n") f:close() for l in io.lines("file") do print(l) end
local p = io.popen("echo from a pipe") print(p:read("a")) p:close() print(os.date("!%Y-%m-%d", 0)) goto last
::last:: os.exit(6)
END
lua5.4 program.lua
