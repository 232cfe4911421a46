/* Searches for rows in panels whose sums tensor cores bound: a provider of cuda_panel.cuh.
 *
 * A search takes up few of its pairs. So of a panel tensor cores make a bound of every sum
 * (cuda_mma.cuh), each thread compares those of its row with what it has so far, and only what they
 * do not rule out is summed, in floats and component by component as tf_panel_sums does it. What
 * comes out are, bit by bit, the rows and values of tf_panel_sums.
 *
 * For bounds one half of each number is enough, and sums are left to tensor cores from the first
 * product to the last. With u = 2^-24, D components in S steps of 16, numbers scaled so that the
 * largest norm is about 2^14, and a norm |x| that counts 2^-13 sqrt(D) more of what is scaled:
 *   a half is off by 2^-12 of its number, or by 2^-25 if that is less than 2^-13: halves of x
 *     together by 2^-12 |x|, an inner product by (2^-11 + u) |x||y|;
 *   a product of tensor cores and what it is added to lose 36 u of the largest sum so far
 *     (tf_mma.cuh), all of them 36 S u |x||y|;
 *   a squared distance is off by twice that, at most by (2^-11 + 36 S u) (|x|^2 + |y|^2); norms,
 *     centring and the roundings of all these lines are less than (S + 60) u;
 *   sums in floats: an inner product is off by D u |x||y|, a squared distance d by (D + 2) u d, for
 *     which a bound is multiplied by 1 -+ (1.01 D + 4) u: powers of 1 + u are within that.
 * BOUNDS says on which side of the sum in floats (1: below, -1: above). A bound that is NaN or
 * infinite rules nothing out.
 *
 * Whatever its rows and columns, a panel takes no more than a panel in floats and the one that was
 * tried: where a row has many pairs that are not ruled out, its panel is done in floats, and so are
 * the next ones.
 */
#ifndef TF_CUDA_FILTER_CUH
#define TF_CUDA_FILTER_CUH
#include "cuda_mma.cuh"

#if !TF_DOUBLE

template <class S> struct tf_bounds {
  typedef typename S::Sum0 Sum;
  static constexpr int SIDE = Sum::BOUNDS, STEPS = (Sum::DIM + 15) / 16;
  /* What the sum in floats may be off, relatively for distances. */
  static constexpr float IN_FLOATS = (1.01f * Sum::DIM + 4) * 0x1p-24f;
  /* What products of halves may be off, times both norms. */
  static constexpr float IN_HALVES = 0x1.02p-11f + (37 * STEPS + 64) * 0x1p-24f;

  /* The part of a row or a column, for the square of its norm; `back` undoes the scale. */
  template <bool COLUMNS> TF_FN float part(float square, float back) {
    const float norm = tf_sqrt(square) + back * (0x1p-13f * tf_sqrt((float)Sum::DIM));
    if (Sum::IS_DISTANCE)
      return (square - SIDE * (norm * norm * IN_HALVES)) * (1 - SIDE * IN_FLOATS);
    return COLUMNS ? norm : norm * (IN_HALVES + IN_FLOATS);
  }
  /* The bound, for both parts and the product of what is scaled. */
  TF_FN float of(float x, float y, float product, float back) {
    return Sum::IS_DISTANCE ? fmaf(product, -2 * back * (1 - SIDE * IN_FLOATS), x + y)
                            : fmaf(-SIDE * x, y, product * back);
  }
};

