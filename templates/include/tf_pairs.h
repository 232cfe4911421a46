/* Exponentials and logarithms that carry a second word: expm1, the hyperbolic functions and their
 * inverses, the logistic family, log1p and logarithms to other bases. Part of tf_cpu.h.
 *
 * Within 2 ULP of the exact value, and right at zeros, infinities and NaN. A pair (h, l) stands for
 * h + l, where |l| is at most about an ULP of h unless it is called a rest.
 */
#ifndef TF_PAIRS_H
#define TF_PAIRS_H

/* ---- sums and products of two words ---- */

/* a b, rounded: never fused with a sum that follows, which would spoil the second word. */
TF_FN V tf_product(V a, V b) {
#if TF_LEVEL >= 3
  V r;
  asm("vmul" TF_PS " %2, %1, %0" : "=" TF_REG(r) : TF_REG(a), TF_REG(b));
  return r;
#elif TF_LEVEL == 1
  V r;
  asm("fmul %0." TF_PS ", %1." TF_PS ", %2." TF_PS : "=w"(r) : "w"(a), "w"(b));
  return r;
#else
  return a * b;
#endif
}

/* The upper half of the mantissa: products of two of them are exact. */
TF_FN V tf_upper(V a) { return (V)((VI)a & (tf_int)TF_K(-0x1000, -0x8000000ll)); }

/* h + l = a b, exactly but for underflow (T. J. Dekker, 1971). */
TF_FN void tf_mul_pair(V a, V b, V &h, V &l) {
  h = tf_product(a, b);
#if TF_FMA
  l = tf_fma(a, b, -h);
#else
  const V ah = tf_upper(a), bh = tf_upper(b), al = a - ah, bl = b - bh;
  l = ah * bh - h + ah * bl + al * bh + al * bl;
#endif
}

/* h + l = a + b, exactly (O. Moeller and D. E. Knuth). */
TF_FN void tf_add_pair(V a, V b, V &h, V &l) {
  h = a + b;
  const V c = h - a;
  l = a - (h - c) + (b - c);
}

/* ---- exponentials ---- */

/* 2^n for whole n that are exponents of normal numbers. */
TF_FN V tf_pow2(V n) {
  const tf_words whole = (tf_words)(n + tf_c(TF_K(0x1.8p23, 0x1.8p52)));
  return (V)((whole << TF_MANTISSA) + (tf_words)tf_c(1));
}

/* a 2^n for whole n up to 1.08 times the largest exponent. */
TF_FN V tf_times_pow2(V a, V n) {
  const V most = tf_c(TF_K(120, 1000));
  const V first = tf_at_most(most, tf_at_least(-most, n));
  return a * tf_pow2(first) * tf_pow2(n - first);
}

/* e^(x + c) = 2^n (1 + f + r), |f| at most log(2) / 2, r a rest of f^2/2 and what f lost. c is at
 * most an ULP of x. */
TF_FN void tf_exp_split(V x, V c, V &n, V &f, V &r) {
  const V rounder = tf_c(TF_K(0x1.8p23, 0x1.8p52));
  n = x * tf_c(0x1.71547652b82fep0) + rounder - rounder;
  /* log 2 in two parts, n times the first exact */
  const V a = x - n * tf_c(TF_K(0x1.62ep-1, 0x1.62e42fefap-1));
  const V b = tf_product(n, tf_c(TF_K(0x1.0bfbe8p-15, 0x1.cf79abc9e3b3ap-40)));
  f = a - b;
  const V lost = a - f - b + c;
#if TF_DOUBLE
  const V p = f * f * tf_poly(f, 0x1p-1, 0x1.5555555555559p-3, 0x1.5555555555556p-5,
                                 0x1.111111110f652p-7, 0x1.6c16c16c15a1fp-10,
                                 0x1.a01a01b009578p-13, 0x1.a01a01ab50373p-16,
                                 0x1.71ddf7f349ab9p-19, 0x1.27e4cf0eadbep-22,
                                 0x1.af5f749c9618p-26, 0x1.1f89427380cf7p-29);
#else
  const V p = f * f * tf_poly(f, 0x1p-1, 0x1.555556p-3, 0x1.5554acp-5, 0x1.11109p-7,
                                 0x1.6d75ecp-10, 0x1.a1a232p-13);
#endif
  r = p + (lost + lost * (f + p));
}

/* 1 + f + r as a pair, for those of tf_exp_split. */
TF_FN void tf_one_more(V f, V r, V &h, V &l) {
  const V u = f + (T)1, v = (T)1 - u + f + r;
  h = u + v;
  l = u - h + v;
}

