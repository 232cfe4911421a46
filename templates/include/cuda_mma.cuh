/* The sums of a panel from tensor cores: a provider of cuda_panel.cuh for one sum that is an inner
 * product or a squared distance of many components, in float.
 *
 * Floats are split into two halves each (tf_mma.cuh). What is centred on the mean of the block's
 * rows gives squared distances as |x|^2 + |y|^2 - 2 x y. Halves of rows are made once a block and
 * lie in the workspace; those of the columns are made panel by panel. A panel whose sums might be
 * less exact than promised is done again by tf_panel_sums, so it never is.
 *
 * The promise, in units u = 2^-24, for D components and S = ceil(D / 16):
 *   an inner product is within D u of the exact one, times the sum of its terms' magnitudes. That
 *     is the bound of adding D terms up in float. Tensor cores are within 45 + S, see
 *     tf_mma_split, where halves keep all digits: no component but 0 may be less than 2^-13 of
 *     what is scaled to less than 2^14. D is at least 64, hence no less than 45 + S.
 *   a squared distance is within 2 (D + 2) u of the exact one, relatively, where adding up squares
 *     of differences is within (D + 2) u. By tensor cores it is off by at most
 *       2 (45 + S) |x||y|, from the product, which is at most (45 + S) (|x|^2 + |y|^2),
 *       and times |x|^2 + |y|^2: S + 4 from the norms, 4 from centring, 3 from adding up, and 1 if
 *       each norm counts at least as much as its halves may lose: 4 D (scale LOW)^-2.
 *     With the sum 2 S + 57 that promise holds if the distance found is at least
 *       (2 S + 57) (1 / (2 (D + 2)) + u) (|x|^2 + |y|^2)
 *     so every pair is compared with that: it is no close neighbour far from the centre.
 * NaN, infinities and what has no half make a norm NaN or too large, which refuses the panel.
 *
 * A search asks for bounds of the sums instead, of which none is refused: cuda_filter.cuh.
 */
#ifndef TF_CUDA_MMA_CUH
#define TF_CUDA_MMA_CUH
#include "cuda_panel.cuh"

#if !TF_DOUBLE
#include "tf_mma.cuh"

/* Four registers of halves, which one instruction moves. */
struct alignas(16) tf_words4 {
  uint32_t at[4];
};
/* Of a row or column: its squared norm, and what a squared distance has to be at least for it; of
 * an inner product 0. It is infinite where halves do not keep all digits, or there are none. Where
 * bounds are asked for, `least` is the part that the row or column has in them. */
struct alignas(8) tf_norm {
  float square, least;
};

/* How bounds are made: cuda_filter.cuh. */
template <class S> struct tf_bounds;

/* A power of two, and its reciprocal. */
struct tf_scale {
  float by, back;
};

