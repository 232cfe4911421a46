/* Device memory. Goes in: sizes. Comes out: addresses that only the driver and kernels of the same
 * device can touch, and the end of the program when anybody else does. It never gives out an
 * address twice. */
#ifndef TF_DRIVER_MEMORY_H
#define TF_DRIVER_MEMORY_H
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>

#include "journal.h"

namespace driver {

constexpr std::size_t PAGE = 4096;
/* What nobody can touch on each side of an allocation. */
constexpr std::size_t GUARD = 1 << 20;
/* What the driver aligns to. */
constexpr std::size_t ALIGNMENT = 256;
/* A NaN in every type, and not the usual one. */
constexpr uint16_t PATTERN = 0xffe7;

struct Allocation {
  int id;
  int device;
  char *pages; /* between two guards */
  std::size_t length;
  char *data;
  std::size_t bytes;
  bool live;
};

/* By the address of the first guard. What was freed stays, for the messages. */
inline std::map<char *, Allocation> allocations;
/* The device whose memory is open; -1: none. */
inline int open_device = -1;

inline std::size_t up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

inline void protect(const Allocation &a, int access) {
  if (mprotect(a.pages, a.length, access) != 0) fatal("mprotect fails");
}

/* The allocation around an address, with its guards. */
inline const Allocation *around(const char *address) {
  auto after = allocations.upper_bound(const_cast<char *>(address));
  if (after == allocations.begin()) return nullptr;
  const Allocation &a = std::prev(after)->second;
  return address < a.pages + a.length + GUARD ? &a : nullptr;
}

/* The live allocation of a device that holds all of a range. */
inline const Allocation *holding(int device, uint64_t data, std::size_t bytes) {
  const char *start = reinterpret_cast<const char *>(data);
  const Allocation *a = around(start);
  const bool inside = a != nullptr && a->live && a->device == device && start >= a->data &&
                      start <= a->data + a->bytes &&
                      bytes <= static_cast<std::size_t>(a->data + a->bytes - start);
  return inside ? a : nullptr;
}

/* Opens the memory of a device to what runs on it. */
struct Open {
  explicit Open(int device) { set(device, PROT_READ | PROT_WRITE); }
  ~Open() { set(open_device, PROT_NONE); }
  Open(const Open &) = delete;

 private:
  static void set(int device, int access) {
    for (const auto &[at, a] : allocations) {
      if (a.live && a.device == device) protect(a, access);
    }
    open_device = access == PROT_NONE ? -1 : device;
  }
};

inline std::size_t used_bytes(int device) {
  std::size_t used = 0;
  for (const auto &[at, a] : allocations) used += a.live && a.device == device ? a.bytes : 0;
  return used;
}

/* The byte of the pattern at an address. */
inline char pattern_at(const char *p) {
  const uint16_t pattern = PATTERN;
  return reinterpret_cast<const char *>(&pattern)[reinterpret_cast<uintptr_t>(p) & 1];
}

inline bool painted(const char *p) { return *p == pattern_at(p); }

inline Status allocate(int device, std::size_t bytes, std::size_t capacity, uint64_t *out) {
  static int next_id = 0;
  if (bytes == 0) return INVALID_VALUE;
  if (bytes > capacity - used_bytes(device)) return OUT_OF_MEMORY;
  Allocation a = {};
  a.id = ++next_id;
  a.device = device;
  a.length = up(up(bytes, ALIGNMENT), PAGE);
  void *all = mmap(nullptr, a.length + 2 * GUARD, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED) return OUT_OF_MEMORY;
  a.pages = static_cast<char *>(all) + GUARD;
  a.data = a.pages + a.length - up(bytes, ALIGNMENT);
  a.bytes = bytes;
  a.live = true;
  protect(a, PROT_READ | PROT_WRITE);
  for (char *p = a.pages; p < a.pages + a.length; ++p) *p = pattern_at(p);
  if (open_device != device) protect(a, PROT_NONE);
  allocations[static_cast<char *>(all)] = a;
  *out = reinterpret_cast<uint64_t>(a.data);
  return SUCCESS;
}

/* Says that the pattern around an allocation was overwritten. The memory is open. */
inline void check_edges(const Allocation &a) {
  for (const char *p = a.pages; p < a.pages + a.length; ++p) {
    if (p == a.data) p += a.bytes;
    if (p < a.pages + a.length && !painted(p)) {
      fatal("allocation %d of %zu bytes was overwritten at byte %td", a.id, a.bytes, p - a.data);
    }
  }
}

/* Frees what begins at an address; false: nothing does. */
inline bool release(int device, uint64_t data) {
  const Allocation *found = holding(device, data, 0);
  if (found == nullptr || reinterpret_cast<uint64_t>(found->data) != data) return false;
  Allocation &a = allocations[found->pages - GUARD];
  protect(a, PROT_READ);
  check_edges(a);
  a.live = false;
  protect(a, PROT_NONE);
  madvise(a.pages, a.length, MADV_DONTNEED);
  return true;
}

/* What was done before this driver came. */
inline struct sigaction others;

/* Says which allocation an address is of, and ends the program. */
inline void on_fault(int number, siginfo_t *info, void *context) {
  const char *address = static_cast<const char *>(info->si_addr);
  const Allocation *a = around(address);
  if (a != nullptr) {
    const char *why = !a->live ? "which is freed"
                      : open_device == -1 ? "from the host"
                      : open_device != a->device ? "from another device"
                                                 : "outside of it";
    char line[300];
    const int length = std::snprintf(
        line, sizeof line,
        "fake CUDA driver: byte %td of allocation %d of %zu bytes on device %d is touched, %s\n",
        address - a->data, a->id, a->bytes, a->device, why);
    if (write(2, line, static_cast<std::size_t>(length)) >= 0) std::abort();
  }
  if ((others.sa_flags & SA_SIGINFO) != 0 && others.sa_sigaction != nullptr) {
    others.sa_sigaction(number, info, context);
    return;
  }
  signal(number, SIG_DFL);
}

inline void watch() {
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, &others);
}

}  // namespace driver

/* Bytes up to the last one that was ever written of the allocation that begins at an address. */
EXPORT inline __attribute__((used)) uint64_t fake_cuda_touched(uint64_t data) {
  const std::lock_guard<std::recursive_mutex> lock(driver::everything);
  const driver::Allocation *a = driver::around(reinterpret_cast<const char *>(data));
  if (a == nullptr || !a->live || reinterpret_cast<uint64_t>(a->data) != data) return 0;
  const driver::Open open(a->device);
  std::size_t end = a->bytes;
  while (end > 0 && driver::painted(a->data + end - 1)) --end;
  return end;
}
#endif
