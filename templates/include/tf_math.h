/* The functions of tf_cpu.h that approximate: within 2 ULP of the exact value, and right at zeros,
 * infinities and NaN, without any fast-math flag. Those that carry a second word are in
 * tf_pairs.h, tf_special.h and tf_gamma.h.
 *
 * Polynomials are minimax fits with coefficients rounded to T. A sum that must not lose bits is
 * written so that it is right whether or not the compiler fuses its products.
 */
#ifndef TF_MATH_H
#define TF_MATH_H

/* c0 + c1 x + c2 x^2 + ... */
TF_FN V tf_poly(V, double c0) { return tf_c(c0); }
template <class... C> TF_FN V tf_poly(V x, double c0, C... rest) {
  return tf_poly(x, rest...) * x + tf_c(c0);
}

/* ---- exponentials ----
 *
 * The argument is split into n + f, n a multiple of 1/TF_STEPS: 2^n comes from a table of one or
 * two registers and the exponent field, 2^f - 1 or e^f - 1 from a polynomial. TF_ROUNDER + x holds
 * round(x * TF_STEPS) in its low bits. */

#if TF_LEVEL == 4 && TF_DOUBLE
#define TF_STEPS 16
#elif TF_LEVEL == 4
#define TF_STEPS 32
#elif TF_LEVEL == 3 && !TF_DOUBLE
#define TF_STEPS 8
#else
#define TF_STEPS 1
#endif
#define TF_ROUNDER TF_K(0x1.8p23 / TF_STEPS, 0x1.8p52 / TF_STEPS)
#define TF_MANTISSA TF_K(23, 52)
/* Whether tf_exp2 costs more than tf_exp2_normal. */
#define TF_CLAMPS (TF_LEVEL < 4)

/* The bits of reals in arithmetic that wraps. */
typedef TF_K(__UINT32_TYPE__, __UINT64_TYPE__) tf_words __attribute__((vector_size(TF_VB)));

#if TF_DOUBLE && TF_STEPS == 16
TF_FN V tf_exp2_tail(V f) { /* 0 <= f <= 1/16 */
  return f * tf_poly(f, 0x1.62e42fefa39abp-1, 0x1.ebfbdff84122bp-3, 0x1.c6b08d4e923e6p-5,
                     0x1.3b2ad01a1b8efp-7, 0x1.5d75187174ffcp-10, 0x1.4a0394b24794ep-13);
}
TF_FN V tf_exp_tail(V f) {
  return f * tf_poly(f, 1, 0x1.fffffffffffbap-2, 0x1.555555548e1a1p-3, 0x1.55555558eae32p-5,
                     0x1.11123bc201cp-7, 0x1.6c14d62d0c632p-10);
}
#elif TF_DOUBLE
TF_FN V tf_exp2_tail(V f) {
  return f * tf_poly(f, 0x1.62e42fefa39efp-1, 0x1.ebfbdff82c5a6p-3, 0x1.c6b08d704a12cp-5,
                     0x1.3b2ab6fb9fda6p-7, 0x1.5d87fe789e96fp-10, 0x1.4309130f6cbdbp-13,
                     0x1.ffcbfc6685f06p-17, 0x1.62bfc6596be12p-20, 0x1.b52522bc15f8fp-24,
                     0x1.e61d43321746dp-28, 0x1.e973179a994acp-32);
}
TF_FN V tf_exp_tail(V f) {
  return f * tf_poly(f, 1, 0x1.000000000000ap-1, 0x1.55555555554fep-3, 0x1.55555555506bcp-5,
                     0x1.1111111126b36p-7, 0x1.6c16c18477083p-10, 0x1.a01a012fee99cp-13,
                     0x1.a019995efb00fp-16, 0x1.71df18ef76144p-19, 0x1.28adfccb26cd8p-22,
                     0x1.ad92e899366cbp-26);
}
#elif TF_STEPS == 32
TF_FN V tf_exp2_tail(V f) { return f * tf_poly(f, 0x1.62e11ep-1, 0x1.f0f3e6p-3); } /* 0 <= f */
TF_FN V tf_exp_tail(V f) { return f * tf_poly(f, 0x1.0000f8p+0, 0x1.000174p-1); }
#elif TF_STEPS == 8
TF_FN V tf_exp2_tail(V f) {
  return f * tf_poly(f, 0x1.62e43p-1, 0x1.ec0c32p-3, 0x1.c6b4a2p-5);
}
TF_FN V tf_exp_tail(V f) { return f * tf_poly(f, 1, 0x1.00087cp-1, 0x1.55566p-3); }
#else
TF_FN V tf_exp2_tail(V f) {
  return f * tf_poly(f, 0x1.62e43p-1, 0x1.ebfbd8p-3, 0x1.c6af76p-5, 0x1.3b30ap-7, 0x1.5f0b82p-10,
                     0x1.3fa206p-13);
}
TF_FN V tf_exp_tail(V f) {
  return f * tf_poly(f, 1, 0x1.fffffap-2, 0x1.555492p-3, 0x1.555a26p-5, 0x1.12397ep-7,
                     0x1.694c8ep-10);
}
#endif

