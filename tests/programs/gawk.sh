# gawk: fields, arrays, functions, regular expressions, sorting, formats, big numbers.
seq 1 100 | gawk '{ s += $1; p[$1 % 7] += $1 } END { print s; n = asorti(p, k); for (i = 1; i <= n; i++) printf "%s=%d ", k[i], p[k[i]]; print "" }'
printf 'a,b,c\nd,e,f\n' | gawk -F, -v OFS=- '{ $2 = toupper($2); print }'
gawk 'function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) } BEGIN { print fib(18); print length("hypervisor"), index("hypervisor", "visor"), substr("hypervisor", 3, 4) }'
gawk 'BEGIN { if (match("key: value", /([a-z]+): ([a-z]+)/, m)) print m[2], m[1]; n = split("1:2:3", a, ":"); print n, a[3]; x = "foo"; gsub(/o/, "0", x); print x, gensub(/(b)(c)/, "\\2\\1", "g", "abcabc") }'
gawk 'BEGIN { printf "%5.2f|%-5s|%05d|%x|%c|%e\n", 3.14159, "ab", 42, 255, 65, 12345.678; print 2^31, int(-3.7), 7 % 3, substr(sqrt(2), 1, 7) }'
gawk 'BEGIN { while (("echo one; echo two" | getline line) > 0) print "got " line; print "to sort" | "sort"; close("sort"); print strftime("%Y", 0, 1) }'
gawk 'BEGIN { PROCINFO["sorted_in"] = "@val_num_desc"; a["x"] = 3; a["y"] = 9; for (i in a) print i; exit 4 }'
