/* The scalar language of emitted CUDA kernels: the counterpart of tf_cpu.h with one lane a thread.
 *
 * What goes in: the macro TF_REAL_T, float or double. What comes out: the types T, V, VI and M and
 * the tf_ functions that emitted bodies use. nvcc compiles this for the GPU. On a CPU the emulation
 * header, included first, defines TF_EMULATED and its own words of section 1; nothing else here
 * depends on which of the two it is. It never uses fast-math forms: no flush of subnormals, exact
 * division and square root, functions within the errors of section 4.
 */
#ifndef TF_CUDA_CUH
#define TF_CUDA_CUH
#include "tf_abi.h"

#ifndef TF_REAL_T
#error "define TF_REAL_T as float or double before tf_cuda.cuh"
#endif

/* ---- 1. Kernels, threads, shared memory ---- */

#ifndef TF_EMULATED

#define TF_FN static __device__ __forceinline__
#define TF_GLOBAL extern "C" __global__
/* Between `void` and the kernel's name: threads a block, at most. */
#define TF_LAUNCH_BOUNDS(threads) __launch_bounds__(threads)
#define TF_UNROLL _Pragma("unroll")
#define TF_NO_UNROLL _Pragma("unroll 1")

/* TF_SHARED(type, name, count) declares an array that the threads of a block share. The count may
 * hold commas. */
#define TF_SHARED(type, name, ...) __shared__ __align__(16) type name[__VA_ARGS__]
/* Declares a pointer to the shared memory whose size the launch sets; aligned to 16 bytes. */
#define TF_DYN_SHARED(type, name)                                         \
  extern __shared__ __align__(16) unsigned char tf_dynamic_shared_bytes[]; \
  type *const name = reinterpret_cast<type *>(tf_dynamic_shared_bytes)

TF_FN int tf_thread() { return static_cast<int>(threadIdx.x); }
TF_FN int tf_block_x() { return static_cast<int>(blockIdx.x); }
TF_FN int tf_block_y() { return static_cast<int>(blockIdx.y); }
TF_FN int tf_grid_x() { return static_cast<int>(gridDim.x); }
TF_FN int tf_grid_y() { return static_cast<int>(gridDim.y); }
/* The item of a batch that this block works on, and how many there are. */
TF_FN int tf_item() { return static_cast<int>(blockIdx.z); }
TF_FN int tf_items() { return static_cast<int>(gridDim.z); }
/* Waits for all threads of the block; every thread has to come to the same call. */
TF_FN void tf_sync() { __syncthreads(); }
/* The same, and whether any of them comes with true. */
TF_FN bool tf_any_of_block(bool b) { return __syncthreads_or(b) != 0; }

#endif

/* ---- 2. Types ---- */

/* TF_DOUBLE: 1 if T is double, else 0, for the preprocessor too. */
#define TF_REAL_IS_DOUBLE_float 0
#define TF_REAL_IS_DOUBLE_double 1
#define TF_REAL_IS_DOUBLE_(real) TF_REAL_IS_DOUBLE_##real
#define TF_REAL_IS_DOUBLE(real) TF_REAL_IS_DOUBLE_(real)
#define TF_DOUBLE TF_REAL_IS_DOUBLE(TF_REAL_T)

typedef int64_t i64;
typedef TF_REAL_T T;
typedef T V;
typedef bool M;
/* Integers as wide as T. */
#if TF_DOUBLE
typedef int64_t VI;
#else
typedef int32_t VI;
#endif

enum { W = 1 };

/* TF_K(a, b): the constant of the f32 code, or of the f64 code. */
#if TF_DOUBLE
#define TF_K(f32, f64) f64
#else
#define TF_K(f32, f64) f32
#endif

#define TF_INF __builtin_inf()
#define TF_NAN __builtin_nan("")
/* The greatest finite T. */
#if TF_DOUBLE
#define TF_MAX 0x1.fffffffffffffp1023
#else
#define TF_MAX 0x1.fffffep127
#endif

