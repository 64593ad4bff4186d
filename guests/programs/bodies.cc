// Boxes and balls that fall, turn and bounce on each other: floating point in branching code with
// virtual calls, as games have it.
#include "plus.h"

struct Vec {
    double x, y;
    Vec operator+(Vec v) const { return {x + v.x, y + v.y}; }
    Vec operator-(Vec v) const { return {x - v.x, y - v.y}; }
    Vec operator*(double f) const { return {x * f, y * f}; }
    double dot(Vec v) const { return x * v.x + y * v.y; }
    double cross(Vec v) const { return x * v.y - y * v.x; }
    Vec turned() const { return {-y, x}; }
};
static double root(double v) { return __builtin_sqrt(v); }

struct Contact {
    bool touching;
    Vec normal, at;
    double depth;
};

struct Body {
    Vec place = {0, 0}, speed = {0, 0};
    double angle = 0, spin = 0, mass = 1, inertia = 1, radius = 1;
    Vec axis = {1, 0};
    virtual int corners(Vec *) const { return 0; }
    virtual ~Body() = default;
    void operator delete(void *) {}
    void turn() { axis = {cosine(angle), sine(angle)}; }
    Vec speed_at(Vec arm) const { return speed + arm.turned() * spin; }
    void push(Vec impulse, Vec arm, double sign) {
        speed = speed + impulse * (sign / mass);
        spin += sign * arm.cross(impulse) / inertia;
    }
};
struct Ball final : Body {
    explicit Ball(double r) { radius = r, mass = r * r, inertia = mass * r * r * 0.5; }
};
struct Box final : Body {
    double width, height;
    Box(double w, double h) : width(w), height(h) { mass = 4 * w * h, inertia = mass * (w * w + h * h) / 3, radius = root(w * w + h * h); }
    int corners(Vec *out) const override {
        static const int SIGNS[4][2] = {{1, 1}, {-1, 1}, {-1, -1}, {1, -1}};
        for (int i = 0; i < 4; i++) out[i] = place + axis * (width * SIGNS[i][0]) + axis.turned() * (height * SIGNS[i][1]);
        return 4;
    }
};

static Contact between_balls(const Body &a, const Body &b) {
    Vec way = b.place - a.place;
    double far = root(way.dot(way)), reach = a.radius + b.radius;
    if (far >= reach || far < 1e-9) return {false, {0, 0}, {0, 0}, 0};
    Vec normal = way * (1 / far);
    return {true, normal, a.place + normal * a.radius, reach - far};
}

static Contact ball_and_polygon(const Body &ball, const Vec *p, int n) {
    // The nearest point of the edge.
    Vec nearest = p[0];
    double best = 1e30;
    bool inside = true;
    for (int i = 0; i < n; i++) {
        Vec a = p[i], edge = p[(i + 1) % n] - a, to = ball.place - a;
        double part = to.dot(edge) / edge.dot(edge);
        part = part < 0 ? 0 : part > 1 ? 1 : part;
        Vec at = a + edge * part, gap = ball.place - at;
        if (edge.cross(to) < 0) inside = false;
        if (gap.dot(gap) < best) best = gap.dot(gap), nearest = at;
    }
    double far = root(best);
    if ((far >= ball.radius && !inside) || far < 1e-9) return {false, {0, 0}, {0, 0}, 0};
    Vec normal = (nearest - ball.place) * ((inside ? -1 : 1) / far);
    return {true, normal, nearest, inside ? ball.radius + far : ball.radius - far};
}

// Two polygons touch unless an edge of one has all of the other outside.
static Contact between_polygons(const Vec *p, int n, const Vec *q, int m) {
    Contact found = {true, {0, 0}, {0, 0}, 1e30};
    for (int side = 0; side < 2; side++) {
        const Vec *a = side ? q : p, *b = side ? p : q;
        int from = side ? m : n, to = side ? n : m;
        for (int i = 0; i < from; i++) {
            Vec edge = a[(i + 1) % from] - a[i], out = {edge.y, -edge.x};
            out = out * (1 / root(out.dot(out)));
            double deepest = 1e30;
            Vec corner = b[0];
            for (int j = 0; j < to; j++) {
                double d = (b[j] - a[i]).dot(out);
                if (d < deepest) deepest = d, corner = b[j];
            }
            if (deepest >= 0) return {false, {0, 0}, {0, 0}, 0};
            if (-deepest < found.depth) found.depth = -deepest, found.normal = side ? out * -1 : out, found.at = corner;
        }
    }
    return found;
}

