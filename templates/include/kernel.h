/* What the code of every stage uses to read its arrays and to hand values from one place to the
 * next. Included after a prelude; real C++ that does not depend on any formula.
 *
 * A block of rows is R vectors of W lanes; lane l of vector r is row i0 + (r * W + l) * step. On
 * the CPU step is 1, or 0 where all lanes are one row; on CUDA a thread owns R rows that lie
 * `threads` apart.
 */
#ifndef TF_KERNEL_H
#define TF_KERNEL_H
#include "tf_abi.h"
#include "half.h"
#include "reduce.h"
#include "tf_int.h"

/* Vectors of rows a block: the first where there are 32 vector registers (or a GPU), the second
 * where there are 16. */
#if defined(TF_LEVEL) && (TF_LEVEL == 2 || TF_LEVEL == 3)
#define TF_R(wide, narrow) (narrow)
#else
#define TF_R(wide, narrow) (wide)
#endif

/* Loops over the components of long values stay loops. */
#if defined(__CUDACC__)
#define TF_LOOP _Pragma("unroll 4")
#else
#define TF_LOOP _Pragma("GCC unroll 2")
#endif

/* What every component needs, and is long on a CPU: a call there. */
#ifdef TF_CUDA_CUH
#define TF_ONCE TF_FN
#else
#define TF_ONCE static __attribute__((noinline, unused))
#endif

template <class... A> TF_FN void TF_UNUSED(const A &...) {}

#define TF_JOIN_(a, b) a##b
#define TF_JOIN(a, b) TF_JOIN_(a, b)
#ifndef TF_DOUBLE
#define TF_DOUBLE_float 0
#define TF_DOUBLE_double 1
#define TF_DOUBLE TF_JOIN(TF_DOUBLE_, TF_REAL_T)
#endif
#if TF_DOUBLE
#define TF_DTYPE_ _f64
#elif defined(TF_STORE_F16)
#define TF_DTYPE_ _f16
#elif defined(TF_STORE_BF16)
#define TF_DTYPE_ _bf16
#else
#define TF_DTYPE_ _f32
#endif
#if !defined(TF_LEVEL)
#define TF_LEVEL_ _
#elif TF_LEVEL == 2
#define TF_LEVEL_ _v2
#elif TF_LEVEL == 3
#define TF_LEVEL_ _v3
#elif TF_LEVEL == 4
#define TF_LEVEL_ _v4
#else
#define TF_LEVEL_ _neon
#endif
/* tf_<hash>_f32_v4_s0 */
#define TF_STAGE_NAME(symbol, S)                                                                   \
  TF_JOIN(TF_JOIN(TF_JOIN(TF_JOIN(symbol, TF_DTYPE_), TF_LEVEL_), _), S)
/* Whether this object holds stage n of its kernel: all, unless TF_STAGE says which one. */
#ifdef TF_STAGE
#define TF_COMPILES(n) (TF_STAGE == (n))
#else
#define TF_COMPILES(n) 1
#endif
/* tf_<hash>_f32_s0_rows */
#define TF_ENTRY_NAME(symbol, S, kind)                                                             \
  TF_JOIN(TF_JOIN(TF_JOIN(TF_JOIN(symbol, TF_DTYPE_), _), S), kind)

#ifdef TF_CUDA_CUH
/* A packed column of a tile. Its words lie a tile apart, and neighbouring columns are neighbours:
 * `slot` counts the columns of a block that starts at `at_`, whose words are read 16 bytes at a
 * time; -1 is a column alone. */
struct tf_col {
  const T *at_;
  int stride;
  int slot;
  TF_METHOD V at(int word) const {
    const T *from = at_ + word * stride;
    return slot < 0 ? *from : tf_load4(from + slot / TF_VEC4 * TF_VEC4).at[slot % TF_VEC4];
  }
};
#endif

/* Column c of lane rows, as an earlier stage left it; rows past the end repeat the last one. */
TF_ONCE V tf_read_temp(const tf_array &a, int c, i64 i0, i64 i1, i64 step, int r) {
#ifdef TF_CUDA_CUH
  /* A thread reads several components of a row: where it lies is found once. */
  const i64 i = i0 + r * step;
  return ((const T *)a.data + (i < i1 ? i : i1 - 1) * a.row_stride)[c * a.col_stride];
#else
  const T *base = (const T *)a.data + c * a.col_stride;
  const i64 first = i0 + (i64)r * W;
  if (first + W <= i1) {
    const T *at = base + first * a.row_stride;
    V v;
    return first + W < i1 && tf_strided(v, at, a.row_stride) ? v : tf_gather(at, a.row_stride);
  }
  V v = tf_c(0.0);
  TF_LANES(l) {
    i64 i = i0 + (i64)(r * W + l) * step;
    tf_set_lane(v, l, base[(i < i1 ? i : i1 - 1) * a.row_stride]);
  }
  return v;
#endif
}

/* Column c of the only row, as an earlier stage left it. */
TF_FN V tf_read_param_temp(const tf_array &a, int c) {
  return tf_splat(((const T *)a.data)[c * a.col_stride]);
}

