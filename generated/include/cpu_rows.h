/* The CPU loops. A block of rows is vectors of rows against one broadcast column at a time (the
 * `rows` family), or against a panel of columns where sums run over many components (the `panel`
 * family). One row is alone: the lanes of a vector are W columns, and each lane folds its own.
 *
 * S is a stage: sizes, State, Acc and the functions launch, row, col, pair, finish. This file turns
 * it into the entries of a tf_cpu_stage. Everything is branch-free in the pair loop but for rare
 * repairs inside reductions.
 */
#ifndef TF_CPU_ROWS_H
#define TF_CPU_ROWS_H
#include "kernel.h"
#include "cpu_lists.h"
#include "cpu_search.h"
#include "cpu_wide.h"

/* Called once a tile or less. Inlined, its code would be optimized again with that of each caller,
 * which takes the compiler a tenth longer. */
#define TF_CALL static __attribute__((noinline))

/* Keeps the compiler from hoisting a block's rows into registers that it does not have: rows stay
 * memory operands in first-level cache. */
#define TF_FENCE() asm volatile("" ::: "memory")

/* A group of vectors after the other: its code is staged, and the next group fills the gaps. */
#define TF_GROUPS(S, g) _Pragma("GCC unroll 16") for (int g = 0; g < S::R; g += S::G)

/* A packed column, whose words are neighbours: all lanes see it. */
struct tf_col {
  enum { COLUMNS = 1 };
  const T *from;
  TF_METHOD V at(int word) const { return tf_splat(from[word]); }
};

/* W packed columns, a lane each: a word is a vector. */
struct tf_cols {
  enum { COLUMNS = W };
  const T *from;
  TF_METHOD V at(int word) const { return tf_load(from + word * W); }
};

/* ---- a few columns at once ---- */

#define TF_COLUMNS(c) _Pragma("GCC unroll 16") for (int c = 0; c < C; ++c)

/* Column c of a panel, or its c-th W columns. */
template <class Y> struct tf_panel_col {
  enum { COLUMNS = Y::COLUMNS };
  const T *panel;
  int start;
  TF_METHOD V at(int word) const { return Y{panel + start * Y::COLUMNS}.at(word); }
  /* x + at(word). An instruction of AVX-512 repeats a scalar that it reads from
   * memory for nothing, where a vector for several of them takes one more: on Zen 4 on the pipes of
   * additions, of which a distance has as many as there are. A compiler would share the vector. */
  TF_METHOD V plus(V x, int word) const {
#if TF_LEVEL == 4
    if (Y::COLUMNS == 1) {
      V sum;
      asm("vadd" TF_PS " %2%{1to" TF_K("16", "8") "%}, %1, %0"
          : "=v"(sum)
          : "v"(x), "m"(panel[start + word]));
      return sum;
    }
#endif
    return x + at(word);
  }
  /* Words of the next panel, on their way while this one is summed; past the end it does nothing.
   * Columns of a lane each are read one after the other, which the hardware foresees. */
  TF_FN void ahead(const T *panel, int word) {
    if (Y::COLUMNS == 1) __builtin_prefetch(panel + word);
  }
};

/* Adds n columns, a block or its beginning, to sums of many outputs, where the stage has any. */
template <class S, class Y>
TF_FN auto tf_outputs(typename S::Acc &a, typename S::State &s, const T *p, const T *x, const T *ys,
                      int n, int) -> decltype(S::template outputs<1, Y>(a, s, p, x, ys, 0)) {
  S::numbers(a, s, n);
  if (n == S::BLOCK) return S::template outputs<S::BLOCK, Y>(a, s, p, x, ys, 0);
  for (int c = 0; c < n; ++c)
    S::template outputs<1, Y>(a, s, p, x, ys + c * S::COL_WORDS * Y::COLUMNS, c);
}
template <class S, class Y>
TF_FN void tf_outputs(typename S::Acc &, typename S::State &, const T *, const T *, const T *, int,
                      long) {}

/* ---- a tile: n steps from number `tile` on, each of one Y ---- */

/* The bits of magnitudes are in the order of the magnitudes, and those of NaN come last: a norm
 * that is no number is not near. */
typedef tf_int tf_norm_bits __attribute__((may_alias));
TF_FN tf_int tf_magnitude(const T *norm) {
  return *(const tf_norm_bits *)norm & TF_K(__INT32_MAX__, __INT64_MAX__);
}

