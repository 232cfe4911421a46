/* Wide accumulators of a CUDA panel: sums over columns of a number a pair times a component of the
 * column, for many components. They are a product of two tables, so a thread adds up a few outputs
 * of a few rows, instead of all outputs of one.
 *
 * What comes in: the numbers of a panel's pairs, which the threads that own the rows left where the
 * sums were. What goes out: the totals of every row, in the workspace. Sums have the bounds of
 * tf_parts: blocks of 8 columns are added plainly, then compensated, and a panel goes into totals.
 */
#ifndef TF_CUDA_WIDE_CUH
#define TF_CUDA_WIDE_CUH
#include "cuda_reduce.cuh"

namespace {

/* What the owner of a row holds of a sum: the numbers of a block of B columns. */
template <int B> struct tf_wide_sum {
  struct State {};
  V number[B];

  TF_FN void init(State &) {}
  TF_METHOD void open(const State &) {}
  TF_METHOD void close(State &, i64) {}
  TF_METHOD void keep(V x, int slot) { number[slot < 0 ? 0 : slot] = x; }
  /* By what the numbers that were kept before this block change, and all of the row's totals. */
  TF_METHOD V change() { return tf_c(1.0); }
  TF_METHOD V factor() const { return tf_c(1.0); }
  template <class Home> TF_FN void leave(Home &, const State &) {}
};

/* The same of a shifted sum: Narrow sums the terms, which are the numbers. They are relative to the
 * shift; where it rises, what was kept has to follow. LAG: it does not within a block. */
template <class Narrow, int B, bool LAG> struct tf_wide_exp : Narrow {
  typedef typename Narrow::State State;
  V number[B];
  V since; /* the shift that the numbers are relative to */
  V pending, all;

  TF_METHOD void open(const State &s) {
    Narrow::open(s);
    since = this->shift_[0];
    pending = all = tf_c(1.0);
  }
  TF_METHOD void keep(V x, int slot) {
    if (!(LAG && slot >= 0) && since != this->shift_[0]) {
      const V c = tf_shift_change(since, this->shift_[0]);
      TF_UNROLL
      for (int q = 0; q < B; ++q)
        if (q < slot) number[q] = number[q] * c;
      pending = pending * c;
      all = all * c;
      since = this->shift_[0];
    }
    number[slot < 0 ? 0 : slot] = x;
  }
  TF_METHOD V change() {
    const V c = pending;
    pending = tf_c(1.0);
    return c;
  }
  TF_METHOD V factor() const { return all; }
  template <class Home> TF_FN void leave(Home &to, const State &s) {
    to.shift[0] = s.shift[0];
    to.top[0] = s.top[0];
    to.total[0] = s.total[0];
  }
};

} // namespace

