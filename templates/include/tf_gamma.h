/* digamma, polygamma and the normalised cardinal sine, for lanes of a CPU and for a CUDA thread
 * alike: the text uses only what V, M and T have in both preludes.
 *
 * digamma is within 4 ULP, or 10 of the terms of its reflection formula below 0, where its zeros
 * lie between poles. polygamma of order n is within 4 + 2 n ULP above 0. The results are right at
 * zeros, poles, infinities and NaN.
 */
#ifndef TF_GAMMA_H
#define TF_GAMMA_H

/* sin(pi r) / pi, |r| <= 1/2 */
TF_FN V tf_sinpi(V r) {
  const V z = r * r;
#if TF_DOUBLE
  return r + r * z * tf_poly(z, -0x1.a51a6625307d3p0, 0x1.9f9cb402bc429p-1,
                                -0x1.86a8e4720a1d8p-3, 0x1.ac6805cc89666p-6,
                                -0x1.33816997a4a98p-9, 0x1.3746a17be2465p-13,
                                -0x1.d3e6a056c38c7p-18, 0x1.074333c9b1a76p-22);
#else
  return r + r * z * tf_poly(z, -0x1.a51a66p0, 0x1.9f9ca6p-1, -0x1.86a584p-3, 0x1.abb33ap-6,
                                -0x1.226326p-9);
#endif
}

/* x less the nearest whole number, for x >= 0. */
TF_FN V tf_off_whole(V x) {
  return x < tf_c(TF_K(0x1p23, 0x1p52)) ? x - tf_floor(x + tf_c(0.5)) : tf_c(0) * x;
}

/* sin(pi x) / (pi x), +0 at whole numbers; within 2 ULP. */
TF_FN V tf_sinc(V x) {
  const V ax = tf_abs(x), r = tf_off_whole(ax), half = (ax - r) * tf_c(0.5);
  const V sine = tf_sinpi(r) / ax;
  return x == tf_c(0) ? tf_c(1) : (tf_floor(half) == half ? sine : -sine) + tf_c(0);
}

/* With a = |x|, or x - 1 from x = 1 on: psi(1 + a) is (t - t0) times a polynomial in the fraction
 * t of a, plus 1/a + 1/(a - 1) + ... down to t; or an asymptotic series. The recurrence leads to
 * 0 < x < 1, and psi(x) = psi(1 - x) - pi cot(pi x) to x < 0 (DLMF 5.5, 5.11). */
TF_FN V tf_digamma(V x) {
  const V ax = tf_abs(x);
  const M right = x >= 1, left = x < 0;
  const V a = right ? x - (T)1 : ax;
  const M big = a >= tf_c(TF_K(4, 8));
  /* the fraction n / d gathers reciprocals and the cotangent */
  const V r = tf_off_whole(ax), side = tf_c(0.5) - tf_abs(r);
  const V sine = tf_sinpi(r), cosine = tf_sinpi(side); /* over pi */
  V n = left ? cosine * tf_c(0x1.921fb54442d18p1) : right ? tf_c(0) : tf_c(-1);
  V d = left ? sine : right ? tf_c(1) : ax;
  V t = big ? tf_c(0) : a;
  for (int k = 1; k < TF_K(4, 8); k++) {
    const M more = t >= 1;
    n = more ? n * t + d : n;
    d = more ? d * t : d;
    t = more ? t - tf_c(1) : t;
  }
  const V u = t - tf_c(0.5);
#if TF_DOUBLE
  const V ratio = tf_poly(u, 0x1.e6f0cbb873616p-1, -0x1.b1cb63005ee98p-2, 0x1.eca189b8e6f77p-3,
                             -0x1.2feeeb98a78dp-3, 0x1.8512e5903844cp-4, -0x1.fb44202a253d2p-5,
                             0x1.4de9aa17d6d45p-5, -0x1.b9f8b11b4d9c9p-6, 0x1.2564716157e6ap-6,
                             -0x1.863564123d303p-7, 0x1.03c0b113d0684p-7, -0x1.5a06a2c598a54p-8,
                             0x1.cd1f73527012ap-9, -0x1.336df0c6a7aecp-9, 0x1.99dd3012ce36bp-10,
                             -0x1.0fb1827e89646p-10, 0x1.69e5cde541d2dp-11,
                             -0x1.fda848b72f06fp-12, 0x1.55c3152f28803p-12,
                             -0x1.2f51eef1bc81p-13, 0x1.86f98b9120f77p-14, -0x1.760701d14fbbp-13,
                             0x1.fc78e3e1443a8p-14);
#else
  const V ratio = tf_poly(u, 0x1.e6f0ccp-1, -0x1.b1cb62p-2, 0x1.eca1a2p-3, -0x1.2fef0cp-3,
                             0x1.850a7ep-4, -0x1.fb331ep-5, 0x1.4f0276p-5, -0x1.bbd8eap-6,
                             0x1.150d4p-6, -0x1.6d1ffcp-7, 0x1.700a1ap-7, -0x1.f3f6p-8);
#endif
  /* t0 = 1.4616... - 1 in two words */
  const V off = u - tf_c(TF_K(-0x1.3a4f3ap-5, -0x1.3a4f395283812p-5));
  const V core = (off - tf_c(TF_K(0x1.5af8fep-30, -0x1.e563779a1f5b1p-60))) * ratio;
  const V y = big ? (right ? x : ax + tf_c(1)) : tf_c(TF_K(5, 9)), w = tf_c(1) / (y * y);
#if TF_DOUBLE
  const V tail = tf_poly(w, 0x1.55555555554cap-4, -0x1.1111110f60c48p-7, 0x1.04103a05f91f6p-8,
                            -0x1.110a62351f66dp-8, 0x1.ed3a4d8322524p-8, -0x1.267ecc4d7a0eap-6);
#else
  const V tail = tf_poly(w, 0x1.55554ap-4, -0x1.10da46p-7, 0x1.e1f0e4p-9);
#endif
  const V far = tf_log(y) - (tf_c(0.5) / y + w * tail);
  const V value = (big ? far : core) + n / d;
  const M pole = tf_and_m(x < tf_c(1), r == tf_c(0));
  const V edge = x == tf_c(0) ? tf_c(-1) / x : tf_c(TF_NAN);
  return pole ? edge : x == tf_c(TF_INF) ? x : x == tf_c(-TF_INF) ? tf_c(TF_NAN) : value;
}

