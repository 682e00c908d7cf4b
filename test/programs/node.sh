#!/bin/bash
# node: buffers, which are malloc's, JSON, compression and cryptography on the thread pool, and workers that end.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need node

cat >"$work/program.js" <<'JS'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib'), crypto = require('crypto');

function churn(seed) {
	const kept = [];
	let sum = 0;
	for (let i = 0; i < 60000; i++) {
		seed = (seed * 48271) % 2147483647;
		const b = Buffer.alloc(seed % 3000, i & 255);
		kept[i % 1000] = b;
		sum += b.length;
	}
	return sum + ' ' + crypto.createHash('sha1').update(Buffer.concat(kept)).digest('hex');
}

async function main() {
	const workers = [1, 2, 3, 4].map(n => new Promise((resolve, reject) => {
		const w = new Worker(__filename, { workerData: n });
		w.on('message', resolve);
		w.on('error', reject);
	}));
	const text = Buffer.from(Array.from({ length: 60000 }, (_, i) => 'line ' + i * i).join('\n'));
	const packed = await Promise.all([1, 5, 9].map(level => new Promise((resolve, reject) =>
		zlib.deflate(text, { level }, (error, out) => error ? reject(error) : resolve(out)))));
	for (const p of packed) console.log(p.length, zlib.inflateSync(p).equals(text));
	const keys = await Promise.all(['a', 'b', 'c', 'd'].map(k => new Promise((resolve, reject) =>
		crypto.pbkdf2(k, 'salt', 5000, 64, 'sha512', (error, out) => error ? reject(error) : resolve(out)))));
	console.log(keys.map(k => k.toString('hex').slice(0, 16)).join(' '));
	for (const w of workers) console.log(await w);
	console.log('the end');
}

if (isMainThread) main();
else parentPort.postMessage(churn(workerData));
JS

compare node node "$work/program.js"
expect_success node
grep -q '^the end' "$work/node/glibc/out" || fail "the script did not run to its end"
