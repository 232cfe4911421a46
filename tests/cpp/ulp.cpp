/* Measures every function of the CPU prelude against the C library in a longer type.
 *
 * One program a real type and instruction level, from the repository root:
 *
 *   c++ -O2 -std=c++17 -ffp-contract=fast -fno-math-errno -fno-trapping-math \
 *     -march=x86-64-v3 -DTF_VB=32 -DTF_REAL_T=float -I templates/include tests/cpp/ulp.cpp -o ulp
 *
 * -march=x86-64-v4 goes with TF_VB=64, v3 with 32, v2 and aarch64 with 16; TF_REAL_T is float or
 * double. The program prints one line a function (largest error in units in the last place, where
 * it occurs, the bound) and exits with 1 if a bound is broken. A processor without the level is
 * said so, with exit 0. An argument is the number of random points a function (default 1000000).
 */
#include "tf_cpu.h"

#include "reference.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

namespace {

typedef TF_K(double, long double) Ref;
typedef TF_K(unsigned, unsigned long) Bits;
typedef std::numeric_limits<T> Limits;
typedef std::vector<T> Points;

const double WRONG = 1e30; /* a special value, or a zero's sign, missed */
const T INF = Limits::infinity(), QUIET = Limits::quiet_NaN();

/* The error in units of the last place of `want`, or of `size` where that is larger. */
double ulps(T got, Ref want, Ref size) {
  const T rounded = (T)want;
  if (std::isnan(rounded)) return std::isnan(got) ? 0 : WRONG;
  if (std::isnan(got)) return WRONG;
  if (std::isinf(rounded) || std::isinf(got)) {
    if (rounded == got) return 0;
    /* next to the largest real, either may be the one that overflowed */
    return std::nextafter(got, (T)0) == rounded || std::nextafter(rounded, (T)0) == got ? 1 : WRONG;
  }
  if (rounded == 0 && got == 0) return std::signbit(got) == std::signbit(rounded) ? 0 : WRONG;
  const int least = Limits::min_exponent - 1;
  const Ref magnitude = std::fmax(std::fabs(want), size);
  int exponent = magnitude == 0 ? least : std::ilogb(magnitude);
  if (exponent < least) exponent = least;
  return (double)(std::fabs((Ref)got - want) / std::ldexp((Ref)1, exponent + 1 - Limits::digits));
}

struct Random {
  unsigned long state = 0x9e3779b97f4a7c15;
  unsigned long next() {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
  }
  T between(double lo, double hi) {
    return (T)(lo + (hi - lo) * ((double)(next() >> 11) * 0x1p-53));
  }
  T any() {
    const Bits bits = (Bits)(next() >> 16 ^ next() << 16);
    T x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
  }
};

Points special_points() {
  Points p = {0, INF, QUIET, Limits::denorm_min(), Limits::min(), Limits::max(),
              Limits::max() / 2, Limits::epsilon()};
  for (int k = -1; k <= 1; k++)
    for (double x : {0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 10.0, 0.70710678, 1.41421356, 1e5, 1e6, 1e8,
                     1e9, 1e17, 1e30, 89.0, 104.0, 128.0, 149.0, 150.0, 710.0, 745.2, 1024.0,
                     1074.0, 1075.0, 8388607.5, 16777217.0, 9007199254740991.0, 0.41421356,
                     2.41421356, 0.78539816, 1.57079633, 3.14159265, 4.49340946})
      p.push_back(k < 0 ? std::nextafter((T)x, (T)0) : k > 0 ? std::nextafter((T)x, INF) : (T)x);
  const size_t n = p.size();
  for (size_t i = 0; i < n; i++) p.push_back(-p[i]);
  return p;
}

/* Every exponent and sign, with edge and random mantissas. */
void add_exponents(Points &p, Random &random, int each) {
  const int digits = Limits::digits - 1;
  const Bits exponents = (Bits)1 << (8 * sizeof(T) - digits), mask = ((Bits)1 << digits) - 1;
  for (Bits e = 0; e < exponents; e++)
    for (int k = 0; k < each; k++) {
      const Bits mantissa = k == 0 ? 0 : k == 1 ? 1 : k == 2 ? mask : (Bits)random.next() & mask;
      const Bits bits = e << digits | mantissa;
      T x;
      std::memcpy(&x, &bits, sizeof x);
      p.push_back(x);
    }
}

struct Report {
  bool failed = false;
  void line(const char *name, double bound, double worst, T at_x, T at_y) {
    const bool bad = !(worst <= bound);
    failed |= bad;
    if (worst >= WRONG) std::printf("%-16s   wrong", name);
    else std::printf("%-16s %7.3f", name, worst);
    std::printf("  bound %4.1f  at %-24a %-24a%s\n", bound, (double)at_x, (double)at_y,
                bad ? "  FAILED" : "");
  }
};

Ref no_size(Ref) { return 0; }

/* A function of one or two arguments, what it means, and the size of its terms. */
template <class F, class G>
void check(Report &report, const char *name, double bound, Points x, Points y, F f, G g,
           Ref (*size)(Ref) = no_size) {
  double worst = 0;
  T at_x = 0, at_y = 0, out[W];
  x.resize((x.size() + W - 1) / W * W, 1);
  y.resize(x.size(), 1);
  for (size_t i = 0; i < x.size(); i += W) {
    tf_store(out, f(tf_load(&x[i]), tf_load(&y[i])));
    for (int l = 0; l < W; l++) {
      const Ref want = g((Ref)x[i + l], (Ref)y[i + l]);
      const double error = ulps(out[l], want, size((Ref)x[i + l]));
      if (error > worst) worst = error, at_x = x[i + l], at_y = y[i + l];
    }
  }
  report.line(name, bound, worst, at_x, at_y);
}

using namespace reference;

/* It has zeros beyond 4, where only the error against its terms is small. */
Ref sinxdivx_prime_size(Ref x) { return std::fabs(x) > 4 ? 1 / std::fabs(x) : 0; }

/* Rounds as the prelude says: the scaled value is a T, one too large to have digits stays. */
Ref round_to(Ref x, int digits) {
  const T scale = (T)std::pow(10.0, std::abs(digits));
  const T y = digits < 0 ? (T)x / scale : (T)x * scale;
  if (!(std::fabs(y) < 1 / Limits::epsilon())) return x;
  return digits < 0 ? (Ref)std::round(y) * scale : (Ref)std::round(y) / scale;
}

/* x^n by as many roundings as squarings, in the longer type. */
Ref powi(Ref x, int n) { return std::pow(x, (Ref)n); }

/* Below 0 their zeros lie between poles, and only the error against the terms of the reflection
 * formula is small. The zero of digamma above 0 is met to the precision of the reference. */
Ref lgamma_size(Ref x) { return x < 0 ? std::fmax((Ref)1, std::lgamma(1 - x)) : (Ref)0; }
Ref digamma_size(Ref x) { return x < 0 ? 1 + std::log1p(-x) : (Ref)1 / 64; }

struct Harness {
  Report report;
  Random random;
  int count;
  Points wide = special_points();

