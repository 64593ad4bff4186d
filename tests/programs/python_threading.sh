# python3: threads, locks, queues, events, a pool, thread-local data.
cat > program.py <<'END'
import threading, queue, time, concurrent.futures
total, lock = 0, threading.Lock()
def add(n):
    global total
    for _ in range(n):
        with lock: total += 1
threads = [threading.Thread(target=add, args=(500,)) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]; print(total)
jobs, done = queue.Queue(), queue.Queue()
def worker():
    while (job := jobs.get()) is not None: done.put(job * job)
pool = [threading.Thread(target=worker) for _ in range(3)]; [t.start() for t in pool]
for i in range(100): jobs.put(i)
for _ in pool: jobs.put(None)
[t.join() for t in pool]; print(sum(done.get() for _ in range(100)))
event, local, seen = threading.Event(), threading.local(), []
def wait(): local.x = 7; seen.append(event.wait(10)); seen.append(local.x)
t = threading.Thread(target=wait); t.start(); time.sleep(0.02); event.set(); t.join(); print(seen, hasattr(local, "x"))
with concurrent.futures.ThreadPoolExecutor(4) as pool: print(list(pool.map(lambda x: x ** 3, range(10))))
barrier = threading.Barrier(3); hits = []
def meet(): barrier.wait(); hits.append(1)
ts = [threading.Thread(target=meet) for _ in range(3)]; [t.start() for t in ts]; [t.join() for t in ts]; print(len(hits))
c, ready = threading.Condition(), []
def consumer():
    with c:
        while not ready: c.wait()
        print("ready", ready)
t = threading.Thread(target=consumer); t.start()
with c: ready.append(1); c.notify()
t.join(); timer = threading.Timer(0.01, lambda: print("timer")); timer.start(); timer.join()
END
python3 program.py