#if TF_LEVEL == 4

/* r 2^floor(n), rounded once, at any n. */
TF_FN V tf_scale(V r, V n) {
  V scaled;
  asm("vscalef" TF_PS " %2, %1, %0" : "=v"(scaled) : "v"(r), "v"(n));
  return scaled;
}

/* 2^n (1 + tail) for the low bits k of n * TF_STEPS. */
TF_FN V tf_exp_scale(V n, VI k, V tail) {
#if TF_DOUBLE
  const V lo = {1, 0x1.0b5586cf9890fp+0, 0x1.172b83c7d517bp+0, 0x1.2387a6e756238p+0,
                0x1.306fe0a31b715p+0, 0x1.3dea64c123422p+0, 0x1.4bfdad5362a27p+0,
                0x1.5ab07dd485429p+0};
  const V hi = {0x1.6a09e667f3bcdp+0, 0x1.7a11473eb0187p+0, 0x1.8ace5422aa0dbp+0,
                0x1.9c49182a3f090p+0, 0x1.ae89f995ad3adp+0, 0x1.c199bdd85529cp+0,
                0x1.d5818dcfba487p+0, 0x1.ea4afa2a490dap+0};
  asm("vpermi2pd %2, %1, %0" : "+v"(k) : "v"(lo), "v"(hi));
#else
  const V lo = {1, 0x1.059b0ep+0f, 0x1.0b5586p+0f, 0x1.11301ep+0f, 0x1.172b84p+0f, 0x1.1d4874p+0f,
                0x1.2387a6p+0f, 0x1.29e9ep+0f, 0x1.306fep+0f, 0x1.371a74p+0f, 0x1.3dea64p+0f,
                0x1.44e086p+0f, 0x1.4bfdaep+0f, 0x1.5342b6p+0f, 0x1.5ab07ep+0f, 0x1.6247ecp+0f};
  const V hi = {0x1.6a09e6p+0f, 0x1.71f75ep+0f, 0x1.7a1148p+0f, 0x1.82589ap+0f, 0x1.8ace54p+0f,
                0x1.93737cp+0f, 0x1.9c4918p+0f, 0x1.a5503cp+0f, 0x1.ae89fap+0f, 0x1.b7f77p+0f,
                0x1.c199bep+0f, 0x1.cb720ep+0f, 0x1.d5818ep+0f, 0x1.dfc974p+0f, 0x1.ea4afap+0f,
                0x1.f50766p+0f};
  asm("vpermi2ps %2, %1, %0" : "+v"(k) : "v"(lo), "v"(hi));
#endif
  const V step = (V)k;
  return tf_scale(step * tail + step, n);
}