  explicit Harness(int n) : count(n) { add_exponents(wide, random, TF_K(64, 24)); }

  Points points(double lo, double hi) {
    Points p = wide;
    for (int i = 0; i < count; i++) p.push_back(random.between(lo, hi));
    for (int i = 0; i < count / 4; i++) p.push_back(random.any());
    return p;
  }

  template <class F, class G>
  void unary(const char *name, double bound, double lo, double hi, F f, G g) {
    check(report, name, bound, points(lo, hi), {}, [f](V x, V) { return f(x); },
          [g](Ref x, Ref) { return g(x); });
  }

  /* All pairs of special points, then random pairs of a box, of any bits and of equal scale. */
  template <class F, class G>
  void binary(const char *name, double bound, double lo, double hi, double y_lo, double y_hi, F f,
              G g) {
    const Points special = special_points();
    Points x, y;
    for (T a : special)
      for (T b : special) x.push_back(a), y.push_back(b);
    for (int i = 0; i < count; i++) {
      x.push_back(random.between(lo, hi)), y.push_back(random.between(y_lo, y_hi));
      const T a = random.any();
      x.push_back(a), y.push_back(i % 2 ? random.any() : a * random.between(-3, 3));
    }
    check(report, name, bound, x, y, f, g);
  }

  void exponentials() {
    const double top = TF_K(105, 750);
    unary("exp", 2, -top, top, [](V x) { return tf_exp(x); }, [](Ref x) { return std::exp(x); });
    unary("exp near 0", 2, -1, 1, [](V x) { return tf_exp(x); }, [](Ref x) { return std::exp(x); });
    unary("exp2", 2, -1.5 * top, 1.4 * top, [](V x) { return tf_exp2(x); },
          [](Ref x) { return std::exp2(x); });
    unary("exp2 near 0", 2, -1, 1, [](V x) { return tf_exp2(x); },
          [](Ref x) { return std::exp2(x); });
    unary("log", 2, 0.25, 4, [](V x) { return tf_log(x); }, [](Ref x) { return std::log(x); });
    unary("log near 1", 2, 0.99, 1.01, [](V x) { return tf_log(x); },
          [](Ref x) { return std::log(x); });
    unary("xlogx", 3, 0, 4, [](V x) { return tf_xlogx(x); }, xlogx);
    unary("rsqrt", 2, 0.25, 4, [](V x) { return tf_rsqrt(x); }, rsqrt);
    unary("sqrt", 0.5, 0, 4, [](V x) { return tf_sqrt(x); }, [](Ref x) { return std::sqrt(x); });
    unary("inv", 0.5, -4, 4, [](V x) { return tf_inv(x); }, [](Ref x) { return 1 / x; });
  }

