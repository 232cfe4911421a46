/* Searches on a CPU whose values rise or fall with a sum over many components, which is an inner
 * product or a squared distance: the loop of such stages.
 *
 * A search takes up few of its pairs. So components are rounded to integers of a byte, by a scale
 * for each row and each column, and of a pair first the inner product of these is found, four
 * components an instruction and lane. What that may be off bounds the sum; the bounds are compared
 * with what every row has so far, and only pairs that they do not rule out are summed. Results have
 * the bits that they have without bounds.
 *
 * With x and y less a point amid the columns (of distances; nothing of products), q and r the
 * integers, a and b the scales, e = x - a q and f = y - b r:
 *     x.y = a b q.r + (a q).f + e.y,  and so |x.y - a b q.r| <= |a q||f| + |e||y|.
 * q.r is exact. Roundings of everything else, those of a sum's own value among them, are less than
 * SLACK (|x|^2 + |y|^2), and TINY where numbers are subnormal. BOUNDS says on which side of the
 * sum a bound is (1: below, -1: above). Where a norm is not finite or near the largest number, it
 * is NaN, and rules nothing out.
 *
 * A sum has W parts, added up in the order of components: part l has components l, l + W, ...; at
 * the end neighbours half of what is left apart are added until one is left. So the lanes of a
 * vector are parts of one pair, or rows of which each vector is one part, with the same bits.
 *
 * It is included where a stage has such a loop.
 */
#ifndef TF_CPU_FILTER_H
#define TF_CPU_FILTER_H
#include "cpu_rows.h"

/* Words that a filter of `dim` components takes of a row, a column and the parameters, after those
 * of the stage. */
#if TF_LEVEL >= 2
#define TF_QUADS(dim) (((dim) + 3) / 4)
#define TF_FILTER_ROW(dim) ((dim) + TF_K(TF_QUADS(dim), (TF_QUADS(dim) + 1) / 2) + 4)
#define TF_FILTER_COL(dim) (TF_K(TF_QUADS(dim) + 2, (TF_QUADS(dim) + 3) / 2) + 4)
#define TF_FILTER_PARAM(dim) (dim)

/* What tests leave out: 1 is VNNI, 2 is all bounds. */
#ifndef TF_LEAVE_OUT
#define TF_LEAVE_OUT 0
#endif

#define TF_ABREAST(c) _Pragma("GCC unroll 16") for (int c = 0; c < ABREAST; ++c)

namespace {

/* Whether the processor has AVX512_VNNI, asked once. */
TF_COLD int tf_ask_for_vnni() {
  unsigned a = 7, b, c = 0, d;
  asm("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return (c >> 11 & 1) != 0 ? 1 : -1;
}
TF_FN bool tf_has_vnni() {
#if TF_LEVEL == 4 && TF_LEAVE_OUT < 1
  static int known;
  int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (__builtin_expect(answer == 0, 0)) {
    answer = tf_ask_for_vnni();
    __atomic_store_n(&known, answer, __ATOMIC_RELAXED);
  }
  return answer > 0;
#else
  return false;
#endif
}

/* Four bytes a lane, of which there are as many as a vector holds, and as many as there are T. */
typedef __INT32_TYPE__ tf_quad;
typedef tf_quad VQ __attribute__((vector_size(TF_VB)));
typedef tf_quad tf_quads __attribute__((vector_size(4 * W)));
enum { WQ = TF_VB / 4 };

/* sum + the four products of bytes of each lane: those of s are -127 to 127, of u 0 to 255, without
 * VNNI 0 to 127, so that no sum of two products is cut off at 16 bits. */
template <bool VNNI> TF_FN VQ tf_dot4(VQ sum, VQ u, VQ s) {
#if TF_LEVEL == 4
  if (VNNI) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "v"(s));
    return sum;
  }
#endif
  VQ pairs;
  const VQ ones = (tf_quad)0x00010001 + (VQ){};
#if TF_LEVEL >= 3
  asm("vpmaddubsw %2, %1, %0" : "=" TF_REG(pairs) : TF_REG(u), TF_REG(s));
  asm("vpmaddwd %2, %1, %0" : "=" TF_REG(pairs) : TF_REG(pairs), TF_REG(ones));
#else
  pairs = u;
  asm("pmaddubsw %1, %0" : "+x"(pairs) : "x"(s));
  asm("pmaddwd %1, %0" : "+x"(pairs) : "x"(ones));
#endif
  return sum + pairs;
}

