# sed: substitution, addresses, hold space, labels, in place.
seq 1 12 > n
sed -n '2,4p;$p' n; sed '1~3d' n | tr '\n' ' '; echo
sed -E 's/([0-9])([0-9])/\2\1/' n | tail -n 3; sed '/5/,/7/s/^/>/' n | sed -n 5,8p
sed -n '1!G;h;$p' n | head -n 3
sed ':a;N;$!ba;s/\n/,/g' n; sed '/3/a after' n | head -n 4; sed 'y/123/abc/' n | head -n 3
sed -i.bak 's/1/one/g' n && head -n 2 n && head -n 2 n.bak
printf 'key=value\nother = thing\n' | sed -E 's/^ *([a-z]+) *= *(.*)$/\U\1\E: \2/'
sed -s '$=' n n.bak | head -n 2; sed '/10/Q3' n > /dev/null; echo "status $?"