/* Sizes, and where what lies. Warp w has rows 32 w to 32 w + 32, lanes have what tf_mma gives. */
template <class S> struct tf_mma_panel {
  typedef tf_panel<S> P;
  typedef typename S::Sum0 Sum;
  /* A thread has EACH components of a step; two halves of each, or one where bounds are enough. */
  static constexpr int EACH = Sum::BOUNDS == 0 ? 4 : 8, DEPTH = 4 * EACH;
  static constexpr int DIM = Sum::DIM, STEPS = (DIM + DEPTH - 1) / DEPTH;
  /* Tiles of 16 rows of a block, and of a warp; tiles of 8 columns. */
  static constexpr int TILES = P::ROWS / 16, OWN_TILES = 2, COL_TILES = P::COLS / 8;
  /* A thread splits components of a step, four neighbours of each 16, of every 32nd row. */
  static constexpr int QUADS = 4, APART = S::THREADS / QUADS;
  static constexpr int ROWS_EACH = P::ROWS / APART, COLS_EACH = P::COLS / APART;
  static constexpr int LOW = Sum::IS_DISTANCE ? 1 : 2048;
  /* Words of the workspace a block: halves of rows, their norms, the centre, the map of columns. */
  static constexpr int HALVES = STEPS * TILES * 2 * 128;
  static constexpr int BYTES = 4 * (HALVES + 2 * P::ROWS + 3 * DEPTH * STEPS);
  /* Words of shared memory: two steps of columns; what threads found, and norms. Neighbouring tiles
   * of columns are written at once, so they lie in other banks. */
  static constexpr int COL_TILE = 128 + 16, STEP = COL_TILES * COL_TILE, FOUND = 2 * STEP;
  static constexpr int NORMS = FOUND + 2 * QUADS * P::ROWS, WORDS = NORMS + 2 * P::ROWS;
  static_assert(S::THREADS == 32 * TILES / OWN_TILES, "warps cover the rows");
  static_assert(S::STREAMS == 1 && COLS_EACH >= 1, "tensor cores pay");
  static_assert(Sum::BOUNDS != 0 || Sum::DIM >= 64, "sums are as exact as promised");

  /* Components change places within 16, so that a thread has all four that a lane needs: lane t of
   * four has components 4 t to 4 t + 4. A product does not mind, as both factors do it. */

  /* The word of the first two of four components of a row, in a tile of A; that of the other two
   * is 2 further. */
  TF_FN int word_of_row(int row, int quad) { return (row % 8 * 4 + quad) * 4 + row % 16 / 8; }
  /* Column n of tile t. A thread has columns 2 i and 2 i + 1 of all tiles: of two tiles they are
   * neighbours, for homes by row; else far from those of the next thread, in other banks. */
  TF_FN int column(int t, int n) {
    if (P::BY_ROW) return t / 2 * 16 + n / 2 * 4 + t % 2 * 2 + n % 2;
    return t / P::RUN * 8 * P::RUN + n * P::RUN + t % P::RUN;
  }
  /* The word of the halves of four components of a column: two high ones, two low ones. Bits of
   * the column go each to its own place. */
  TF_FN int word_of_col(int col, int quad) {
    int t = col / 16 * 2 + col / 2 % 2, n = col % 16 / 4 * 2 + col % 2;
    if (!P::BY_ROW) {
      const int within = col % (8 * P::RUN);
      t = col / (8 * P::RUN) * P::RUN + within % P::RUN, n = within / P::RUN;
    }
    return t * COL_TILE + (n * 4 + quad) * 4;
  }
};

