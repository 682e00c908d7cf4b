"""What real programs work on: generated from fixed seeds, in pieces, of a size that grows with the scale."""

from __future__ import annotations

import random
from pathlib import Path

SQLITE = """\
CREATE TABLE item(id INTEGER PRIMARY KEY, owner INTEGER, name TEXT, note TEXT);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
INSERT INTO item SELECT i, i * 7919 % 1009, 'name' || (i * 31 % 65537), hex(i * 104729) || ' note of item ' || i FROM n;
COMMIT;
CREATE INDEX item_owner ON item(owner, name);
SELECT owner, count(*), max(name), sum(length(note)) FROM item GROUP BY owner ORDER BY 3 DESC, 1 LIMIT 20;
SELECT a.name, group_concat(b.id) FROM item a JOIN item b ON b.owner = a.owner AND b.name > a.name
WHERE a.id % {step} = 0 GROUP BY a.id ORDER BY a.id;
UPDATE item SET note = note || ' changed ' || owner WHERE id % 3 = 0;
DELETE FROM item WHERE id % 5 = 0;
SELECT count(*), sum(length(note)), min(note) FROM item;
SELECT substr(note, 1, 4) AS head, count(DISTINCT owner) FROM item GROUP BY head ORDER BY 2 DESC, 1 LIMIT 20;
"""

LUA = """\
local seed = 1
local function random(n)
	seed = seed * 16807 % 2147483647
	return seed % n + 1
end
local live, bytes = {{}}, 0
for i = 1, {rounds} do
	local item = {{ id = i, name = "item " .. random(99991), list = {{}} }}
	for k = 1, random(12) do
		item.list[k] = item.name .. ":" .. k * i
	end
	local place = random(20000)
	if live[place] then
		bytes = bytes + #table.concat(live[place].list, ",")
	end
	live[place] = item
	item.call = function(x) return x + item.id end
	bytes = bytes + item.call(#item.name)
end
local names = {{}}
for _, item in pairs(live) do
	names[#names + 1] = item.name:gsub("%d", function(d) return d .. "." end)
end
table.sort(names)
print(bytes, #names, names[1], names[#names], #table.concat(names))
"""

PYTHON = """\
import hashlib
state = 1
def random(n):
    global state
    state = state * 16807 % 2147483647
    return state % n
live = {{}}
digest = hashlib.sha256()
for i in range({rounds}):
    key = "key%d" % random(30000)
    value = [key + ":" + str(k * i) for k in range(random(10))]
    old = live.get(key)
    live[key] = dict(owner=i, parts=value, text=" ".join(value))
    if old is not None:
        digest.update(old["text"].upper().encode())
for key in sorted(live, key=lambda name: live[name]["text"]):
    digest.update(repr(live[key]).encode())
print(len(live), digest.hexdigest())
"""

_C_FUNCTION = """\
struct record{i} {{ int key; double weight; char name[{name}]; struct record{i} *next; }};
static int compare{i}(const struct record{i} *a, const struct record{i} *b)
{{
	return a->key != b->key ? a->key - b->key : strcmp(a->name, b->name);
}}
int insert{i}(struct record{i} **list, int key, const char *text)
{{
	struct record{i} *r = malloc(sizeof(*r)), **at = list;
	int n = 0, hash = {seed};
	for (const char *p = text; *p != 0; p++)
		hash = hash * {multiplier} + (*p ^ (hash >> {shift}));
	r->key = key ^ hash;
	r->weight = (double)hash / {divisor} + r->key % {modulus};
	snprintf(r->name, sizeof(r->name), "%s-%d", text, hash % {modulus});
	while (*at != NULL && compare{i}(*at, r) < 0)
		at = &(*at)->next, n++;
	r->next = *at;
	*at = r;
	switch (n % {cases}) {{
	case 0: return n + hash;
	case 1: return n * {multiplier};
	case 2: return (int)r->weight;
	default: return insert{previous}(NULL, key >> 1, text + n % 2) ^ n;
	}}
}}
"""

_REDIS_KEYS = 20000


def make_sqlite(path: Path, scale: float) -> None:
    rows = max(1000, int(240000 * scale))
    path.write_text(SQLITE.format(rows=rows, step=max(1, rows // 300)))


def make_lua(path: Path, scale: float) -> None:
    path.write_text(LUA.format(rounds=int(55000 * scale)))


def make_python(path: Path, scale: float) -> None:
    path.write_text(PYTHON.format(rounds=int(150000 * scale)))


def make_c(path: Path, scale: float) -> None:
    """A C source of many functions that resemble each other."""
    rng = random.Random(3)
    with path.open("w") as file:
        file.write("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <math.h>\n"
                   "#define insert0(list, key, text) ((key) + (text)[0])\n")
        for i in range(1, max(2, int(85 * scale))):
            file.write(_C_FUNCTION.format(
                i=i, previous=i - 1, name=rng.randrange(16, 200), seed=rng.randrange(1, 10000),
                multiplier=rng.randrange(3, 99, 2), shift=rng.randrange(3, 20), divisor=rng.randrange(3, 999),
                modulus=rng.randrange(3, 999), cases=rng.randrange(4, 9)))


def make_lines(path: Path, scale: float) -> None:
    """Lines of random hexadecimal digits."""
    rng = random.Random(4)
    with path.open("w") as file:
        for _ in range(max(1, int(375 * scale))):
            digits = f"{rng.getrandbits(4 * 30 * 4000):0{30 * 4000}x}"
            file.write("\n".join(digits[i:i + 30] for i in range(0, len(digits), 30)) + "\n")


def make_text(path: Path, scale: float, mib: float) -> None:
    """Words from a vocabulary in which some are far more frequent than others."""
    rng = random.Random(5)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randrange(2, 12))) for _ in range(5000)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    left = int(mib * scale * 2**20)
    with path.open("w") as file:
        while left > 0:
            left -= file.write(" ".join(rng.choices(words, weights, k=10000)) + "\n")


def redis_commands() -> tuple[str, str]:
    """What fills a server before it is put under load, and what reads it all again."""
    fill, read = [], []
    for i in range(_REDIS_KEYS):
        fill.append(f"SET own:{i} value:{i}:{'x' * (i * 31 % 300)}")
        fill.append(f"RPUSH own:list:{i % 50} element:{i}")
        fill.append(f"HSET own:hash:{i % 50} field:{i} {'y' * (i % 40)}")
        read.append(f"GET own:{i}")
    for i in range(50):
        read.append(f"LRANGE own:list:{i} 0 -1")
        read.append(f"HVALS own:hash:{i}")
    return "\n".join(fill) + "\n", "\n".join(read) + "\n"
