# python3: classes, dictionaries, lists, generators, exceptions and strings.
import sys

class Node:
    def __init__(self, key, parent=None):
        self.key, self.parent, self.children, self.weight = key, parent, [], 0

    def add(self, child):
        child.parent = self
        self.children.append(child)

    def total(self):
        return self.weight + sum(child.total() for child in self.children)

class Leaf(Node):
    def total(self):
        return self.weight * 2

class Full(Exception):
    pass

class Cache:
    def __init__(self, room):
        self.room, self.items, self.hits = room, {}, 0

    def get(self, key):
        if key in self.items:
            self.hits += 1
            return self.items[key]
        if len(self.items) >= self.room:
            raise Full(key)
        self.items[key] = value = key * key % 1009
        return value

def numbers(seed, count):
    for _ in range(count):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        yield seed >> 8

def build(depth, values):
    if depth == 0:
        leaf = Leaf(next(values))
        leaf.weight = leaf.key % 17
        return leaf
    node = Node(next(values))
    for _ in range(3):
        node.add(build(depth - 1, values))
    node.weight = depth
    return node

def work(round):
    values = numbers(round + 1, 4000)
    tree = build(5, values)
    total = tree.total()
    cache = Cache(300)
    for value in values:
        try:
            total += cache.get(value % 997)
        except Full as full:
            total -= full.args[0]
            cache.items.clear()
    words = [f"{value:x}" for value in numbers(total & 0xFFFF, 300)]
    by_length = {}
    for word in words:
        by_length.setdefault(len(word), []).append(word)
    order = sorted(by_length.items(), key=lambda item: (len(item[1]), item[0]))
    text = ",".join("-".join(reversed(group)) for _, group in order)
    return total + cache.hits + len({word[:2] for word in words}) + sum(map(ord, text[::7]))

print("objects", sum(work(round) for round in range(int(sys.argv[1]))))