/* What makes sums of the panels of one block. */
template <class S> struct tf_mma_sums : tf_panel_sums<S> {
  typedef tf_panel_sums<S> Direct;
  typedef tf_panel<S> P;
  typedef tf_mma_panel<S> Q;
  typedef typename S::Sum0 Sum;
  static constexpr int WORDS = Q::WORDS < Direct::WORDS ? Direct::WORDS : Q::WORDS;
  static constexpr bool IS_DISTANCE = Sum::IS_DISTANCE;
  static constexpr int BOUNDS = Sum::BOUNDS;
  static constexpr bool JUDGES_SIZES = !IS_DISTANCE && BOUNDS == 0;
  typedef float Totals[Q::OWN_TILES][Q::COL_TILES][4];

  uint32_t *halves;
  tf_norm *norms;
  float *centre, *col_map;
  tf_scale row_scale, col_scale;
  /* Whether the rows have halves; panels that are not tried after one that was refused. */
  bool usable;
  int waiting, pause;

  TF_METHOD explicit tf_mma_sums(const Direct &direct) : Direct(direct) {}

  TF_FN int quad() { return tf_thread() % Q::QUADS; }
  TF_FN int first() { return tf_thread() / Q::QUADS; }
  TF_FN int nth(int m) { return first() + m * Q::APART; }
  TF_FN int component(int step, int h) {
    return step * Q::DEPTH + h / 4 * 16 + 4 * quad() + h % 4;
  }

  /* Component h of those of this thread in a step; past the last one some other. */
  TF_FN int known(int step, int h) {
    const unsigned k = (unsigned)component(step, h - h % 4);
    const bool is_known = Q::DIM % Q::DEPTH == 0 || k < Q::DIM;
    if (Q::DIM % 4 == 0) return (int)(is_known ? k : Q::DIM - 4) + h % 4;
    return k + h % 4 < Q::DIM ? (int)k + h % 4 : Q::DIM - 1;
  }
  TF_METHOD float row_at(int row, int k) const {
    T x;
    Sum::row(this->v, this->p, this->row0 + row, this->rows_end, k, &x);
    return x;
  }
  TF_METHOD float col_at(int col, int k) const {
    T y;
    Sum::col(this->v, this->p, this->col0 + col, this->cols_end, k, &y);
    return Sum::IS_NEGATED ? -y : y;
  }
  /* Takes components of a step from the centre, and scales them: one rounding. What is past the
   * last component becomes 0. */
  struct Map {
    TfVec4 scale[Q::EACH / 4], shift[Q::EACH / 4];
    TF_METHOD float operator()(float x, int h) const {
      return fmaf(x, scale[h / 4].at[h % 4], shift[h / 4].at[h % 4]);
    }
  };
  /* Of four neighbours from component k0 on. */
  TF_METHOD void map_four(TfVec4 &by, TfVec4 &shift, int k0, float scale) const {
    TfVec4 from = {};
    if (IS_DISTANCE) from = tf_load4(centre + k0);
    TF_UNROLL
    for (int h = 0; h < 4; ++h) {
      by.at[h] = Q::DIM % Q::DEPTH == 0 || k0 + h < Q::DIM ? scale : 0.0f;
      shift.at[h] = -from.at[h] * by.at[h];
    }
  }
  TF_METHOD Map map(int step, float scale) const {
    Map map;
    TF_UNROLL
    for (int g = 0; g < Q::EACH / 4; ++g)
      map_four(map.scale[g], map.shift[g], component(step, 4 * g), scale);
    return map;
  }
  /* That of columns lies in the workspace, as it is needed in each step of each panel. A barrier
   * has to come before it is read. */
  TF_METHOD void keep_col_map() const {
    for (int k0 = 4 * tf_thread(); k0 < Q::DEPTH * Q::STEPS; k0 += 4 * S::THREADS) {
      TfVec4 scale, shift;
      map_four(scale, shift, k0, col_scale.by);
      tf_store4(col_map + 2 * k0, scale);
      tf_store4(col_map + 2 * k0 + 4, shift);
    }
  }
  TF_METHOD Map kept_col_map(int step) const {
    Map map;
    TF_UNROLL
    for (int g = 0; g < Q::EACH / 4; ++g) {
      const float *const at = col_map + 2 * component(step, 4 * g);
      TF_UNROLL
      for (int h = 0; h < 4; ++h) map.scale[g].at[h] = col_scale.by, map.shift[g].at[h] = 0.0f;
      if (Q::DIM % Q::DEPTH != 0) map.scale[g] = tf_load4(at);
      if (IS_DISTANCE) map.shift[g] = tf_load4(at + 4);
    }
    return map;
  }

  /* ---- Norms ---- */

  /* What one thread sees of a row or column: the squares of its components of each step, and the
   * least magnitude but 0. */
  struct Seen {
    float square[4], least;
    TF_METHOD void clear() {
      for (int h = 0; h < 4; ++h) square[h] = 0.0f;
      least = (float)TF_INF;
    }
    TF_METHOD void see(float x, int h) {
      square[h % 4] = fmaf(x, x, square[h % 4]);
      const float size = tf_abs(x);
      if (JUDGES_SIZES && size > 0.0f && size < least) least = size;
    }
  };
  /* Leaves it for the thread that has the whole; `all` are so many rows or columns. */
  TF_METHOD void leave(const Seen &seen, int at, int all) const {
    float *const found = this->shared + Q::FOUND + quad() * all + at;
    found[0] = (seen.square[0] + seen.square[1]) + (seen.square[2] + seen.square[3]);
    if (JUDGES_SIZES) found[Q::QUADS * all] = seen.least;
  }
  /* The squared norm of row or column `at`, and its least magnitude but 0. */
  TF_METHOD tf_norm gather(int at, int all) const {
    const float *found = this->shared + Q::FOUND + at;
    tf_norm norm;
    norm.square = (found[0] + found[all]) + (found[2 * all] + found[3 * all]);
    norm.least = (float)TF_INF;
    if (JUDGES_SIZES)
      for (int n = Q::QUADS; n < 2 * Q::QUADS; ++n) norm.least = tf_min(norm.least, found[n * all]);
    return norm;
  }
  TF_METHOD tf_norm *shared_norms() const { return (tf_norm *)(this->shared + Q::NORMS); }

  /* The power of two that brings the largest of n norms into [2^13, 2^14); it is 0 where squares
   * may have been too large or too small, or NaN. */
  TF_METHOD tf_scale scale_of(int n) const {
    float most = 0.0f;
    for (int k = 0; k < n; ++k) most = tf_max(most, shared_norms()[k].square);
    if (!(most > 0x1p-60f && most < 0x1p100f)) return tf_scale{0.0f, 0.0f};
    /* Half of the exponent, rounded down. */
    const int e = 13 - ((tf_exponent(most) + 64) / 2 - 32);
    return tf_scale{tf_power_of_two(e), tf_power_of_two(-e)};
  }

  /* Makes `least` what sums are compared with. Both were found of what is scaled; the norm becomes
   * that of what is not. No component is beyond 2^15.5 where the norm is not, so that each has
   * halves, and no sum is infinite or NaN. */
  template <bool COLUMNS> TF_FN tf_norm judged(tf_norm norm, tf_scale scale) {
    const float u = 0x1p-24f, none = (float)TF_INF;
    const bool has_halves = norm.square < 0x1p31f;
    norm.square *= scale.back * scale.back;
    if constexpr (BOUNDS != 0) {
      norm.least = has_halves ? tf_bounds<S>::template part<COLUMNS>(norm.square, scale.back)
                              : (IS_DISTANCE ? -BOUNDS : 1) * none;
    } else if (!has_halves) {
      norm.least = none;
    } else if (!IS_DISTANCE) {
      norm.least = norm.least >= 0x1p-13f ? 0.0f : none;
    } else {
      const float off = 2 * Q::STEPS + 57, allowed = 2 * (Q::DIM + 2);
      const float floor = scale.back * (2.0f / Q::LOW);
      const float counts = tf_max(norm.square, floor * floor * Q::DIM);
      /* The last factor is for the roundings of this line and of the norms. */
      norm.least =
          counts < 0x1p100f ? counts * (off * (1 / allowed + u) * (1 + (Q::STEPS + 16) * u)) : none;
    }
    return norm;
  }

  /* Makes totals of products into bounds of sums. */
  TF_METHOD void bound(Totals &totals) const {
    const float back = row_scale.back * col_scale.back;
    TF_UNROLL
    for (int m = 0; m < Q::OWN_TILES; ++m)
      TF_UNROLL
      for (int i = 0; i < 4; ++i) {
        const float x = norm_of_row(m, i).least;
        TF_UNROLL
        for (int n = 0; n < Q::COL_TILES; ++n) {
          float &z = totals[m][n][i];
          z = tf_bounds<S>::of(x, norm_of_col(n, i).least, z, back);
        }
      }
  }

  /* ---- Rows: once a block ---- */

  TF_METHOD void begin(void *scratch, i64 block) {
    halves = (uint32_t *)((char *)scratch + block * Q::BYTES);
    norms = (tf_norm *)(halves + Q::HALVES);
    centre = (float *)(norms + P::ROWS);
    col_map = centre + Q::DEPTH * Q::STEPS;
    waiting = pause = 0;
    row_scale = col_scale = tf_scale{0.0f, 0.0f};
    usable = this->col0 < this->cols_end;
    if (!usable) return;
    if (IS_DISTANCE) find_centre();
    tf_sync();
    see<true>();
    col_scale = scale_of(P::COLS);
    see<false>();
    row_scale = scale_of(P::ROWS);
    tf_norm norm = shared_norms()[tf_thread()];
    norm.square *= row_scale.by * row_scale.by;
    norm.least *= row_scale.by;
    norms[tf_thread()] = norm = judged<false>(norm, row_scale);
    usable = row_scale.by != 0.0f && col_scale.by != 0.0f;
    if (tf_any_of_block(!usable || !(norm.least < (float)TF_INF))) usable = false;
    if (usable) split_rows();
    if (usable) keep_col_map();
    tf_sync();
  }

  TF_METHOD void find_centre() const {
    for (int k = tf_thread(); k < Q::DEPTH * Q::STEPS; k += S::THREADS) {
      /* Past the last component there is none to read. */
      const int known = k < Q::DIM ? k : Q::DIM - 1;
      float sum = 0.0f;
      TF_NO_UNROLL
      for (int row = 0; row < P::ROWS; ++row) sum += row_at(row, known);
      centre[k] = sum * (1.0f / P::ROWS);
    }
  }

  /* Leaves the norms of all rows, or of the columns of the first panel. */
  template <bool COLUMNS> TF_METHOD void see() const {
    const int all = COLUMNS ? P::COLS : P::ROWS;
    tf_sync();
    TF_NO_UNROLL
    for (int m = 0; m < (COLUMNS ? Q::COLS_EACH : Q::ROWS_EACH); ++m) {
      Seen seen;
      seen.clear();
      TF_NO_UNROLL
      for (int step = 0; step < Q::STEPS; ++step) {
        const Map each = map(step, 1.0f);
        for (int h = 0; h < Q::EACH; ++h) {
          const int k = known(step, h);
          seen.see(each(COLUMNS ? col_at(nth(m), k) : row_at(nth(m), k), h), h);
        }
      }
      leave(seen, nth(m), all);
    }
    tf_sync();
    if (tf_thread() < all) shared_norms()[tf_thread()] = gather(tf_thread(), all);
    tf_sync();
  }

  TF_METHOD void split_rows() const {
    TF_NO_UNROLL
    for (int step = 0; step < Q::STEPS; ++step)
      TF_NO_UNROLL
      for (int m = 0; m < Q::ROWS_EACH; ++m) {
        const Map each = map(step, row_scale.by);
        uint32_t *const to = halves_of(step, nth(m) / 16, 0) + Q::word_of_row(nth(m), quad());
        float x[Q::EACH];
        for (int h = 0; h < Q::EACH; ++h) x[h] = each(row_at(nth(m), known(step, h)), h);
        const tf_words4 words = split(x);
        for (int e = 0; e < 4; ++e) to[e % 2 * 2 + e / 2 * 128] = words.at[e];
      }
  }

  /* Two words of high halves and two of low ones; or four of high ones alone, of 16 components and
   * the next 16. */
  TF_FN tf_words4 split(const float (&x)[Q::EACH]) {
    if constexpr (BOUNDS != 0) {
      return tf_words4{{tf_pack_halves(x[0], x[1]), tf_pack_halves(x[2], x[3]),
                        tf_pack_halves(x[4], x[5]), tf_pack_halves(x[6], x[7])}};
    } else {
      const tf_halves a = tf_split<Q::LOW>(x[0], x[1]), b = tf_split<Q::LOW>(x[2], x[3]);
      return tf_words4{{a.high, b.high, a.low, b.low}};
    }
  }

  /* A tile of A: the registers of all lanes, one after the other; then those of the other words. */
  TF_METHOD uint32_t *halves_of(int step, int tile, int other) const {
    return halves + ((step * Q::TILES + tile) * 2 + other) * 128;
  }

  /* ---- Columns: once a panel ---- */

  struct Ahead {
    float y[Q::COLS_EACH][Q::EACH];
    Map map;
  };

  TF_METHOD void fetch(Ahead &to, int step) const {
    TF_UNROLL
    for (int m = 0; m < Q::COLS_EACH; ++m)
      TF_UNROLL
      for (int h = 0; h < Q::EACH; ++h) to.y[m][h] = col_at(nth(m), known(step, h));
    to.map = kept_col_map(step);
  }

  /* Leaves a step in one half of the buffer, from which `multiply` takes it. */
  TF_METHOD void put(const Ahead &from, Seen (&seen)[Q::COLS_EACH], unsigned half) const {
    uint32_t *const buffer = (uint32_t *)this->shared + Q::word_of_col(first(), quad()) + half;
    TF_UNROLL
    for (int m = 0; m < Q::COLS_EACH; ++m) {
      float y[Q::EACH];
      TF_UNROLL
      for (int h = 0; h < Q::EACH; ++h) {
        y[h] = from.map(from.y[m][h], h);
        seen[m].see(y[h], h);
      }
      *(tf_words4 *)(buffer + Q::word_of_col(m * Q::APART, 0)) = split(y);
    }
  }

  /* `own` are the halves of this lane's rows. */
  TF_METHOD void multiply(Totals &totals, const tf_words4 *own, unsigned half) const {
    tf_words4 a[Q::OWN_TILES][2];
    TF_UNROLL
    for (int m = 0; m < Q::OWN_TILES; ++m)
      TF_UNROLL
      for (int w = 0; w < 2; ++w) a[m][w] = own[(m * 2 + w) * 32];
    const int tile = Q::COL_TILE / 4, lane = tf_thread() % 32;
    const tf_words4 *buffer = (const tf_words4 *)this->shared + lane + half / 4;
    TF_UNROLL
    for (int n = 0; n < Q::COL_TILES; ++n) {
      const tf_words4 b = buffer[n * tile];
      const uint32_t first[2] = {b.at[0], b.at[1]}, other[2] = {b.at[2], b.at[3]};
      TF_UNROLL
      for (int m = 0; m < Q::OWN_TILES; ++m) {
        float(&total)[4] = totals[m][n];
        if constexpr (BOUNDS != 0) {
          tf_mma(total, a[m][0].at, first, total);
          tf_mma(total, a[m][1].at, other, total);
        } else {
          tf_mma_split<Q::LOW>(total, a[m][0].at, a[m][1].at, first, other);
        }
      }
    }
  }

  /* Column i of this thread in tile n. */
  TF_METHOD tf_norm norm_of_col(int n, int i) const {
    return shared_norms()[Q::column(n, 2 * (tf_thread() % 4) + i % 2)];
  }
  TF_METHOD tf_norm norm_of_row(int m, int i) const {
    const int warp = tf_thread() / 32, g = tf_thread() % 32 / 4;
    return norms[(warp * Q::OWN_TILES + m) * 16 + i / 2 * 8 + g];
  }

  /* Makes totals of products into sums; whether all are as exact as promised. What is asked of all
   * columns together is more than has to be, and most often true. */
  TF_METHOD bool finish(Totals &totals) const {
    const float back = row_scale.back * col_scale.back;
    float most = 0.0f;
    TF_UNROLL
    for (int n = 0; n < Q::COL_TILES; ++n)
      TF_UNROLL
      for (int i = 0; i < 2; ++i) most = tf_max(most, norm_of_col(n, i).least);
    bool sound = most < (float)TF_INF;
    bool all_are = sound;
    TF_UNROLL
    for (int m = 0; m < Q::OWN_TILES; ++m)
      TF_UNROLL
      for (int i = 0; i < 4; i += 2) {
        const tf_norm x = norm_of_row(m, i);
        /* Bits of floats have the order of what they mean, but that all with a sign come first. */
        int lowest = INT32_MAX;
        TF_UNROLL
        for (int n = 0; n < Q::COL_TILES; ++n)
          TF_UNROLL
          for (int q = 0; q < 2; ++q) {
            float &z = totals[m][n][i + q];
            if (!IS_DISTANCE) {
              z *= back;
            } else {
              z = fmaf(z, -2 * back, x.square + norm_of_col(n, q).square);
              const int bits = (int)tf_float_bits(z);
              lowest = bits < lowest ? bits : lowest;
            }
          }
        if (IS_DISTANCE) all_are = all_are && lowest >= (int)tf_float_bits(x.least + most);
      }
    if (IS_DISTANCE && sound && !all_are) sound = each_is_sound(totals);
    return sound;
  }

  /* The same of every sum, for norms that differ. */
  TF_METHOD bool each_is_sound(const Totals &sums) const {
    bool sound = true;
    TF_UNROLL
    for (int m = 0; m < Q::OWN_TILES; ++m)
      TF_UNROLL
      for (int n = 0; n < Q::COL_TILES; ++n)
        TF_UNROLL
        for (int i = 0; i < 4; ++i)
          sound = sound && sums[m][n][i] >= norm_of_row(m, i).least + norm_of_col(n, i).least;
    return sound;
  }

  TF_METHOD void store(const Totals &sums) const {
    const int warp = tf_thread() / 32, g = tf_thread() % 32 / 4, t = tf_thread() % 4;
    TF_UNROLL
    for (int m = 0; m < Q::OWN_TILES; ++m)
      TF_UNROLL
      for (int n = 0; n < Q::COL_TILES; n += P::BY_ROW ? 2 : 1)
        TF_UNROLL
        for (int i = 0; i < 4; i += P::BY_ROW ? 2 : 1) {
          const int row = (warp * Q::OWN_TILES + m) * 16 + i / 2 * 8 + g;
          const int col = Q::column(n, 2 * t + i % 2), slot = P::BY_ROW ? 0 : n % P::RUN;
          T *const to = this->shared + P::home(0, row, col - slot, slot);
          if (P::BY_ROW)
            tf_store4(to, TfVec4{{sums[m][n][i], sums[m][n][i + 1], sums[m][n + 1][i],
                                  sums[m][n + 1][i + 1]}});
          else
            *to = sums[m][n][i];
        }
  }

  /* False: the panel is refused. */
  TF_METHOD bool try_panel() {
    Totals totals = {};
    Seen seen[Q::COLS_EACH];
    TF_UNROLL
    for (int m = 0; m < Q::COLS_EACH; ++m) seen[m].clear();
    Ahead ahead;
    fetch(ahead, 0);
    const int warp = tf_thread() / 32, lane = tf_thread() % 32;
    const tf_words4 *own = (const tf_words4 *)halves_of(0, warp * Q::OWN_TILES, 0) + lane;
    unsigned half = 0;
    tf_sync();
    TF_NO_UNROLL
    for (int step = 1; step <= Q::STEPS; ++step) {
      put(ahead, seen, half);
      tf_sync();
      if (step < Q::STEPS) fetch(ahead, step);
      multiply(totals, own, half);
      own += Q::TILES * 2 * 32;
      half = Q::STEP - half;
    }
    TF_UNROLL
    for (int m = 0; m < Q::COLS_EACH; ++m) leave(seen[m], nth(m), P::COLS);
    tf_sync();
    bool refuses = false;
    if (tf_thread() < P::COLS) {
      const tf_norm norm = gather(tf_thread(), P::COLS);
      refuses = norm.square >= 0x1p31f && norm.square < (float)TF_INF;
      shared_norms()[tf_thread()] = judged<true>(norm, col_scale);
    }
    tf_sync();
    if constexpr (BOUNDS != 0)
      bound(totals);
    else
      refuses = !finish(totals);
    if (tf_any_of_block(refuses)) {
      refused();
      return false;
    }
    store(totals);
    return true;
  }

  /* Where a panel is refused, the next ones most likely would be: twice as many are left to floats
   * each time, up to 16. But it may have been for columns of another size than those before. */
  TF_METHOD void refused() {
    const tf_scale better = scale_of(P::COLS);
    const float change = better.by * col_scale.back;
    const bool new_size = change >= 16.0f || (change > 0.0f && change <= 0x1p-2f);
    if (better.by != 0.0f) {
      col_scale = better;
      keep_col_map();
    }
    if (!new_size) put_off();
  }
  TF_METHOD void put_off() { waiting = pause = pause == 0 ? 1 : pause < 16 ? 2 * pause : 16; }

  /* Makes the sums of a panel on tensor cores; false: they are for floats to make. */
  TF_METHOD bool makes() {
    if (!usable) return false;
    if (waiting == 0) return try_panel();
    --waiting;
    return false;
  }

  /* As of tf_panel_sums. */
  TF_METHOD void operator()() {
    if (makes())
      pause = 0;
    else
      Direct::operator()();
  }
};

#endif

/* `scratch`: bytes a thread that the descriptor promises beyond the states, in float. In double
 * there are no providers on tensor cores. */
#if TF_DOUBLE
#define TF_TENSOR_ENTRY(symbol, S, f32, f64, scratch, ...) TF_PANEL_ENTRY(symbol, S, f32, f64)
#else
#define TF_TENSOR_ENTRY(symbol, S, f32, f64, scratch, ...)                                         \
  static_assert(tf_mma_panel<S>::BYTES <= (scratch) * S::THREADS, "room in the workspace");        \
  TF_PROVIDED_ENTRY(symbol, S, f32, f64, __VA_ARGS__)
#endif
#define TF_MMA_ENTRY(symbol, S, f32, f64, scratch)                                                 \
  TF_TENSOR_ENTRY(symbol, S, f32, f64, scratch, tf_mma_sums<S>)
#endif
