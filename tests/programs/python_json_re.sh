# python3: json, re, and a good part of the language and its library.
cat > program.py <<'END'
import json, re, math, itertools, functools, collections, struct, zlib, datetime, textwrap, random, statistics, fractions, heapq, io, csv, string, sys
data = {"name": "hart", "list": [1, 2.5, None, True, "ü\n"], "nested": {"a": {"b": [[], {}]}}, "big": 2**70}
text = json.dumps(data, sort_keys=True, indent=1); print(text); print(json.loads(text) == data)
try: json.loads('{"a": [1, 2,, 3]}')
except json.JSONDecodeError as e: print(e)
print(re.findall(r"(?P<word>[a-z]+)=(\d+)", "a=1, bc=22; d=x, efg=333"), re.sub(r"(\w)(\w*)", lambda m: m[1].upper() + m[2], "some words here"))
print(re.split(r"[,;]\s*", "a, b;c,  d"), bool(re.fullmatch(r"(a+)+b", "a" * 18 + "b")), re.search(r"(?<=x)\d+(?!\d|z)", "x12z x345").group())
print(2**200, math.factorial(30), pow(3, 10**6, 10**9 + 7), math.isqrt(10**30), math.gcd(2**40, 6**20), -7 // 2, -7 % 3, divmod(10**20, 97))
print(sum(x * x for x in range(1000)), sorted("hypervisor"), [*itertools.islice(itertools.permutations("abc"), 4)], functools.reduce(lambda a, b: a * b, range(1, 10)))
print(collections.Counter("mississippi").most_common(2), struct.pack("<IhQf", 1, -2, 3, 1.5).hex(), zlib.crc32(b"123456789"), len(zlib.compress(b"a" * 10000)))
print(datetime.datetime(2024, 2, 29) + datetime.timedelta(days=366), textwrap.fill("word " * 20, 30).count("\n"), fractions.Fraction(3, 7) + fractions.Fraction(1, 3))
random.seed(42); print([random.randint(0, 99) for _ in range(8)], round(random.random(), 12), statistics.median([3, 1, 2]), heapq.nsmallest(3, [5, 1, 4, 2]))
class A:
    def __init__(self, x): self.x = x
    def __repr__(self): return f"A({self.x!r:>4})"
    def __lt__(self, o): return self.x < o.x
print(sorted([A(3), A(1)]), f"{math.pi:.10f} {1e100:g} {255:#x} {1234567:,} {0.1 + 0.2!r}", float("inf"), -0.0, 1e-310, round(2.5), int(-3.9))
def gen():
    try: yield from range(3)
    finally: print("closed")
print(list(gen()), {k: v for k, v in zip("abc", range(3))}, string.ascii_lowercase[::-3])
w = io.StringIO(); csv.writer(w).writerow(["a,b", 'q"q', 3]); print(w.getvalue().strip())
match [1, [2, 3]]:
    case [a, [b, *c]]: print(a, b, c)
def deep(n): return n if n == 0 else deep(n - 1) + 1
print(deep(900)); sys.exit(5)
END
python3 program.py