/* Infinities leave no fraction and need no clamp. */
TF_FN V tf_exp2(V x) {
  V f, k; /* k is x + TF_ROUNDER rounded down, as f is */
#if TF_DOUBLE
  asm("vreducepd $0x49, %1, %0" : "=v"(f) : "v"(x));
#else
  asm("vreduceps $0x59, %1, %0" : "=v"(f) : "v"(x));
#endif
  asm("vadd" TF_PS " %{rd-sae%}, %2, %1, %0" : "=v"(k) : "v"(x), "v"(tf_c(TF_ROUNDER)));
  return tf_exp_scale(x, (VI)k, tf_exp2_tail(f));
}
TF_FN V tf_exp2_normal(V x) { return tf_exp2(x); }

#else

/* The bits of 2^n for the low bits k of n * TF_STEPS, and `more`. */
TF_FN tf_words tf_exp_bits(VI k, tf_int more) {
#if TF_STEPS == 8
  /* Bits of 2^(i / 8), less those that k << 20 adds. */
  const VI table = (VI){0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7,
                        0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7} + more;
  VI step;
  asm("vpermd %2, %1, %0" : "=x"(step) : "x"(k), "x"(table));
  return (tf_words)step + ((tf_words)k << 20);
#else
  return ((tf_words)k << TF_MANTISSA) + (tf_words)((VI)tf_c(1) + more);
#endif
}

/* 2^n (1 + tail) for the low bits k of n * TF_STEPS, n near x: all but a factor 2^64 or 2^-64 goes
 * into the exponent field, the rest is a product that overflows or underflows as it should. */
TF_FN V tf_exp_scale(V x, VI k, V tail) {
#if TF_LEVEL == 3
  V rest;
  asm("vblendv" TF_PS " %1, %2, %3, %0"
      : "=x"(rest) : "x"(x), "x"(tf_c(0x1p-64)), "x"(tf_c(0x1p64)));
#else
  const V rest = x < 0 ? tf_c(0x1p-64) : tf_c(0x1p64);
#endif
  const tf_int one = TF_K(0x3f800000, 0x3ff0000000000000);
  const V whole = (V)(tf_exp_bits(k, one) - (tf_words)rest);
  return (whole * tail + whole) * rest;
}

TF_FN V tf_exp2(V x) {
  x = tf_at_most(tf_c(TF_K(129, 1025)), tf_at_least(tf_c(TF_K(-151, -1076)), x));
  const V k = x + tf_c(TF_ROUNDER), f = x - (k - tf_c(TF_ROUNDER));
  return tf_exp_scale(x, (VI)k, tf_exp2_tail(f));
}

/* 2^x where that is a normal number, and anything elsewhere. */
TF_FN V tf_exp2_normal(V x) {
  const V k = x + tf_c(TF_ROUNDER), f = x - (k - tf_c(TF_ROUNDER));
  const V whole = (V)tf_exp_bits((VI)k, 0);
  return whole * tf_exp2_tail(f) + whole;
}

#endif

TF_FN V tf_exp(V x) {
#if TF_LEVEL < 4
  x = tf_at_most(tf_c(TF_K(89, 710)), tf_at_least(tf_c(TF_K(-105, -746)), x));
#endif
  const V k = x * tf_c(0x1.71547652b82fep0) + tf_c(TF_ROUNDER), n = k - tf_c(TF_ROUNDER);
  /* log 2 in two parts, n times the first exact */
  V f = x - n * tf_c(TF_K(0x1.62ep-1, 0x1.62e42fefap-1)) -
        n * tf_c(TF_K(0x1.0bfbe8p-15, 0x1.cf79abc9e3b3ap-40));
#if TF_LEVEL == 4
  /* where n alone decides, f may be anything: at most 1 in magnitude, also for NaN */
  asm("vrange" TF_PS " $2, %2, %1, %0" : "=v"(f) : "v"(f), "v"(tf_c(1)));
  return tf_exp_scale(n, (VI)k, tf_exp_tail(f));
#else
  return tf_exp_scale(x, (VI)k, tf_exp_tail(f));
#endif
}

/* ---- logarithms ---- */

