// What C++ programs need in place of a library: memory that is handed back all at once, a growing
// array and a hash table.
#ifndef PLUS_H
#define PLUS_H
#include "runtime.h"

inline void *operator new(size_t, void *place) noexcept { return place; }
// The table's entry for a pure virtual function; nothing may call it.
extern "C" void __cxa_pure_virtual() { stop(121); }

static constexpr size_t ARENA = 24 << 20;
alignas(16) static char arena[ARENA];
static size_t arena_used;

static inline void *allocate(size_t bytes) {
    size_t at = arena_used;
    arena_used += (bytes + 15) & ~size_t(15);
    if (arena_used > ARENA) put_text("the arena is full\n"), stop(3);
    return arena + at;
}
template <class T, class... A> static T *make(A... a) { return new (allocate(sizeof(T))) T(a...); }

// Elements may be copied byte by byte.
template <class T> struct Array {
    T *items = nullptr;
    uint32_t size = 0, room = 0;
    void push(const T &item) {
        if (size == room) {
            room = room ? room * 2 : 8;
            T *larger = static_cast<T *>(allocate(room * sizeof(T)));
            memcpy(static_cast<void *>(larger), items, size * sizeof(T));
            items = larger;
        }
        items[size++] = item;
    }
    T pop() { return items[--size]; }
    T &operator[](size_t i) { return items[i]; }
    const T &operator[](size_t i) const { return items[i]; }
    T *begin() { return items; }
    T *end() { return items + size; }
    const T *begin() const { return items; }
    const T *end() const { return items + size; }
    bool empty() const { return size == 0; }
    T &last() { return items[size - 1]; }
    void clear() { size = 0; }
};

static inline uint64_t hash_of(uint64_t key) { return (key ^ key >> 31) * 0x9e3779b97f4a7c15u >> 7; }

// Open addressing; K needs `hash_of` and `==`.
template <class K, class V> struct Table {
    struct Slot {
        K key;
        V value;
        bool full;
    };
    Slot *slots = nullptr;
    uint32_t size = 0, room = 0;
    Slot *slot(const K &key) const {
        uint64_t i = hash_of(key) & (room - 1);
        while (slots[i].full && !(slots[i].key == key)) i = (i + 1) & (room - 1);
        return &slots[i];
    }
    V *find(const K &key) const {
        if (!room) return nullptr;
        Slot *s = slot(key);
        return s->full ? &s->value : nullptr;
    }
    V &operator[](const K &key) {
        if (4 * (size + 1) > 3 * room) grow();
        Slot *s = slot(key);
        if (!s->full) s->key = key, s->value = V(), s->full = true, size++;
        return s->value;
    }
    void grow() {
        Slot *old = slots;
        uint32_t count = room;
        room = room ? room * 2 : 16;
        slots = static_cast<Slot *>(allocate(room * sizeof(Slot)));
        for (uint32_t i = 0; i < room; i++) slots[i].full = false;
        for (uint32_t i = 0; i < count; i++)
            if (old[i].full) *slot(old[i].key) = old[i];
    }
};

template <class T, class F> static void sort(T *items, size_t n, F before) {
    while (n > 12) {
        T pivot = items[n / 2];
        size_t i = 0, j = n - 1;
        for (;; i++, j--) {
            while (before(items[i], pivot)) i++;
            while (before(pivot, items[j])) j--;
            if (i >= j) break;
            T t = items[i];
            items[i] = items[j], items[j] = t;
        }
        sort(items + i, n - i, before);
        n = i;
    }
    for (size_t i = 1; i < n; i++) {
        T t = items[i];
        size_t j = i;
        for (; j > 0 && before(t, items[j - 1]); j--) items[j] = items[j - 1];
        items[j] = t;
    }
}
#endif