/* Results that may be subnormal are computed 2^64 times as large, and lowered at the end. */
#define TF_LIFT 64
#define TF_LOWER 0x1p-64

/* 2^TF_LIFT e^(x + c) as a pair, for x <= 0. */
TF_FN void tf_exp_lifted(V x, V c, V &h, V &l) {
  V n, f, r;
  tf_exp_split(tf_at_least(tf_c(TF_K(-110, -752)), x), c, n, f, r);
  const V scale = tf_pow2(n + (T)TF_LIFT);
  tf_one_more(f, r, h, l);
  h = h * scale;
  l = l * scale;
}

TF_FN V tf_expm1(V x) {
  V n, f, r;
  const V bounded = tf_at_most(tf_c(TF_K(90, 711)), tf_at_least(tf_c(TF_K(-30, -60)), x));
  tf_exp_split(bounded, tf_c(0), n, f, r);
  /* 2^n (1 - 2^-n + f + r); the first sum is exact, for |1 - 2^-n| is 0 or exceeds |f| */
  const V s = (T)1 - tf_pow2(-tf_at_most(tf_c(TF_K(120, 1000)), n)), t = s + f;
  return x == 0 ? x : tf_times_pow2(t + (s - t + f + r), n);
}

/* ---- hyperbolic functions ---- */

/* e^|x| / 8 as a pair, and its reciprocal over 64: halves that neither overflows nor cancels. */
TF_FN void tf_half_exponentials(V x, V &h, V &l, V &down) {
  V n, f, r;
  tf_exp_split(tf_at_most(tf_c(TF_K(90, 711)), tf_abs(x)), tf_c(0), n, f, r);
  const V scale = tf_pow2(n - (T)3);
  tf_one_more(f, r, h, l);
  h = h * scale;
  l = l * scale;
  const V inverse = tf_c(0x1p-6) / h;
  down = inverse - inverse * inverse * l * (T)64;
}

TF_FN V tf_cosh(V x) {
  V h, l, down;
  tf_half_exponentials(x, h, l, down);
  return (h + (down + l)) * (T)4;
}

TF_FN V tf_sinh(V x) {
  V h, l, down;
  tf_half_exponentials(x, h, l, down);
  const V z = x * x, far = h - down, y = (far + (h - far - down + l)) * (T)4;
#if TF_DOUBLE
  const V near = x + x * z * tf_poly(z, 0x1.555555555555bp-3, 0x1.111111110eafp-7,
                                        0x1.a01a01b4ec057p-13, 0x1.71ddeaf7cb874p-19,
                                        0x1.af76ee670f42cp-26);
#else
  const V near = x + x * z * tf_poly(z, 0x1.555556p-3, 0x1.110fccp-7, 0x1.a2b926p-13);
#endif
  const V ax = tf_abs(x);
  return ax < (T)0.35 ? near : tf_with_sign(y, tf_sign_bits(x));
}

TF_FN V tf_tanh(V x) {
  const V ax = tf_abs(x), z = ax * ax;
#if TF_DOUBLE
  const V near = ax + ax * z * tf_poly(z, -0x1.555555555554dp-2, 0x1.11111111104acp-3,
                                          -0x1.ba1ba1b950316p-5, 0x1.664f484eda1c4p-6,
                                          -0x1.226e2dad575p-7, 0x1.d6d261465de5fp-9,
                                          -0x1.7d8cd29a63a6cp-10, 0x1.346a74b01ecd3p-11,
                                          -0x1.e86a867a8dff9p-13, 0x1.5a7c187341ccep-14,
                                          -0x1.3fa2eb6716b4ap-16);
#else
  const V near = ax + ax * z * tf_poly(z, -0x1.55554ap-2, 0x1.110cd8p-3, -0x1.b9188p-5,
                                          0x1.58a534p-6, -0x1.97779p-8);
#endif
  const V e = tf_exp(tf_at_most(tf_c(TF_K(20, 40)), ax + ax));
  const V far = (T)1 - (T)2 / (e + (T)1);
  return tf_with_sign(ax < (T)0.55 ? near : far, tf_sign_bits(x));
}

/* ---- the logistic family ---- */