/* The integers v + offset of lanes with few bits, as reals. */
TF_FN V tf_small_real(VI v, double offset) {
#if TF_DOUBLE && TF_LEVEL < 4 /* no instruction converts */
  return (V)(v + (VI)tf_c(0x1.8p52)) - tf_c(0x1.8p52 - offset);
#else
  return __builtin_convertvector(v, V) + tf_c(offset);
#endif
}

/* x = 2^e m, m between sqrt(1/2) and sqrt(2), for finite x > 0. */
TF_FN void tf_split(V x, V &m, V &e) {
  const M tiny = x < tf_c(TF_K(0x1p-126, 0x1p-1022));
  const tf_words v = (tf_words)(tiny ? x * tf_c(TF_K(0x1p24, 0x1p53)) : x), one = (tf_words)tf_c(1);
  const tf_words root = (tf_words)tf_c(TF_K(0x1.6a09e6p-1, 0x1.6a09e667f3bcdp-1));
  const tf_words biased = (v + one - root) >> TF_MANTISSA;
  m = (V)(v + one - (biased << TF_MANTISSA));
  e = tf_small_real((VI)biased, TF_K(-127, -1023)) + (tiny ? tf_c(TF_K(-24, -53)) : tf_c(0));
}

/* log(1 + f) - f + half for half = f^2/2: s (half + r), s = f / (2 + f), for the f of tf_split. */
TF_FN V tf_log_series(V f, V half) {
  const V s = f / (f + (T)2), z = s * s;
#if TF_DOUBLE
  const V r = z * tf_poly(z, 0x1.5555555555558p-1, 0x1.999999999531cp-2, 0x1.2492492defb07p-2,
                          0x1.c71c62e541c51p-3, 0x1.7462b50a97ac2p-3, 0x1.39fe4eb5bb4bep-3,
                          0x1.2b5949cfa6afbp-3);
#else
  const V r = z * tf_poly(z, 0x1.555556p-1, 0x1.99986cp-2, 0x1.24c21cp-2, 0x1.ce5a26p-3);
#endif
  return s * (half + r);
}

TF_FN V tf_log(V x) {
  V m, e;
  tf_split(x, m, e);
  const V f = m - (T)1, half = f * f * (T)0.5;
  /* log 2 in two parts, e times the first exact */
  const V low = tf_log_series(f, half) + e * tf_c(TF_K(0x1.2fefa2p-17, 0x1.a39ef35793c76p-33));
  const V y = e * tf_c(TF_K(0x1.62e3p-1, 0x1.62e42feep-1)) - (half - low - f);
  const V edge = x == 0 ? tf_c(-TF_INF) : x < 0 ? tf_c(TF_NAN) : x;
  return ((x > 0) & (x < tf_c(TF_INF))) ? y : edge;
}

TF_FN V tf_xlogx(V x) { return x == 0 ? tf_c(0) : x * tf_log(x); }

TF_FN V tf_rsqrt(V x) {
#if TF_LEVEL == 4
  /* Newton's third order steps from 14 bits; they fail where the seed is 0 or infinite. */
  V y;
  asm("vrsqrt14" TF_PS " %1, %0" : "=v"(y) : "v"(x));
  for (int i = 0; i < TF_K(1, 2); i++) {
    const V e = (T)1 - x * y * y;
    y = y + y * e * (e * (T)0.375 + (T)0.5);
  }
  return ((x == 0) | (x == tf_c(TF_INF))) ? tf_c(0) : y;
#else
  return x == 0 ? tf_c(0) : (T)1 / tf_sqrt(x);
#endif
}

/* ---- trigonometry ---- */

/* Beyond it sine and cosine ask the C library, lane by lane. */
#define TF_FAR TF_K(1e6, 1e8)

TF_FN M tf_is_far(V ax) { return tf_not_m(ax <= tf_c(TF_FAR)); }

