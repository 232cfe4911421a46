/* The functions of tf_cpu.h that approximate: within 2 ULP (inverse trigonometry: 4) of the exact
 * value, and right at zeros, infinities and NaN, without any fast-math flag.
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
 * The argument is split into n + f, n a multiple of 1/TF_STEPS: 2^n comes from a table of one
 * register's lanes and the exponent field, 2^f - 1 from a polynomial. TF_ROUNDER + x holds
 * round(x * TF_STEPS) in its low bits. */

#if TF_LEVEL == 4
#define TF_STEPS 16
#define TF_LOG2_STEPS 4
#elif TF_LEVEL == 3 && !TF_DOUBLE
#define TF_STEPS 8
#define TF_LOG2_STEPS 3
#else
#define TF_STEPS 1
#define TF_LOG2_STEPS 0
#endif
#define TF_ROUNDER (TF_K(0x1.8p23, 0x1.8p52) / TF_STEPS)
#define TF_MANTISSA TF_K(23, 52)

/* 2^f - 1 and e^f - 1. */
#if TF_DOUBLE && TF_STEPS == 16
TF_FN V tf_exp2_tail(V f) {
  return f * tf_poly(f, 0x1.62e42fefa39fdp-1, 0x1.ebfbdff82c553p-3, 0x1.c6b08d6e8ccacp-5,
                     0x1.3b2ab6fe2ce3p-7, 0x1.5d89bd6282f1dp-10, 0x1.4308149185a09p-13);
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
#elif TF_STEPS == 16
TF_FN V tf_exp2_tail(V f) {
  return f * tf_poly(f, 0x1.62e43p-1, 0x1.ebfff4p-3, 0x1.c6aceep-5);
}
TF_FN V tf_exp_tail(V f) { return f * tf_poly(f, 1, 0x1.00022p-1, 0x1.55559ap-3); }
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

/* 2^(k / 16), of which only the low four bits of k count. */
TF_FN V tf_sixteenths(VI k) {
#if TF_DOUBLE
  const V lo = {1, 0x1.0b5586cf9890fp+0, 0x1.172b83c7d517bp+0, 0x1.2387a6e756238p+0,
                0x1.306fe0a31b715p+0, 0x1.3dea64c123422p+0, 0x1.4bfdad5362a27p+0,
                0x1.5ab07dd485429p+0};
  const V hi = {0x1.6a09e667f3bcdp+0, 0x1.7a11473eb0187p+0, 0x1.8ace5422aa0dbp+0,
                0x1.9c49182a3f090p+0, 0x1.ae89f995ad3adp+0, 0x1.c199bdd85529cp+0,
                0x1.d5818dcfba487p+0, 0x1.ea4afa2a490dap+0};
  asm("vpermi2pd %2, %1, %0" : "+v"(k) : "v"(lo), "v"(hi));
  return (V)k;
#else
  const V table = {1, 0x1.0b5586p+0f, 0x1.172b84p+0f, 0x1.2387a6p+0f, 0x1.306fe0p+0f,
                   0x1.3dea64p+0f, 0x1.4bfdaep+0f, 0x1.5ab07ep+0f, 0x1.6a09e6p+0f, 0x1.7a1148p+0f,
                   0x1.8ace54p+0f, 0x1.9c4918p+0f, 0x1.ae89fap+0f, 0x1.c199bep+0f, 0x1.d5818ep+0f,
                   0x1.ea4afap+0f};
  V r;
  asm("vpermps %2, %1, %0" : "=v"(r) : "v"(k), "v"(table));
  return r;
#endif
}

/* 2^n (1 + tail), n a multiple of 1/16: vscalef takes floor(n), at any n. */
TF_FN V tf_exp_scale(V n, VI k, V tail) {
  const V step = tf_sixteenths(k), r = step * tail + step;
  V scaled;
  asm("vscalef" TF_PS " %2, %1, %0" : "=v"(scaled) : "v"(r), "v"(n));
  return scaled;
}

TF_FN V tf_exp2(V x) {
  V f; /* x less its nearest sixteenth; 0 at infinities */
  asm("vreduce" TF_PS " $0x48, %1, %0" : "=v"(f) : "v"(x));
  const V n = x - f;
  return tf_exp_scale(n, (VI)(n + tf_c(TF_ROUNDER)), tf_exp2_tail(f));
}

#else

/* 2^n (1 + tail) for the low bits k = n * TF_STEPS of a rounded x: all but a factor 2^64 or 2^-64
 * goes into the exponent field, the rest is a product that overflows or underflows as it should. */
TF_FN V tf_exp_scale(V x, VI k, V tail) {
  const VI rest = (VI)(x < 0 ? tf_c(0x1p-64) : tf_c(0x1p64)), one = (VI)tf_c(1);
#if TF_STEPS == 8
  /* Bits of 2^(i / 8) less those that k << 20 adds. */
  const VI table = {0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7,
                    0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7};
  VI step;
  asm("vpermd %2, %1, %0" : "=x"(step) : "x"(k), "x"(table));
#else
  const VI step = one;
#endif
  const V whole = (V)(step + (k << (TF_MANTISSA - TF_LOG2_STEPS)) + one - rest);
  return (whole * tail + whole) * (V)rest;
}

TF_FN V tf_exp2(V x) {
  x = tf_at_most(tf_c(TF_K(129, 1025)), tf_at_least(tf_c(TF_K(-151, -1076)), x));
  const V k = x + tf_c(TF_ROUNDER), f = x - (k - tf_c(TF_ROUNDER));
  return tf_exp_scale(x, (VI)k, tf_exp2_tail(f));
}

#endif

TF_FN V tf_exp(V x) {
  x = tf_at_most(tf_c(TF_K(89, 710)), tf_at_least(tf_c(TF_K(-105, -746)), x));
  const V k = x * tf_c(0x1.71547652b82fep0) + tf_c(TF_ROUNDER), n = k - tf_c(TF_ROUNDER);
  /* log 2 in two parts, n times the first exact. */
  const V f = x - n * tf_c(TF_K(0x1.62ep-1, 0x1.62e42fefap-1)) -
              n * tf_c(TF_K(0x1.0bfbe8p-15, 0x1.cf79abc9e3b3ap-40));
  return tf_exp_scale(TF_LEVEL == 4 ? n : x, (VI)k, tf_exp_tail(f));
}

/* ---- logarithms ---- */

TF_FN V tf_log(V x) {
  const M tiny = x < tf_c(TF_K(0x1p-126, 0x1p-1022));
  const V scaled = tiny ? x * tf_c(TF_K(0x1p23, 0x1p52)) : x;
  /* scaled = 2^e m, m between sqrt(1/2) and sqrt(2) */
  const VI root = (VI)tf_c(TF_K(0x1.6a09e6p-1, 0x1.6a09e667f3bcdp-1));
  const VI high = ((VI)scaled - root) >> TF_MANTISSA;
  const V m = (V)((VI)scaled - (high << TF_MANTISSA));
  const V e = __builtin_convertvector(high, V) - (tiny ? tf_c(TF_MANTISSA) : tf_c(0));
  /* log m = f - f^2/2 + s (f^2/2 + R(s^2)), s = f / (2 + f) */
  const V f = m - (T)1, s = f / (f + (T)2), z = s * s, half = f * f * (T)0.5;
#if TF_DOUBLE
  const V r = z * tf_poly(z, 6.666666666666735130e-01, 3.999999999940941908e-01,
                          2.857142874366239149e-01, 2.222219843214978396e-01,
                          1.818357216161805012e-01, 1.531383769920937332e-01,
                          1.479819860511658591e-01);
#else
  const V r = z * tf_poly(z, 0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841);
#endif
  const V low = s * (half + r) + e * tf_c(TF_K(9.0580006145e-06, 1.90821492927058770002e-10));
  const V y = e * tf_c(TF_K(0x1.62e3p-1, 0x1.62e42fee00000p-1)) - (half - low - f);
  const V special = x == 0 ? tf_c(-TF_INF) : x < 0 ? tf_c(TF_NAN) : x;
  return ((x > 0) & (x < tf_c(TF_INF))) ? y : special;
}

TF_FN V tf_xlogx(V x) { return x == 0 ? tf_c(0) : x * tf_log(x); }
TF_FN V tf_rsqrt(V x) { return x == 0 ? tf_c(0) : (T)1 / tf_sqrt(x); }

/* ---- trigonometry ---- */

#define TF_BY_LANE(fn, x)                          \
  V r = {};                                        \
  for (int l = 0; l < W; l++) r[l] = (T)fn(x[l]); \
  return r

TF_FN V tf_sin(V x) { TF_BY_LANE(__builtin_sin, x); }
TF_FN V tf_cos(V x) { TF_BY_LANE(__builtin_cos, x); }
TF_FN V tf_asin(V x) { TF_BY_LANE(__builtin_asin, x); }
TF_FN V tf_acos(V x) { TF_BY_LANE(__builtin_acos, x); }
TF_FN V tf_atan(V x) { TF_BY_LANE(__builtin_atan, x); }
TF_FN V tf_atan2(V y, V x) {
  V r = {};
  for (int l = 0; l < W; l++) r[l] = (T)__builtin_atan2(y[l], x[l]);
  return r;
}
TF_FN V tf_pow(V x, V y) {
  V r = {};
  for (int l = 0; l < W; l++) r[l] = (T)__builtin_pow(x[l], y[l]);
  return r;
}

TF_FN V tf_sinxdivx(V x) { return x == 0 ? tf_c(1) : tf_sin(x) / x; }
TF_FN V tf_sinxdivx_prime(V x) {
  return x == 0 ? tf_c(0) : (x * tf_cos(x) - tf_sin(x)) / (x * x);
}

#endif
