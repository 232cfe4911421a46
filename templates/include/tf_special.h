/* The tangent, the cube root, hypot, fmod, the error function and its kin, and lgamma. Part of
 * tf_cpu.h; pairs of words are those of tf_pairs.h.
 *
 * Within 2 ULP of the exact value (lgamma: 3, or 4 of its terms below 0), and right at
 * zeros, infinities and NaN.
 */
#ifndef TF_SPECIAL_H
#define TF_SPECIAL_H

/* ---- tangent ---- */

TF_COLD void tf_tan_far(const V &x, V &y) {
  for (int l = 0; l < W; l++)
    if (!(__builtin_fabs(x[l]) <= TF_FAR)) y[l] = (T)__builtin_tan(x[l]);
}

TF_FN V tf_tan(V x) {
  const V ax = tf_abs(x);
  V r, r_lo;
  VI q;
  tf_quarters(ax, r, r_lo, q);
  const V z = r * r;
#if TF_DOUBLE
  const V p = tf_poly(z, 0x1.555555555555ep-2, 0x1.11111111105b5p-3, 0x1.ba1ba1bac1323p-5,
                         0x1.664f485cb61c6p-6, 0x1.226e3a8e6aa59p-7, 0x1.d6d2e5d515523p-9,
                         0x1.7db1a4aec9422p-10, 0x1.34bb722bfb9e5p-11, 0x1.ff3533abc3158p-13,
                         0x1.5e6487dd47951p-14, 0x1.1a0234eca542cp-14, -0x1.adf4942bbfe53p-16,
                         0x1.97c74a0f97ef3p-15, -0x1.96e2bd83300e6p-16, 0x1.4892c2aa87bafp-17);
#else
  const V p = tf_poly(z, 0x1.555562p-2, 0x1.110d22p-3, 0x1.baee32p-5, 0x1.5bf8e4p-6,
                         0x1.66abfcp-7, -0x1.86ae5cp-15, 0x1.231d32p-8);
#endif
  /* tan(r + r_lo) = t + t_lo, and the cotangent of odd quarters with a second word too */
  const V w = r * z * p + r_lo * ((z * (T)0.6666667 + (T)1) * z + (T)1);
  const V t = r + w, t_lo = r - t + w, inverse = (T)-1 / t;
  V h, l;
  tf_mul_pair(inverse, t, h, l);
  const V off = h + (T)1 + l + inverse * t_lo;
  V y = (q & 1) != 0 ? inverse + inverse * off : t;
  y = (V)((VI)y ^ tf_sign_bits(x));
  if (__builtin_expect(tf_any(tf_is_far(ax)), 0)) tf_tan_far(x, y);
  return y;
}

/* ---- roots of sums and products ---- */

/* x = 2^(3 q) m 2^k, k = -1, 0, 1; a guess of few bits, whose cube is exact, and what is left of
 * the cube root of 1 + d by its series. */
TF_FN V tf_cbrt(V x) {
  const V ax = tf_abs(x);
  V m, e;
  tf_split(ax, m, e);
  const V rounder = tf_c(TF_K(0x1.8p23, 0x1.8p52));
  const V q = e * tf_c(1.0 / 3) + rounder - rounder, k = e - q * (T)3;
  const V root = k > 0 ? tf_c(0x1.428a2f98d728bp+0) : k < 0 ? tf_c(0x1.965fea53d6e3dp-1) : tf_c(1);
#if TF_DOUBLE
  const V guess = tf_poly(m, 0x1.97eba01ddcf7ep-2, 0x1.3270fb6d26153p0, -0x1.2fdc7e9af798cp0,
                             0x1.f127c9ee1becap-1, -0x1.0793a849a0103p-1, 0x1.3ef08ae78e52ep-3,
                             -0x1.4de246e9169f4p-6);
#else
  const V guess = tf_poly(m, 0x1.f854b2p-2, 0x1.7abbcep-1, -0x1.2957ecp-2, 0x1.dcee3cp-5);
#endif
  const V g = (V)((VI)(guess * root) & (tf_int)TF_K(-0x10000, -0x1000000000ll));
  const V scaled = k > 0 ? m + m : k < 0 ? m * (T)0.5 : m, cube = g * g * g;
  const V d = (scaled - cube) / cube;
  const V more = d * tf_poly(d, 1.0 / 3, -1.0 / 9, 5.0 / 81, -10.0 / 243, 22.0 / 729);
  const V y = tf_with_sign((g + g * more) * tf_pow2(q), tf_sign_bits(x));
  return ((ax > 0) & (ax < tf_c(TF_INF))) ? y : x;
}