  void trigonometry() {
    const double near = TF_FAR;
    unary("sin", 2, -near, near, [](V x) { return tf_sin(x); }, [](Ref x) { return std::sin(x); });
    unary("sin near 0", 2, -7, 7, [](V x) { return tf_sin(x); }, [](Ref x) { return std::sin(x); });
    unary("cos", 2, -near, near, [](V x) { return tf_cos(x); }, [](Ref x) { return std::cos(x); });
    unary("cos near 0", 2, -7, 7, [](V x) { return tf_cos(x); }, [](Ref x) { return std::cos(x); });
    /* where the reduction of the argument cancels most */
    Points turns;
    for (int i = 0; i < count; i++)
      turns.push_back((T)(std::floor(random.between(0, near * 0.63)) * 1.57079632679489661923L));
    check(report, "sin at pi/2 n", 2, turns, {}, [](V x, V) { return tf_sin(x); },
          [](Ref x, Ref) { return std::sin(x); });
    check(report, "cos at pi/2 n", 2, turns, {}, [](V x, V) { return tf_cos(x); },
          [](Ref x, Ref) { return std::cos(x); });
    unary("sinc", 2, -9, 9, [](V x) { return tf_sinc(x); }, sinc);
    unary("sinxdivx", 3, -9, 9, [](V x) { return tf_sinxdivx(x); }, sinxdivx);
    check(report, "sinxdivx_prime", 4, points(-4, 4), {},
          [](V x, V) { return tf_sinxdivx_prime(x); }, [](Ref x, Ref) { return sinxdivx_prime(x); },
          sinxdivx_prime_size);
    unary("asin", 2, -1, 1, [](V x) { return tf_asin(x); }, [](Ref x) { return std::asin(x); });
    unary("acos", 2, -1, 1, [](V x) { return tf_acos(x); }, [](Ref x) { return std::acos(x); });
    unary("atan", 2, -4, 4, [](V x) { return tf_atan(x); }, [](Ref x) { return std::atan(x); });
    binary("atan2", 2, -4, 4, -4, 4, [](V y, V x) { return tf_atan2(y, x); },
           [](Ref y, Ref x) { return std::atan2(y, x); });
  }

