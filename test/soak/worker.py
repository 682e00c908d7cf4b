"""The soak's job for Python: threads that make, hand on and drop objects, and a table whose entries are replaced all the time."""

import json
import queue
import random
import sys
import threading
import time

SLOTS = 20000
END = time.monotonic() + float(sys.argv[1])


def make(r):
    return {"id": r.getrandbits(40), "text": "x" * r.randrange(600), "list": [str(i) for i in range(r.randrange(12))]}


def produce(todo, seed):
    r = random.Random(seed)
    while time.monotonic() < END:
        todo.put([make(r) for _ in range(20)])
    todo.put(None)


def main():
    r = random.Random(1)
    table = [make(r) for _ in range(SLOTS)]
    todo = queue.Queue(32)
    producer = threading.Thread(target=produce, args=(todo, 2))
    producer.start()
    for batch in iter(todo.get, None):
        for item in json.loads(json.dumps(batch)):
            table[r.randrange(SLOTS)] = item
    producer.join()
    assert all(len(item["list"]) < 12 for item in table)


main()