/* Lane l of the result is lane l ^ H. */
template <int H> TF_FN V tf_swapped(V v) {
#ifdef __clang__
  V w;
  TF_LANES(l) w[l] = v[l ^ H];
  return w;
#else
  VI from;
  TF_LANES(l) from[l] = l ^ H;
  return __builtin_shuffle(v, from);
#endif
}
/* The sum of the lanes: see the beginning. */
template <int H = W / 2> TF_FN T tf_total(V v) {
  v = v + tf_swapped<H>(v);
  if constexpr (H > 1)
    return tf_total<H / 2>(v);
  else
    return v[0];
}

/* A number rounded to an integer of at most `most`, a byte: as a number, and in the lowest byte.
 * What is not a number becomes one. */
struct tf_rounded {
  V number;
  VI bits;
  TF_METHOD tf_rounded(V x, T most) {
    /* Here neighbours are one apart, and the mantissa ends with the integer. */
    const V shift = tf_c(TF_K(0x1.8p23, 0x1.8p52));
    const V shifted = tf_at_most(tf_splat(most), tf_at_least(x, tf_splat(-most))) + shift;
    number = shifted - shift;
    bits = (VI)shifted;
  }
};

/* Norms of a row or a column, for lanes of them: of what it is, and of what its integers leave. */
template <class S> struct tf_filter_norms {
  static constexpr T UNIT = TF_K(0x1p-24, 0x1p-53), SLACK = (S::FILTER_DIM + 160) * UNIT,
                     TINY = S::FILTER_DIM * (T)TF_K(0x1p-118, 0x1p-1000);
  V part, norm, left;

  TF_METHOD tf_filter_norms(V square, V square_left) {
    const T up = (T)1.001;
    const V own = (S::IS_DISTANCE ? (T)1 : (T)0) * square;
    part = own - (T)S::BOUNDS * (SLACK * square + TINY);
    part = tf_sel(square < (T)TF_K(0x1p120, 0x1p1000), part, tf_c(TF_NAN));
    norm = tf_sqrt(square) * up + TINY;
    left = tf_sqrt(square_left) * up + TINY;
  }
};

/* Where the words of a filter are: rows have a copy of their components, one row after the other,
 * and four integers a word; each after those of the stage. */