/* Whether a float64 addition costs little beside those in float32: 1/2 or 1/4 of their rate, on the
 * GPUs of data centres, where it is 1/64 on others. */
#ifndef TF_FAST_DOUBLE
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ == 800 || __CUDA_ARCH__ == 900 || __CUDA_ARCH__ == 1000
#define TF_FAST_DOUBLE 1
#else
#define TF_FAST_DOUBLE 0
#endif
#endif

/* 16 bytes of neighbouring scalars, which one instruction moves: 4 floats or 2 doubles. */
enum { TF_VEC4 = 16 / sizeof(T) };
struct alignas(16) TfVec4 {
  T at[TF_VEC4];
};

/* ---- 3. Lanes, loads, stores, selection ---- */

TF_FN V tf_c(double value) { return static_cast<T>(value); }
TF_FN V tf_splat(T value) { return value; }
TF_FN VI tf_splat_i(i64 value) { return static_cast<VI>(value); }
TF_FN V tf_load(const T *from) { return *from; }
TF_FN void tf_store(T *to, V value) { *to = value; }
/* Lane l reads from[l * stride]. */
TF_FN V tf_gather(const T *from, i64 stride) { return (void)stride, *from; }
/* `from` is aligned to 16 bytes. */
TF_FN TfVec4 tf_load4(const T *from) { return *reinterpret_cast<const TfVec4 *>(from); }
TF_FN void tf_store4(T *to, TfVec4 value) { *reinterpret_cast<TfVec4 *>(to) = value; }
TF_FN T tf_lane(V value, int lane) { return (void)lane, value; }
TF_FN void tf_set_lane(V &value, int lane, T scalar) { (void)lane, value = scalar; }
TF_FN i64 tf_lane_i(VI value, int lane) { return (void)lane, value; }
TF_FN void tf_set_lane_i(VI &value, int lane, i64 scalar) {
  (void)lane, value = static_cast<VI>(scalar);
}
TF_FN bool tf_lane_m(M m, int lane) { return (void)lane, m; }
/* dst[lane] += value[lane], in float64. */
TF_FN void tf_widen_add(double *dst, V value) { *dst += static_cast<double>(value); }

TF_FN V tf_sel(M m, V a, V b) { return m ? a : b; }
TF_FN VI tf_sel_i(M m, VI a, VI b) { return m ? a : b; }
TF_FN bool tf_any(M m) { return m; }
TF_FN M tf_and_m(M a, M b) { return a && b; }
TF_FN M tf_or_m(M a, M b) { return a || b; }
TF_FN M tf_not_m(M m) { return !m; }
TF_FN M tf_isnan(V x) { return x != x; }

/* ---- 4. Functions of the C library ----
 * Named by type, since which overloads of `exp` and the like are in scope differs between nvcc,
 * NVRTC and g++. Greatest errors that the CUDA programming guide states, in units in the last
 * place, float / double: exp 1/1, exp2 2/1, log 1/1, sin and cos 2/2, asin, acos and atan 2/2,
 * atan2 3/2, pow 4/2, rsqrt 2/1, tan 4/2, expm1 1/1, log1p 1/1, log2 1/1, log10 2/2, cbrt 1/1,
 * hypot 3/2, sinh 3/2, cosh 2/1, tanh 2/1, asinh 3/3, acosh 4/3, atanh 3/2, erf 2/2, erfc 4/5,
 * normcdf 5/5, lgamma 6/4 but for the interval -10.001 to -2.264, where its zeros lie. */

#define TF_FUNCTION(name, of_float, of_double)        \
  TF_FN float name(float x) { return of_float(x); }   \
  TF_FN double name(double x) { return of_double(x); }