/* Adds a panel to the totals of its rows. P holds the sizes of the panel. */
template <class S, class P> struct tf_panel_outputs {
  typedef typename S::Wide Wide;
  static constexpr int EACH = TF_K(4, 2), CHUNK = P::ACROSS * EACH, BLOCK = 8;
  static constexpr int STRIDE = P::COLS + 4, TABLE = Wide::COL_PARTS * CHUNK * STRIDE;
  /* The components of a chunk of outputs, and a factor a row. */
  static constexpr int WORDS = TABLE + P::ROWS;
  static constexpr int ROW_PARTS = Wide::ROW_PARTS > 0 ? Wide::ROW_PARTS : 1;
  static constexpr int COL_PARTS = Wide::COL_PARTS > 0 ? Wide::COL_PARTS : 1;
  static_assert(P::COLS % BLOCK == 0, "whole blocks");

  const tf_array *v;
  const T *p;
  i64 row0, rows_end, col0, cols_end;
  const T *numbers;
  T *shared;
  char *homes;
  int bytes; /* of a home */

  struct Outputs {
    V part[EACH][P::GROUP], high[EACH][P::GROUP], low[EACH][P::GROUP];
    T row[EACH][ROW_PARTS][P::GROUP];
  };

  TF_FN int row_of(int r) { return P::row(r / TF_VEC4) + r % TF_VEC4; }
  /* Output e of this thread. Neighbours have neighbouring ones, so that they read other banks. */
  TF_FN int output(int k0, int e) { return k0 + e * P::ACROSS + P::across(); }
  TF_FN int clamped(int k) { return k < S::OUTPUTS ? k : S::OUTPUTS - 1; }

  /* n columns of the panel. Every thread has to come. */
  TF_METHOD void operator()(int n) const {
    TF_NO_UNROLL
    for (int k0 = 0; k0 < S::OUTPUTS; k0 += CHUNK) {
      tf_sync();
      read(k0);
      Outputs o;
      open(o, k0);
      tf_sync();
      int c = 0;
      TF_NO_UNROLL
      for (; c + BLOCK <= n; c += BLOCK) {
        block(o, c);
        flush(o);
      }
      TF_NO_UNROLL
      for (; c < n; ++c) {
        column(o, c);
        flush(o);
      }
      close(o, k0);
    }
  }

  TF_METHOD void read(int k0) const {
    TF_UNROLL
    for (int m = 0; m < CHUNK * P::COLS / S::THREADS; ++m) {
      const int e = tf_thread() + m * S::THREADS, k = e % CHUNK, c = e / CHUNK;
      T to[COL_PARTS];
      Wide::col(v, p, col0 + c, cols_end, clamped(k0 + k), to);
      for (int q = 0; q < Wide::COL_PARTS; ++q) shared[(q * CHUNK + k) * STRIDE + c] = to[q];
    }
  }
  TF_METHOD void open(Outputs &o, int k0) const {
    TF_UNROLL
    for (int e = 0; e < EACH; ++e)
      TF_UNROLL
      for (int r = 0; r < P::GROUP; ++r) {
        o.part[e][r] = o.high[e][r] = o.low[e][r] = tf_c(0.0);
        T to[ROW_PARTS];
        Wide::row(v, p, row0 + row_of(r), rows_end, clamped(output(k0, e)), to);
        for (int q = 0; q < Wide::ROW_PARTS; ++q) o.row[e][q][r] = to[q];
      }
  }
  TF_METHOD void numbers_of(V (&w)[P::GROUP], int c, int slot) const {
    TF_UNROLL
    for (int r = 0; r < P::GROUP; ++r)
      w[r] = tf_load4(numbers + P::home(0, P::row(r / TF_VEC4), c, slot)).at[r % TF_VEC4];
  }
  TF_METHOD const T *components(int e, int q) const {
    return shared + (q * CHUNK + e * P::ACROSS + P::across()) * STRIDE;
  }
  TF_METHOD void block(Outputs &o, int c) const {
    TF_UNROLL
    for (int s = 0; s < BLOCK; ++s) {
      V w[P::GROUP];
      numbers_of(w, c, s);
      TF_UNROLL
      for (int e = 0; e < EACH; ++e) {
        V y[COL_PARTS];
        for (int q = 0; q < Wide::COL_PARTS; ++q)
          y[q] = tf_load4(components(e, q) + c + s / TF_VEC4 * TF_VEC4).at[s % TF_VEC4];
        Wide::template terms<P::GROUP>(o.part[e], o.row[e], y, w);
      }
    }
  }
  TF_METHOD void column(Outputs &o, int c) const {
    V w[P::GROUP];
    numbers_of(w, c / P::RUN * P::RUN, c % P::RUN);
    TF_UNROLL
    for (int e = 0; e < EACH; ++e) {
      V y[COL_PARTS];
      for (int q = 0; q < Wide::COL_PARTS; ++q) y[q] = components(e, q)[c];
      Wide::template terms<P::GROUP>(o.part[e], o.row[e], y, w);
    }
  }
  /* As tf_parts does. */
  TF_FN void flush(Outputs &o) {
    TF_UNROLL
    for (int e = 0; e < EACH; ++e)
      TF_UNROLL
      for (int r = 0; r < P::GROUP; ++r) {
        const V sum = o.high[e][r] + o.part[e][r];
        o.low[e][r] = o.low[e][r] + (o.part[e][r] - (sum - o.high[e][r]));
        o.high[e][r] = sum;
        o.part[e][r] = tf_c(0.0);
      }
  }
  TF_METHOD void close(const Outputs &o, int k0) const {
    TF_UNROLL
    for (int e = 0; e < EACH; ++e)
      TF_UNROLL
      for (int r = 0; r < P::GROUP; ++r) {
        if (output(k0, e) >= S::OUTPUTS) continue;
        const i64 row = row_of(r);
        typename S::Home &home = *(typename S::Home *)(homes + row * bytes);
        auto &total = S::total(home, output(k0, e));
        const V factor = shared[TABLE + row], sum = o.high[e][r];
        if (factor != tf_c(1.0)) total.scale(0, factor);
        total.add(0, sum);
        total.add(0, tf_sel(sum - sum == tf_c(0.0), o.low[e][r], tf_c(0.0)));
      }
  }
};
#endif