/* What C's hypot gives: infinite beside NaN too. */
TF_FN V tf_hypot(V x, V y) {
  const V ax = tf_abs(x), ay = tf_abs(y), inf = tf_c(TF_INF), top = ax > ay ? ax : ay;
  const M large = top > tf_c(TF_K(0x1p60, 0x1p500)), small = top < tf_c(TF_K(0x1p-50, 0x1p-450));
  const V up = tf_c(TF_K(0x1p80, 0x1p600)), down = tf_c(TF_K(0x1p-80, 0x1p-600));
  const V shrink = large ? down : small ? up : tf_c(1), grow = large ? up : small ? down : tf_c(1);
  const V a = ax * shrink, b = ay * shrink, r = tf_sqrt(a * a + b * b) * grow;
  return ((ax == inf) | (ay == inf)) ? inf : r;
}

TF_COLD void tf_fmod_far(const V &x, const V &y, V &r) {
  for (int l = 0; l < W; l++)
    if (__builtin_fabs(x[l]) < TF_INF && !(__builtin_fabs(x[l] / y[l]) < TF_K(0x1p22, 0x1p51)))
      r[l] = (T)__builtin_fmod(x[l], y[l]);
}

/* x - y trunc(x / y), exactly: the quotient may be off by one, but x minus its product is a T. */
TF_FN V tf_fmod(V x, V y) {
  const V ax = tf_abs(x), ay = tf_abs(y), ratio = ax / ay, q = tf_trunc(ratio);
  V h, l;
  tf_mul_pair(q, ay, h, l);
  V r = ax - h - l;
  r = r < 0 ? r + ay : r;
  r = r >= ay ? r - ay : r;
  r = ax < ay ? ax : r;
  r = tf_with_sign(r, tf_sign_bits(x));
  const M far = tf_and_m(ax < tf_c(TF_INF), tf_not_m(ratio < tf_c(TF_K(0x1p22, 0x1p51))));
  if (__builtin_expect(tf_any(far), 0)) tf_fmod_far(x, y, r);
  return r;
}

/* ---- the error function ---- */

/* erf for |x| < 15/16. */
TF_FN V tf_erf_near(V x) {
  const V z = x * x;
#if TF_DOUBLE
  return x + x * tf_poly(z, 0x1.06eba8214db68p-3, -0x1.812746b0379dap-2, 0x1.ce2f21a04217dp-4,
                            -0x1.b82ce31252a28p-6, 0x1.565bcd0554006p-8, -0x1.c02db2327ac65p-11,
                            0x1.f9a2ecc78d87p-14, -0x1.f4cd85379cf76p-17, 0x1.b9a1c37db3facp-20,
                            -0x1.5ce5278be21cdp-23, 0x1.dd830bd717dd8p-27,
                            -0x1.c01a01f341aedp-31);
#else
  return x + x * tf_poly(z, 0x1.06eba8p-3, -0x1.81274p-2, 0x1.ce2d6p-4, -0x1.b8008ep-6,
                            0x1.5443dap-8, -0x1.a5d01ap-11, 0x1.4eac6cp-14);
#endif
}