/* The n-th derivative of the cotangent in its value c, and the powers of pi that those of
 * cot(pi x) carry: each derivative multiplies the last one's by -(1 + c^2). */
TF_FN V tf_cot_derivative(V c, int n) {
  double q[34] = {0, 1}, factor = 0x1.921fb54442d18p1;
  for (int step = 0; step < n; step++) {
    double next[34] = {};
    for (int k = 1; k <= step + 1; k++) {
      next[k - 1] -= k * q[k];
      next[k + 1] -= k * q[k];
    }
    for (int k = 0; k < 34; k++) q[k] = next[k];
    factor *= 0x1.921fb54442d18p1;
  }
  V sum = tf_c(0);
  for (int k = n + 1; k >= 0; k--) sum = sum * c + tf_c(q[k] * factor);
  return sum;
}

/* (-1)^(n+1) n! times the sum of (x + k)^-(n+1) over k >= 0: term by term up to 5 + n, or 10 + n in
 * f64, and by Euler's summation beyond; the reflection formula leads to x < 0 (DLMF 5.15). `n` is
 * a literal in emitted code. */
TF_FN V tf_polygamma(V x, int n) {
  const double bernoulli[10] = {1.0 / 6,       -1.0 / 30,     1.0 / 42, -1.0 / 30,
                                5.0 / 66,      -691.0 / 2730, 7.0 / 6,  -3617.0 / 510,
                                43867.0 / 798, -174611.0 / 330};
  const V ax = tf_abs(x);
  const M left = x < 0;
  V y = left ? ax + tf_c(1) : x, sum = tf_c(0);
  for (int k = 0; k < n + TF_K(5, 10); k++) {
    const M more = y < tf_c(n + TF_K(5, 10));
    sum = more ? sum + tf_powi(tf_c(1) / y, n + 1) : sum;
    y = more ? y + tf_c(1) : y;
  }
  double factor = 0.5 * (n + 1), factorial = 1;
  for (int k = 2; k <= n; k++) factorial *= k;
  /* n! / y^n, which is subnormal only where the result is */
  const V w = tf_c(1) / y, z = w * w;
  V first = tf_c(factorial);
  for (int k = 0; k < n; k++) first = first * w;
  V tail = tf_c(0), power = first * z;
  for (int k = 1; k <= TF_K(5, 10); k++) {
    tail = tail + tf_c(bernoulli[k - 1] * factor) * power;
    factor *= (n + 2.0 * k) * (n + 2.0 * k + 1) / ((2.0 * k + 1) * (2.0 * k + 2));
    power = power * z;
  }
  sum = tf_c(factorial) * sum + (first * (w * tf_c(0.5) + tf_c(1.0 / n)) + tail);
  V value = n % 2 ? sum : -sum;
  if (tf_any(left)) {
    const V r = tf_off_whole(ax), cot = tf_sinpi(tf_c(0.5) - tf_abs(r)) / tf_sinpi(-r);
    const V turns = tf_cot_derivative(cot, n), mirrored = n % 2 ? -value : value;
    const V pole = tf_c(n % 2 ? TF_INF : TF_NAN);
    const V reflected = r == tf_c(0) ? pole : mirrored - turns;
    value = left ? (ax == tf_c(TF_INF) ? tf_c(TF_NAN) : reflected) : value;
  }
  return value;
}

#endif