template <class S> struct tf_filter {
  enum {
    R = S::R,
    DIM = S::FILTER_DIM,
    QUADS = (DIM + 3) / 4,
    COPY = S::ROW_WORDS - TF_FILTER_ROW(DIM),
    ROW_QUADS = COPY + DIM,
    ROW_PART = S::ROW_WORDS - 4,
    ROW_SCALE,
    ROW_NORM,
    ROW_LEFT,
    COL_QUADS = S::COL_WORDS - TF_FILTER_COL(DIM),
    COL_PART = S::COL_WORDS - 4,
    COL_SCALE,
    COL_NORM,
    COL_LEFT,
    CENTRE = S::PARAM_WORDS - TF_FILTER_PARAM(DIM),
    /* Integers of a column are at most 127, those of a row one less than OFFSET. */
    OFFSET = 64,
    WIDE_OFFSET = 128,
    COL_MOST = 127
  };
  /* What a sum has of an inner product, and a bound of what that may be off. */
  static constexpr T TIMES = S::IS_DISTANCE ? -2 : 1, OFF = -S::BOUNDS * (S::IS_DISTANCE ? 2 : 1);
  static_assert(R * W % WQ == 0 && DIM <= 1 << 13, "whole vectors, and integers do not overflow");

  /* ---- packing ---- */

  /* Leaves the mean of some columns: any point will do. */
  TF_FN void centre(const tf_array *v, T *p) {
    T *const c = p + CENTRE;
    for (int k = 0; k < DIM; ++k) c[k] = 0;
    if (!S::IS_DISTANCE) return;
    const i64 n = v[S::FILTER_COUNTED].rows, most = n / 64 + 1;
    const int samples = n == 0 ? 0 : most < 16 ? (int)most : 16;
    for (int s = 0; s < samples; ++s) {
      T col[S::COL_WORDS];
      S::col(v, p, n / samples * s, n, 1, col, S::COL_WORDS, 1);
      for (int k = 0; k < DIM; ++k) c[k] += col[S::FILTER_COL + k];
    }
    for (int k = 0; k < DIM; ++k) {
      c[k] = c[k] * ((S::IS_NEGATED ? (T)-1 : (T)1) / (T)samples);
      if (!(c[k] > -(T)TF_MAX && c[k] < (T)TF_MAX)) c[k] = 0;
    }
  }

  /* The scale of what is at most `largest`, and what undoes it: none for what is very small. */
  TF_FN V scale(V largest, T most, V &back) {
    const M known = (largest > (T)TF_K(0x1p-100, 0x1p-500)) & (largest < (T)TF_K(0x1p60, 0x1p500));
    back = tf_sel(known, most / largest, tf_c(0));
    return tf_sel(known, largest * (1 / most), tf_c(0));
  }

  TF_FN V row_at(const T *x, int word, int r) { return tf_load(x + (word * R + r) * W); }
  TF_FN void set_row(T *x, int word, int r, V v) { tf_store(x + (word * R + r) * W, v); }

  /* Four integers of each row of a block, and then the next ones. */
  TF_FN tf_quad *row_quads(const T *x) { return (tf_quad *)(x + ROW_QUADS * R * W); }

  /* `x` has what the stage packs. */
  TF_FN void row(const T *p, T *x, int r) {
    const tf_int offset = tf_has_vnni() ? WIDE_OFFSET : OFFSET;
    const T most = offset - 1;
    const T *const c = p + CENTRE;
    V largest = tf_c(0.0), back, square = largest, left = largest;
    for (int k = 0; k < DIM; ++k) {
      const V at = row_at(x, S::FILTER_ROW + k, r);
      tf_scatter(copy(x, r * W) + k, DIM, at);
      largest = tf_max(tf_abs(at - c[k]), largest);
    }
    const V a = scale(largest, most, back);
    for (int quad = 0; quad < QUADS; ++quad) {
      VI word = {};
      for (int h = 0; h < 4; ++h) {
        const int k = 4 * quad + h;
        if (DIM % 4 != 0 && k >= DIM) break;
        const V at = row_at(x, S::FILTER_ROW + k, r) - c[k];
        const tf_rounded q(at * back, most);
        const V rest = at - a * q.number;
        square = square + at * at;
        left = left + rest * rest;
        word |= ((q.bits + offset) & 255) << 8 * h;
      }
      const tf_quads quads = __builtin_convertvector(word, tf_quads);
      __builtin_memcpy(row_quads(x) + quad * R * W + r * W, &quads, sizeof quads);
    }
    const tf_filter_norms<S> of(square, left);
    set_row(x, ROW_PART, r, of.part);
    set_row(x, ROW_SCALE, r, a * TIMES);
    set_row(x, ROW_NORM, r, (of.norm + of.left) * OFF);
    set_row(x, ROW_LEFT, r, of.left * OFF);
  }

  /* Calls each(k, new) for vectors of components from k on; the last one begins with some that the
   * one before had, which are not new. */
  template <class Each> TF_FN void components(const Each &each) {
    VI lane;
    TF_LANES(l) lane[l] = l;
    for (int k = 0; k + W <= DIM; k += W) each(k, ~(VI){});
    if (DIM % W != 0) each(DIM - W, lane >= (tf_int)(W - DIM % W));
  }

  /* `y` has what the stage packs. */
  TF_FN void col(const T *p, T *y) {
    typedef signed char bytes __attribute__((vector_size(W), aligned(1), may_alias));
    const T *const c = p + CENTRE, *const from = y + S::FILTER_COL;
    const T sign = S::IS_NEGATED ? -1 : 1;
    V most = tf_c(0.0), square = most, left = most, total = most, back;
    components([&](int k, M) {
      most = tf_max(tf_abs(sign * tf_load(from + k) - tf_load(c + k)), most);
    });
    T largest = most[0];
    TF_LANES(l) largest = largest < most[l] ? most[l] : largest;
    const V b = scale(tf_splat(largest), COL_MOST, back);
    signed char *const to = (signed char *)(y + COL_QUADS);
    const tf_quad none = 0; /* integers of no component */
    const int upper = 8 * sizeof(T) - 8; /* bits above the lowest byte */
    __builtin_memcpy(to + 4 * (QUADS - 1), &none, sizeof none);
    components([&](int k, M is_new) {
      const V at = sign * tf_load(from + k) - tf_load(c + k);
      const tf_rounded q(at * back, COL_MOST);
      *(bytes *)(to + k) = __builtin_convertvector(q.bits << upper >> upper, bytes);
      const V rest = at - b * q.number;
      square = square + tf_sel(is_new, at * at, tf_c(0.0));
      left = left + tf_sel(is_new, rest * rest, tf_c(0.0));
      total = total + tf_sel(is_new, q.number, tf_c(0.0));
    });
    const tf_filter_norms<S> of(tf_splat(tf_total(square)), tf_splat(tf_total(left)));
    const tf_quad sum = (tf_quad)tf_total(total), start[2] = {-OFFSET * sum, -WIDE_OFFSET * sum};
    __builtin_memcpy(to + 4 * QUADS, start, sizeof start);
    y[COL_PART] = of.part[0];
    y[COL_SCALE] = b[0];
    y[COL_NORM] = of.norm[0];
    y[COL_LEFT] = of.left[0];
  }

  /* ---- bounds ---- */

  /* Columns of a panel; those whose products are registers; and quads of their rows that stay in
   * first-level cache for all of them. */
  enum { COLUMNS = 16, ABREAST = S::COLUMNS * TF_K(1, 2), DEPTH = 64, RQ = R * W / WQ };
#define TF_ROW_QUADS(h) _Pragma("GCC unroll 16") for (int h = 0; h < RQ; ++h)

  typedef tf_quad tf_quad_of_words __attribute__((may_alias));
  typedef VQ tf_quads_of_words __attribute__((aligned(4), may_alias));
  /* Four integers of a column. After the last ones is what its sum of products begins with: with
   * each offset of rows. */
  TF_FN const tf_quad_of_words *quads_of(const T *y) {
    return (const tf_quad_of_words *)(y + COL_QUADS);
  }
  TF_FN VQ quads_at(const T *y, int quad) { return quads_of(y)[quad] + (VQ){}; }
  /* Adds the products of quads `from` to `to` of some columns. The first quads begin with what
   * their columns start with, and the last ones end with bounds in place of products. */
  template <bool VNNI>
  TF_FN void part(V (*z)[R], const T *x, const T *(&y)[ABREAST], int from, int to) {
    VQ sum[ABREAST][RQ];
    TF_ABREAST(c)
      TF_ROW_QUADS(h) sum[c][h] = from == 0 ? quads_at(y[c], QUADS + VNNI) : (VQ)z[c][h];
    for (int some = from; some < to; some += 16) {
      /* A line of the same columns of the next panel. */
      TF_ABREAST(c) __builtin_prefetch(quads_of(y[c] + COLUMNS * S::COL_WORDS) + some);
      const int end = to - some < 16 ? to : some + 16;
      for (int quad = some; quad < end; ++quad) {
        VQ q[RQ];
        TF_ROW_QUADS(h) q[h] = *(const tf_quads_of_words *)(row_quads(x) + (quad * RQ + h) * WQ);
        TF_ABREAST(c) {
          const VQ word = quads_at(y[c], quad);
          TF_ROW_QUADS(h) sum[c][h] = tf_dot4<VNNI>(sum[c][h], q[h], word);
        }
      }
    }
    TF_ABREAST(c) {
      VQ product[RQ];
      TF_ROW_QUADS(h) product[h] = sum[c][h];
      if (to < QUADS)
        TF_ROW_QUADS(h) z[c][h] = (V)product[h];
      else
        TF_ROWS(r) z[c][r] = bound(product, x, y[c], r);
    }
  }
  TF_FN V bound(const VQ (&product)[RQ], const T *x, const T *y, int r) {
    tf_quads of;
    __builtin_memcpy(&of, (const tf_quad *)product + r * W, sizeof of);
    const V scaled = __builtin_convertvector(of, V) * y[COL_SCALE];
    const V own = row_at(x, ROW_PART, r) + y[COL_PART];
    const V off = row_at(x, ROW_LEFT, r) * y[COL_NORM] +
                  (row_at(x, ROW_NORM, r) * y[COL_LEFT] + own);
    return row_at(x, ROW_SCALE, r) * scaled + off;
  }
  /* Bounds of n columns, COLUMNS or less. */
  template <bool VNNI> TF_CALL void bounds(V (*z)[R], const T *x, const T *ys, int n) {
    for (int from = 0; from < QUADS; from += DEPTH)
      for (int c0 = 0; c0 < n; c0 += ABREAST) {
        const T *y[ABREAST]; /* after the last column it is that again */
        TF_ABREAST(c) y[c] = ys + (c0 + c < n ? c0 + c : n - 1) * S::COL_WORDS;
        part<VNNI>(z + c0, x, y, from, QUADS - from < DEPTH ? (int)QUADS : from + (int)DEPTH);
      }
  }
  TF_FN void panel(V (*z)[R], const T *x, const T *ys, int n) {
#if TF_LEAVE_OUT < 2
    if (tf_has_vnni())
      bounds<true>(z, x, ys, n);
    else
      bounds<false>(z, x, ys, n);
#else
    TF_UNUSED(x, ys);
    for (int c = 0; c < n; ++c) TF_ROWS(r) z[c][r] = tf_c(TF_NAN);
#endif
  }

  /* ---- sums ---- */

  TF_FN T *copy(T *x, int lane) { return x + COPY * R * W + lane * DIM; }
  TF_FN V term(V sum, V x, V y) {
    if (!S::IS_DISTANCE) return x * y + sum;
    const V d = S::IS_NEGATED ? x + y : x - y;
    return d * d + sum;
  }

  /* A pair that is summed: where its sum goes, its row and its column. */
  struct Pair {
    T *to;
    const T *x, *y;
  };

  /* Of some pairs, whose additions fill each other's gaps. */
  enum { AT_ONCE = 4 };
#define TF_PAIRS(n) _Pragma("GCC unroll 4") for (int n = 0; n < AT_ONCE; ++n)
  TF_FN void sum(const Pair *of) {
    V sum[AT_ONCE];
    TF_PAIRS(n) sum[n] = tf_c(0.0);
    components([&](int k, M is_new) {
      TF_PAIRS(n) {
        const V next = term(sum[n], tf_load(of[n].x + k), tf_load(of[n].y + k));
        sum[n] = tf_sel(is_new, next, sum[n]);
      }
    });
    TF_PAIRS(n) *of[n].to = tf_total(sum[n]);
#undef TF_PAIRS
  }

  /* Of vector r of rows. */
#define TF_PARTS(l) _Pragma("GCC unroll 16") for (int l = 0; l < W; ++l)
  TF_CALL V vector(const T *x, const T *y, int r) {
    V part[W];
    TF_PARTS(l) part[l] = tf_c(0.0);
    const int whole = DIM / W * W;
    for (int k = 0; k < whole; k += W) {
      TF_PARTS(l)
        part[l] = term(part[l], row_at(x, S::FILTER_ROW + k + l, r), tf_splat(y[k + l]));
    }
    TF_PARTS(l) {
      const int k = DIM - W + l;
      if (k >= whole) part[l] = term(part[l], row_at(x, S::FILTER_ROW + k, r), tf_splat(y[k]));
    }
#pragma GCC unroll 4
    for (int h = W / 2; h > 0; h /= 2)
#pragma GCC unroll 8
      for (int l = 0; l < h; ++l) part[l] = part[l] + part[l + h];
    return part[0];
  }
#undef TF_PARTS
};

} // namespace