/* Writes the largest norm of n columns that are packed together into the last word of each. */
template <class S> TF_FN void tf_note_norms(T *cols, int n) {
  if constexpr (tf_has_norms<S>(0)) {
    tf_int most = 0;
    for (int c = 0; c < n; ++c) {
      const tf_int norm = tf_magnitude(cols + c * S::COL_WORDS + S::NORM_COL);
      most = most < norm ? norm : most;
    }
    for (int c = 0; c < n; ++c) *(tf_norm_bits *)(cols + (c + 1) * S::COL_WORDS - 1) = most;
  }
}

/* Whether the norms of all of a block's rows and of n columns, and of what is packed with these,
 * are at most `limit`. */
template <class S> TF_FN bool tf_are_within(T limit, const T *x, const T *at, int n) {
  const tf_int most = tf_lane_i((VI)tf_splat(limit), 0);
  if (most > tf_lane_i((VI)tf_c(TF_MAX / 8), 0)) return false; /* sums of norms might overflow */
  M far = tf_splat_i(0);
  for (int r = 0; r < S::R; ++r)
    far |= (VI)tf_abs(tf_load(x + (S::NORM_ROW * S::R + r) * W)) > most;
  bool within = !tf_any(far);
  for (int c = 0; c < n + W - 1; c += W)
    within &= tf_magnitude(at + ((c < n ? c : n - 1) + 1) * S::COL_WORDS - 1) <= most;
  return within;
}

/* Folds a tile by the way that serves it. */
template <class S, class Loop, class Y>
TF_FN void tf_fold_tile(typename S::State &s, const T *p, const T *x, const T *at, i64 tile,
                        int n) {
  if constexpr (tf_has_near<S>(0)) {
    if (tf_are_within<S>(S::reach(p), x, at, n))
      return Loop::template fold<tf_near, Y>(s, p, x, at, tile, n);
  }
  if constexpr (tf_has_bounded<S>(0)) {
    if (tf_are_within<S>(S::bound(), x, at, n))
      return Loop::template fold<tf_bounded, Y>(s, p, x, at, tile, n);
  }
  Loop::template fold<tf_plain, Y>(s, p, x, at, tile, n);
}

template <class S> struct tf_rows_loop {
  /* Rows that are done faster one by one than as a block. */
  enum { FEW = S::R * W * 3 / 4 };

  template <class Y>
  TF_FN void tile(typename S::State &s, const T *p, const T *x, const T *at, i64 tile, int n) {
    tf_fold_tile<S, tf_rows_loop, Y>(s, p, x, at, tile, n);
  }

  template <class Way, class Y>
  TF_CALL void fold(typename S::State &s, const T *p, const T *x, const T *at, i64 tile, int n) {
    typename S::Acc a;
    S::open(a, s);
    for (int jj = 0; jj < n;) {
      const int stop = n - jj < S::BLOCK ? n : jj + S::BLOCK;
      for (; jj < stop; ++jj, at += S::COL_WORDS * Y::COLUMNS) {
        TF_FENCE();
        TF_GROUPS(S, g) S::pair(Way(), a, s, p, x, Y{at}, tile, jj, g);
      }
      const int count = (stop - 1) % S::BLOCK + 1;
      tf_outputs<S, tf_panel_col<Y>>(a, s, p, x, at - count * S::COL_WORDS * Y::COLUMNS, count, 0);
      S::flush(a, s);
    }
    S::close(a, s, tile);
  }
};

/* The loop of stages that only search: S also has `look`, which opens what a group is compared
 * with, and `passes`. */
