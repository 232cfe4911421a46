/* What the tests ask of the driver. Goes in: settings of the environment, the call that is to fail.
 * Comes out: lines of what happened. It never decides what a call does. */
#ifndef TF_DRIVER_JOURNAL_H
#define TF_DRIVER_JOURNAL_H
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

namespace driver {

/* CUresult, as far as this driver gives any. */
enum Status : int {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NO_DEVICE = 100,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  NO_BINARY_FOR_GPU = 209,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  NOT_READY = 600,
  NOT_SUPPORTED = 801,
  CAPTURE_UNSUPPORTED = 900,
  CAPTURE_ISOLATION = 905,
};

/* Every call holds it: the driver does one thing at a time. */
inline std::recursive_mutex everything;

/* `name=number` of the variable FAKE_CUDA; several numbers, one a device, are parted by commas. */
inline long setting(const char *name, long otherwise, int device = 0) {
  const char *all = std::getenv("FAKE_CUDA");
  const std::string key = std::string(" ") + name + "=";
  const std::string text = std::string(" ") + (all == nullptr ? "" : all);
  const std::size_t found = text.find(key);
  if (found == std::string::npos) return otherwise;
  const char *at = text.c_str() + found + key.size();
  for (; device > 0; --device) {
    const char *comma = at + std::strcspn(at, ", ");
    if (*comma != ',') break;
    at = comma + 1;
  }
  return std::strtol(at, nullptr, 10);
}

/* Ends the program: the test is wrong about the driver, or the runtime is. */
[[noreturn]] __attribute__((format(printf, 1, 2))) inline void fatal(const char *format, ...) {
  char line[600];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  std::fprintf(stderr, "fake CUDA driver: %s\n", line);
  std::abort();
}

inline std::vector<std::string> lines;

__attribute__((format(printf, 1, 2))) inline void note(const char *format, ...) {
  char line[300];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  lines.emplace_back(line);
}

inline int64_t calls, fail_at, fail_code;

/* Whether the call that begins now is the one that is to fail. */
inline bool fails() { return ++calls == fail_at; }

}  // namespace driver

#define EXPORT extern "C" __attribute__((visibility("default")))

/* Makes the k-th call from now on fail; 0: none. */
EXPORT inline __attribute__((used)) void fake_cuda_fail(int64_t at, int64_t code) {
  const std::lock_guard<std::recursive_mutex> lock(driver::everything);
  driver::calls = 0;
  driver::fail_at = at;
  driver::fail_code = code;
}

/* Calls since then. */
EXPORT inline __attribute__((used)) int64_t fake_cuda_calls() { return driver::calls; }

/* The lines since the last time, each with a newline; the bytes that they take, and if that is more
 * than `room`, nothing is written or forgotten. */
EXPORT inline __attribute__((used)) uint64_t fake_cuda_journal(char *to, uint64_t room) {
  const std::lock_guard<std::recursive_mutex> lock(driver::everything);
  std::string all;
  for (const std::string &line : driver::lines) all += line + "\n";
  if (all.size() <= room) {
    std::memcpy(to, all.data(), all.size());
    driver::lines.clear();
  }
  return all.size();
}
#endif
