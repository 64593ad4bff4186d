# busybox sh: pipes, functions, loops, here documents, expansion, traps, subshells, many applets.
count() { busybox wc -l | busybox tr -d ' '; }
i=0
while [ $i -lt 20 ]; do echo "line $((i * 7 % 10)) $i"; i=$((i + 1)); done > lines
busybox sort lines | busybox uniq | busybox head -n 3
busybox cut -d' ' -f2 lines | busybox sort -n | busybox uniq -c | busybox sort -rn | busybox head -n 4
busybox grep -c 'line 3' lines
busybox sed -n 's/line \([0-9]\) 1\(.\)/\2-\1/p' lines | busybox tr '\n' ','
echo
busybox awk '{ sum += $2 * $3 } END { print sum }' lines
cat_all() { while read -r a b c; do printf '%s:%s ' "$b" "$c"; done; echo; }
busybox tail -n 5 lines | cat_all
busybox cat <<END | count
one ${HOME}
two $(echo three | busybox rev)
four
END
x=abc.tar.gz
echo "${x%.*} ${x%%.*} ${x#*.} ${x##*.} ${#x} ${y:-none} ${x:+some}"
case $x in *.zip) echo zip;; *.gz) echo gz;; esac
(exit 3); echo "status $?"
busybox false || echo "false is $?"
trap 'echo leaving' EXIT
for f in a b c; do echo $f > file_$f; done
busybox ls file_* | busybox xargs busybox md5sum
busybox find . -name 'file_?' | busybox sort | busybox xargs busybox cat
busybox tar cf all.tar file_a file_b && busybox rm file_a && busybox tar tf all.tar && busybox tar xf all.tar && busybox cat file_a
busybox gzip -c lines | busybox gunzip -c | busybox cmp - lines && echo same
busybox seq 1 100 | busybox sha256sum
busybox expr 17 \* 3 + 4
busybox printf '%05d|%-6s|%x\n' 42 ab 255
busybox dd if=lines bs=4 count=2 2>/dev/null | busybox hexdump -C
set -- p q r; shift; echo "$# $*"
echo $((1 << 20)) $((0x7fffffff * 3)) $((-7 / 2)) $((-7 % 3))
exit 7
