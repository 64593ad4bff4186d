// Chess: all legal moves, and a search of the best one by alpha and beta. Boards are copied, pieces
// stand on a board of 16 by 8 squares whose right half is outside.
#include "runtime.h"

enum { NONE, PAWN, KNIGHT, BISHOP, ROOK, QUEEN, KING };
enum { OUTSIDE = 0x88, NOWHERE = 127, WHITE_SHORT = 1, WHITE_LONG = 2, BLACK_SHORT = 4, BLACK_LONG = 8 };

typedef struct {
    int8_t at[128]; // white pieces are positive, black ones negative
    int8_t side;    // 1 or -1
    uint8_t rights, passant, king[2];
} board;
typedef struct {
    uint8_t from, to;
    int8_t promotion;
} move;

static const int8_t KNIGHT_STEPS[8] = {-33, -31, -18, -14, 14, 18, 31, 33};
// The first four are a rook's, the others a bishop's.
static const int8_t STEPS[8] = {-16, -1, 1, 16, -17, -15, 15, 17};

static void read_board(board *b, const char *text) {
    static const char LETTERS[] = " pnbrqk";
    memset(b, 0, sizeof *b);
    b->passant = NOWHERE;
    int square = 0x70;
    for (; *text != ' '; text++) {
        if (*text == '/') square = (square & 0x70) - 16;
        else if (*text >= '1' && *text <= '8') square += *text - '0';
        else
            for (int kind = PAWN; kind <= KING; kind++) {
                int black = *text == LETTERS[kind], white = *text == LETTERS[kind] - 'a' + 'A';
                if (!black && !white) continue;
                b->at[square] = (int8_t)(white ? kind : -kind);
                if (kind == KING) b->king[black] = (uint8_t)square;
                square++;
                break;
            }
    }
    b->side = text[1] == 'w' ? 1 : -1;
    for (text += 3; *text; text++)
        b->rights |= *text == 'K' ? WHITE_SHORT : *text == 'Q' ? WHITE_LONG : *text == 'k' ? BLACK_SHORT : *text == 'q' ? BLACK_LONG : 0;
}

static int attacked(const board *b, int square, int by) {
    for (int side = -1; side <= 1; side += 2) {
        int from = square - 16 * by + side;
        if (!(from & OUTSIDE) && b->at[from] == by * PAWN) return 1;
    }
    for (int i = 0; i < 8; i++) {
        int from = square + KNIGHT_STEPS[i];
        if (!(from & OUTSIDE) && b->at[from] == by * KNIGHT) return 1;
    }
    for (int i = 0; i < 8; i++) {
        int from = square + STEPS[i], near = 1;
        for (; !(from & OUTSIDE); from += STEPS[i], near = 0) {
            int piece = b->at[from] * by;
            if (piece == 0) continue;
            if (piece == QUEEN || piece == (i < 4 ? ROOK : BISHOP) || (near && piece == KING)) return 1;
            break;
        }
    }
    return 0;
}

static int pawn_move(move *list, int n, int from, int to) {
    if ((to >> 4) % 7) {
        list[n++] = (move){(uint8_t)from, (uint8_t)to, 0};
    } else {
        for (int8_t kind = QUEEN; kind >= KNIGHT; kind--) list[n++] = (move){(uint8_t)from, (uint8_t)to, kind};
    }
    return n;
}

static int pawn_moves(const board *b, move *list, int n, int from) {
    int ahead = 16 * b->side, start = b->side > 0 ? 1 : 6;
    if (!b->at[from + ahead]) {
        n = pawn_move(list, n, from, from + ahead);
        if (from >> 4 == start && !b->at[from + 2 * ahead]) list[n++] = (move){(uint8_t)from, (uint8_t)(from + 2 * ahead), 0};
    }
    for (int to = from + ahead - 1; to <= from + ahead + 1; to += 2)
        if (!(to & OUTSIDE) && (b->at[to] * b->side < 0 || to == b->passant)) n = pawn_move(list, n, from, to);
    return n;
}

static int castling(const board *b, move *list, int n) {
    int king = b->side > 0 ? 0x04 : 0x74, rights = b->side > 0 ? b->rights : b->rights >> 2;
    if (!(rights & 3) || attacked(b, king, -b->side)) return n;
    if (rights & WHITE_SHORT && !b->at[king + 1] && !b->at[king + 2] && !attacked(b, king + 1, -b->side))
        list[n++] = (move){(uint8_t)king, (uint8_t)(king + 2), 0};
    if (rights & WHITE_LONG && !b->at[king - 1] && !b->at[king - 2] && !b->at[king - 3] && !attacked(b, king - 1, -b->side))
        list[n++] = (move){(uint8_t)king, (uint8_t)(king - 2), 0};
    return n;
}

static int moves(const board *b, move *list) {
    int n = 0;
    for (int from = 0; from < 128; from = (from + 9) & ~8) {
        int kind = b->at[from] * b->side, first = 0, last = 8, once = 0;
        switch (kind) {
        case PAWN: n = pawn_moves(b, list, n, from); continue;
        case KNIGHT: once = 1; break;
        case BISHOP: first = 4; break;
        case ROOK: last = 4; break;
        case QUEEN: break;
        case KING: once = 1; break;
        default: continue;
        }
        for (int i = first; i < last; i++) {
            int step = kind == KNIGHT ? KNIGHT_STEPS[i] : STEPS[i];
            for (int to = from + step; !(to & OUTSIDE); to += step) {
                int taken = b->at[to] * b->side;
                if (taken > 0) break;
                list[n++] = (move){(uint8_t)from, (uint8_t)to, 0};
                if (taken || once) break;
            }
        }
    }
    return castling(b, list, n);
}