#define TF_FUNCTION2(name, of_float, of_double)                    \
  TF_FN float name(float x, float y) { return of_float(x, y); }    \
  TF_FN double name(double x, double y) { return of_double(x, y); }

TF_FUNCTION(tf_abs, fabsf, fabs)
TF_FUNCTION(tf_floor, floorf, floor)
TF_FUNCTION(tf_trunc, truncf, trunc)
TF_FUNCTION(tf_ceil, ceilf, ceil)
TF_FUNCTION(tf_round_half_away, roundf, round)
TF_FUNCTION(tf_sqrt, sqrtf, sqrt)
TF_FUNCTION(tf_exp, expf, exp)
TF_FUNCTION(tf_exp2, exp2f, exp2)
TF_FUNCTION(tf_log, logf, log)
TF_FUNCTION(tf_sin, sinf, sin)
TF_FUNCTION(tf_cos, cosf, cos)
TF_FUNCTION(tf_tan, tanf, tan)
TF_FUNCTION(tf_asin, asinf, asin)
TF_FUNCTION(tf_acos, acosf, acos)
TF_FUNCTION(tf_atan, atanf, atan)
TF_FUNCTION2(tf_atan2, atan2f, atan2)
TF_FUNCTION2(tf_pow, powf, pow)
TF_FUNCTION(tf_expm1, expm1f, expm1)
TF_FUNCTION(tf_log1p, log1pf, log1p)
TF_FUNCTION(tf_log2, log2f, log2)
TF_FUNCTION(tf_log10, log10f, log10)
TF_FUNCTION(tf_cbrt, cbrtf, cbrt)
TF_FUNCTION2(tf_hypot, hypotf, hypot)
TF_FUNCTION2(tf_fmod, fmodf, fmod)
TF_FUNCTION(tf_sinh, sinhf, sinh)
TF_FUNCTION(tf_cosh, coshf, cosh)
TF_FUNCTION(tf_tanh, tanhf, tanh)
TF_FUNCTION(tf_asinh, asinhf, asinh)
TF_FUNCTION(tf_acosh, acoshf, acosh)
TF_FUNCTION(tf_atanh, atanhf, atanh)
TF_FUNCTION(tf_erf, erff, erf)
TF_FUNCTION(tf_erfc, erfcf, erfc)
TF_FUNCTION(tf_lgamma, lgammaf, lgamma)

#undef TF_FUNCTION
#undef TF_FUNCTION2

/* floor(log2 x) for a positive finite x, and 2^n. */
TF_FN int tf_exponent(float x) { return ilogbf(x); }
TF_FN int tf_exponent(double x) { return ilogb(x); }
TF_FN V tf_power_of_two(int n) {
#if TF_DOUBLE
  return scalbn(1.0, n);
#else
  return scalbnf(1.0f, n);
#endif
}

/* The bits of a float. */
#ifdef TF_EMULATED
TF_FN uint32_t tf_float_bits(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}
TF_FN bool tf_all_of_warp(bool b) { return b; }
TF_FN bool tf_any_of_warp(bool b) { return b; }
TF_FN uint32_t tf_lanes_of_warp(bool b, const char *file = __builtin_FILE(),
                                int line = __builtin_LINE()) {
  return tf_emulate::lanes_of_warp(b, {file, line});
}
TF_FN int tf_from_lane(int own, int lane, const char *file = __builtin_FILE(),
                       int line = __builtin_LINE()) {
  return tf_emulate::from_lane(own, lane, {file, line});
}
TF_FN void tf_sync_warp(const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  tf_emulate::sync_warp({file, line});
}
TF_FN int tf_lowest_bit(uint64_t bits) { return __builtin_ctzll(bits); }
TF_FN int tf_count_bits(uint64_t bits) { return __builtin_popcountll(bits); }
#else
TF_FN uint32_t tf_float_bits(float x) { return __float_as_uint(x); }
/* Whether it is true in all threads of the warp, all of which have to come here. */
TF_FN bool tf_all_of_warp(bool b) { return __all_sync(0xffffffffu, b) != 0; }
/* Whether it is in any of them. */
TF_FN bool tf_any_of_warp(bool b) { return __any_sync(0xffffffffu, b) != 0; }
/* A bit for each lane of the warp: those that come with true. All have to come here. */
TF_FN uint32_t tf_lanes_of_warp(bool b) { return __ballot_sync(0xffffffffu, b); }
/* What another lane of the warp has; all have to come here, and ask the same one. */
TF_FN int tf_from_lane(int own, int lane) { return __shfl_sync(0xffffffffu, own, lane); }
/* Waits for the warp: what a lane wrote before, all may read. */
TF_FN void tf_sync_warp() { __syncwarp(); }
TF_FN int tf_lowest_bit(uint64_t bits) { return __ffsll(static_cast<long long>(bits)) - 1; }
TF_FN int tf_count_bits(uint64_t bits) { return __popcll(bits); }
#endif
TF_FN uint32_t tf_float_bits(double) { return 0; }

