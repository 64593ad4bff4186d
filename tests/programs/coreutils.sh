# coreutils: text, numbers, files, checksums.
seq 1 200 > n
shuf --random-source=n -n 5 n
sort -rn n | head -n 3 | paste -sd+ | tr + ' '
seq 1 30 | split -l 10 - part_ && ls part_* && cat part_ab | tail -n 2
cut -c1-2 n | sort | uniq -c | sort -k1,1nr -k2,2 | head -n 4
tac n | sed -n 1p
printf 'b 2\na 1\nc 3\n' | sort > left; printf 'a x\nc z\nd w\n' > right
join left right
od -An -tx1 -N 16 n; base64 -w 40 n | tail -n 1; base64 n | base64 -d | cmp - n && echo round
md5sum n; sha1sum n; sha224sum n; sha256sum n; sha384sum n; sha512sum n; b2sum n; cksum n; sum n
factor 600851475143 18446744073709551557 97 | cat
expr 7 \* 6; expr length hello; expr substr hypervisor 6 5
printf '%d %o %x %e %g %s %c %b\n' 255 255 255 3.5 0.1 text char 'tab\there'
date -u -d @1234567890 '+%F %T %j %a'; date -u -d '2024-02-29 + 1 year' +%F
mkdir -p a/b/c && touch -d @1000000000 a/b/c/file && stat -c '%n %s %Y %F' a/b/c/file
cp -r a copy && ln -s copy/b link && readlink link && ls -R copy && rm -r copy && ls -l link | cut -c1
cp n m && mv m moved && wc moved && truncate -s 10 moved && stat -c %s moved
dd if=/dev/zero bs=1000 count=3 2>/dev/null | wc -c
echo 'the quick brown fox jumps over the lazy dog' | fold -w 10 | fmt -w 30 | nl
numfmt --to=iec 123456789; numfmt --from=si 5K
echo hello | tee copy1 > copy2; cmp copy1 copy2 && echo equal
basename /usr/lib/file.txt .txt; dirname /usr/lib/file.txt; realpath -m --relative-to=/a/b /a/c
timeout 0.2 sleep 10; echo "timeout $?"
env -i A=1 B=2 env | sort
test -d a && test ! -e none && [ 3 -lt 10 ] && echo tests
tr a-z A-Z < right | tr -d ' ' ; expand -t 4 <<END
a	b
END
tsort <<END
a b
b c
END
yes | head -n 3 | sort -u
mktemp -u XXXX | wc -c
comm left right; ptx -A right | head -n 2; pr -t -2 -l 3 left
csplit -s n 5 && wc -l xx00 && chmod 640 n && stat -c %a n