template <class S> struct tf_search_loop {
  enum { FEW = tf_rows_loop<S>::FEW };
  typedef typename S::Acc Acc;
  typedef typename S::State State;

  /* Takes up n columns, a block or less, from number jj of the tile on. Rare. */
  template <class Y>
  TF_CALL void take(Acc &a, State &s, const T *p, const T *x, const T *at, i64 tile, int jj, int n,
                    int g) {
    TF_ROLLED
    for (int c = 0; c < n; ++c)
      S::pair(tf_plain(), a, s, p, x, Y{at + c * S::COL_WORDS * Y::COLUMNS}, tile, jj + c, g);
  }

  /* Whether a pair of the block is not behind. */
  template <class Y>
  TF_FN bool passes(const Acc &a, State &s, const T *p, const T *x, const T *at, i64 tile, int jj,
                    int g) {
    typename S::Look look;
    S::look(look, a, s, g);
#pragma GCC unroll 8
    for (int c = 0; c < S::BLOCK; ++c) {
      if (S::ROW_WORDS * S::G > 12) TF_FENCE();
      S::pair(tf_plain(), look, s, p, x, Y{at + c * S::COL_WORDS * Y::COLUMNS}, tile, jj + c, g);
    }
    return S::passes(look, g);
  }

  template <class Y>
  TF_CALL void tile(State &s, const T *p, const T *x, const T *at, i64 tile, int n) {
    Acc a;
    S::open(a, s);
    for (int jj = 0; jj < n; jj += S::BLOCK, at += S::BLOCK * S::COL_WORDS * Y::COLUMNS) {
      const int count = n - jj < S::BLOCK ? n - jj : (int)S::BLOCK;
      TF_GROUPS(S, g)
        if (count < S::BLOCK || passes<Y>(a, s, p, x, at, tile, jj, g))
          take<Y>(a, s, p, x, at, tile, jj, count, g);
    }
    S::close(a, s, tile);
  }
};

/* The loop of the `panel` family, for sums over many components: S also has COLUMNS, STREAMS and
 * `stream`, which computes the sums of a panel of columns before the pairs that read them. The rows
 * of a block are one group. */
template <class S> struct tf_panel_loop {
  /* A block reads every column once for all its rows; long columns come from second-level cache. */
  enum { FEW = S::R * W / 4 };

  template <class Y>
  TF_FN void tile(typename S::State &s, const T *p, const T *x, const T *at, i64 tile, int n) {
    tf_fold_tile<S, tf_panel_loop, Y>(s, p, x, at, tile, n);
  }

  template <class Way, class Y>
  TF_CALL void fold(typename S::State &s, const T *p, const T *x, const T *at, i64 tile, int n) {
    enum { NEXT = S::COL_WORDS * Y::COLUMNS };
    typedef tf_panel_col<Y> Column;
    typename S::Acc a;
    S::open(a, s);
    for (int jj = 0; jj < n;) {
      const int stop = n - jj < S::COLUMNS ? n : jj + S::COLUMNS;
      V z[S::COLUMNS][S::STREAMS][S::G];
      TF_FENCE();
      if (stop - jj == S::COLUMNS)
        S::template stream<S::COLUMNS, Column>(z, p, x, at);
      else
        for (int c = 0; c < stop - jj; ++c)
          S::template stream<1, Column>(z + c, p, x, at + c * NEXT);
      for (int c = 0; jj < stop; ++c, ++jj, at += NEXT) {
        S::pair(Way(), a, s, p, x, Y{at}, tile, jj, 0, z[c]);
        const int count = jj % S::BLOCK + 1;
        if (count < S::BLOCK && jj + 1 < n) continue;
        tf_outputs<S, Column>(a, s, p, x, at - (count - 1) * NEXT, count, 0);
        S::flush(a, s);
      }
    }
    S::close(a, s, tile);
  }
};

/* The end of a fold, where the stage keeps lists. */
template <class S> TF_FN auto tf_settled(typename S::State &s, int) -> decltype(S::settle(s)) {
  return S::settle(s);
}
template <class S> TF_FN void tf_settled(typename S::State &, long) {}

/* ---- blocks of rows ---- */

template <class S, class Loop> struct tf_cpu_rows {
  typedef S Stage;
  enum { LANES = S::R * W, ROW_WORDS = S::ROW_WORDS, FEW = Loop::FEW };
  typedef typename S::State State;

  static void params(const tf_array *v, void *p) { S::launch(v, (T *)p); }

  static void rows(const tf_array *v, const void *p, i64 i0, i64 i1, void *x) {
    S::row(v, (const T *)p, i0, i1, 1, (T *)x);
  }

  static void cols(const tf_array *v, const void *p, i64 j0, i64 j1, void *y) {
    for (i64 j = j0; j < j1; j += W) {
      int n = j1 - j < W ? (int)(j1 - j) : W;
      T *to = (T *)y + (j - j0) * S::COL_WORDS;
      S::col(v, (const T *)p, j, j1, n, to, S::COL_WORDS, 1);
      tf_note_norms<S>(to, n);
    }
  }

  static void init(void *s) { S::init(*(State *)s); }

  static void block(const void *p, const void *x, const void *y, i64, i64 j0, i64 j1, void *s) {
    for (i64 tile = j0; tile < j1; tile += S::TILE) {
      const int n = j1 - tile < S::TILE ? (int)(j1 - tile) : (int)S::TILE;
      const T *at = (const T *)y + (tile - j0) * S::COL_WORDS;
      Loop::template tile<tf_col>(*(State *)s, (const T *)p, (const T *)x, at, tile, n);
    }
    tf_settled<S>(*(State *)s, 0);
  }

  static void merge(void *s, const void *o) {
    for (int l = 0; l < LANES; ++l) S::merge(*(State *)s, l, *(const State *)o, l);
  }

  static void finish(const tf_array *v, const void *p, const void *x, void *s, i64 i0, i64 i1) {
    S::finish(v, (const T *)p, (const T *)x, *(const State *)s, i0, i1, 1);
  }
};

