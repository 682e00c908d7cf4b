#!/bin/bash
# lua: tables, strings, closures, coroutines and the garbage collector.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need lua5.4
sinks=default

cat >"$work/program.lua" <<'LUA'
local seed = 12345
local function random(n)
	seed = (seed * 1103515245 + 12345) % 2147483648
	return seed % n
end

local words, counts = {}, {}
for i = 1, 150000 do
	local w = string.rep(string.char(97 + random(26)), random(40)) .. random(5000)
	words[i] = w
	counts[w] = (counts[w] or 0) + 1
end
table.sort(words)
print(#words, words[1], words[75000], words[150000])

local distinct = 0
for _ in pairs(counts) do distinct = distinct + 1 end
print("distinct", distinct)

-- Long strings that grow, and pieces of them.
local text = ""
for i = 1, 3000 do text = text .. i .. "," end
local sum = 0
for n in text:gmatch("%d+") do sum = sum + tonumber(n) end
print(#text, sum, text:gsub("1", "one"):sub(1, 60))

-- A tree that loses branches while the collector runs.
local function tree(depth)
	if depth == 0 then return {value = random(100)} end
	return {tree(depth - 1), tree(depth - 1), name = "node" .. depth}
end
local function total(t)
	return t.value or (t[1] and total(t[1]) or 0) + (t[2] and total(t[2]) or 0)
end
local root = tree(14)
print("tree", total(root))
root[1][2] = nil
collectgarbage()
print("tree", total(root))
collectgarbage("generational")
for i = 1, 20 do root[2] = tree(10) end
print("tree", total(root))

local function permutations(a, n)
	if n == 0 then coroutine.yield(table.concat(a)) end
	for i = 1, n do
		a[n], a[i] = a[i], a[n]
		permutations(a, n - 1)
		a[n], a[i] = a[i], a[n]
	end
end
local found = 0
for p in coroutine.wrap(function() permutations({"a", "b", "c", "d", "e", "f", "g"}, 7) end) do found = found + #p end
print("permutations", found)

local threads = {}
for i = 1, 2000 do
	threads[i] = coroutine.create(function(x) while true do x = coroutine.yield(x * i) end end)
end
local s = 0
for round = 1, 5 do
	for i = 1, #threads do
		local _, v = coroutine.resume(threads[i], round)
		s = s + v
	end
end
print("coroutines", s)

error("the end")
LUA

compare lua lua5.4 "$work/program.lua"
grep -q '^coroutines' "$work/lua/glibc/out" || fail "the script did not run to its end"