TF_COLD void tf_sin_far(const V &x, V &y) {
  for (int l = 0; l < W; l++)
    if (!(__builtin_fabs(x[l]) <= TF_FAR)) y[l] = (T)__builtin_sin(x[l]);
}

TF_COLD void tf_cos_far(const V &x, V &y) {
  for (int l = 0; l < W; l++)
    if (!(__builtin_fabs(x[l]) <= TF_FAR)) y[l] = (T)__builtin_cos(x[l]);
}

#if !TF_DOUBLE
/* The lanes in float64. Too long for a register: passed by reference only. */
typedef double tf_wide __attribute__((vector_size(8 * W)));
typedef __INT64_TYPE__ tf_wide_int __attribute__((vector_size(8 * W)));
#endif

/* x = n pi/2 + r + r_lo, for 0 <= x <= TF_FAR; the low bits of q are those of n. */
TF_FN void tf_quarters(V x, V &r, V &r_lo, VI &q) {
#if TF_DOUBLE
  const V k = x * (T)0x1.45f306dc9c883p-1 + (T)0x1.8p52, n = k - (T)0x1.8p52;
  /* pi/2 in four parts, n times the first three exact: nothing depends on fusing */
  const V a = x - n * (T)0x1.921fb5p+0 - n * (T)0x1.110b46p-26, b = n * (T)0x1.1a6263p-54;
  const V hi = a - b, lo = a - hi - b - n * (T)0x1.8a2e03707344ap-81;
  q = (VI)k;
  r = hi + lo;
  r_lo = hi - r + lo;
#else
  const tf_wide w = __builtin_convertvector(x, tf_wide);
  const tf_wide n = w * 0x1.45f306dc9c883p-1 + 0x1.8p52 - 0x1.8p52;
  q = __builtin_convertvector(n, VI);
  const tf_wide left = w - n * 0x1.921fb544p+0 - n * 0x1.0b4611a626331p-34;
  r = __builtin_convertvector(left, V);
  r_lo = __builtin_convertvector(left - __builtin_convertvector(r, tf_wide), V);
#endif
}

/* Sine and cosine for 0 <= x <= TF_FAR. */
TF_FN void tf_sincos(V x, V &sine, V &cosine) {
  V r, r_lo;
  VI q;
  tf_quarters(x, r, r_lo, q);
  const V z = r * r;
#if TF_DOUBLE
  const V s = r + r * z * tf_poly(z, -0x1.5555555555555p-3, 0x1.1111111110c79p-7,
                                  -0x1.a01a019e9ec4dp-13, 0x1.71de37aedaa89p-19,
                                  -0x1.ae601e31b55aep-26, 0x1.5e109ff910985p-33);
  const V c = tf_poly(z, 1, -0.5, 0x1.5555555555555p-5, -0x1.6c16c16c168c9p-10,
                      0x1.a01a019f37fa7p-16, -0x1.27e4fa0294bd1p-22, 0x1.1eeb578302a45p-29,
                      -0x1.90734d02b41adp-37);
#else
  const V s = r + r * z * tf_poly(z, -0x1.555552p-3, 0x1.110be2p-7, -0x1.9ab218p-13);
  const V c = tf_poly(z, 1, -0.5, 0x1.555554p-5, -0x1.6c129cp-10, 0x1.9bc672p-16);
#endif
  const M odd = (q & 1) != 0;
  const int sign = 8 * sizeof(T) - 2;
  sine = (V)((VI)(odd ? c : s) ^ ((q & 2) << sign));
  cosine = (V)((VI)(odd ? s : c) ^ (((q + 1) & 2) << sign));
}

TF_FN V tf_sin(V x) {
  const V ax = tf_abs(x);
  V s, c;
  tf_sincos(ax, s, c);
  s = (V)((VI)s ^ tf_sign_bits(x));
  if (__builtin_expect(tf_any(tf_is_far(ax)), 0)) tf_sin_far(x, s);
  return s;
}

