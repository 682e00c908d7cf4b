#!/bin/bash
# sqlite3: a database file of the same bytes, and the same answers of inserts, indexes, joins, windows, JSON and vacuum.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need sqlite3
sinks=default

cat >"$work/script.sql" <<'SQL'
.bail on
PRAGMA page_size = 1024;
PRAGMA cache_size = 200;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, grp INT, price REAL, data BLOB);
CREATE TABLE sale(item INT REFERENCES item(id), day INT, n INT);
CREATE TABLE log(what TEXT, id INT);
CREATE TRIGGER gone AFTER DELETE ON item BEGIN INSERT INTO log VALUES('gone', old.id); END;
BEGIN;
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 20000)
	INSERT INTO item SELECT i, printf('item %05d %s', i * 7919 % 20000, substr('abcdefghijklmnopqrstuvwxyz', i % 26, 9)),
		i % 37, (i * 31 % 1000) / 7.0, zeroblob(i % 90) FROM c;
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 40000)
	INSERT INTO sale SELECT i * 613 % 20000 + 1, i % 365, i % 9 FROM c;
COMMIT;
CREATE INDEX by_name ON item(name);
CREATE INDEX by_group ON item(grp, price DESC);
CREATE INDEX by_item ON sale(item, day);
ANALYZE;
SELECT count(*), sum(length(name)), round(sum(price), 3) FROM item;
SELECT grp, count(*), round(avg(price), 4), max(name) FROM item GROUP BY grp ORDER BY 3 DESC LIMIT 20;
SELECT i.grp, sum(s.n * i.price) AS total FROM sale s JOIN item i ON i.id = s.item GROUP BY i.grp ORDER BY total LIMIT 10;
SELECT day, n, sum(n) OVER (PARTITION BY item ORDER BY day, n) FROM sale WHERE item < 30 ORDER BY item, day, n;
SELECT length(group_concat(name, ';')) FROM (SELECT name FROM item ORDER BY name COLLATE NOCASE DESC);
SELECT a.id, b.id FROM item a JOIN item b ON a.name = b.name AND a.id < b.id LIMIT 20;
SELECT json_group_array(json_object('id', id, 'name', name)) FROM item WHERE grp = 3 AND id < 2000;
SELECT count(*) FROM item WHERE name LIKE '%12%' AND hex(data) GLOB '*0';
EXPLAIN QUERY PLAN SELECT * FROM item JOIN sale ON item.id = sale.item WHERE name > 'item 1';
BEGIN;
DELETE FROM item WHERE id % 3 = 0;
SAVEPOINT here;
UPDATE item SET name = upper(name) || hex(zeroblob(id % 200)) WHERE id % 5 = 0;
ROLLBACK TO here;
UPDATE item SET name = name || '!' WHERE id % 7 = 0;
COMMIT;
SELECT count(*), sum(id) FROM log;
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(body);
INSERT INTO words SELECT name FROM item WHERE id < 3000;
SELECT count(*) FROM words WHERE words MATCH 'abc*';
VACUUM;
PRAGMA integrity_check;
.dump log
SELECT max(length(x)) FROM (SELECT replace(hex(zeroblob(3000000)), '0', 'ab') AS x);
.bail off
SELECT * FROM no_such_table;
SELECT length(zeroblob(2000000000));
SQL

input=$work/script.sql
compare sqlite sqlite3 data.db
grep -qx ok "$work/sqlite/glibc/out" || fail "no integrity with glibc either: $(cat "$work/sqlite/glibc/err")"
