// Planets around a sun: divisions, square roots, long dependent chains.
#include "runtime.h"

enum { BODIES = 5 };
static struct body {
    double x, y, z, vx, vy, vz, mass;
} bodies[BODIES];

static void step(double dt) {
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++) {
            struct body *a = &bodies[i], *b = &bodies[j];
            double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
            double square = dx * dx + dy * dy + dz * dz;
            double pull = dt / (square * __builtin_sqrt(square));
            a->vx -= dx * b->mass * pull, a->vy -= dy * b->mass * pull, a->vz -= dz * b->mass * pull;
            b->vx += dx * a->mass * pull, b->vy += dy * a->mass * pull, b->vz += dz * a->mass * pull;
        }
    for (int i = 0; i < BODIES; i++) {
        struct body *a = &bodies[i];
        a->x += dt * a->vx, a->y += dt * a->vy, a->z += dt * a->vz;
    }
}

static double energy(void) {
    double sum = 0;
    for (int i = 0; i < BODIES; i++) {
        struct body *a = &bodies[i];
        sum += 0.5 * a->mass * (a->vx * a->vx + a->vy * a->vy + a->vz * a->vz);
        for (int j = i + 1; j < BODIES; j++) {
            struct body *b = &bodies[j];
            double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
            sum -= a->mass * b->mass / __builtin_sqrt(dx * dx + dy * dy + dz * dz);
        }
    }
    return sum;
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 20000), sum = 0;
    // A sun at rest and planets on nearly circular orbits.
    bodies[0].mass = 40;
    for (int i = 1; i < BODIES; i++) {
        double distance = 4.0 * i + 1;
        bodies[i] = (struct body){.x = distance, .z = 0.1 * i, .vy = __builtin_sqrt(40 / distance), .mass = 0.01 * i};
        bodies[0].vy -= bodies[i].vy * bodies[i].mass / 40;
    }
    double before = energy();
    for (uint64_t r = 0; r < count; r++) step(0.001);
    double drift = (energy() - before) / before;
    for (int i = 0; i < BODIES; i++) sum = mix(sum, bits_of(bodies[i].x) ^ bits_of(bodies[i].vz));
    return report("nbody", sum, drift < 1e-3 && drift > -1e-3);
}