  void powers() {
    const auto f = [](V x, V y) { return tf_pow(x, y); };
    const auto g = [](Ref x, Ref y) { return std::pow(x, y); };
    binary("pow", 2, 0, 10, -30, 30, f, g);
    binary("pow near 1", 2, 0.9, 1.1, -900, 900, f, g);
    binary("pow whole", 2, -3, 3, -9, 9, [](V x, V y) { return tf_pow(x, tf_floor(y)); },
           [](Ref x, Ref y) { return std::pow(x, std::floor(y)); });
  }


  void pairs() {
    const double top = TF_K(95, 720);
    unary("expm1", 2, -top, top, [](V x) { return tf_expm1(x); },
          [](Ref x) { return std::expm1(x); });
    unary("expm1 near 0", 2, -1.5, 1.5, [](V x) { return tf_expm1(x); },
          [](Ref x) { return std::expm1(x); });
    unary("sinh", 2, -top, top, [](V x) { return tf_sinh(x); }, [](Ref x) { return std::sinh(x); });
    unary("sinh near 0", 2, -2, 2, [](V x) { return tf_sinh(x); },
          [](Ref x) { return std::sinh(x); });
    unary("cosh", 2, -top, top, [](V x) { return tf_cosh(x); }, [](Ref x) { return std::cosh(x); });
    unary("cosh near 0", 2, -2, 2, [](V x) { return tf_cosh(x); },
          [](Ref x) { return std::cosh(x); });
    unary("tanh", 2, -TF_K(10, 21), TF_K(10, 21), [](V x) { return tf_tanh(x); },
          [](Ref x) { return std::tanh(x); });
    unary("tanh near 0", 2, -1, 1, [](V x) { return tf_tanh(x); },
          [](Ref x) { return std::tanh(x); });
    unary("asinh", 2, -4, 4, [](V x) { return tf_asinh(x); }, [](Ref x) { return std::asinh(x); });
    unary("acosh", 2, 1, 4, [](V x) { return tf_acosh(x); }, [](Ref x) { return std::acosh(x); });
    unary("atanh", 2, -1, 1, [](V x) { return tf_atanh(x); }, [](Ref x) { return std::atanh(x); });
    unary("log1p", 2, -1, 4, [](V x) { return tf_log1p(x); }, [](Ref x) { return std::log1p(x); });
    unary("log1p near 0", 2, -0.1, 0.1, [](V x) { return tf_log1p(x); },
          [](Ref x) { return std::log1p(x); });
    unary("log2", 2, 0, 4, [](V x) { return tf_log2(x); }, [](Ref x) { return std::log2(x); });
    unary("log2 near 1", 2, 0.9, 1.1, [](V x) { return tf_log2(x); },
          [](Ref x) { return std::log2(x); });
    unary("log10", 2, 0, 4, [](V x) { return tf_log10(x); }, [](Ref x) { return std::log10(x); });
    unary("log10 near 1", 2, 0.9, 1.1, [](V x) { return tf_log10(x); },
          [](Ref x) { return std::log10(x); });
    unary("sigmoid", 2, -top, 40, [](V x) { return tf_sigmoid(x); }, sigmoid);
    unary("sigmoid near 0", 2, -4, 4, [](V x) { return tf_sigmoid(x); }, sigmoid);
    unary("softplus", 2, -top, 40, [](V x) { return tf_softplus(x); }, softplus);
    unary("softplus near 0", 2, -4, 4, [](V x) { return tf_softplus(x); }, softplus);
    unary("silu", 3, -top, 40, [](V x) { return tf_silu(x); }, silu);
    unary("silu near 0", 3, -4, 4, [](V x) { return tf_silu(x); }, silu);
  }

