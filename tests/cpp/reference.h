/* What functions mean that the C library lacks, in a type longer than the one under test.
 *
 * In go numbers of Ref, out come values right to a few of its units. Written from the definitions:
 * nothing of the prelude is read.
 */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <cmath>

namespace reference {

typedef long double Real;
const Real PI = 3.14159265358979323846264338327950288L;
const Real HALF_ROOT = 0.707106781186547524400844362104849039L; /* of 1/2 */

inline Real rsqrt(Real x) { return x == 0 ? 0 : 1 / std::sqrt(x); }
inline Real xlogx(Real x) { return x == 0 ? 0 : x * std::log(x); }
inline Real sinxdivx(Real x) { return x == 0 ? 1 : std::sin(x) / x; }
inline Real sign(Real x) { return x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x; }
inline Real step(Real x) { return x < 0 ? 0 : x >= 0 ? 1 : x; }
inline Real relu(Real x) { return x < 0 ? 0 : x; }

/* By its series where the difference would cancel. */
inline Real sinxdivx_prime(Real x) {
  if (x == 0) return -x;
  if (std::fabs(x) >= 1) return (std::cos(x) - std::sin(x) / x) / x;
  Real term = -x / 3, sum = 0;
  for (int k = 1; k < 14; k++) {
    sum += term;
    term *= -x * x * (k + 1) / ((Real)k * (2 * k + 2) * (2 * k + 3));
  }
  return sum;
}

inline Real sigmoid(Real x) {
  return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
}
inline Real softplus(Real x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}
inline Real silu(Real x) { return std::isinf(x) && x < 0 ? (Real)-0.0 : x * sigmoid(x); }

/* erfc(-x / sqrt(2)) / 2; the second word of the quotient enters by the slope of log erfc. */
inline Real normcdf(Real x) {
  if (std::isinf(x)) return x > 0;
  const Real upper = (Real)(float)HALF_ROOT, lower = HALF_ROOT - upper;
  const Real s = -x * (upper + lower), off = -x * upper - s + -x * lower;
  const Real y = std::erfc(s) / 2;
  return y == 0 || s < 1 ? y : y - off * std::exp(-s * s) / std::sqrt(PI);
}
inline Real gelu(Real x) { return std::isinf(x) && x < 0 ? (Real)-0.0 : x * normcdf(x); }

/* The sine of pi x. */
inline Real sinpi(Real x) {
  const Real r = x - 2 * std::floor(x / 2 + 0.5L); /* in [-1, 1) */
  return std::fabs(r) <= 0.5L ? std::sin(PI * r) : std::sin(PI * ((r < 0 ? -1 : 1) - r));
}

inline Real sinc(Real x) {
  return x == 0 ? 1 : std::isinf(x) ? (Real)NAN : sinpi(x) / (PI * x) + 0.0L;
}

inline Real cotpi(Real x) { return sinpi(x + 0.5L) / sinpi(x); }

/* B(2 k), k = 1, 2, ... */
const Real BERNOULLI[] = {1 / 6.L,        -1 / 30.L,   1 / 42.L,       -1 / 30.L,
                          5 / 66.L,       -691 / 2730.L, 7 / 6.L,      -3617 / 510.L,
                          43867 / 798.L,  -174611 / 330.L};

inline Real digamma(Real x) {
  if (x == 0) return -1 / x;
  if (std::isinf(x)) return x > 0 ? x : NAN;
  if (x < 0) return x == std::floor(x) ? (Real)NAN : digamma(1 - x) - PI * cotpi(x);
  Real sum = 0;
  for (; x < 24; x++) sum -= 1 / x;
  Real series = 0, power = 1;
  for (int k = 1; k <= 10; k++) {
    power /= x * x;
    series += BERNOULLI[k - 1] * power / (2 * k);
  }
  return std::log(x) - 1 / (2 * x) - series + sum;
}

/* (-1)^(n+1) n! times the sum over k >= 0 of (x + k)^-(n+1), n >= 1, by Euler and Maclaurin. */
inline Real polygamma(int n, Real x) {
  if (std::isnan(x) || (std::isinf(x) && x < 0)) return NAN;
  Real sum = 0, factor = 1;
  for (int k = 2; k <= n; k++) factor *= k;
  if (std::isinf(x)) return n % 2 ? (Real)0.0 : (Real)-0.0;
  for (; x < 40; x++) sum += std::pow(x, -(Real)(n + 1));
  sum += std::pow(x, -(Real)n) / n + std::pow(x, -(Real)(n + 1)) / 2;
  Real term = (n + 1) * std::pow(x, -(Real)(n + 2)) / 2;
  for (int k = 1; k <= 10; k++) {
    sum += BERNOULLI[k - 1] * term;
    term *= (Real)(n + 2 * k) * (n + 2 * k + 1) / ((2 * k + 1) * (2 * k + 2)) / (x * x);
  }
  return n % 2 ? factor * sum : -factor * sum;
}

}  // namespace reference

#endif