template <class S> struct tf_filter : tf_mma_sums<S> {
  typedef tf_mma_sums<S> Products;
  typedef typename Products::Direct Direct;
  typedef tf_panel<S> P;
  typedef typename S::Sum0 Sum;
  typedef typename S::Acc Acc;
  typedef typename S::State State;
  /* Pairs of a row that take about as long as its panel in floats. */
  static constexpr int MANY = P::COLS / 3;
  /* Components that a warp fetches at once for pairs of its lanes. They take the place of the
   * bounds of its rows, which are not needed then. */
  static constexpr int DEPTH = P::COLS / 2, QUADS = DEPTH / 4, PAIRS = 4;
  static_assert(P::COLS <= 64 && (QUADS == 8 || QUADS == 4), "a bit a column, a lane a component");
  static_assert(P::BY_ROW && Sum::LAUNCH_PARTS == 0, "a row's bounds are next to each other");
  static_assert(Sum::DIM <= 1 << 13, "bounds are of use");

  /* Whether there are bounds at the homes of sums, and whether the next panel is for floats, as the
   * first one is, which has nothing to compare with. */
  bool bounds, in_floats;

  TF_METHOD explicit tf_filter(const Direct &direct) : Products(direct) {}

  TF_METHOD void begin(void *scratch, i64 block) {
    Products::begin(scratch, block);
    in_floats = true;
  }
  TF_METHOD void operator()() {
    bounds = !in_floats && this->makes();
    in_floats = false;
    if (!bounds) Direct::operator()();
  }

  template <class Pairs>
  TF_METHOD typename Direct::Rest folds(Acc &a, State &s, const Pairs &pairs, int n) {
    if (!bounds) return Direct::TO_FOLD;
    const bool is_row = this->row0 + tf_thread() < this->rows_end;
    const uint64_t found = is_row ? look(a, s, pairs, n) : 0;
    if (tf_any_of_block(tf_count_bits(found) > MANY)) {
      this->put_off();
      in_floats = true;
      return Direct::AGAIN;
    }
    this->pause = 0;
    take_up(a, s, pairs, found);
    return Direct::FOLDED;
  }

  /* A bit for each column that is not ruled out. */
  template <class Pairs>
  TF_METHOD uint64_t look(const Acc &a, State &s, const Pairs &pairs, int n) const {
    uint64_t found = 0;
    TF_NO_UNROLL
    for (int jj = 0; jj < n; jj += S::COLS) {
      const auto &each = pairs.block(jj);
      typename S::Look all;
      S::look(all, a, s, 0);
      TF_UNROLL
      for (int q = 0; q < S::COLS; ++q) each(all, s, jj + q, q);
      if (__builtin_expect(!S::passes(all, 0), 1)) continue;
      uint32_t bits = 0;
      TF_UNROLL
      for (int q = 0; q < S::COLS; ++q) {
        typename S::Look one;
        S::look(one, a, s, 0);
        each(one, s, jj + q, q);
        if (S::passes(one, 0)) bits |= 1u << q;
      }
      found |= (uint64_t)bits << jj;
    }
    /* Past the last column there is what was there. */
    return n < 64 ? found & (((uint64_t)1 << n) - 1) : found;
  }

  /* Takes up pairs of all rows of a warp, each from its first column on: one a lane at a time. */
  template <class Pairs>
  TF_METHOD void take_up(Acc &a, State &s, const Pairs &pairs, uint64_t found) const {
    for (;;) {
      const uint32_t lanes = tf_lanes_of_warp(found != 0);
      if (lanes == 0) return;
      const int jj = found != 0 ? tf_lowest_bit(found) : 0;
      V z[1][1];
      sum(z, lanes, jj);
      if (found != 0) pairs.summed(a, s, jj, z);
      found &= found - 1;
    }
  }

  TF_FN int lane() { return tf_thread() % 32; }
  /* Where four components of a lane's row lie, so that neighbours read other banks; those of its
   * column lie 32 DEPTH further. */
  TF_FN int place(int of, int quad) {
    return of * DEPTH + (quad ^ of / (8 / QUADS)) % QUADS * 4;
  }

  /* The sum of this lane's row and column jj, for those in `lanes`. */
  TF_METHOD void sum(V (&z)[1][1], uint32_t lanes, int jj) const {
    T *const room = this->shared + tf_thread() / 32 * 32 * P::COLS;
    z[0][0] = tf_c(0.0);
    TF_NO_UNROLL
    for (int k0 = 0; k0 < Sum::DIM; k0 += DEPTH) {
      tf_sync_warp();
      fetch_pairs(room, lanes, jj, k0);
      tf_sync_warp();
      if ((lanes >> lane() & 1) == 0) continue;
      TF_NO_UNROLL
      for (int quad = 0; quad < QUADS && k0 + 4 * quad < Sum::DIM; ++quad) {
        const T *const from = room + place(lane(), quad);
        const TfVec4 xs = tf_load4(from), ys = tf_load4(from + 32 * DEPTH);
        TF_UNROLL
        for (int h = 0; h < 4; ++h) {
          const V x[1][1] = {{xs.at[h]}}, y[1][1] = {{ys.at[h]}};
          if (Sum::DIM % 4 == 0 || k0 + 4 * quad + h < Sum::DIM)
            Sum::template terms<1, 1>(z, x, y, nullptr);
        }
      }
    }
  }

  /* Leaves components of the pairs of all lanes, some pairs at a time: a lane one component. */
  TF_METHOD void fetch_pairs(T *room, uint32_t lanes, int jj, int k0) const {
    const int k = k0 + lane() % DEPTH, known = k < Sum::DIM ? k : Sum::DIM - 1;
    const i64 row = this->row0 + tf_thread() / 32 * 32;
    uint32_t rest = lanes, pick = lanes;
    TF_NO_UNROLL
    while (rest != 0) {
      int of[PAIRS];
      T x[PAIRS], y[PAIRS];
      TF_UNROLL
      for (int m = 0; m < PAIRS; ++m) {
        /* After the last pair it is that again. */
        if (rest != 0) pick = rest;
        rest &= rest - 1;
        of[m] = tf_lowest_bit(pick);
        const i64 col = this->col0 + tf_from_lane(jj, of[m]);
        Sum::row(this->v, this->p, row + of[m], this->rows_end, known, &x[m]);
        Sum::col(this->v, this->p, col, this->cols_end, known, &y[m]);
      }
      if (lane() < DEPTH) {
        TF_UNROLL
        for (int m = 0; m < PAIRS; ++m) {
          T *const to = room + place(of[m], lane() / 4) + lane() % 4;
          to[0] = x[m];
          to[32 * DEPTH] = y[m];
        }
      }
    }
  }
};

#endif

#define TF_FILTER_ENTRY(symbol, S, f32, f64, scratch)                                              \
  TF_TENSOR_ENTRY(symbol, S, f32, f64, scratch, tf_filter<S>)
#endif