static Contact contact(const Body &a, const Body &b) {
    Vec way = b.place - a.place;
    double reach = a.radius + b.radius;
    if (way.dot(way) > reach * reach) return {false, {0, 0}, {0, 0}, 0};
    Vec p[4], q[4];
    int n = a.corners(p), m = b.corners(q);
    if (!n && !m) return between_balls(a, b);
    if (!n) return ball_and_polygon(a, q, m);
    if (!m) {
        Contact c = ball_and_polygon(b, p, n);
        c.normal = c.normal * -1;
        return c;
    }
    return between_polygons(p, n, q, m);
}

static void bounce(Body &a, Body &b, const Contact &c) {
    Vec ra = c.at - a.place, rb = c.at - b.place;
    double closing = (b.speed_at(rb) - a.speed_at(ra)).dot(c.normal);
    double total = 1 / a.mass + 1 / b.mass;
    Vec apart = c.normal * (0.4 * c.depth / total);
    a.place = a.place - apart * (1 / a.mass), b.place = b.place + apart * (1 / b.mass);
    if (closing >= 0) return;
    double ta = ra.cross(c.normal), tb = rb.cross(c.normal);
    double amount = -1.4 * closing / (total + ta * ta / a.inertia + tb * tb / b.inertia);
    a.push(c.normal * amount, ra, -1), b.push(c.normal * amount, rb, 1);
    // Friction, bounded by the pressure.
    Vec along = c.normal.turned();
    double sliding = (b.speed_at(rb) - a.speed_at(ra)).dot(along), drag = -sliding / (total * 1.5), most = amount * 0.3;
    drag = drag > most ? most : drag < -most ? -most : drag;
    a.push(along * drag, ra, -1), b.push(along * drag, rb, 1);
}

static void walls(Body &b) {
    static const Vec NORMALS[3] = {{0, 1}, {1, 0}, {-1, 0}};
    static const double FAR[3] = {0, -12, -12};
    Vec p[4];
    int n = b.corners(p);
    for (int w = 0; w < 3; w++) {
        for (int i = 0; i < (n ? n : 1); i++) {
            Vec at = n ? p[i] : b.place - NORMALS[w] * b.radius, arm = at - b.place;
            double depth = FAR[w] - at.dot(NORMALS[w]);
            if (depth <= 0) continue;
            b.place = b.place + NORMALS[w] * (depth * 0.5);
            double closing = b.speed_at(arm).dot(NORMALS[w]), t = arm.cross(NORMALS[w]);
            if (closing < 0) b.push(NORMALS[w] * (-1.4 * closing / (1 / b.mass + t * t / b.inertia)), arm, 1);
        }
    }
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 60), sum = 0, seed = 31;
    enum { N = 24 };
    Body *bodies[N];
    for (int i = 0; i < N; i++) {
        uint64_t r = random_next(&seed);
        double size = 0.4 + (double)(r & 255) / 400.0;
        if (i % 3 == 0) bodies[i] = make<Ball>(size);
        else bodies[i] = make<Box>(size, 0.3 + (double)(r >> 8 & 255) / 500.0);
        bodies[i]->place = {(i % 6) * 3.0 - 8, 3.0 + (i / 6) * 3.0};
        bodies[i]->spin = (double)(r >> 16 & 15) / 8.0 - 1;
    }
    int right = 1;
    for (uint64_t r = 0; r < count; r++) {
        for (Body *b : bodies) {
            b->speed.y -= 9.81 * 0.01;
            b->place = b->place + b->speed * 0.01;
            b->angle += b->spin * 0.01;
            b->turn();
        }
        for (int i = 0; i < N; i++)
            for (int j = i + 1; j < N; j++) {
                Contact c = contact(*bodies[i], *bodies[j]);
                if (c.touching) bounce(*bodies[i], *bodies[j], c);
            }
        for (Body *b : bodies) walls(*b);
        if (r % 512 == 511) // a kick, so that they never rest
            for (Body *b : bodies) b->speed.y += 9, b->speed.x += (double)(random_next(&seed) >> 60) - 7.5;
    }
    for (Body *b : bodies) {
        right &= b->place.x > -20 && b->place.x < 20 && b->place.y > -5;
        sum = mix(mix(sum, bits_of(b->place.x)), bits_of(b->speed.y));
    }
    return report("bodies", sum, right);
}
