/* Prelude of the emitted CPU code: lanes of reals, masks, and every function an operation may call.
 *
 * Set before inclusion: TF_REAL_T (float or double) and TF_VB, the bytes of a vector: 64 for
 * x86-64-v4, 32 for x86-64-v3, 16 for x86-64-v2 and for NEON. The CUDA prelude gives the same
 * names one lane wide, so a kernel's text is written once.
 *
 * Nothing is included but the files of functions at the end: parsing the headers of a C++ library
 * would take longer than compiling a kernel. Where the compilers have no common spelling for an
 * instruction, a line of assembly names it. Flags: -O2 -std=c++17 -ffp-contract=fast
 * -fno-math-errno -fno-trapping-math.
 * NaN, infinities, signed zeros and subnormals mean what IEEE 754 says; -ffast-math breaks that.
 */
#ifndef TF_CPU_H
#define TF_CPU_H

#define TF_FN static inline __attribute__((always_inline))
#define TF_COLD static __attribute__((noinline, cold, unused))

#define TF_IS_DOUBLE_float 0
#define TF_IS_DOUBLE_double 1
#define TF_PASTE(a, b) a##b
#define TF_IS_DOUBLE(real) TF_PASTE(TF_IS_DOUBLE_, real)
#define TF_DOUBLE TF_IS_DOUBLE(TF_REAL_T)

/* TF_K(a, b): the constant of the f32 code, or of the f64 code. */
#if TF_DOUBLE
#define TF_K(f32, f64) f64
#else
#define TF_K(f32, f64) f32
#endif

/* Instruction level. TF_FMA: a * b + c rounds once. TF_X2/TF_X3: assembly of two, three operands
 * in the order (second source, first source, destination). */
#if TF_VB == 64 && defined(__AVX512DQ__)
#define TF_LEVEL 4
#define TF_FMA 1
#define TF_REG "v"
#elif TF_VB == 32 && defined(__AVX2__) && defined(__FMA__)
#define TF_LEVEL 3
#define TF_FMA 1
#define TF_REG "x"
#elif TF_VB == 16 && defined(__SSE4_1__)
#define TF_LEVEL 2
#define TF_FMA 0
#define TF_REG "x"
#elif TF_VB == 16 && defined(__aarch64__)
#define TF_LEVEL 1
#define TF_FMA 1
#define TF_REG "w"
#else
#error "TF_VB does not fit -march: 64 needs x86-64-v4, 32 needs x86-64-v3, 16 x86-64-v2 or aarch64"
#endif

typedef __INT64_TYPE__ i64;
typedef TF_REAL_T T;
typedef T V __attribute__((vector_size(TF_VB)));
typedef decltype((V){} < (V){}) VI; /* signed integers as wide as T */
typedef VI M;                       /* 0 or -1 in each lane */
typedef TF_K(__INT32_TYPE__, __INT64_TYPE__) tf_int;
enum { W = TF_VB / sizeof(T) };

/* ---- moving lanes ---- */

typedef V tf_unaligned __attribute__((aligned(sizeof(T)), may_alias));

TF_FN V tf_load(const T *p) { return *(const tf_unaligned *)p; }
TF_FN void tf_store(T *p, V v) { *(tf_unaligned *)p = v; }
TF_FN V tf_splat(T a) { return a - (V){}; } /* a - 0 is a, also for -0 */
TF_FN V tf_c(double a) { return tf_splat((T)a); }
TF_FN VI tf_splat_i(i64 a) { return (tf_int)a + (VI){}; }
TF_FN T tf_lane(V v, int l) { return v[l]; }
TF_FN void tf_set_lane(V &v, int l, T a) { v[l] = a; }
TF_FN i64 tf_lane_i(VI v, int l) { return v[l]; }
TF_FN void tf_set_lane_i(VI &v, int l, i64 a) { v[l] = (tf_int)a; }
TF_FN bool tf_lane_m(M m, int l) { return m[l] != 0; }

/* Lanes base[l * stride]. */
TF_FN V tf_gather(const T *base, i64 stride) {
  V v = {};
#pragma GCC unroll 16
  for (int l = 0; l < W; l++) v[l] = base[l * stride];
  return v;
}

/* The same for base[0] to base[stride * W], if neighbours lie close: they are loaded as vectors. */
#if TF_LEVEL == 4
TF_FN V tf_pick(V a, V b, VI from) {
  asm("vpermt2" TF_K("ps", "pd") " %2, %1, %0" : "+v"(a) : "v"(from), "v"(b));
  return a;
}
template <int S> TF_FN V tf_close(const T *base) {
#if TF_DOUBLE
  const VI lane = {0, 1, 2, 3, 4, 5, 6, 7};
#else
  const VI lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#endif
  V v = tf_load(base);
#pragma GCC unroll 4
  for (int q = 1; q < S; q++) {
    /* The lanes that lie in vector q; with the first one also those of vector 0. */
    const VI at = lane * S - (q - 1) * W;
    const M here = q == 1 ? at < 2 * W : (at >= 1 * W) & (at < 2 * W);
    v = tf_pick(v, tf_load(base + q * W), here ? at : lane);
  }
  return v;
}
TF_FN bool tf_strided(V &v, const T *base, i64 stride) {
  switch (stride) {
  case 1: v = tf_load(base); return true;
  case 2: v = tf_close<2>(base); return true;
  case 3: v = tf_close<3>(base); return true;
  case 4: v = tf_close<4>(base); return true;
  default: return false;
  }
}
#else
TF_FN bool tf_strided(V &v, const T *base, i64 stride) {
  if (stride == 1) v = tf_load(base);
  return stride == 1;
}
#endif