/* An odd polynomial near 0, then 1 - 2^p. */
TF_FN V tf_erf(V x) {
  const V ax = tf_abs(x), a = tf_at_most(tf_c(TF_K(3.95, 5.95)), ax);
#if TF_DOUBLE
  const V p = tf_poly(a, -0x1.84dac455230f7p-22, -0x1.a0be43255a0a6p0, -0x1.d6415637d631cp-1,
                         -0x1.2f89a34bf1591p-3, 0x1.c22b9995858ep-6, 0x1.fa93c2afacb5bp-12,
                         -0x1.5b4e7349661b8p-9, 0x1.0b2879000e1cap-10, -0x1.1d3120d881a38p-13,
                         -0x1.ec4bdf9ec075cp-15, 0x1.759d5e6b08ec1p-15, -0x1.0dfa4be1bc568p-16,
                         0x1.0857641dbae3bp-18, -0x1.7491c830b8549p-21, 0x1.781d9d5978b2p-24,
                         -0x1.03b25a4e8c26ap-27, 0x1.b8cfde249b8f2p-32, -0x1.5b574752b4b13p-37);
#else
  const V p = tf_poly(a, -0x1.0ca16ep-12, -0x1.a082f4p0, -0x1.d6922cp-1, -0x1.33640ap-3,
                         0x1.074742p-5, -0x1.20e45ap-8, 0x1.2a4548p-12);
#endif
  const V far = tf_with_sign((T)1 - tf_exp2(p), tf_sign_bits(x));
  return ax < tf_c(0.9375) ? tf_erf_near(x) : far;
}

/* 2^TF_LIFT erfc(s + s_lo) for s > 0.4, where h + l is the square of s + s_lo: e^-(h + l) times a
 * polynomial in (s - 3) / (s + 3) over 1 + 2 s (after M. M. Shepherd and J. G. Laframboise, Math.
 * Comp. 36, 1981), with second words. */
TF_FN V tf_erfc_lifted(V s, V s_lo, V h, V l) {
  const V t = (s - (T)3) / (s + (T)3);
#if TF_DOUBLE
  const V g = tf_poly(t, 0x1.03148b5f9261dp-2, -0x1.15c084bb9e8eep-3, -0x1.85a15c58aa6b6p-5,
                         0x1.098366a5b445ap-3, -0x1.e88b803a4768fp-4, 0x1.17ca2877fc31bp-4,
                         -0x1.8574c40c7c90ap-6, 0x1.4b884e2bf524ep-9, 0x1.ef1bddce396d1p-10,
                         -0x1.98db4d68d472p-11, -0x1.b912b0aa6f447p-14, 0x1.0659dfa3b309dp-13,
                         0x1.4c35699febb01p-18, -0x1.5130cbb9b5a2fp-16, -0x1.89c7f48953fdp-21,
                         0x1.d133ae58b8b2ep-19, 0x1.81fca9246d1f3p-22, -0x1.452f4db259043p-21,
                         -0x1.32b3da86320eap-23, 0x1.82d2daa4a9eadp-24, 0x1.5a98517da1bf6p-25,
                         -0x1.9fe89ffd206ecp-28, -0x1.ae292b9907958p-28, -0x1.08d878882704p-30);
#else
  const V g = tf_poly(t, 0x1.03148cp-2, -0x1.15c08ap-3, -0x1.85a342p-5, 0x1.0983ecp-3,
                         -0x1.e87c3cp-4, 0x1.17c804p-4, -0x1.86cccp-6, 0x1.46dd7ap-9,
                         0x1.0eaca6p-9, -0x1.4c303p-11, -0x1.b2614cp-13);
#endif
  const V n = g + (T)1, n_lo = (T)1 - n + g;
  V d, d_lo, p, p_lo, e, e_lo;
  tf_add_pair(s + s, tf_c(1), d, d_lo);
  const V inverse = (T)1 / d, q = tf_product(n, inverse);
  tf_mul_pair(q, d, p, p_lo);
  const V q_lo = (n - p - p_lo + (n_lo - q * (d_lo + s_lo + s_lo))) * inverse;
  tf_exp_lifted(-h, -l, e, e_lo);
  tf_mul_pair(e, q, p, p_lo);
  return p + (p_lo + (e * q_lo + e_lo * q));
}

TF_FN V tf_erfc(V x) {
  const V ax = tf_abs(x), s = tf_at_most(tf_c(TF_K(10.5, 27.5)), ax);
  V h, l;
  tf_mul_pair(s, s, h, l);
  const V y = tf_erfc_lifted(s, tf_c(0), h, l) * tf_c(TF_LOWER);
  return ax < (T)0.4375 ? (T)1 - tf_erf_near(x) : x < 0 ? (T)2 - y : y;
}

