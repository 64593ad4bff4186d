# grep: basic, extended and fixed patterns, context, counts, recursion, exit codes.
mkdir d && printf 'alpha\nbeta 12\ngamma\n\ndelta 345\nbeta again\n' > d/one && printf 'Beta\nzeta\n' > d/two
grep -n beta d/one; grep -c . d/one; grep -v a d/one; grep -io 'BETA' d/one
grep -E '^[a-z]+ [0-9]{2,3}$' d/one; grep -F '2' d/one; grep -w beta -A1 -B1 d/one
grep -rl -i beta d | sort; grep -rhE 'z?eta$' d | sort
grep -P '\d+(?=5)' -o d/one; grep -x gamma d/one
grep -q nothing d/one; echo "status $?"; grep x missing 2>/dev/null; echo "status $?"
seq 1 5000 | grep -E '(.)(.)\2\1' | tail -n 3; seq 1 20000 | grep -c '7.*7'
