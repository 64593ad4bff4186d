// A ray tracer of spheres over a checkered floor: vectors passed by value, branches, recursion.
#include "runtime.h"

typedef struct { double x, y, z; } vec;
static const struct sphere { vec centre; double radius, mirror, light; } SPHERES[] = {
    {{0, 1, 0}, 1, 0.6, 0.4}, {{2, 0.7, 0.5}, 0.7, 0.3, 0.9}, {{-1.8, 0.6, 1}, 0.6, 0.1, 0.7}, {{0.6, 0.3, -1.6}, 0.3, 0.5, 1.0}};

static vec add(vec a, vec b) { return (vec){a.x + b.x, a.y + b.y, a.z + b.z}; }
static vec scale(vec a, double f) { return (vec){a.x * f, a.y * f, a.z * f}; }
static double dot(vec a, vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static vec unit(vec a) { return scale(a, 1 / __builtin_sqrt(dot(a, a))); }

// The nearest sphere on the ray, or -1; its distance in *distance.
static int nearest(vec from, vec way, double *distance) {
    int hit = -1;
    for (int i = 0; i < 4; i++) {
        vec to = add(SPHERES[i].centre, scale(from, -1));
        double along = dot(to, way), gap = dot(to, to) - along * along, square = SPHERES[i].radius * SPHERES[i].radius;
        if (gap > square) continue;
        double t = along - __builtin_sqrt(square - gap);
        if (t > 1e-6 && t < *distance) *distance = t, hit = i;
    }
    return hit;
}

static double trace(vec from, vec way, int depth) {
    double t = 1e9, light = 0.2, mirror, own;
    int hit = nearest(from, way, &t);
    vec point, normal, sun = unit((vec){1, 2, -1});
    if (hit >= 0) {
        point = add(from, scale(way, t));
        normal = scale(add(point, scale(SPHERES[hit].centre, -1)), 1 / SPHERES[hit].radius);
        mirror = SPHERES[hit].mirror, own = SPHERES[hit].light;
    } else if (way.y < -1e-6) {
        point = add(from, scale(way, -from.y / way.y));
        normal = (vec){0, 1, 0};
        mirror = 0.1;
        own = ((long)(point.x + 1000) + (long)(point.z + 1000)) & 1 ? 0.9 : 0.3;
    } else {
        return 0.5 + 0.5 * way.y;
    }
    double shadow = 1e9, facing = dot(normal, sun);
    if (facing > 0 && nearest(point, sun, &shadow) < 0) light += 0.8 * facing;
    double result = own * light;
    if (depth < 4) result = (1 - mirror) * result + mirror * trace(point, add(way, scale(normal, -2 * dot(way, normal))), depth + 1);
    return result;
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 60), sum = 0;
    double total = 0;
    // `count` rows of a picture 80 points wide.
    for (uint64_t row = 0; row < count; row++)
        for (int column = 0; column < 80; column++) {
            vec way = unit((vec){(column - 40) / 40.0, (30 - (double)(row % 60)) / 40.0, 1.5});
            double light = trace((vec){0, 1.2, -5}, way, 0);
            total += light;
            sum = mix(sum, bits_of(light));
        }
    return report("raytrace", sum, count == 0 || (total > 0 && total < 80.0 * (double)count));
}