/* The cumulative distribution of a normal variable, erfc(-x / sqrt(2)) / 2; `lower` times as large
 * where x < 0. */
TF_FN V tf_normcdf_lifted(V x, V &lower) {
  const V a = tf_at_most(tf_c(TF_K(14.8, 38.8)), tf_abs(x));
  V h, l, s, s_lo;
  tf_mul_pair(a, a, h, l);
  tf_mul_pair(a, tf_c(TF_K(0x1.6a09e6p-1, 0x1.6a09e667f3bcdp-1)), s, s_lo);
  s_lo = s_lo + a * tf_c(TF_K(0x1.9fcef4p-27, -0x1.bdd3413b26456p-55));
  const V y = tf_erfc_lifted(s, s_lo, h * (T)0.5, l * (T)0.5) * (T)0.5;
  const V erf = tf_erf_near(s) * (T)0.5;
  const M left = x < 0, near = s < (T)0.4375;
  lower = left ? tf_c(TF_LOWER) : tf_c(1);
  const V lifted = near ? ((T)0.5 - erf) * (T)0x1p64 : y;
  return left ? lifted : near ? erf + (T)0.5 : (T)1 - y * tf_c(TF_LOWER);
}

TF_FN V tf_normcdf(V x) {
  V lower;
  const V y = tf_normcdf_lifted(x, lower);
  return y * lower;
}

/* x normcdf(x); below the clamp it is -0. */
TF_FN V tf_gelu(V x) {
  const V bounded = tf_at_least(tf_c(TF_K(-20, -50)), x);
  V lower;
  const V y = tf_normcdf_lifted(bounded, lower);
  return bounded * y * lower;
}

/* ---- log |gamma| ---- */

/* (y - 1/2) log y - y + log(2 pi) / 2 and its tail, for y >= 5 in f32 and 9 in f64 (Stirling). */
TF_FN V tf_stirling(V y, V f, V e) {
  const V w = (T)1 / (y * y), by_two = tf_c(TF_K(0x1.62e3p-1, 0x1.62e42feep-1));
#if TF_DOUBLE
  const V tail = tf_poly(w, 0x1.5555555555551p-4, -0x1.6c16c16bc96d2p-9, 0x1.a019fe8bb1033p-11,
                            -0x1.3810219f46ec9p-11, 0x1.b782edd79e6f7p-11,
                            -0x1.ba053e256159bp-10);
#else
  const V tail = tf_poly(w, 0x1.555554p-4, -0x1.6bf80ep-9, 0x1.89c38cp-11);
#endif
  /* log y as a sum whose first word is exact but for one rounding */
  const V half = f * f * (T)0.5, whole = e * by_two, h = whole + f;
  const V low = e * tf_c(TF_K(0x1.2fefa2p-17, 0x1.a39ef35793c76p-33));
  const V rest = whole - h + f + (tf_log_series(f, half) - half + low);
  const V a = h - (T)1 + rest, a_lo = h - (T)1 - a + rest, b = y - (T)0.5;
  return b * a + (b * a_lo + tf_c(0x1.acfe390c97d69p-2) + tail / y);
}

/* With b = |x|, or x - 1 from x = 1/2 on: log gamma(1 + b) is t times a polynomial, t = b below
 * 7/16, else the rest that b leaves when it is lowered to at most 3/2, less 1, plus the log of the
 * factors on the way; or Stirling's series. The recurrence and the reflection formula lead from
 * there to x. */