TF_FN V tf_cos(V x) {
  const V ax = tf_abs(x);
  V s, c;
  tf_sincos(ax, s, c);
  if (__builtin_expect(tf_any(tf_is_far(ax)), 0)) tf_cos_far(x, c);
  return c;
}

TF_FN V tf_sinxdivx(V x) { return x == 0 ? tf_c(1) : tf_sin(x) / x; }

TF_FN V tf_sinxdivx_prime(V x) {
  const V ax = tf_abs(x), z = x * x;
  V s, c;
  tf_sincos(ax, s, c);
  if (__builtin_expect(tf_any(tf_is_far(ax)), 0)) {
    tf_sin_far(ax, s);
    tf_cos_far(ax, c);
  }
  /* the difference cancels for small x */
#if TF_DOUBLE
  const V near = tf_poly(z, -0x1.5555555555555p-2, 0x1.11111111110efp-5, -0x1.38138138127bdp-10,
                         0x1.71de3a54f89ccp-16, -0x1.0cfeb5f36c74fp-22, 0x1.08db40cc0536cp-29,
                         -0x1.78ac7aa923fe2p-37, 0x1.94920e0606099p-45, -0x1.433457fc030cbp-53);
#else
  const V near = tf_poly(z, -0x1.555556p-2, 0x1.11110ep-5, -0x1.380f8ep-10, 0x1.70f526p-16,
                         -0x1.f45284p-23);
#endif
  return ax < (T)2 ? x * near : (c - s / ax) / x;
}

/* ---- inverse trigonometry ---- */

#define TF_PI_2 TF_K(0x1.921fb6p+0, 0x1.921fb54442d18p+0)
#define TF_PI_2_LOW TF_K(-0x1.777a5cp-25, 0x1.1a62633145c07p-54)

/* atan(a / b) for a, b >= 0: pi/2 and pi/4 less the arc tangent of a ratio below tan(pi/8). */
TF_FN V tf_atan_ratio(V a, V b) {
  const M big = a > (T)2.414213562373095 * b, mid = a > (T)0.414213562373095 * b;
  const V t = (big ? -b : mid ? a - b : a) / (big ? a : mid ? a + b : b), z = t * t;
  const V turn = big ? tf_c(2) : mid ? tf_c(1) : tf_c(0);
#if TF_DOUBLE
  const V p = tf_poly(z, -0x1.5555555555555p-2, 0x1.9999999999429p-3, -0x1.249249243d5b1p-3,
                      0x1.c71c7188a8d81p-4, -0x1.745d0b99503d8p-4, 0x1.3b126bad6e769p-4,
                      -0x1.10fae1bfa2befp-4, 0x1.dfecac12ae559p-5, -0x1.a0b7ad57f39c3p-5,
                      0x1.41b1c563d6d63p-5, -0x1.3ae34f4745c35p-6);
#else
  const V p = tf_poly(z, -0x1.555554p-2, 0x1.99970ap-3, -0x1.241d42p-3, 0x1.b7e4dap-4,
                      -0x1.07d9c6p-4);
#endif
  return turn * tf_c(TF_PI_2 / 2) + (t + (t * z * p + turn * tf_c(TF_PI_2_LOW / 2)));
}

TF_FN V tf_atan(V x) { return tf_with_sign(tf_atan_ratio(tf_abs(x), tf_c(1)), tf_sign_bits(x)); }

TF_FN V tf_atan2(V y, V x) {
  V a = tf_abs(y), b = tf_abs(x);
  const M endless = (a == tf_c(TF_INF)) & (b == tf_c(TF_INF)), none = (a == 0) & (b == 0);
  a = endless ? tf_c(1) : a;
  b = (endless | none) ? tf_c(1) : b;
  /* keep sums finite; what a small one loses then is below the rounding of the ratio */
  const V large = tf_c(TF_K(0x1p100, 0x1p1000));
  const V shrink = ((a > large) | (b > large)) ? tf_c(0x1p-4) : tf_c(1);
  const V r = tf_atan_ratio(a * shrink, b * shrink);
  const V left = tf_c(2 * TF_PI_2) - (r - tf_c(2 * TF_PI_2_LOW));
  return tf_with_sign((VI)x < 0 ? left : r, tf_sign_bits(y));
}

