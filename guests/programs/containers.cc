// Containers as templates: a balanced tree, a hash table, a heap, a ring, sorted arrays, each of
// several types, filled and searched in turn.
#include "plus.h"

struct Name {
    char text[16];
    bool operator==(const Name &n) const { return memcmp(text, n.text, 16) == 0; }
    bool operator<(const Name &n) const { return memcmp(text, n.text, 16) < 0; }
};
static uint64_t hash_of(const Name &n) {
    uint64_t a, b;
    memcpy(&a, n.text, 8), memcpy(&b, n.text + 8, 8);
    return hash_of(mix(a, b));
}
struct Point {
    int32_t x, y;
    bool operator==(const Point &p) const { return x == p.x && y == p.y; }
    bool operator<(const Point &p) const { return x != p.x ? x < p.x : y < p.y; }
};
static uint64_t hash_of(const Point &p) { return hash_of((uint64_t)(uint32_t)p.x << 32 | (uint32_t)p.y); }

static void draw(uint64_t r, uint64_t &v) { v = r % 30011; }
static void draw(uint64_t r, Point &p) { p = Point{(int32_t)(r % 211), (int32_t)(r >> 20) % 173}; }
static void draw(uint64_t r, Name &n) {
    memset(n.text, ' ', 16);
    for (int i = 0; i < 4; i++, r /= 13) n.text[i + 8] = (char)('a' + r % 13);
}
static uint64_t digest(uint64_t v) { return v; }
static uint64_t digest(const Point &p) { return (uint64_t)(p.x * 1000 + p.y); }
static uint64_t digest(const Name &n) {
    uint64_t v;
    memcpy(&v, n.text + 8, 8);
    return v;
}

// A tree whose sides differ in height by one at most.
template <class K, class V> struct Tree {
    struct Node {
        K key;
        V value;
        Node *left, *right;
        int height;
    };
    Node *root = nullptr, *spare = nullptr;
    uint32_t size = 0;
    static int height(const Node *n) { return n ? n->height : 0; }
    static void measure(Node *n) { n->height = 1 + (height(n->left) > height(n->right) ? height(n->left) : height(n->right)); }
    static Node *turn_right(Node *n) {
        Node *up = n->left;
        n->left = up->right, up->right = n;
        measure(n), measure(up);
        return up;
    }
    static Node *turn_left(Node *n) {
        Node *up = n->right;
        n->right = up->left, up->left = n;
        measure(n), measure(up);
        return up;
    }
    static Node *balance(Node *n) {
        measure(n);
        int lean = height(n->left) - height(n->right);
        if (lean > 1) {
            if (height(n->left->left) < height(n->left->right)) n->left = turn_left(n->left);
            return turn_right(n);
        }
        if (lean < -1) {
            if (height(n->right->right) < height(n->right->left)) n->right = turn_right(n->right);
            return turn_left(n);
        }
        return n;
    }
    Node *insert(Node *n, const K &key, V **value) {
        if (!n) {
            Node *fresh = spare ? spare : make<Node>();
            if (spare) spare = spare->left;
            fresh->key = key, fresh->value = V(), fresh->left = fresh->right = nullptr, fresh->height = 1;
            size++;
            *value = &fresh->value;
            return fresh;
        }
        if (key < n->key) n->left = insert(n->left, key, value);
        else if (n->key < key) n->right = insert(n->right, key, value);
        else return *value = &n->value, n;
        return balance(n);
    }
    V &operator[](const K &key) {
        V *value;
        root = insert(root, key, &value);
        return *value;
    }
    Node *take_first(Node *n, Node **first) {
        if (!n->left) return *first = n, n->right;
        n->left = take_first(n->left, first);
        return balance(n);
    }
    Node *erase(Node *n, const K &key) {
        if (!n) return nullptr;
        if (key < n->key) n->left = erase(n->left, key);
        else if (n->key < key) n->right = erase(n->right, key);
        else {
            Node *left = n->left, *right = n->right, *next = nullptr;
            n->left = spare, spare = n, size--;
            if (!right) return left;
            right = take_first(right, &next);
            next->left = left, next->right = right;
            n = next;
        }
        return balance(n);
    }
    void erase(const K &key) { root = erase(root, key); }
    template <class F> static void each(const Node *n, F &f) {
        if (n) each(n->left, f), f(n->key, n->value), each(n->right, f);
    }
};

template <class T> struct Heap {
    Array<T> items;
    void push(const T &item) {
        items.push(item);
        for (uint32_t at = items.size - 1; at && items[at] < items[(at - 1) / 2]; at = (at - 1) / 2) swap(at, (at - 1) / 2);
    }
    T pop() {
        T top = items[0];
        items[0] = items.last(), items.pop();
        for (uint32_t at = 0, down; (down = 2 * at + 1) < items.size; at = down) {
            if (down + 1 < items.size && items[down + 1] < items[down]) down++;
            if (!(items[down] < items[at])) break;
            swap(at, down);
        }
        return top;
    }
    void swap(uint32_t a, uint32_t b) {
        T t = items[a];
        items[a] = items[b], items[b] = t;
    }
};

template <class T, uint32_t N> struct Ring {
    T items[N];
    uint32_t from = 0, size = 0;
    void push(const T &item) { items[(from + size++) % N] = item; }
    T pop() {
        T item = items[from];
        from = (from + 1) % N, size--;
        return item;
    }
};

template <class K> static uint64_t work(uint64_t seed, int &right) {
    enum { N = 3000 };
    Tree<K, uint32_t> tree;
    Table<K, uint32_t> table;
    Heap<K> heap;
    Array<K> list;
    Ring<K, 256> &ring = *make<Ring<K, 256>>();
    uint64_t sum = 0;
    for (int i = 0; i < N; i++) {
        K key;
        draw(random_next(&seed) >> 9, key);
        tree[key]++, table[key]++, list.push(key), heap.push(key), ring.push(key);
        if (ring.size == 200) {
            // The oldest go from the tree as often as they came.
            for (int k = 0; k < 50; k++) {
                K old = ring.pop();
                uint32_t &left = tree[old];
                if (left <= 1) tree.erase(old);
                else left--;
                table[old]--;
            }
        }
    }
    sort(list.begin(), list.size, [](const K &a, const K &b) { return a < b; });
    for (const K &key : list) right &= !(heap.items[0] < key) && heap.pop() == key;
    uint32_t counted = 0;
    auto check = [&](const K &key, uint32_t value) {
        uint32_t *found = table.find(key);
        right &= found && *found == value;
        counted += value;
        sum = mix(sum, digest(key) + value);
    };
    tree.each(tree.root, check);
    right &= counted == ring.size;
    return mix(sum, tree.size);
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 2), sum = 0;
    int right = 1;
    for (uint64_t r = 0; r < count; r++) {
        arena_used = 0;
        sum = mix(sum, work<uint64_t>(r + 1, right));
        sum = mix(sum, work<Point>(r + 2, right));
        sum = mix(sum, work<Name>(r + 3, right));
    }
    return report("containers", sum, right);
}