static int rights_kept(int square) {
    switch (square) {
    case 0x00: return ~WHITE_LONG;
    case 0x04: return ~(WHITE_LONG | WHITE_SHORT);
    case 0x07: return ~WHITE_SHORT;
    case 0x70: return ~BLACK_LONG;
    case 0x74: return ~(BLACK_LONG | BLACK_SHORT);
    case 0x77: return ~BLACK_SHORT;
    default: return ~0;
    }
}

// Plays a move on a copy; false if that leaves the king attacked.
static int play(const board *old, move m, board *b) {
    *b = *old;
    int piece = b->at[m.from], kind = piece * b->side, by = (m.to - m.from) / 16;
    b->at[m.from] = 0;
    b->at[m.to] = (int8_t)(m.promotion ? m.promotion * b->side : piece);
    b->passant = NOWHERE;
    if (kind == PAWN) {
        if (m.to == old->passant) b->at[m.to - 16 * b->side] = 0;
        if (by == 2 || by == -2) b->passant = (uint8_t)((m.from + m.to) / 2);
    } else if (kind == KING) {
        b->king[b->side < 0] = m.to;
        if (m.to == m.from + 2) b->at[m.to + 1] = 0, b->at[m.from + 1] = (int8_t)(ROOK * b->side);
        if (m.to == m.from - 2) b->at[m.to - 2] = 0, b->at[m.from - 1] = (int8_t)(ROOK * b->side);
    }
    b->rights &= (uint8_t)(rights_kept(m.from) & rights_kept(m.to));
    if (attacked(b, b->king[b->side < 0], -b->side)) return 0;
    b->side = (int8_t)-b->side;
    return 1;
}

static uint64_t count(const board *b, int depth) {
    move list[256];
    uint64_t sum = 0;
    int n = moves(b, list);
    for (int i = 0; i < n; i++) {
        board next;
        if (play(b, list[i], &next)) sum += depth == 1 ? 1 : count(&next, depth - 1);
    }
    return sum;
}

static int value(const board *b) {
    static const int16_t WORTH[7] = {0, 100, 310, 320, 500, 900, 0};
    int sum = 0;
    for (int s = 0; s < 128; s = (s + 9) & ~8) {
        int piece = b->at[s], kind = piece < 0 ? -piece : piece;
        if (!kind) continue;
        int file = s & 7, rank = piece > 0 ? s >> 4 : 7 - (s >> 4);
        int middle = (file < 4 ? file : 7 - file) + (rank < 4 ? rank : 7 - rank);
        int worth = WORTH[kind] + (kind == PAWN ? rank * rank : kind == KING ? -4 * middle : 3 * middle);
        sum += piece > 0 ? worth : -worth;
    }
    return sum * b->side;
}

static uint64_t visited;

static int search(const board *b, int depth, int alpha, int beta) {
    visited++;
    if (depth == 0) return value(b);
    move list[256];
    int n = moves(b, list), legal = 0;
    // Captures first, the most valuable in front.
    for (int i = 1, done = 0; i < n; i++) {
        int worth = b->at[list[i].to] * -b->side;
        if (worth <= 0) continue;
        move m = list[i];
        int j = done++;
        while (j > 0 && b->at[list[j - 1].to] * -b->side < worth) j--;
        for (int k = i; k > j; k--) list[k] = list[k - 1];
        list[j] = m;
    }
    for (int i = 0; i < n; i++) {
        board next;
        if (!play(b, list[i], &next)) continue;
        legal = 1;
        int score = -search(&next, depth - 1, -beta, -alpha);
        if (score > alpha) alpha = score;
        if (alpha >= beta) return alpha;
    }
    return legal ? alpha : attacked(b, b->king[b->side < 0], -b->side) ? -20000 - depth : 0;
}

static const char *const BOARDS[] = {
    "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq",
    "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq",
    "8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w -",
    "r4rk1/1pp1qppp/p1np1n2/2b1p1B1/2B1P1b1/P1NP1N2/1PP1QPPP/R4RK1 b -",
};

int main(int argc, char **argv) {
    uint64_t repeat = repeats(argc, argv, 2), sum = 0;
    board b;
    // How many ways a game can go from here is known.
    read_board(&b, BOARDS[0]);
    int right = count(&b, 3) == 8902;
    read_board(&b, BOARDS[1]);
    right &= count(&b, 2) == 2039;
    read_board(&b, BOARDS[2]);
    right &= count(&b, 3) == 2812;
    for (uint64_t r = 0; r < repeat; r++) {
        read_board(&b, BOARDS[r & 3]);
        int score = search(&b, r & 4 ? 4 : 3, -30000, 30000);
        sum = mix(sum, (uint64_t)(score + 30000));
    }
    return report("chess", mix(sum, visited), right);
}
