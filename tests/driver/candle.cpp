/* What candle asks of CUDA besides the driver, as far as its backward pass needs it: three of its
 * own kernels, in float64, and libraries that are opened and closed. What goes in: arguments of a
 * launch (candle-kernels has the signatures). What comes out: what it does when its stream gets
 * there. It computes nothing of tilefold's. */
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using Work = std::function<void()>;

template <typename T>
T argument(void *const *arguments, int n) {
  T value;
  std::memcpy(&value, arguments[n], sizeof value);
  return value;
}

/* The place of element i of an array with these dimensions and strides. */
std::size_t place(std::size_t i, std::size_t n_dims, const std::size_t *dims,
                  const std::size_t *strides) {
  std::size_t at = 0;
  for (std::size_t d = n_dims; d-- > 0; i /= dims[d]) at += i % dims[d] * strides[d];
  return at;
}

}  // namespace

/* Sets every element; dimensions and strides are a null pointer where the array is dense. */
EXPORT void const_set_f64(void *const *arguments, Work *work) {
  const auto count = argument<std::size_t>(arguments, 0);
  const auto n_dims = argument<std::size_t>(arguments, 1);
  const auto info = argument<const std::size_t *>(arguments, 2);
  const auto value = argument<double>(arguments, 3);
  const auto out = argument<double *>(arguments, 4);
  *work = [=] {
    for (std::size_t i = 0; i < count; ++i) {
      out[info == nullptr ? i : place(i, n_dims, info, info + n_dims)] = value;
    }
  };
}

/* Adds two arrays. */
EXPORT void badd_f64(void *const *arguments, Work *work) {
  const auto count = argument<std::size_t>(arguments, 0);
  const auto n_dims = argument<std::size_t>(arguments, 1);
  const auto info = argument<const std::size_t *>(arguments, 2);
  const auto left = argument<const double *>(arguments, 3);
  const auto right = argument<const double *>(arguments, 4);
  const auto out = argument<double *>(arguments, 5);
  *work = [=] {
    for (std::size_t i = 0; i < count; ++i) {
      const auto at = [=](std::size_t strides) {
        return info == nullptr ? i : place(i, n_dims, info, info + strides * n_dims);
      };
      out[i] = left[at(1)] + right[at(2)];
    }
  };
}

/* Copies rows that lie apart, as tensors that are joined do. */
EXPORT void copy2d_f64(void *const *arguments, Work *work) {
  const auto from = argument<const double *>(arguments, 0);
  const auto to = argument<double *>(arguments, 1);
  const auto rows = argument<std::uint32_t>(arguments, 2);
  const auto cols = argument<std::uint32_t>(arguments, 3);
  const auto from_stride = argument<std::uint32_t>(arguments, 4);
  const auto to_stride = argument<std::uint32_t>(arguments, 5);
  *work = [=] {
    for (std::size_t row = 0; row < rows; ++row) {
      std::memcpy(to + row * to_stride, from + row * from_stride, cols * sizeof(double));
    }
  };
}

/* Candle is linked to these, and the tests never call them. */
#define MISSING(name)                                           \
  EXPORT void name() {                                          \
    std::fputs("tests/driver/candle.cpp: " #name "\n", stderr); \
    std::abort();                                               \
  }

MISSING(cuCtxDestroy_v2)
MISSING(cuMemcpyPeerAsync)
MISSING(cuModuleLoad)
MISSING(cublasDgemmStridedBatched)
MISSING(cublasGemmStridedBatchedEx)

/* Handles of cuBLAS and cuRAND, which every device of candle has. */
EXPORT int cublasCreate_v2(void **handle) {
  static int something;
  *handle = &something;
  return 0;
}

EXPORT int cublasSetStream_v2(void *, void *) { return 0; }

EXPORT int cublasDestroy_v2(void *) { return 0; }

EXPORT int curandCreateGenerator(void **generator, int) { return cublasCreate_v2(generator); }

EXPORT int curandSetStream(void *, void *) { return 0; }

EXPORT int curandSetPseudoRandomGeneratorSeed(void *, unsigned long long) { return 0; }

EXPORT int curandDestroyGenerator(void *) { return 0; }
