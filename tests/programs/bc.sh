# bc: arbitrary precision, functions, the mathematics library.
bc -l <<'END'
scale = 50; 4 * a(1); e(1); l(10); sqrt(2); s(1) ^ 2 + c(1) ^ 2; 2 ^ 200; 1 / 7; 10 % 3; -7 / 2
define f(n) { if (n < 2) return 1; return n * f(n - 1); }
f(60); obase = 16; 255; 2 ^ 64 - 1; ibase = 2; 101101; ibase = A; obase = 10
for (i = 0; i < 5; i++) { x = x * 3 + i; }; x; length(f(40))
END
