#!/bin/bash
# python3 with every object of its own malloc'ed: threads that pass objects around, processes forked among them.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need python3
# Not a wrapper, nor a virtual environment's.
python=$(python3 -c 'import sys; print(sys.executable)')
export PYTHONMALLOC=malloc PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore

cat >"$work/program.py" <<'PYTHON'
import collections, gc, hashlib, itertools, json, multiprocessing, os, queue, random, re, threading, zlib

def digest(x):
    return hashlib.sha256(json.dumps(x, sort_keys=True).encode()).hexdigest()[:16]

def records(n, seed):
    r = random.Random(seed)
    return [{"id": i, "name": "n%d" % r.randrange(999), "tags": ["t" * r.randrange(1, 90) for _ in range(r.randrange(5))],
             "value": r.random(), "big": r.randrange(1 << 400)} for i in range(n)]

def pass_around(producers, consumers, n):
    """What one thread makes another one takes apart, and frees."""
    todo, done = queue.Queue(64), queue.Queue()
    def produce(k):
        for i in range(n):
            todo.put((k, i, records(8, k * 1000 + i)))
    def consume():
        for k, i, batch in iter(todo.get, None):
            done.put((k, i, zlib.crc32(json.dumps(batch).encode())))
    makers = [threading.Thread(target=produce, args=(k,)) for k in range(producers)]
    takers = [threading.Thread(target=consume) for _ in range(consumers)]
    for t in makers + takers:
        t.start()
    for t in makers:
        t.join()
    for _ in takers:
        todo.put(None)
    for t in takers:
        t.join()
    return sorted(done.get() for _ in range(producers * n))

def in_child(n):
    data = records(n, n)
    return n, digest(data), digest(pass_around(2, 2, 5))

def main():
    data = records(3000, 1)
    text = json.dumps(data)
    assert json.loads(text) == data
    print("json", len(text), digest(data))
    words = re.findall(r"[a-z]+\d*", text)
    print("re", len(words), collections.Counter(words).most_common(5))
    print("sub", digest(re.sub(r"(t+)", lambda m: str(len(m.group(1))), text)))
    print("zlib", zlib.crc32(zlib.decompress(zlib.compress(text.encode()))))
    print("sort", digest(sorted((d["name"], d["big"]) for d in data)[:50]))
    print("int", digest(hex(pow(3, 20000))))
    print("threads", digest(pass_around(3, 3, 40)))

    # Children forked while threads are inside malloc.
    stop = threading.Event()
    def churn():
        while not stop.is_set():
            records(5, 3)
    churners = [threading.Thread(target=churn) for _ in range(2)]
    for t in churners:
        t.start()
    context = multiprocessing.get_context("fork")
    with context.Pool(3) as pool:
        print("pool", pool.map(in_child, [50, 100, 150, 200]))
    for i in range(5):
        pid = os.fork()
        if pid == 0:
            os._exit(int(digest(records(20, i))[:2], 16) % 100)
        print("fork", i, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    stop.set()
    for t in churners:
        t.join()

    # Threads that come and go, with cycles left for the collector.
    for round in range(30):
        t = threading.Thread(target=lambda: [[x].append(x) for x in itertools.repeat([], 100)])
        t.start()
        t.join()
    loop = []
    for i in range(20000):
        node = {"next": None, "payload": "p" * (i % 50)}
        node["next"] = node
        loop.append(node)
    del loop, node
    print("collected", gc.collect() >= 0)
    try:
        bytearray(1 << 60)
    except MemoryError:
        print("MemoryError")

main()
PYTHON

compare python "$python" -S "$work/program.py"
expect_success python