/* Lane l to base[l * stride]. */
TF_FN void tf_scatter(T *base, i64 stride, V v) {
#pragma GCC unroll 16
  for (int l = 0; l < W; l++) base[l * stride] = v[l];
}

/* dst[l] += v[l] in float64, for all lanes. */
TF_FN void tf_widen_add(double *dst, V v) {
  typedef double wide __attribute__((vector_size(8 * W)));
  typedef wide wide_unaligned __attribute__((aligned(8), may_alias));
  *(wide_unaligned *)dst += __builtin_convertvector(v, wide);
}

/* ---- masks ---- */

TF_FN V tf_sel(M m, V a, V b) { return m ? a : b; }
TF_FN VI tf_sel_i(M m, VI a, VI b) { return m ? a : b; }
TF_FN M tf_and_m(M a, M b) { return a & b; }
TF_FN M tf_or_m(M a, M b) { return a | b; }
TF_FN M tf_not_m(M a) { return ~a; }
TF_FN M tf_isnan(V a) { return a != a; }

TF_FN bool tf_any(M m) {
  bool any;
#if TF_LEVEL == 4
  asm("vptestmd %1, %1, %%k1\n\tkortestw %%k1, %%k1" : "=@ccne"(any) : "v"(m) : "k1");
#elif TF_LEVEL == 3
  asm("vptest %1, %1" : "=@ccne"(any) : "x"(m));
#elif TF_LEVEL == 2
  asm("ptest %1, %1" : "=@ccne"(any) : "x"(m));
#else
  typedef i64 pair __attribute__((vector_size(16)));
  any = (((pair)m)[0] | ((pair)m)[1]) != 0;
#endif
  return any;
}

/* ---- instructions ---- */

#if TF_LEVEL >= 2
#define TF_PS TF_K("ps", "pd")
#if TF_LEVEL == 2
#define TF_ASM1(op, r, a) asm(op TF_PS " %1, %0" : "=x"(r) : "x"(a))
#define TF_ROUND(mode, r, a) asm("round" TF_PS " $" mode ", %1, %0" : "=x"(r) : "x"(a))
#else
#define TF_ASM1(op, r, a) asm("v" op TF_PS " %1, %0" : "=" TF_REG(r) : TF_REG(a))
#define TF_ROUND(mode, r, a) \
  asm(TF_RND TF_PS " $" mode ", %1, %0" : "=" TF_REG(r) : TF_REG(a))
#if TF_LEVEL == 4
#define TF_RND "vrndscale"
#else
#define TF_RND "vround"
#endif
#endif
TF_FN V tf_sqrt(V a) { V r; TF_ASM1("sqrt", r, a); return r; }
TF_FN V tf_floor(V a) { V r; TF_ROUND("9", r, a); return r; }
TF_FN V tf_trunc(V a) { V r; TF_ROUND("11", r, a); return r; }
#else
#define TF_PS TF_K("4s", "2d")
#define TF_ASM1(op, r, a) asm(op " %0." TF_PS ", %1." TF_PS : "=w"(r) : "w"(a))
TF_FN V tf_sqrt(V a) { V r; TF_ASM1("fsqrt", r, a); return r; }
TF_FN V tf_floor(V a) { V r; TF_ASM1("frintm", r, a); return r; }
TF_FN V tf_trunc(V a) { V r; TF_ASM1("frintz", r, a); return r; }
#endif
TF_FN V tf_ceil(V a) { return -tf_floor(-a); }

/* lo > a ? lo : a and hi < a ? hi : a, where a NaN in a stays. */
#if TF_LEVEL >= 3
TF_FN V tf_at_least(V lo, V a) {
  V r;
  asm("vmax" TF_PS " %2, %1, %0" : "=" TF_REG(r) : TF_REG(lo), TF_REG(a));
  return r;
}
TF_FN V tf_at_most(V hi, V a) {
  V r;
  asm("vmin" TF_PS " %2, %1, %0" : "=" TF_REG(r) : TF_REG(hi), TF_REG(a));
  return r;
}
#elif TF_LEVEL == 2
TF_FN V tf_at_least(V lo, V a) { asm("max" TF_PS " %1, %0" : "+x"(lo) : "x"(a)); return lo; }
TF_FN V tf_at_most(V hi, V a) { asm("min" TF_PS " %1, %0" : "+x"(hi) : "x"(a)); return hi; }
#else
TF_FN V tf_at_least(V lo, V a) { return lo > a ? lo : a; }
TF_FN V tf_at_most(V hi, V a) { return hi < a ? hi : a; }
#endif

