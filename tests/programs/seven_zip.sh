# 7z: archives with several methods and threads, there and back, with a password.
mkdir d; seq 1 40000 > d/n; seq 1 3 30000 > d/m; yes abc | head -n 5000 > d/y
for method in LZMA2 PPMd BZip2; do 7z a -bd -mmt=2 -mx=3 -m0=$method $method.7z d > /dev/null; echo "$method $?"; 7z x -bd -mmt=2 -o$method $method.7z > /dev/null; echo $?; cmp $method/d/n d/n && cmp $method/d/y d/y && echo same; done
7z a -bd -mmt=2 -psecret -mhe=on -mx=1 locked.7z d/y > /dev/null; 7z x -bd -psecret -olocked locked.7z > /dev/null && cmp locked/y d/y 2>/dev/null || cmp locked/d/y d/y; echo "status $?"
7z x -bd -pwrong -oother locked.7z > /dev/null 2>&1; echo "status $?"; 7z t -bd LZMA2.7z | grep -E 'Ok|Files|^Size'; 7z a -bd -tzip -mx=1 z.zip d/m > /dev/null && 7z l -bd z.zip | grep -c m; head -c 100 LZMA2.7z > cut.7z; 7z t -bd cut.7z > /dev/null 2>&1; echo "status $?"