/* 2^x within 2 units where that is a normal number, and 0 where it is less: one instruction. */
#if defined(TF_EMULATED) || TF_DOUBLE
TF_FN V tf_exp2_normal(V x) {
  const V power = tf_exp2(x);
  return power < TF_K(0x1p-126f, 0x1p-1022) ? T(0) : power;
}
#else
TF_FN V tf_exp2_normal(V x) {
  V power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
}
#endif

/* The root of x, and its reciprocal within 2 units, where the bits of x, counted from TF_ROOTS_FROM
 * on, are at most TF_ROOTS_NORMAL: from 2^-101 to the greatest float. The reciprocal of x where
 * twice its bits, from TF_INVERSES_FROM on, are at most TF_INVERSES_NORMAL: magnitudes from 2^-126
 * to below 2^126. In these ranges the estimates of the GPU, corrected by what is left (Markstein,
 * "Computation of elementary functions on the IBM RISC System/6000", 1990), are rounded as IEEE 754
 * has it; nvcc does the same behind a branch. */
#define TF_ROOTS_FROM 0x0d000000u
#define TF_ROOTS_NORMAL 0x727fffffu
#define TF_INVERSES_FROM 0x01000000u
#define TF_INVERSES_NORMAL 0xfbfffffeu
#if defined(TF_EMULATED) || TF_DOUBLE
/* Wrong where the short way is. */
TF_FN V tf_sqrt_normal(V x) {
  return tf_float_bits(x) - TF_ROOTS_FROM <= TF_ROOTS_NORMAL ? tf_sqrt(x) : T(TF_NAN);
}
TF_FN V tf_rsqrt_normal(V x) { return T(1) / tf_sqrt_normal(x); }
TF_FN V tf_inv_normal(V x) {
  return 2 * tf_float_bits(x) - TF_INVERSES_FROM <= TF_INVERSES_NORMAL ? T(1) / x : T(TF_NAN);
}
#else
TF_FN V tf_rsqrt_normal(V x) {
  V r;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
TF_FN V tf_sqrt_normal(V x) {
  const V r = tf_rsqrt_normal(x), root = x * r;
  return __fmaf_rn(__fmaf_rn(-root, root, x), 0.5f * r, root);
}
TF_FN V tf_inv_normal(V x) {
  V r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return __fmaf_rn(r, __fmaf_rn(-x, r, 1.0f), r);
}
#endif

/* The root and the reciprocal of x within 1 unit, where subnormal numbers count as 0, in x and in
 * what comes out: one instruction each. */
#if defined(TF_EMULATED) || TF_DOUBLE
TF_FN V tf_flush(V x) { return tf_abs(x) < TF_K(0x1p-126f, 0x1p-1022) ? x * T(0) : x; }
TF_FN V tf_sqrt_flushed(V x) { return tf_sqrt(tf_flush(x)); }
TF_FN V tf_inv_flushed(V x) { return tf_flush(T(1) / tf_flush(x)); }
#else
TF_FN V tf_sqrt_flushed(V x) {
  V root;
  asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(root) : "f"(x));
  return root;
}
TF_FN V tf_inv_flushed(V x) {
  V r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
#endif

/* rsqrt and normcdf are no functions of the C library. */
#ifdef TF_EMULATED
TF_FN double tf_normcdf(double x) {
  return static_cast<double>(0.5L * erfcl(x * -0.707106781186547524400844362104849039L));
}
TF_FN float tf_normcdf(float x) {
  return static_cast<float>(tf_normcdf(static_cast<double>(x)));
}
TF_FN double tf_rsqrt_nonzero(double x) { return 1.0 / sqrt(x); }
TF_FN float tf_rsqrt_nonzero(float x) {
  return static_cast<float>(tf_rsqrt_nonzero(static_cast<double>(x)));
}
#else
TF_FN float tf_normcdf(float x) { return normcdff(x); }
TF_FN double tf_normcdf(double x) { return normcdf(x); }
TF_FN float tf_rsqrt_nonzero(float x) { return rsqrtf(x); }
TF_FN double tf_rsqrt_nonzero(double x) { return rsqrt(x); }
#endif

/* NaN if either is NaN, unlike fmin and fmax. In float the GPU has one instruction for it. */
TF_FN double tf_min(double a, double b) { return a < b || a != a ? a : b; }
TF_FN double tf_max(double a, double b) { return a > b || a != a ? a : b; }
#ifdef TF_EMULATED
TF_FN float tf_min(float a, float b) { return a < b || a != a ? a : b; }
TF_FN float tf_max(float a, float b) { return a > b || a != a ? a : b; }
#else
TF_FN float tf_min(float a, float b) {
  float least;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(least) : "f"(a), "f"(b));
  return least;
}
TF_FN float tf_max(float a, float b) {
  float greatest;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(greatest) : "f"(a), "f"(b));
  return greatest;
}
#endif