/* asin(s) = s + more for s = x in [0, 1/2], or s = sqrt((1 - x) / 2) if x is above 1/2. */
TF_FN void tf_asin_half(V x, M big, V &s, V &more) {
  const V z = big ? ((T)1 - x) * (T)0.5 : x * x;
  s = big ? tf_sqrt(z) : x;
#if TF_DOUBLE
  const V p = tf_poly(z, 0x1.5555555555556p-3, 0x1.3333333332dcdp-4, 0x1.6db6db6e4397cp-5,
                      0x1.f1c71c14da09cp-6, 0x1.6e8bb2fe2329bp-6, 0x1.1c4d1bf9d2871p-6,
                      0x1.c9d1cecf342d1p-7, 0x1.780cd7fa24357p-7, 0x1.52df0d258ffd7p-7,
                      0x1.60a47d8b6cd41p-8, 0x1.205df5d9a0444p-6, -0x1.f07d84ed766f4p-7,
                      0x1.da6730248376p-6);
#else
  const V p = tf_poly(z, 0x1.55555ep-3, 0x1.332688p-4, 0x1.70bf2ap-5, 0x1.b1e3acp-6,
                      0x1.3926d2p-5);
#endif
  more = s * z * p;
}

TF_FN V tf_asin(V x) {
  const V ax = tf_abs(x);
  const M big = ax > (T)0.5;
  V s, more;
  tf_asin_half(ax, big, s, more);
  /* pi/2 - 2 s is exact but for one rounding, and what remains is small */
  const V left = tf_c(TF_PI_2) - (s + s) - (more + more - tf_c(TF_PI_2_LOW));
  return tf_with_sign(big ? left : s + more, tf_sign_bits(x));
}

TF_FN V tf_acos(V x) {
  const V ax = tf_abs(x);
  const M big = ax > (T)0.5;
  V s, more;
  tf_asin_half(ax, big, s, more);
  const V p = s + more, signed_p = (V)((VI)p ^ tf_sign_bits(x));
  const V small = tf_c(TF_PI_2) - (signed_p - tf_c(TF_PI_2_LOW));
  const V left = tf_c(2 * TF_PI_2) - (p + p - tf_c(2 * TF_PI_2_LOW));
  return big ? (x < 0 ? left : p + p) : small;
}

/* ---- powers ---- */

#if !TF_DOUBLE

/* a^y for finite a > 0, through float64. */
TF_FN V tf_pow_positive(V a, V y) {
  V m, e;
  tf_split(a, m, e);
  const tf_wide w = __builtin_convertvector(m, tf_wide), s = (w - 1) / (w + 1), z = s * s;
  tf_wide p = z * 0x1.21b0e6e9f3a0bp-2 + 0x1.47955659fc25bp-2;
  p = p * z + 0x1.a61a2ec9ca74fp-2;
  p = p * z + 0x1.2776c2933cbd8p-1;
  p = p * z + 0x1.ec709dc53c6bep-1;
  p = p * z + 0x1.71547652b8251p1;
  p = p * s + __builtin_convertvector(e, tf_wide);
  const tf_wide t = __builtin_convertvector(y, tf_wide) * p;
  const tf_wide k = t + 0x1.8p52, f = t - (k - 0x1.8p52);
  tf_wide q = f * 0x1.fd0886a82cdd6p-17 + 0x1.445d8920f3196p-13;
  q = q * f + 0x1.5d8b5ce6357cdp-10;
  q = q * f + 0x1.3b29f216e17fp-7;
  q = q * f + 0x1.c6b089c3efd99p-5;
  q = q * f + 0x1.ebfbe079a70c5p-3;
  q = q * f + 0x1.62e42ff18ada3p-1;
  q = q * f + 1;
  const tf_wide scaled = (tf_wide)((tf_wide_int)q + ((tf_wide_int)k << 52));
  const V size = __builtin_convertvector(t, V), r = __builtin_convertvector(scaled, V);
  return size > (T)200 ? tf_c(TF_INF) : size < (T)-200 ? tf_c(0) : r;
}