/* The loop: S also has `look`, which opens what is compared with the bounds, and `passing`. */
template <class S> struct tf_filter_loop {
  enum { R = S::R, FEW = tf_panel_loop<S>::FEW };
  typedef tf_filter<S> Filter;
  typedef typename Filter::Pair Pair;
  typedef typename S::State State;
  typedef typename S::Acc Acc;
  /* More pairs than that of a vector take longer one by one than all of it. */
  enum { MANY = (Filter::DIM + 16) / (2 * Filter::DIM / W + 20) };

  template <class Y>
  TF_CALL void tile(State &s, const T *p, const T *x, const T *at, i64 tile, int n) {
    static_assert(Y::COLUMNS == 1, "a column for all lanes");
    Acc a;
    S::open(a, s);
    for (int jj = 0; jj < n; jj += Filter::COLUMNS, at += Filter::COLUMNS * S::COL_WORDS) {
      const int count = n - jj < Filter::COLUMNS ? n - jj : (int)Filter::COLUMNS;
      V z[Filter::COLUMNS][R];
      Filter::panel(z, x, at, count);
      const unsigned passing = look(a, s, p, x, at, tile, jj, count, z);
      if (passing != 0) find(a, s, p, x, at, tile, jj, passing, z);
    }
    S::close(a, s, tile);
  }

  /* What column jj has that its bounds do not rule out. */
  TF_FN typename S::Look seen(const Acc &a, State &s, const T *p, const T *x, const T *at, i64 tile,
                              int jj, const V (*z)[R]) {
    typename S::Look look;
    S::look(look, a, s, 0);
    S::pair(tf_plain(), look, s, p, x, tf_col{at}, tile, jj, 0, z);
    return look;
  }

  /* A bit for each column that bounds do not rule out. */
  TF_FN unsigned look(const Acc &a, State &s, const T *p, const T *x, const T *at, i64 tile, int jj,
                      int count, const V (*z)[R]) {
    unsigned passing = 0;
    for (int c = 0; c < count; ++c, at += S::COL_WORDS)
      passing |= (unsigned)S::passes(seen(a, s, p, x, at, tile, jj + c, z + c), 0) << c;
    return passing;
  }

  /* Sums take the place of bounds that rule no pair out, and are taken up. */
  TF_CALL void find(Acc &a, State &s, const T *p, const T *x, const T *ys, i64 tile, int jj,
                    unsigned passing, V (*z)[R]) {
    Pair found[Filter::COLUMNS * R * MANY + Filter::AT_ONCE];
    int pairs = 0;
    for (unsigned rest = passing; rest != 0; rest &= rest - 1) {
      const int c = __builtin_ctz(rest);
      const T *const at = ys + c * S::COL_WORDS, *const y = at + S::FILTER_COL;
      const typename S::Look look = seen(a, s, p, x, at, tile, jj + c, z + c);
      for (int r = 0; r < R; ++r) {
        unsigned lanes = S::passing(look, r);
        if (__builtin_popcount(lanes) > MANY) {
          z[c][r] = Filter::vector(x, y, r);
          continue;
        }
        for (; lanes != 0; lanes &= lanes - 1) {
          const int lane = __builtin_ctz(lanes);
          found[pairs++] = {(T *)&z[c][r] + lane, Filter::copy((T *)x, r * W + lane), y};
        }
      }
    }
    sum(found, pairs);
    for (; passing != 0; passing &= passing - 1) {
      const int c = __builtin_ctz(passing);
      auto &&once = S::once(a);
      S::pair(tf_plain(), once, s, p, x, tf_col{ys + c * S::COL_WORDS}, tile, jj + c, 0, z + c);
    }
  }
  TF_CALL void sum(Pair *found, int pairs) {
    for (int n = 0; n < pairs; n += Filter::AT_ONCE) {
      for (int m = pairs; m < n + Filter::AT_ONCE; ++m) found[m] = found[pairs - 1];
      Filter::sum(found + n);
    }
  }
};

/* Blocks of rows of a stage with a filter. */
template <class S> struct tf_cpu_filtered : tf_cpu_rows<S, tf_filter_loop<S>> {
  typedef tf_filter<S> Filter;

  static void params(const tf_array *v, void *p) {
    S::launch(v, (T *)p);
    Filter::centre(v, (T *)p);
  }
  static void rows(const tf_array *v, const void *p, i64 i0, i64 i1, void *x) {
    S::row(v, (const T *)p, i0, i1, 1, (T *)x);
    for (int r = 0; r < S::R; ++r) Filter::row((const T *)p, (T *)x, r);
  }
  static void cols(const tf_array *v, const void *p, i64 j0, i64 j1, void *y) {
    tf_cpu_rows<S, tf_filter_loop<S>>::cols(v, p, j0, j1, y);
    for (i64 j = j0; j < j1; ++j) Filter::col((const T *)p, (T *)y + (j - j0) * S::COL_WORDS);
  }
};

#else

#define TF_FILTER_ROW(dim) 0
#define TF_FILTER_COL(dim) 0
#define TF_FILTER_PARAM(dim) 0

template <class S> struct tf_cpu_filtered : tf_cpu_rows<S, tf_panel_loop<S>> {};

#endif
#endif