/* The same of the caller's arrays, which may hold 16-bit reals. */
#if TF_STORES_HALVES
TF_ONCE V tf_read(const tf_array &a, int c, i64 i0, i64 i1, i64 step, int r) {
  const tf_half *base = (const tf_half *)a.data + c * a.col_stride;
  VI halves = tf_splat_i(0);
  TF_LANES(l) {
    i64 i = i0 + (i64)(r * W + l) * step;
    tf_set_lane_i(halves, l, base[(i < i1 ? i : i1 - 1) * a.row_stride]);
  }
  return tf_from_half(halves);
}
TF_FN V tf_read_param(const tf_array &a, int c) {
  return tf_from_half(tf_splat_i(((const tf_half *)a.data)[c * a.col_stride]));
}
#else
TF_FN V tf_read(const tf_array &a, int c, i64 i0, i64 i1, i64 step, int r) {
  return tf_read_temp(a, c, i0, i1, step, r);
}
TF_FN V tf_read_param(const tf_array &a, int c) { return tf_read_param_temp(a, c); }
#endif

/* Column c of a point amid the rows, if there is any: the mean of some of them. Whatever it is,
 * results are right; pairs are near it, or are not. */
TF_ONCE V tf_centre(const tf_array &a, int c) {
  enum { SOME = 8, BYTES = TF_STORES_HALVES ? 2 : sizeof(T) };
  const i64 n = a.rows < SOME ? a.rows : (i64)SOME;
  V sum = tf_c(0.0);
  for (i64 k = 0; k < n; ++k) {
    tf_array row = a;
    row.data = (char *)a.data + a.rows / n * k * a.row_stride * BYTES;
    sum = sum + tf_read_param(row, c);
  }
  return sum * tf_splat(T(1) / T(n > 0 ? n : 1));
}

/* ---- ways to a pair ---- */

/* Whether a stage has norms of rows and columns, a way for near pairs, and one for powers that need
 * no clamps: see near.rs and bounds.rs of compiler/src/schedule. */
#define TF_HAS(what, MEMBER)                                                                       \
  template <class S> TF_FN constexpr auto what(int) -> decltype(bool(S::MEMBER)) {                 \
    return S::MEMBER;                                                                              \
  }                                                                                                \
  template <class S> TF_FN constexpr bool what(long) { return false; }
TF_HAS(tf_has_norms, NORMS)
TF_HAS(tf_has_near, NEAR)
TF_HAS(tf_has_bounded, BOUNDED)

/* The first argument of a stage's `pair` says which way it goes. */
struct tf_plain {};
struct tf_near {};
struct tf_bounded {};

/* As tf_read and tf_read_param, of int64; I is tf_int2 or tf_int3. */
template <class I>
TF_FN I tf_read_int(const tf_array &a, int c, i64 i0, i64 i1, i64 step, int r) {
  const i64 *base = (const i64 *)a.data + c * a.col_stride;
  I v;
  TF_LANES(l) {
    i64 i = i0 + (i64)(r * W + l) * step;
    tf_set_lane(v, l, base[(i < i1 ? i : i1 - 1) * a.row_stride]);
  }
  return v;
}
template <class I> TF_FN I tf_read_int_param(const tf_array &a, int c) {
  return tf_int_c<I>(((const i64 *)a.data)[c * a.col_stride]);
}

/* Row numbers. */
TF_FN tf_int2 tf_pos(i64 i0, i64 step, int r) {
  tf_int2 v;
  TF_LANES(l) tf_set_lane(v, l, i0 + (i64)(r * W + l) * step);
  return v;
}

/* Row numbers that a reduction found, component c. */
template <class A> TF_FN tf_int2 tf_index(const typename A::State &s, int c, int r) {
  tf_int2 v;
  TF_LANES(l) tf_set_lane(v, l, A::index(s, c, r * W + l));
  return v;
}

/* Packs one word of W columns; `n` of them exist. */
TF_ONCE void tf_pack(T *to, i64 lane_stride, int n, V v) {
#ifndef TF_CUDA_CUH
  if (n == W) {
    if (lane_stride == 1)
      tf_store(to, v);
    else
      tf_scatter(to, lane_stride, v);
    return;
  }
#endif
  for (int l = 0; l < n; ++l) to[l * lane_stride] = tf_lane(v, l);
}

/* Writes column c of lane rows for a later stage; rows past the end are left alone. */
TF_ONCE void tf_write_temp(const tf_array &a, int c, i64 i0, i64 i1, i64 step, int r, V v) {
  TF_LANES(l) {
    i64 i = i0 + (i64)(r * W + l) * step;
    if (i < i1) ((T *)a.data)[i * a.row_stride + c] = tf_lane(v, l);
  }
}

/* The same to the caller's arrays. */
TF_FN void tf_write(const tf_array &a, int c, i64 i0, i64 i1, i64 step, int r, V v) {
#if TF_STORES_HALVES
  const VI halves = tf_to_half(v);
  TF_LANES(l) {
    i64 i = i0 + (i64)(r * W + l) * step;
    if (i < i1) ((tf_half *)a.data)[i * a.row_stride + c] = (tf_half)tf_lane_i(halves, l);
  }
#else
  tf_write_temp(a, c, i0, i1, step, r, v);
#endif
}

/* As tf_write, of int64. */
TF_FN void tf_write_int(const tf_array &a, int c, i64 i0, i64 i1, i64 step, int r,
                        const tf_int3 &v) {
  TF_LANES(l) {
    i64 i = i0 + (i64)(r * W + l) * step;
    if (i < i1) ((i64 *)a.data)[i * a.row_stride + c] = tf_lane(v, l);
  }
}

/* Writes row numbers that a reduction found. */
template <class A>
TF_FN void tf_write_index(const tf_array &a, int c, i64 i0, i64 i1, i64 step, int r,
                          const typename A::State &s) {
  TF_LANES(l) {
    i64 i = i0 + (i64)(r * W + l) * step;
    if (i < i1) ((i64 *)a.data)[i * a.row_stride + c] = A::index(s, c, r * W + l);
  }
}
#endif