/* ---- 5. Functions of the op table, on top of those ---- */

/* 1.0 or 0.0. */
TF_FN V tf_truth(M m) { return m ? T(1) : T(0); }

TF_FN V tf_inv(V x) { return T(1) / x; }
TF_FN V tf_rsqrt(V x) { return x == T(0) ? T(0) : tf_rsqrt_nonzero(x); }
TF_FN V tf_xlogx(V x) { return x == T(0) ? T(0) : x * tf_log(x); }
TF_FN V tf_sinxdivx(V x) { return x == T(0) ? T(1) : tf_sin(x) / x; }

/* (cos x - sin x / x) / x. That difference cancels near 0, where the alternating power series
 * -x/3 (1 - x^2/10 (1 - x^2/28 (1 - x^2/54 ...))) with divisors 2k (2k + 3) is exact instead. */
TF_FN V tf_sinxdivx_prime(V x) {
  const int terms = sizeof(T) == 4 ? 6 : 11;
  const V square = x * x;
  if (square < T(2.25)) {
    V series = T(1);
    TF_UNROLL
    for (int k = terms - 1; k >= 1; --k)
      series = T(1) - square * T(1.0 / (2 * k * (2 * k + 3))) * series;
    return x * T(-1.0 / 3.0) * series;
  }
  return (tf_cos(x) - tf_sin(x) / x) / x;
}

/* By repeated squaring; `n` is a literal in emitted code, so that no loop is left. */
TF_FN V tf_powi(V x, int n) {
  V power = T(1), square = x;
  TF_UNROLL
  for (unsigned rest = n < 0 ? 0u - static_cast<unsigned>(n) : static_cast<unsigned>(n); rest != 0;
       rest >>= 1) {
    if (rest & 1u) power = power * square;
    square = square * square;
  }
  return n < 0 ? T(1) / power : power;
}