#elif TF_FMA

/* a^y for finite a > 0: the logarithm and its product with y carry a second word. */
TF_FN V tf_pow_positive(V a, V y) {
  V m, e;
  tf_split(a, m, e);
  /* s = (m - 1) / (m + 1), z = s^2 */
  const V d = m + (T)1, d_lo = m - (d - (T)1), inv = (T)1 / d, s = (m - (T)1) * inv;
  const V s_lo = (tf_fma(-s, d, m - (T)1) - s * d_lo) * inv;
  const V z = s * s, z_lo = tf_fma(s, s, -z) + (s + s) * s_lo;
  /* log2 m = s (c0 + z (c1 + z tail)) */
  const V tail = z * tf_poly(z, 0x1.2776c50ef9bfep-1, 0x1.a61762a7ae41dp-2, 0x1.484b13d735f3bp-2,
                             0x1.0c9a84fff9ea4p-2, 0x1.c68f050ab91e7p-3, 0x1.8a061d494bbfbp-3,
                             0x1.593b57e477923p-3, 0x1.603964bb42585p-3);
  const V c1 = tf_c(0x1.ec709dc3a03fdp-1), c0 = tf_c(0x1.71547652b82fep1);
  const V u = c1 + tail, u_lo = tail - (u - c1) + tf_c(0x1.d27f05548af0cp-55);
  const V v = u * z, v_lo = tf_fma(u, z, -v) + (u * z_lo + u_lo * z);
  const V w = c0 + v, w_lo = v - (w - c0) + (v_lo + tf_c(0x1.777d0ffda0d24p-55));
  const V g = w * s, g_lo = tf_fma(w, s, -g) + (w * s_lo + w_lo * s);
  const V log = e + g, log_lo = g - (log - e) + g_lo;
  /* 2^(y log); a product out of range decides alone */
  const V t = y * log, t_lo = tf_fma(y, log, -t) + y * log_lo;
  const V hi = tf_at_most(tf_c(1025), tf_at_least(tf_c(-1076), t));
  const V k = hi + tf_c(TF_ROUNDER), n = k - tf_c(TF_ROUNDER);
  const V f = hi - n + (hi == t ? t_lo : tf_c(0));
  const V tail_2 = tf_exp_tail(f * tf_c(0x1.62e42fefa39efp-1));
  return tf_exp_scale(TF_LEVEL == 4 ? n : hi, (VI)k, tail_2);
}

#else

TF_COLD void tf_pow_far(const V &a, const V &y, V &r) {
  for (int l = 0; l < W; l++) r[l] = __builtin_pow(a[l], y[l]);
}

/* Without fused products the second words cost more than the C library. */
TF_FN V tf_pow_positive(V a, V y) {
  V r;
  tf_pow_far(a, y, r);
  return r;
}

#endif

/* What C's pow gives. */
TF_FN V tf_pow(V x, V y) {
  const V a = tf_abs(x), inf = tf_c(TF_INF), half = y * (T)0.5;
  const M whole = tf_trunc(y) == y, odd = whole & (tf_trunc(half) != half);
  V r = tf_pow_positive(a, y);
  r = a == 0 ? (y < 0 ? inf : tf_c(0)) : a == inf ? (y < 0 ? tf_c(0) : inf) : r;
  r = tf_or_m(tf_isnan(x), tf_isnan(y)) ? x + y : r;
  r = (x < 0) & (a < inf) & tf_not_m(whole) ? tf_c(TF_NAN) : r;
  r = (V)((VI)r ^ (tf_sign_bits(x) & odd));
  const M unit = (x == 1) | (y == 0) | ((x == (T)-1) & (tf_abs(y) == inf));
  return unit ? tf_c(1) : r;
}

#endif
