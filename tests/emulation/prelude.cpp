/* Checks the functions that tf_cuda.cuh composes itself against long double, and every function
 * at the special values. The GPU's own exp, log and so on are not the ones that run here.
 *
 *   g++ -std=c++20 -DTF_REAL_T=float -include tests/emulation/tf_emulate.h -I templates/include
 *       tests/emulation/prelude.cpp
 *
 * Exit status: 0 if all hold; else 1, with one line on stdout for each that does not.
 */
#include <cmath>
#include <cstdio>
#include <limits>

#include "../cpp/reference.h"
#include "tf_cuda.cuh"

namespace {

using Limits = std::numeric_limits<T>;
constexpr T INF = Limits::infinity();
constexpr T NOT_A_NUMBER = Limits::quiet_NaN();
int failures = 0;

/* Equal as bits, except that one NaN is as good as another. */
bool same(T a, T b) {
  return (a != a && b != b) || (a == b && std::signbit(a) == std::signbit(b));
}

void expect(const char *what, T got, T wanted) {
  if (same(got, wanted)) return;
  ++failures;
  std::printf("%s is %.9g, not %.9g\n", what, static_cast<double>(got),
              static_cast<double>(wanted));
}
#define EXPECT(expression, wanted) expect(#expression, expression, static_cast<T>(wanted))

/* Distance in units in the last place of the reference. */
double ulps(T got, long double exact) {
  const T near = static_cast<T>(exact);
  const T spacing = std::nextafter(std::fabs(near), INF) - std::fabs(near);
  return static_cast<double>(std::fabs(got - exact) / spacing);
}

void expect_ulps(const char *what, double worst, double most) {
  if (worst <= most) return;
  ++failures;
  std::printf("%s is off by %.2f units in the last place\n", what, worst);
}

long double exact_sinxdivx_prime(long double x) {
  if (std::fabs(x) > 0.5L) return (x * std::cos(x) - std::sin(x)) / (x * x);
  long double term = -x / 3, sum = 0;
  for (int k = 1; k < 20; ++k) {
    sum += term;
    term *= -x * x / (2 * k * (2 * k + 3));
  }
  return sum;
}

void check_logistic() {
  double logistic = 0, soft = 0, weighted = 0, normal = 0;
  for (int k = -80000; k <= 80000; ++k) {
    const T x = static_cast<T>(k) / T(2003);
    const long double s = reference::sigmoid(x);
    logistic = std::fmax(logistic, ulps(tf_sigmoid(x), s));
    soft = std::fmax(soft, ulps(tf_softplus(x), reference::softplus(x)));
    weighted = std::fmax(weighted, k == 0 ? 0 : ulps(tf_silu(x), x * s));
    if (x > T(-1)) normal = std::fmax(normal, ulps(tf_normcdf(x), reference::normcdf(x)));
  }
  expect_ulps("tf_sigmoid", logistic, 4);
  expect_ulps("tf_softplus", soft, 4);
  expect_ulps("tf_silu", weighted, 6);
  expect_ulps("tf_normcdf", normal, 4);
}

void check_gamma() {
  double psi = 0, first = 0, third = 0;
  for (int k = 1; k <= 80000; ++k) {
    const T x = static_cast<T>(k) / T(2003);
    const long double exact = reference::digamma(x);
    const double off = std::fabs(static_cast<double>(tf_digamma(x) - exact));
    psi = std::fmax(psi, off / std::fmax(0x1p-6, std::fabs(static_cast<double>(exact))));
    first = std::fmax(first, ulps(tf_polygamma(x, 1), reference::polygamma(1, x)));
    third = std::fmax(third, ulps(tf_polygamma(x, 3), reference::polygamma(3, x)));
  }
  expect_ulps("tf_digamma", psi / static_cast<double>(Limits::epsilon()), 8);
  expect_ulps("tf_polygamma(x, 1)", first, 6);
  expect_ulps("tf_polygamma(x, 3)", third, 10);
}

void check_accuracy() {
  double prime = 0, sinc = 0, inverse_root = 0, cube = 0;
  for (int k = -40000; k <= 40000; ++k) {
    const T x = static_cast<T>(k) / T(10007);
    if (k == 0) continue;
    const long double wide = x;
    prime = std::fmax(prime, ulps(tf_sinxdivx_prime(x), exact_sinxdivx_prime(wide)));
    if (std::fabs(x) < 3) sinc = std::fmax(sinc, ulps(tf_sinxdivx(x), std::sin(wide) / wide));
    if (k > 0) inverse_root = std::fmax(inverse_root, ulps(tf_rsqrt(x), 1 / std::sqrt(wide)));
    cube = std::fmax(cube, ulps(tf_powi(x, 3), wide * wide * wide));
  }
  const T far = T(1e25);
  prime = std::fmax(prime, ulps(tf_sinxdivx_prime(far), exact_sinxdivx_prime(far)));
  check_logistic();
  check_gamma();
  expect_ulps("tf_sinxdivx_prime", prime, 4);
  expect_ulps("tf_sinxdivx", sinc, 2);
  expect_ulps("tf_rsqrt", inverse_root, 2);
  expect_ulps("tf_powi(x, 3)", cube, 2);
}

void check_zeros() {
  EXPECT(tf_rsqrt(T(0)), 0);
  EXPECT(tf_xlogx(T(0)), 0);
  EXPECT(tf_sinxdivx(T(0)), 1);
  EXPECT(tf_sinxdivx_prime(T(0)), -0.0);
  EXPECT(tf_sign(T(0)), 0);
  EXPECT(tf_step(T(0)), 1);
  EXPECT(tf_inv(T(-0.0)), -INF);
  EXPECT(tf_powi(T(0), 0), 1);
  EXPECT(tf_powi(T(0), -1), INF);
}

void check_nan() {
  const T nan = NOT_A_NUMBER;
  EXPECT(tf_min(nan, T(1)), nan);
  EXPECT(tf_min(T(1), nan), nan);
  EXPECT(tf_max(nan, T(1)), nan);
  EXPECT(tf_max(T(1), nan), nan);
  EXPECT(tf_sign(nan), nan);
  EXPECT(tf_step(nan), nan);
  EXPECT(tf_relu(nan), nan);
  EXPECT(tf_clamp(nan, T(0), T(1)), nan);
  EXPECT(tf_round(nan, 2), nan);
  EXPECT(tf_sinxdivx_prime(nan), nan);
  EXPECT(tf_exp2(nan), nan);
  EXPECT(tf_rsqrt(T(-1)), nan);
  EXPECT(tf_sigmoid(nan), nan);
  EXPECT(tf_softplus(nan), nan);
  EXPECT(tf_silu(nan), nan);
  EXPECT(tf_gelu(nan), nan);
  EXPECT(tf_digamma(nan), nan);
  EXPECT(tf_polygamma(nan, 2), nan);
  EXPECT(tf_truth(tf_isnan(nan)), 1);
}

void check_far() {
  EXPECT(tf_exp(INF), INF);
  EXPECT(tf_exp(-INF), 0);
  EXPECT(tf_exp2(T(Limits::min_exponent - Limits::digits)), Limits::denorm_min());
  EXPECT(tf_sigmoid(-INF), 0);
  EXPECT(tf_sigmoid(INF), 1);
  EXPECT(tf_softplus(-INF), 0);
  EXPECT(tf_silu(-INF), -0.0);
  EXPECT(tf_silu(INF), INF);
  EXPECT(tf_gelu(-INF), -0.0);
  EXPECT(tf_gelu(INF), INF);
  EXPECT(tf_digamma(T(-0.0)), INF);
  EXPECT(tf_digamma(T(-3)), NOT_A_NUMBER);
  EXPECT(tf_polygamma(T(-3), 1), INF);
  EXPECT(tf_log(T(0)), -INF);
  EXPECT(tf_rsqrt(INF), 0);
  EXPECT(tf_min(-INF, T(1)), -INF);
  EXPECT(tf_max(INF, T(1)), INF);
  EXPECT(tf_round(INF, 2), INF);
  EXPECT(tf_round(Limits::max(), 3), Limits::max());
  EXPECT(tf_powi(INF, -2), 0);
}

void check_the_rest() {
  EXPECT(tf_round(T(2.5), 0), 3);
  EXPECT(tf_round(T(-2.5), 0), -3);
  EXPECT(tf_round(T(0.125), 2), T(0.13));
  EXPECT(tf_round(T(1250), -2), 1300);
  EXPECT(tf_powi(T(2), 10), 1024);
  EXPECT(tf_powi(T(2), -3), 0.125);
  EXPECT(tf_powi(T(-3), 3), -27);
  EXPECT(tf_mod(T(7), T(3), T(0)), 1);
  EXPECT(tf_mod(T(-1), T(3), T(0)), 2);
  EXPECT(tf_mod(T(7), T(3), T(2)), 4);
  EXPECT(tf_clamp(T(5), T(0), T(1)), 1);
  EXPECT(tf_inside(T(1), T(0), T(1)), 1);
  EXPECT(tf_ifelse(T(-1), T(4), T(5)), 5);
  EXPECT(tf_where(T(0), T(4), T(5)), 5);
  EXPECT(tf_and(T(2), T(0)), 0);
  EXPECT(tf_or(T(2), T(0)), 1);
  EXPECT(tf_eq(T(1), T(1)), 1);
  EXPECT(tf_ne(T(1), T(1)), 0);
  EXPECT(tf_lt(T(1), T(2)), 1);
  EXPECT(tf_le(T(2), T(1)), 0);
  EXPECT(tf_onehot(T(2.5), T(3)), 1);
  EXPECT(tf_onehot(T(2.25), T(3)), 0);
  double total = 1;
  tf_widen_add(&total, T(2));
  EXPECT(static_cast<T>(total), 3);
}

}  // namespace

int main() {
  check_accuracy();
  check_zeros();
  check_nan();
  check_far();
  check_the_rest();
  return failures == 0 ? 0 : 1;
}
