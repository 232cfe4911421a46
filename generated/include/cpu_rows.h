/* The CPU loops: vectors of rows against one broadcast column at a time (the `rows` family), or
 * against a panel of columns where sums run over many components (the `panel` family).
 *
 * S is a stage: sizes, State, Acc and the functions launch, row, col, pair, finish. This file turns
 * it into the entries of a tf_cpu_stage. Everything is branch-free in the pair loop but for rare
 * repairs inside reductions.
 */
#ifndef TF_CPU_ROWS_H
#define TF_CPU_ROWS_H
#include "kernel.h"

/* Keeps the compiler from hoisting a block's rows into registers that it does not have: rows stay
 * memory operands in first-level cache. */
#define TF_FENCE() asm volatile("" ::: "memory")

/* A group of vectors after the other: its code is staged, and the next group fills the gaps. */
#define TF_GROUPS(S, g) _Pragma("GCC unroll 16") for (int g = 0; g < S::R; g += S::G)

template <class S> struct tf_cpu_rows {
  enum { LANES = S::R * W };

  static void params(const tf_array *v, void *p) { S::launch(v, (T *)p); }

  static void rows(const tf_array *v, const void *p, i64 i0, i64 i1, void *x) {
    S::row(v, (const T *)p, i0, i1, 1, (T *)x);
  }

  static void cols(const tf_array *v, const void *p, i64 j0, i64 j1, void *y) {
    for (i64 j = j0; j < j1; j += W) {
      int n = j1 - j < W ? (int)(j1 - j) : W;
      S::col(v, (const T *)p, j, j1, n, (T *)y + (j - j0) * S::COL_WORDS, S::COL_WORDS, 1);
    }
  }

  static void init(void *s) { S::init(*(typename S::State *)s); }

  static void block(const void *p, const void *x, const void *y, i64, i64 j0, i64 j1, void *s_) {
    typename S::State &s = *(typename S::State *)s_;
    for (i64 tile = j0; tile < j1; tile += S::TILE) {
      const int n = j1 - tile < S::TILE ? (int)(j1 - tile) : (int)S::TILE;
      const T *at = (const T *)y + (tile - j0) * S::COL_WORDS;
      typename S::Acc a;
      S::open(a, s);
      for (int jj = 0; jj < n;) {
        const int stop = n - jj < S::BLOCK ? n : jj + S::BLOCK;
        for (; jj < stop; ++jj, at += S::COL_WORDS) {
          TF_FENCE();
          TF_GROUPS(S, g) S::pair(a, s, (const T *)p, (const T *)x, tf_col{at, 1}, tile, jj, g);
        }
        S::flush(a, s);
      }
      S::close(a, s, tile);
    }
  }

  static void merge(void *s, const void *o) {
    S::merge(*(typename S::State *)s, *(const typename S::State *)o);
  }

  static void finish(const tf_array *v, const void *p, const void *x, const void *s, i64 i0,
                     i64 i1) {
    S::finish(v, (const T *)p, (const T *)x, *(const typename S::State *)s, i0, i1, 1);
  }
};

/* The loop of the `panel` family, for sums over many components: S also has COLUMNS, STREAMS and
 * `stream`, which computes the sums of a panel of columns before the pairs that read them. The rows
 * of a block are one group. */
#define TF_COLUMNS(c) _Pragma("GCC unroll 16") for (int c = 0; c < C; ++c)

/* Words of the next panel, on their way while this one is summed; past the end it does nothing. */
#define TF_AHEAD(address) __builtin_prefetch(address)

/* A column of a panel. */
struct tf_panel_col {
  const T *panel;
  int start;
  TF_METHOD V at(int word) const { return tf_splat(panel[start + word]); }
  /* The same for the last operand of an addition or a product. AVX-512 repeats a scalar in memory
   * for nothing where an instruction reads it, but a vector that several instructions share takes
   * one more. So each reads through a pointer of its own, as far as the compiler knows. */
  TF_METHOD V each(int word) const {
    const T *own = panel;
#if TF_LEVEL == 4
    asm volatile("" : "+r"(own));
#endif
    return tf_splat(own[start + word]);
  }
};

template <class S> struct tf_cpu_panel : tf_cpu_rows<S> {
  static void block(const void *p_, const void *x_, const void *y, i64, i64 j0, i64 j1, void *s_) {
    typename S::State &s = *(typename S::State *)s_;
    const T *p = (const T *)p_, *x = (const T *)x_;
    for (i64 tile = j0; tile < j1; tile += S::TILE) {
      const int n = j1 - tile < S::TILE ? (int)(j1 - tile) : (int)S::TILE;
      const T *at = (const T *)y + (tile - j0) * S::COL_WORDS;
      typename S::Acc a;
      S::open(a, s);
      for (int jj = 0; jj < n;) {
        const int stop = n - jj < S::COLUMNS ? n : jj + S::COLUMNS;
        V z[S::COLUMNS][S::STREAMS][S::G];
        TF_FENCE();
        if (stop - jj == S::COLUMNS)
          S::template stream<S::COLUMNS>(z, p, x, at);
        else
          for (int c = 0; c < stop - jj; ++c)
            S::template stream<1>(z + c, p, x, at + c * S::COL_WORDS);
        for (int c = 0; jj < stop; ++c, ++jj, at += S::COL_WORDS) {
          S::pair(a, s, p, x, tf_col{at, 1}, tile, jj, 0, z[c]);
          if ((jj + 1) % S::BLOCK == 0 || jj + 1 == n) S::flush(a, s);
        }
      }
      S::close(a, s, tile);
    }
  }
};

#define TF_CPU_STAGE(S) TF_CPU_ENTRY(S, tf_cpu_rows<S>)
#define TF_CPU_PANEL_STAGE(S) TF_CPU_ENTRY(S, tf_cpu_panel<S>)
#define TF_CPU_ENTRY(S, Loop)                                                                      \
  {                                                                                                \
    Loop::LANES, S::ROW_WORDS, S::COL_WORDS, S::PARAM_WORDS, (sizeof(S::State) + 63) / 64 * 64,    \
        Loop::params, Loop::rows, Loop::cols, Loop::init, Loop::block, Loop::merge, Loop::finish   \
  }
#endif