  void special() {
    const double near = TF_FAR;
    unary("tan", 2, -near, near, [](V x) { return tf_tan(x); }, [](Ref x) { return std::tan(x); });
    unary("tan near 0", 2, -7, 7, [](V x) { return tf_tan(x); }, [](Ref x) { return std::tan(x); });
    unary("cbrt", 2, -9, 9, [](V x) { return tf_cbrt(x); }, [](Ref x) { return std::cbrt(x); });
    binary("hypot", 2, -4, 4, -4, 4, [](V x, V y) { return tf_hypot(x, y); },
           [](Ref x, Ref y) { return std::hypot(x, y); });
    binary("fmod", 0, -90, 90, -4, 4, [](V x, V y) { return tf_fmod(x, y); },
           [](Ref x, Ref y) { return std::fmod(x, y); });
    unary("erf", 2, -6.5, 6.5, [](V x) { return tf_erf(x); }, [](Ref x) { return std::erf(x); });
    unary("erf near 0", 2, -1.2, 1.2, [](V x) { return tf_erf(x); },
          [](Ref x) { return std::erf(x); });
    unary("erfc", 2, -7, TF_K(10.2, 27.3), [](V x) { return tf_erfc(x); },
          [](Ref x) { return std::erfc(x); });
    unary("erfc near 0", 2, -3, 3, [](V x) { return tf_erfc(x); },
          [](Ref x) { return std::erfc(x); });
    unary("normcdf", 2, -TF_K(14.3, 38.5), 9, [](V x) { return tf_normcdf(x); }, normcdf);
    unary("normcdf near 0", 2, -4, 4, [](V x) { return tf_normcdf(x); }, normcdf);
    unary("gelu", 3, -TF_K(14.3, 38.5), 9, [](V x) { return tf_gelu(x); }, gelu);
    unary("gelu near 0", 3, -4, 4, [](V x) { return tf_gelu(x); }, gelu);
    gamma();
  }

  /* The points of one sign, and numbers between two bounds. */
  Points half(double lo, double hi) {
    Points p = points(lo, hi);
    for (T &x : p) x = (x < 0) == (hi > 0) ? -x : x;
    return p;
  }

  void gamma() {
    const auto f = [](V x, V) { return tf_lgamma(x); };
    const auto g = [](Ref x, Ref) { return std::lgamma(x); };
    check(report, "lgamma", 3, half(0, 20), {}, f, g, lgamma_size);
    check(report, "lgamma to 3", 3, half(0, 3), {}, f, g, lgamma_size);
    check(report, "lgamma below 0", 4, half(-20, 0), {}, f, g, lgamma_size);
    const auto psi = [](V x, V) { return tf_digamma(x); };
    const auto exact = [](Ref x, Ref) { return (Ref)digamma(x); };
    check(report, "digamma", 4, half(0, 20), {}, psi, exact, digamma_size);
    check(report, "digamma to 3", 4, half(0, 3), {}, psi, exact, digamma_size);
    check(report, "digamma below 0", 10, half(-20, 0), {}, psi, exact, digamma_size);
    polygammas<1>("polygamma 1", 6);
    polygammas<2>("polygamma 2", 8);
    polygammas<3>("polygamma 3", 10);
    polygammas<6>("polygamma 6", 16);
  }

  /* Above 0: all terms have one sign. */
  template <int N> void polygammas(const char *name, double bound) {
    check(report, name, bound, half(0, 30), {}, [](V x, V) { return tf_polygamma(x, N); },
          [](Ref x, Ref) { return (Ref)polygamma(N, x); });
  }