TF_FN V tf_lgamma(V x) {
  const V ax = tf_abs(x);
  const M right = x >= (T)0.5, left = x < 0;
  V b = right ? x - (T)1 : ax, product = tf_c(1);
  const M big = b >= tf_c(TF_K(4, 8)), first = b < (T)0.4375;
  b = big ? tf_c(0) : b;
  for (int k = 1; k < TF_K(4, 8); k++) {
    const M more = b >= (T)1.5;
    product = more ? product * b : product;
    b = more ? b - (T)1 : b;
  }
  const V t = first ? b : b - (T)1;
#if TF_DOUBLE
  const V one = t * tf_poly(t, -0x1.2788cfc6fb619p-1, 0x1.a51a6625307d2p-1,
                               -0x1.9a4d55beab2d3p-2, 0x1.151322ac7dd96p-2,
                               -0x1.a8b9c17aa6f8fp-3, 0x1.5b40cb0f991d3p-3,
                               -0x1.2703a1dc66a5ap-3, 0x1.010b36d3eb925p-3,
                               -0x1.c80670b3b1176p-4, 0x1.9a01d68421053p-4,
                               -0x1.748c28a8146ddp-4, 0x1.556c4aab913ddp-4,
                               -0x1.3b1e8620e52cdp-4, 0x1.247b2dbd6df47p-4,
                               -0x1.1105a52401c0dp-4, 0x1.016bb3dcbb948p-4,
                               -0x1.e2dd4b2934a8ap-5, 0x1.ad27057b60247p-5,
                               -0x1.a9b11c32a9486p-5, 0x1.200ed0d40e5adp-4,
                               -0x1.94d2b9580b408p-5, -0x1.6af90668510d6p-5,
                               -0x1.7077220842c5p-5, 0x1.368cfd0d1f18cp-2, -0x1.dbea8f5138405p-7,
                               -0x1.aebe53976b7aap-2, -0x1.9ae7011614482p-4,
                               0x1.ae61e991f662bp-2);
#else
  const V one = t * tf_poly(t, -0x1.2788dp-1, 0x1.a51a64p-1, -0x1.9a4cb8p-2, 0x1.1514ap-2,
                               -0x1.a8ff7ap-3, 0x1.5aee1p-3, -0x1.2162bcp-3, 0x1.057308p-3,
                               -0x1.196e18p-3, 0x1.57fffap-4, 0x1.c3910cp-6, 0x1.2696d8p-3,
                               -0x1.34c9dcp-2);
#endif
#if TF_DOUBLE
  const V two = t * tf_poly(t, 0x1.b0ee6072093cep-2, 0x1.4a34cc4a60fa6p-2, -0x1.13e001a55754p-4,
                               0x1.51322ac7d8a0fp-6, -0x1.e404fc21d8c32p-8, 0x1.7add6eacd7de7p-9,
                               -0x1.38ac5c01bba7ap-10, 0x1.0b36b001285c8p-11,
                               -0x1.d3fd64faecceep-13, 0x1.a127689e588d8p-14,
                               -0x1.78da58f02c551p-15, 0x1.581a2b40719d1p-16,
                               -0x1.3d1f2a7e99976p-17, 0x1.245382c39ac6cp-18,
                               -0x1.0c3f7cafdec3p-19, 0x1.14071b122605bp-20,
                               -0x1.19084e17d40a1p-21, 0x1.e67ae68b83489p-25,
                               -0x1.de601f786a2c6p-25, 0x1.9a6b5ad1aefbdp-23);
#else
  const V two = t * tf_poly(t, 0x1.b0ee6p-2, 0x1.4a34c8p-2, -0x1.13df1ep-4, 0x1.514006p-6,
                               -0x1.e522dap-8, 0x1.74ccdcp-9, -0x1.1b70d8p-10, 0x1.8a8afcp-11,
                               -0x1.e4983p-12, -0x1.53f3f8p-12);
#endif
  const V core = first ? one : two;
  const V r = tf_off_whole(ax), sine = tf_abs(tf_sinpi(r)); /* over pi */
  const V q = big ? (right ? x : ax + (T)1) : right ? product : left ? product * sine : ax;
  const V bounded = ((q > 0) & (q < tf_c(TF_INF))) ? q : tf_c(1);
  V m, e;
  tf_split(bounded, m, e);
  const V f = m - (T)1, log = tf_log_sum(e, f, tf_c(0));
  V y = right ? core + log : left ? -(core + log) : core - log;
  y = big ? tf_stirling(q, f, e) : y;
  const M deep = big & left;
  if (__builtin_expect(tf_any(deep), 0)) y = deep ? -(y + tf_log(sine)) : y;
  const M pole = tf_or_m(x == 0, tf_or_m(ax == tf_c(TF_INF), tf_and_m(left, r == 0)));
  return pole ? tf_c(TF_INF) : y;
}

#endif
