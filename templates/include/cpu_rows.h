/* The CPU loop of the `rows` family: vectors of rows against one broadcast column at a time.
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

#define TF_CPU_STAGE(S)                                                                            \
  {                                                                                                \
    tf_cpu_rows<S>::LANES, S::ROW_WORDS, S::COL_WORDS, S::PARAM_WORDS,                             \
        (sizeof(S::State) + 63) / 64 * 64, tf_cpu_rows<S>::params, tf_cpu_rows<S>::rows,           \
        tf_cpu_rows<S>::cols, tf_cpu_rows<S>::init, tf_cpu_rows<S>::block, tf_cpu_rows<S>::merge,  \
        tf_cpu_rows<S>::finish                                                                     \
  }
#endif
