# zstd: round trip, levels, threads, dictionary, damaged input.
seq 1 60000 > n
for level in 1 3 12; do zstd -q -$level n -o n.$level.zst && zstd -q -dc n.$level.zst | cmp - n && stat -c %s n.$level.zst; done
zstd -q -T2 -5 n -o threads.zst && zstd -q -dc threads.zst | cmp - n && echo threads; zstd -q -t threads.zst && echo tested
zstd -q -3 -c < n | sha256sum; head -c 5000 threads.zst > cut.zst; zstd -q -t cut.zst; echo "status $?"
zstd -q --long=20 -c n | zstd -q -dc --long=20 | sha256sum; zstd -q --adapt --no-check -c n | zstd -dcq | wc -l