/* To `digits` decimals, halves away from zero; a value too large to have decimals stays. */
TF_FN V tf_round(V x, int digits) {
  double ten = 1.0;
  TF_UNROLL
  for (int k = 0; k < (digits < 0 ? -digits : digits); ++k) ten *= 10.0;
  const T scale = static_cast<T>(ten);
  const V scaled = digits < 0 ? x / scale : x * scale;
  const V whole = tf_round_half_away(scaled);
  return tf_isnan(scaled - scaled) ? x : digits < 0 ? whole * scale : whole / scale;
}

/* c0 + c1 x + c2 x^2 + ... */
TF_FN V tf_poly(V, double c0) { return tf_c(c0); }
template <class... C>
TF_FN V tf_poly(V x, double c0, C... rest) {
  return tf_poly(x, rest...) * x + tf_c(c0);
}

#include "tf_gamma.h"

/* Without overflow on the left, and with all digits on both sides: within 4 units. */
TF_FN V tf_sigmoid(V x) {
  const V e = tf_exp(-tf_abs(x));
  return (x < T(0) ? e : T(1)) / (e + T(1));
}
TF_FN V tf_softplus(V x) { return (x < T(0) ? T(0) : x) + tf_log1p(tf_exp(-tf_abs(x))); }

/* x / (1 + e^-x); on the left by the square of e^(x/2), which is no subnormal number. */
TF_FN V tf_silu(V x) {
  const V y = x < T(TF_K(-210, -1500)) ? T(TF_K(-210, -1500)) : x, h = tf_exp(tf_abs(y) * T(-0.5));
  return (y < T(0) ? y * h * h : y) / (h * h + T(1));
}

/* x normcdf(x); below the clamp it is -0. */
TF_FN V tf_gelu(V x) {
  const V y = x < T(-50) ? T(-50) : x;
  return y * tf_normcdf(y);
}

TF_FN V tf_sign(V x) { return x > T(0) ? T(1) : x < T(0) ? T(-1) : x == T(0) ? T(0) : x; }
TF_FN V tf_step(V x) { return x < T(0) ? T(0) : tf_isnan(x) ? x : T(1); }
TF_FN V tf_relu(V x) { return x < T(0) ? T(0) : x; }
TF_FN V tf_mod(V a, V m, V d) { return a - m * tf_floor((a - d) / m); }
TF_FN V tf_clamp(V x, V a, V b) { return x < a ? a : x > b ? b : x; }
TF_FN V tf_inside(V x, V a, V b) { return tf_truth(a <= x && x <= b); }
TF_FN V tf_ifelse(V f, V g, V h) { return f >= T(0) ? g : h; }
TF_FN V tf_where(V condition, V a, V b) { return condition != T(0) ? a : b; }
TF_FN V tf_eq(V a, V b) { return tf_truth(a == b); }
TF_FN V tf_ne(V a, V b) { return tf_truth(a != b); }
TF_FN V tf_lt(V a, V b) { return tf_truth(a < b); }
TF_FN V tf_le(V a, V b) { return tf_truth(a <= b); }
TF_FN V tf_and(V a, V b) { return tf_truth(a != T(0) && b != T(0)); }
TF_FN V tf_or(V a, V b) { return tf_truth(a != T(0) || b != T(0)); }

/* The power of two that brings the larger magnitude into [1, 2): its exponent, negated. */
TF_FN V tf_binary_scale(V a, V b) {
  const V size = tf_max(tf_abs(a), tf_abs(b));
  if (!(size > T(0)) || size > T(TF_MAX)) return T(1);
  const int exponent = tf_exponent(size), least = TF_DOUBLE ? -1022 : -126;
  return tf_power_of_two(exponent < least ? -least : -exponent);
}

TF_FN V tf_onehot(V x, V k) { return tf_truth(k == tf_trunc(x + T(0.5))); }

#endif