  /* Small multiples of 1/4, on which sums and products are exact. */
  Points quarters() {
    Points p;
    for (int i = 0; i < 4096; i++) p.push_back((T)((int)(random.next() % 257) - 128) / 4);
    return p;
  }

  void exact() {
    const double top = 40;
    unary("abs", 0, -top, top, [](V x) { return tf_abs(x); }, [](Ref x) { return std::fabs(x); });
    unary("floor", 0, -top, top, [](V x) { return tf_floor(x); },
          [](Ref x) { return std::floor(x); });
    unary("sign", 0, -top, top, [](V x) { return tf_sign(x); }, sign);
    unary("step", 0, -top, top, [](V x) { return tf_step(x); }, step);
    unary("relu", 0, -top, top, [](V x) { return tf_relu(x); }, relu);
    unary("round 0", 0.5, -top, top, [](V x) { return tf_round(x, 0); },
          [](Ref x) { return round_to(x, 0); });
    unary("round 2", 0.5, -top, top, [](V x) { return tf_round(x, 2); },
          [](Ref x) { return round_to(x, 2); });
    unary("round -1", 0.5, -1e3, 1e3, [](V x) { return tf_round(x, -1); },
          [](Ref x) { return round_to(x, -1); });
    unary("powi 0", 0, -9, 9, [](V x) { return tf_powi(x, 0); }, [](Ref) { return (Ref)1; });
    unary("powi 2", 0.5, -9, 9, [](V x) { return tf_powi(x, 2); }, [](Ref x) { return x * x; });
    unary("powi 7", 6, -9, 9, [](V x) { return tf_powi(x, 7); }, [](Ref x) { return powi(x, 7); });
    unary("powi -1", 0.5, -9, 9, [](V x) { return tf_powi(x, -1); }, [](Ref x) { return 1 / x; });
    unary("clamp", 0, -top, top, [](V x) { return tf_clamp(x, tf_c(-1), tf_c(2.5)); },
          [](Ref x) { return x < -1 ? (Ref)-1 : x > 2.5 ? (Ref)2.5 : x; });
    unary("inside", 0, -top, top, [](V x) { return tf_inside(x, tf_c(-1), tf_c(2.5)); },
          [](Ref x) { return (Ref)(x >= -1 && x <= 2.5); });
    unary("onehot", 0, -9, 9, [](V x) { return tf_onehot(x, tf_c(3)); },
          [](Ref x) { return (Ref)((T)std::trunc((T)((T)x + (T)0.5)) == 3); });
    unary("isnan", 0, -9, 9, [](V x) { return tf_truth(tf_isnan(x)); },
          [](Ref x) { return (Ref)std::isnan(x); });
    check(report, "mod", 0, quarters(), {}, [](V x, V) { return tf_mod(x, tf_c(3), tf_c(-0.25)); },
          [](Ref x, Ref) { return x - 3 * std::floor((T)((T)(x + (Ref)0.25) / 3)); });
  }

  /* 2^-exponent of the larger magnitude, that of the least normal real for subnormal ones. */
  static Ref binary_scale(Ref x, Ref y) {
    const Ref size = std::isnan(x) || std::fabs(x) > std::fabs(y) ? std::fabs(x) : std::fabs(y);
    if (size == 0 || !std::isfinite(size)) return 1;
    const int least = Limits::min_exponent - 1, exponent = std::ilogb(size);
    return std::ldexp((Ref)1, exponent < least ? -least : -exponent);
  }

  template <class F, class G> void compare(const char *name, F f, G g) {
    binary(name, 0, -3, 3, -3, 3, f, g);
    check(report, name, 0, quarters(), quarters(), f, g);
  }

