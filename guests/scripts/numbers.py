# python3: floating point, integers of any size, bits and lists of numbers.
import sys

def waves(count):
    position, speed, energy = 1.0, 0.0, 0.0
    for _ in range(count):
        speed -= position * 0.01
        position += speed * 0.01
        energy += 0.5 * (position * position + speed * speed)
    return energy

def primes(limit):
    sieve = [True] * limit
    for i in range(2, limit):
        if sieve[i]:
            for j in range(i * i, limit, i):
                sieve[j] = False
    return [i for i in range(2, limit) if sieve[i]]

def big(count):
    a, b = 1, 1
    for _ in range(count):
        a, b = b, a + b
    return a * a % (1 << 127) ^ a >> 100

def queens(n, row=0, columns=0, left=0, right=0):
    if row == n:
        return 1
    found, free = 0, ~(columns | left | right) & (1 << n) - 1
    while free:
        bit = free & -free
        free ^= bit
        found += queens(n, row + 1, columns | bit, (left | bit) << 1, (right | bit) >> 1)
    return found

def product(n):
    a = [[(i * j) % 7 + 0.5 for j in range(n)] for i in range(n)]
    b = [[sum(x * y for x, y in zip(row, column)) for column in zip(*a)] for row in a]
    return sum(map(sum, b))

for round in range(int(sys.argv[1])):
    result = (waves(8000).hex(), sum(primes(5000)), big(600), queens(6), product(20).hex())
print("numbers", *result)