/* 1 / (1 + e^-x) = n / (1 + e), e = e^-|x|, n = 1 or e; `lower` times as large where x < 0. */
TF_FN V tf_sigmoid_lifted(V x, V &lower) {
  V n, n_lo;
  tf_exp_lifted(-tf_abs(x), tf_c(0), n, n_lo);
  const M left = x < 0;
  const V e = n * tf_c(TF_LOWER), e_lo = n_lo * tf_c(TF_LOWER), d = e + (T)1;
  const V d_lo = (T)1 - d + e + e_lo;
  lower = left ? tf_c(TF_LOWER) : tf_c(1);
  const V y = (left ? n : tf_c(1)) / d, share = y * lower;
  return y + ((left ? n_lo : tf_c(0)) - y * d_lo) * (left ? (T)1 - share : share);
}

TF_FN V tf_sigmoid(V x) {
  V lower;
  const V y = tf_sigmoid_lifted(x, lower);
  return y * lower;
}

/* x sigmoid(x); below the clamp it is -0. */
TF_FN V tf_silu(V x) {
  const V bounded = tf_at_least(tf_c(TF_K(-110, -752)), x);
  V lower;
  const V y = tf_sigmoid_lifted(bounded, lower);
  return bounded * y * lower;
}

/* ---- logarithms ---- */

/* What log gives where its argument is not a finite number above 0. */
TF_FN V tf_log_edges(V x, V y) {
  const V edge = x == 0 ? tf_c(-TF_INF) : x < 0 ? tf_c(TF_NAN) : x;
  return ((x > 0) & (x < tf_c(TF_INF))) ? y : edge;
}

/* e log 2 + log(1 + f) + more, |more| small. */
TF_FN V tf_log_sum(V e, V f, V more) {
  const V half = f * f * (T)0.5;
  /* log 2 in two parts, e times the first exact */
  const V tail = e * tf_c(TF_K(0x1.2fefa2p-17, 0x1.a39ef35793c76p-33)) + more;
  const V low = tf_log_series(f, half) + tail;
  return e * tf_c(TF_K(0x1.62e3p-1, 0x1.62e42feep-1)) - (half - low - f);
}

/* About 1 / (1 + f), to 1/25, for log's f. */
TF_FN V tf_log_slope(V f) { return tf_poly(f, 1, -1, 0.85); }

/* log(u + l) for finite u > 0, l at most an ULP of u. */
TF_FN V tf_log_pair(V u, V l) {
  V m, e;
  tf_split(u, m, e);
  const V f = m - (T)1;
  const V scaled = l * tf_pow2(-tf_at_most(tf_c(TF_K(60, 120)), e));
  return tf_log_sum(e, f, scaled * tf_log_slope(f));
}

/* log(1 + x + c) for finite x > -1, c at most an ULP of x. */
TF_FN V tf_log1p_pair(V x, V c) {
  V u, l, m, e;
  tf_add_pair(tf_c(1), x, u, l);
  tf_split(u, m, e);
  const M near = e == 0;
  const V f = near ? x : m - (T)1;
  const V scaled = (l + c) * tf_pow2(-tf_at_most(tf_c(TF_K(60, 120)), e));
  return tf_log_sum(e, f, (near ? c : scaled) * tf_log_slope(f));
}

TF_FN V tf_log1p(V x) {
  const V y = tf_log1p_pair(x, tf_c(0));
  const V edge = x == (T)-1 ? tf_c(-TF_INF) : x < (T)-1 ? tf_c(TF_NAN) : x;
  return ((x > (T)-1) & (x < tf_c(TF_INF)) & (x != 0)) ? y : edge;
}

/* log(1 + e^x) */
TF_FN V tf_softplus(V x) {
  V e, e_lo;
  tf_exp_lifted(-tf_abs(x), tf_c(0), e, e_lo);
  return tf_relu(x) + tf_log1p_pair(e * tf_c(TF_LOWER), e_lo * tf_c(TF_LOWER));
}

/* The logarithm to a base with 1 / log(base) = by + by_lo, where the products of e, and of upper
 * halves, with the first words are exact. per_two + per_two_lo is the logarithm of 2. */
TF_FN V tf_log_base(V x, V by, V by_lo, V per_two, V per_two_lo) {
  V m, e;
  tf_split(x, m, e);
  const V f = m - (T)1, half = f * f * (T)0.5, rest = tf_log_series(f, half) - half;
  const V upper = tf_upper(f), p = upper * by, whole = e * per_two, y = whole + p;
  const V low = (f - upper) * by + (f * by_lo + rest * (by + by_lo) + e * per_two_lo);
  return tf_log_edges(x, y + (whole - y + p + low));
}

