# python3: decimal arithmetic, and floats to the last bit.
cat > program.py <<'END'
from decimal import *
getcontext().prec = 60; print(Decimal(2).sqrt(), Decimal(1) / Decimal(7), Decimal(10).ln(), Decimal("1.1").exp())
def pi():
    a, b, t, p = Decimal(1), 1 / Decimal(2).sqrt(), Decimal("0.25"), Decimal(1)
    for _ in range(6): n = (a + b) / 2; b = (a * b).sqrt(); t -= p * (a - n) ** 2; a = n; p *= 2
    return (a + b) ** 2 / (4 * t)
print(pi()); print(Decimal("1e400") * Decimal("3"), Decimal("123.456").quantize(Decimal("0.01"), ROUND_HALF_EVEN), Decimal(-7) % 3, Decimal("Infinity"))
for mode in [ROUND_UP, ROUND_DOWN, ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, ROUND_HALF_DOWN, ROUND_05UP]: print(mode, Decimal("-2.5").to_integral_value(mode), Decimal("2.51").to_integral_value(mode))
try: Decimal(1) / 0
except DivisionByZero: print("division by zero")
print(sum(0.1 for _ in range(10)).hex(), (1 / 3).hex(), float.fromhex("0x1.8p-1074"), (2.0**0.5).hex(), 5e-324 / 2, 1.7976931348623157e308 * 2, float("nan") != float("nan"))
print([int(x) for x in (1e18, -1e18, 2.0**62)], 9007199254740993 / 1, repr(0.1 + 0.7), 123456.789 // 0.1, -5.5 % 2.25, round(1234.5678, -2), 1e22, 1e23)
END
python3 program.py
