# xz: round trip, levels, threads, filters, damaged input.
seq 1 60000 > n; head -c 300000 n > part; wc -c < part
for level in 0 3 6; do xz -$level -k -c part > part.$level.xz; xz -dc part.$level.xz | cmp - part && echo "level $level"; done
xz -T2 --block-size=100KiB -c part > threads.xz && xz -T2 -dc threads.xz | sha256sum | cut -c1-8 > sums && sha256sum part | cut -c1-8 | cmp - sums && echo threads
xz --riscv --lzma2 -c part | xz -dc | cmp - part && echo filtered; xz -t threads.xz && echo tested; xz --format=lzma -c part | xz --format=lzma -dc | cmp - part && echo lzma
head -c 1000 threads.xz > cut.xz; xz -t cut.xz 2>&1; echo "status $?"; seq 1 30000 | xz -6 | sha256sum
