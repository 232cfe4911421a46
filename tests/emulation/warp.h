/* What the threads of a warp do together: products on tensor cores, and what they tell each other.
 *
 * What goes in: the registers of each thread. What comes out: what PTX says of mma.sync (PTX ISA,
 * "Matrix Fragments for mma.m16n8k16"), and of votes, shuffles and barriers of warps; a warp that
 * is not whole, or whose threads part ways, is an error.
 *
 * PTX leaves the rounding of mma.sync open. Here products are exact and added as the tensor cores
 * of NVIDIA were found to do it (Fasi, Higham, Mikaitis, Pranesh, "Numerical behavior of NVIDIA
 * tensor cores", PeerJ CS 7:e330): summands are cut off where the 24th bit of the largest one is,
 * and so is their sum. Those found since V100 keep more bits, hence are nearer to the exact sum.
 * TF_EMULATE_MMA_TERMS products are added at once: 16, or the 8 of sm_80 and sm_86.
 */
#ifndef TF_EMULATE_WARP_H
#define TF_EMULATE_WARP_H
#include <cmath>
#include <cstdint>
#include <cstring>

#include "block.h"

#ifndef TF_EMULATE_MMA_TERMS
#define TF_EMULATE_MMA_TERMS 16
#endif

namespace tf_emulate TF_EMULATE_HIDDEN {

/* ---- vote.sync.ballot, shfl.sync.idx, bar.warp.sync ---- */

TF_EMULATE_UNWATCHED inline std::uint32_t lanes_of_warp(bool own, Place place) {
  Shown shown = {};
  shown.values[0] = own;
  const Shown *const warp = show_warp(shown, place);
  std::uint32_t lanes = 0;
  for (int l = 0; l < WARP; ++l) lanes |= std::uint32_t{warp[l].values[0] != 0} << l;
  return lanes;
}

TF_EMULATE_UNWATCHED inline int from_lane(int own, int lane, Place place) {
  Shown shown = {};
  std::memcpy(shown.values, &own, sizeof own);
  const Shown *const warp = show_warp(shown, place);
  int value;
  std::memcpy(&value, warp[lane].values, sizeof value);
  return value;
}

/* What the warp wrote before, its lanes may read after. */
TF_EMULATE_UNWATCHED inline void sync_warp(Place place) {
  void *const tag = warp_tag();
  order_before(tag);
  show_warp({}, place);
  order_after(tag);
}

/* ---- binary16, two of them a register: the lower half is the first ---- */

inline std::uint32_t pack_halves(float lower, float upper) {
  const _Float16 both[2] = {static_cast<_Float16>(lower), static_cast<_Float16>(upper)};
  std::uint32_t packed;
  std::memcpy(&packed, both, sizeof packed);
  return packed;
}

inline float lower_half(std::uint32_t packed) {
  const std::uint16_t bits = static_cast<std::uint16_t>(packed);
  _Float16 half;
  std::memcpy(&half, &bits, sizeof half);
  return static_cast<float>(half);
}

inline void unpack_halves(std::uint32_t packed, float *to) {
  to[0] = lower_half(packed);
  to[1] = lower_half(packed >> 16);
}

/* ---- Sums ---- */

/* Towards zero. */
inline float cut_to_float(double x) {
  const float near = static_cast<float>(x);
  return std::fabs(static_cast<double>(near)) > std::fabs(x) ? std::nextafterf(near, 0.0f) : near;
}

/* c plus the terms, as a tensor core adds them at once. */
inline float cut_sum(float c, const double *terms) {
  double largest = std::fabs(static_cast<double>(c)), plain = c;
  for (int k = 0; k < TF_EMULATE_MMA_TERMS; ++k) {
    largest = std::fmax(largest, std::fabs(terms[k]));
    plain += terms[k];
  }
  if (!std::isfinite(plain)) return static_cast<float>(plain);
  if (largest == 0.0) return 0.0f;
  const int last = std::ilogb(largest) - 23;
  const double unit = std::ldexp(1.0, last), units_of_one = std::ldexp(1.0, -last);
  std::int64_t units = static_cast<std::int64_t>(static_cast<double>(c) * units_of_one);
  for (int k = 0; k < TF_EMULATE_MMA_TERMS; ++k)
    units += static_cast<std::int64_t>(terms[k] * units_of_one);
  return cut_to_float(static_cast<double>(units) * unit);
}

/* ---- mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 ---- */

/* Entry (row, k) of A, of 16 x 16. */
TF_EMULATE_UNWATCHED inline double entry_a(const Shown *warp, int row, int k) {
  const int lane = row % 8 * 4 + k % 8 / 2, word = row / 8 + k / 8 * 2;
  return warp[lane].values[2 * word + k % 2];
}

/* Entry (k, col) of B, of 16 x 8. */
TF_EMULATE_UNWATCHED inline double entry_b(const Shown *warp, int k, int col) {
  return warp[col * 4 + k % 8 / 2].values[8 + k / 8 * 2 + k % 2];
}

TF_EMULATE_UNWATCHED inline void mma(float (&d)[4], const std::uint32_t (&a)[4],
                                     const std::uint32_t (&b)[2], const float (&c)[4],
                                     Place place) {
  Shown own = {};
  for (int w = 0; w < 4; ++w) unpack_halves(a[w], own.values + 2 * w);
  for (int w = 0; w < 2; ++w) unpack_halves(b[w], own.values + 8 + 2 * w);
  const int lane = block->current % WARP;
  const Shown *const warp = show_warp(own, place);
  /* This lane's two rows of A and columns of B. */
  double rows[2][16], cols[2][16];
  for (int k = 0; k < 16; ++k)
    for (int h = 0; h < 2; ++h) {
      rows[h][k] = entry_a(warp, lane / 4 + 8 * h, k);
      cols[h][k] = entry_b(warp, k, lane % 4 * 2 + h);
    }
  for (int n = 0; n < 4; ++n) {
    double terms[16];
    for (int k = 0; k < 16; ++k) terms[k] = rows[n / 2][k] * cols[n % 2][k];
    float sum = c[n];
    for (int k = 0; k < 16; k += TF_EMULATE_MMA_TERMS) sum = cut_sum(sum, terms + k);
    d[n] = sum;
  }
}

}  // namespace tf_emulate
#endif