/* ---- one row ---- */

/* S has one vector of rows, all of which are the row. Lane l folds columns l, l + W, ..., which it
 * counts from 0 on; lanes become one when the row is finished. */
template <class S, class Loop> struct tf_cpu_row : tf_cpu_rows<S, Loop> {
  enum { LANES = 1, ROW_WORDS = S::ROW_WORDS * W, FEW = 0 };
  struct State {
    typename S::State lanes, rest;
  };

  /* A step of 0: every lane is row i0, and has its number. */
  static void rows(const tf_array *v, const void *p, i64 i0, i64 i1, void *x) {
    S::row(v, (const T *)p, i0, i1, 0, (T *)x);
  }

  static void cols(const tf_array *v, const void *p, i64 j0, i64 j1, void *y) {
    for (i64 j = j0; j < j1; j += W)
      S::col(v, (const T *)p, j, j1, W, (T *)y + (j - j0) * S::COL_WORDS, 1, W);
  }

  static void init(void *s) { S::init(((State *)s)->lanes); }

  /* Folds n steps, of which there are at most a tile. */
  TF_FN void steps(typename S::State &s, const T *p, const T *x,
                                              const T *at, i64 first, int n) {
    Loop::template tile<tf_cols>(s, p, x, at, first, n);
  }

  static void block(const void *p, const void *x, const void *y, i64, i64 j0, i64 j1, void *s_) {
    State &s = *(State *)s_;
    const i64 first = j0 / W, count = (j1 - j0) / W;
    const int left = (int)((j1 - j0) % W);
    const T *at = (const T *)y;
    for (i64 step = 0; step < count; step += S::TILE, at += S::TILE * W * S::COL_WORDS)
      steps(s.lanes, (const T *)p, (const T *)x, at, first + step,
            count - step < S::TILE ? (int)(count - step) : (int)S::TILE);
    tf_settled<S>(s.lanes, 0);
    if (left == 0) return;
    /* The last lanes have no column, and what they fold is left alone. */
    S::init(s.rest);
    at = (const T *)y + count * W * S::COL_WORDS;
    steps(s.rest, (const T *)p, (const T *)x, at, first + count, 1);
    tf_settled<S>(s.rest, 0);
    for (int l = 0; l < left; ++l) S::merge(s.lanes, l, s.rest, l);
  }

  static void merge(void *s, const void *o) {
    for (int l = 0; l < W; ++l) S::merge(((State *)s)->lanes, l, ((const State *)o)->lanes, l);
  }

  static void finish(const tf_array *v, const void *p, const void *x, void *s_, i64 i0, i64 i1) {
    typename S::State &s = ((State *)s_)->lanes;
    for (int l = 0; l < W; ++l) S::spread(s, l);
    for (int l = 1; l < W; ++l) S::merge(s, 0, s, l);
    S::finish(v, (const T *)p, (const T *)x, s, i0, i1, 1);
  }
};

/* The entry of a stage. `few` is that of one row, or null. */
template <class Code> constexpr tf_cpu_stage tf_cpu_entry(const tf_cpu_stage *few) {
  typedef typename Code::Stage S;
  return {Code::LANES,  Code::ROW_WORDS,
          S::COL_WORDS, S::PARAM_WORDS,
          (sizeof(typename Code::State) + 63) / 64 * 64,
          Code::params, Code::rows,
          Code::cols,   Code::init,
          Code::block,  Code::merge,
          Code::finish, few,
          few ? (uint32_t)Code::FEW : 0};
}
#endif