  void comparisons() {
    compare("min", [](V x, V y) { return tf_min(x, y); }, [](Ref x, Ref y) {
      return std::isnan(x) ? x : std::isnan(y) || !(x < y) ? y : x;
    });
    compare("max", [](V x, V y) { return tf_max(x, y); }, [](Ref x, Ref y) {
      return std::isnan(x) ? x : std::isnan(y) || !(x > y) ? y : x;
    });
    compare("binary_scale", [](V x, V y) { return tf_binary_scale(x, y); },
            [](Ref x, Ref y) { return binary_scale(x, y); });
    compare("eq", [](V x, V y) { return tf_eq(x, y); }, [](Ref x, Ref y) { return (Ref)(x == y); });
    compare("ne", [](V x, V y) { return tf_ne(x, y); }, [](Ref x, Ref y) { return (Ref)(x != y); });
    compare("lt", [](V x, V y) { return tf_lt(x, y); }, [](Ref x, Ref y) { return (Ref)(x < y); });
    compare("le", [](V x, V y) { return tf_le(x, y); }, [](Ref x, Ref y) { return (Ref)(x <= y); });
    compare("and", [](V x, V y) { return tf_and(x, y); },
            [](Ref x, Ref y) { return (Ref)(x && y); });
    compare("or", [](V x, V y) { return tf_or(x, y); }, [](Ref x, Ref y) { return (Ref)(x || y); });
    compare("ifelse", [](V x, V y) { return tf_ifelse(x, y, tf_c(7)); },
            [](Ref x, Ref y) { return x >= 0 ? y : 7; });
    compare("where", [](V x, V y) { return tf_where(x, y, tf_c(7)); },
            [](Ref x, Ref y) { return x != 0 ? y : 7; });
    compare("sel masks", [](V x, V y) {
      return tf_sel(tf_or_m(tf_and_m(x < y, x > 0), tf_not_m(y < 2)), x, y);
    }, [](Ref x, Ref y) { return (x < y && x > 0) || !(y < 2) ? x : y; });
    compare("sel_i", [](V x, V y) {
      const VI picked = tf_sel_i(x < y, tf_splat_i(-5), tf_splat_i(9));
      return tf_truth(picked == -5);
    }, [](Ref x, Ref y) { return (Ref)(x < y); });
  }

  void lanes() {
    T memory[3 * W + 1], back[W + 1] = {};
    double sums[W], total = 0;
    for (int i = 0; i < 3 * W + 1; i++) memory[i] = (T)(i + 1);
    for (int l = 0; l < W; l++) sums[l] = 100;
    V v = tf_load(memory + 1); /* odd addresses on purpose */
    tf_store(back + 1, v);
    const V every_third = tf_gather(memory, 3);
    tf_widen_add(sums, v);
    for (int l = 0; l < W; l++) {
      total += std::fabs(back[l + 1] - (l + 2)) + std::fabs(tf_lane(every_third, l) - (3 * l + 1));
      total += std::fabs(sums[l] - (102 + l));
      V w = tf_splat(-1);
      tf_set_lane(w, l, 4);
      total += !tf_any(w > 0) + tf_any(w > 4) + std::fabs(tf_lane(w, l) - 4);
      for (int k = 0; k < W; k++) total += tf_lane(w, k) != (k == l ? 4 : -1);
    }
    total += !std::signbit(tf_lane(tf_splat((T)-0.0), 0));
    total += !std::isnan(tf_lane(tf_splat(QUIET), 1));
    report.line("lanes", 0, total, 0, 0);
  }

  int run() {
    lanes();
    exact();
    comparisons();
    exponentials();
    trigonometry();
    powers();
    pairs();
    special();
    return report.failed ? 1 : 0;
  }
};

bool level_present() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (TF_LEVEL == 4)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  if (TF_LEVEL == 3) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return __builtin_cpu_supports("sse4.2");
#else
  return true;
#endif
}

}  // namespace

int main(int argc, char **argv) {
  if (!level_present()) {
    std::printf("skipped: this processor lacks instruction level %d\n", TF_LEVEL);
    return 0;
  }
  return Harness(argc > 1 ? std::atoi(argv[1]) : 1000000).run();
}