#if TF_FMA
/* a b + c, rounded once. */
TF_FN V tf_fma(V a, V b, V c) {
#if TF_LEVEL >= 3
  asm("vfmadd231" TF_PS " %2, %1, %0" : "+" TF_REG(c) : TF_REG(a), TF_REG(b));
#else
  asm("fmla %0." TF_PS ", %1." TF_PS ", %2." TF_PS : "+w"(c) : "w"(a), "w"(b));
#endif
  return c;
}
#endif

/* ---- exact functions ---- */

#define TF_INF __builtin_inf()
#define TF_NAN __builtin_nan("")
#define TF_MAX TF_K(__FLT_MAX__, __DBL_MAX__)

TF_FN VI tf_sign_bits(V a) { return (VI)a & (VI)tf_c(-0.0); }
TF_FN V tf_with_sign(V magnitude, VI sign) { return (V)((VI)magnitude | sign); }
TF_FN V tf_abs(V a) { return (V)((VI)a & ~(VI)tf_c(-0.0)); }
TF_FN V tf_truth(M m) { return (V)(m & (VI)tf_c(1)); }

TF_FN V tf_inv(V a) { return (T)1 / a; }
TF_FN V tf_sign(V a) { return a > 0 ? tf_c(1) : a < 0 ? tf_c(-1) : a == 0 ? tf_c(0) : a; }
TF_FN V tf_step(V a) { return a < 0 ? tf_c(0) : a >= 0 ? tf_c(1) : a; }
TF_FN V tf_relu(V a) { return a < 0 ? tf_c(0) : a; }
TF_FN V tf_mod(V a, V m, V d) { return a - m * tf_floor((a - d) / m); }
TF_FN V tf_clamp(V x, V a, V b) { return x < a ? a : x > b ? b : x; }
TF_FN V tf_inside(V x, V a, V b) { return tf_truth((a <= x) & (x <= b)); }
TF_FN V tf_ifelse(V f, V g, V h) { return f >= 0 ? g : h; }
TF_FN V tf_where(V c, V a, V b) { return c != 0 ? a : b; }
TF_FN V tf_eq(V a, V b) { return tf_truth(a == b); }
TF_FN V tf_ne(V a, V b) { return tf_truth(a != b); }
TF_FN V tf_lt(V a, V b) { return tf_truth(a < b); }
TF_FN V tf_le(V a, V b) { return tf_truth(a <= b); }
TF_FN V tf_and(V a, V b) { return tf_truth((a != 0) & (b != 0)); }
TF_FN V tf_or(V a, V b) { return tf_truth((a != 0) | (b != 0)); }
TF_FN V tf_min(V a, V b) { return a != a ? a : tf_at_most(a, b); }
TF_FN V tf_max(V a, V b) { return a != a ? a : tf_at_least(a, b); }

/* The power of two that brings the larger magnitude into [1, 2): its exponent, negated. */
TF_FN V tf_binary_scale(V a, V b) {
  const V size = tf_max(tf_abs(a), tf_abs(b)), top = tf_c(TF_K(0x1p127, 0x1p1023));
  const V scale = (V)(2 * (VI)tf_c(1) - ((VI)size & (VI)tf_c(TF_INF)));
  const V least = tf_c(TF_K(0x1p126, 0x1p1022)); /* of subnormals */
  const V normal = size < (T)TF_K(0x1p-126, 0x1p-1022) ? least : scale;
  const V large = size <= (T)TF_MAX ? 1 / top : tf_c(1);
  return size == 0 ? tf_c(1) : size < top ? normal : large;
}

TF_FN V tf_onehot(V x, V k) { return tf_truth(k == tf_trunc(x + (T)0.5)); }

/* Half away from zero, to 10^-digits; a real too large to have such digits is its own rounding. */
TF_FN V tf_round(V x, int digits) {
  const T scale = (T)__builtin_pow(10, digits < 0 ? -digits : digits);
  const V y = digits < 0 ? x / scale : x * scale, whole = tf_trunc(y);
  const V r = tf_abs(y - whole) >= (T)0.5 ? whole + (V)((VI)tf_c(1) | tf_sign_bits(y)) : whole;
  return tf_abs(y) < (T)TF_K(0x1p23, 0x1p52) ? (digits < 0 ? r * scale : r / scale) : x;
}

/* x^n by repeated squaring; `n` is a literal in emitted code, so the loop unrolls. */
TF_FN V tf_powi(V x, int n) {
  V r = tf_c(1), square = x;
#pragma GCC unroll 32
  for (unsigned k = n < 0 ? 0u - (unsigned)n : (unsigned)n; k != 0; k >>= 1) {
    if (k & 1) r = r * square;
    if (k > 1) square = square * square;
  }
  return n < 0 ? (T)1 / r : r;
}

#include "tf_math.h"
#include "tf_pairs.h"
#include "tf_gamma.h"
#include "tf_special.h"

#endif