TF_FN V tf_log2(V x) {
  return tf_log_base(x, tf_c(TF_K(0x1.716p+0, 0x1.7154768p+0)),
                     tf_c(TF_K(-0x1.7135a8p-13, -0x1.6a3e80f444178p-27)), tf_c(1), tf_c(0));
}

TF_FN V tf_log10(V x) {
  return tf_log_base(x, tf_c(TF_K(0x1.bccp-2, 0x1.bcb7b18p-2)),
                     tf_c(TF_K(-0x1.09d5b2p-15, -0x1.6c8d78e6acaa4p-29)),
                     tf_c(TF_K(0x1.344p-2, 0x1.34413509f8p-2)),
                     tf_c(TF_K(0x1.3509f8p-18, -0x1.80433b83b532ap-44)));
}

/* ---- inverse hyperbolic functions ---- */

/* sqrt(h + l) as a pair. */
TF_FN void tf_sqrt_pair(V h, V l, V &root, V &root_lo) {
  V p, p_lo;
  root = tf_sqrt(h);
  tf_mul_pair(root, root, p, p_lo);
  root_lo = root > 0 ? (h - p - p_lo + l) * (T)0.5 / root : tf_c(0);
}

/* Beyond it sqrt(x^2 + 1) is |x|; squares are finite below. */
#define TF_LONG TF_K(0x1p30, 0x1p60)

TF_FN V tf_asinh(V x) {
  const V ax = tf_abs(x), z = ax * ax;
#if TF_DOUBLE
  const V near = ax + ax * z * tf_poly(z, -0x1.5555555555541p-3, 0x1.333333333074ap-4,
                                          -0x1.6db6db6ba52fcp-5, 0x1.f1c71ba92c973p-6,
                                          -0x1.6e8b8c96c94e9p-6, 0x1.1c4d2e8ad7f99p-6,
                                          -0x1.c972d1994028bp-7, 0x1.79412f4245978p-7,
                                          -0x1.3866b00e87d7fp-7, 0x1.e92efa605056fp-8,
                                          -0x1.36fe4ca2cc088p-8, 0x1.c1f962deee16bp-10);
#else
  const V near = ax + ax * z * tf_poly(z, -0x1.555536p-3, 0x1.3324ecp-4, -0x1.6b94a8p-5,
                                          0x1.cd5356p-6, -0x1.b10452p-7);
#endif
  const M big = ax > tf_c(TF_LONG);
  const V a = big ? tf_c(1) : ax;
  V h, l, w, w_lo, root, root_lo, u, u_lo;
  tf_mul_pair(a, a, h, l);
  tf_add_pair(h, tf_c(1), w, w_lo);
  tf_sqrt_pair(w, w_lo + l, root, root_lo);
  tf_add_pair(a, root, u, u_lo);
  const V finite = tf_at_most(tf_c(TF_MAX), ax);
  const V far = tf_log_pair(big ? finite : u, big ? tf_c(0) : u_lo + root_lo);
  const V y = ax < (T)0.5 ? near : big ? far + tf_c(0x1.62e42fefa39efp-1) : far;
  return ax < tf_c(TF_INF) ? tf_with_sign(y, tf_sign_bits(x)) : x;
}

TF_FN V tf_acosh(V x) {
  const M big = x > tf_c(TF_LONG);
  const V a = big ? tf_c(2) : x, t = a - (T)1;
  V h, l, d, d_lo, root, root_lo, g, g_lo;
  tf_add_pair(a, tf_c(1), d, d_lo);
  tf_mul_pair(t, d, h, l);
  tf_sqrt_pair(h, l + t * d_lo, root, root_lo);
  tf_add_pair(t, root, g, g_lo);
  const V near = tf_log1p_pair(g, g_lo + root_lo);
  const V far = tf_log(x) + tf_c(0x1.62e42fefa39efp-1);
  return x < 1 ? tf_c(TF_NAN) : big ? far : near;
}

TF_FN V tf_atanh(V x) {
  const V ax = tf_abs(x);
  V d, d_lo, p, p_lo;
  tf_add_pair(tf_c(1), -ax, d, d_lo);
  const V q = (ax + ax) / d;
  tf_mul_pair(q, d, p, p_lo);
  const V q_lo = (ax + ax - p - p_lo - q * d_lo) / d;
  const V y = tf_log1p_pair(q, q_lo) * (T)0.5;
  const V edge = ax == 1 ? tf_c(TF_INF) : ax < 1 ? ax : tf_c(TF_NAN);
  return tf_with_sign(((ax > 0) & (ax < 1)) ? y : edge, tf_sign_bits(x));
}

#endif
