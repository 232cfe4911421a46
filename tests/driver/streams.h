/* Streams, events and graphs. Goes in: work, and who waits for what. Comes out: work done in an
 * order that the waits allow, as late as they allow. It never does work that nobody waits for. */
#ifndef TF_DRIVER_STREAMS_H
#define TF_DRIVER_STREAMS_H
#include <deque>
#include <functional>
#include <memory>

#include "memory.h"

namespace driver {

struct Work {
  uint64_t number; /* counts the work of all streams */
  std::function<void()> run;
};

/* Work that is done as often as the graph is launched. */
struct Graph {
  std::vector<std::function<void()>> work;
};

struct Stream {
  int id; /* 0: the null stream of its device */
  int device;
  bool blocking; /* waits for the null stream, and the null stream for it */
  std::deque<Work> queue;
  Graph *recording; /* null: what is submitted is done */
};

/* A device with its primary context. */
struct Device {
  int ordinal;
  int retained;
  int age; /* how many primary contexts there were before */
  Stream null;
};

struct Event {
  int device;
  Stream *stream; /* null: nothing was recorded */
  uint64_t number;
};

inline std::vector<std::unique_ptr<Device>> devices;
/* Streams stay when they are destroyed: their work is still done. */
inline std::vector<std::unique_ptr<Stream>> streams;
inline std::map<Event *, std::unique_ptr<Event>> events;
/* They stay when they are destroyed. */
inline std::vector<std::unique_ptr<Graph>> graphs;
inline uint64_t last_number;
inline thread_local Device *current = nullptr;

/* The context that a call works in; null: there is none. */
inline Device *context() {
  return current != nullptr && current->retained > 0 ? current : nullptr;
}

inline Stream *stream_of(void *handle) {
  if (handle == nullptr || handle == reinterpret_cast<void *>(1)) return &context()->null;
  for (const auto &stream : streams) {
    if (stream.get() == handle) return stream.get();
  }
  return nullptr;
}

/* Does the work of a stream up to a number. */
inline void finish(Stream &stream, uint64_t number) {
  while (!stream.queue.empty() && stream.queue.front().number <= number) {
    const Work work = std::move(stream.queue.front());
    stream.queue.pop_front();
    work.run();
  }
}

inline void enqueue(Stream &stream, std::function<void()> run) {
  stream.queue.push_back({++last_number, std::move(run)});
}

inline void wait_for(Stream &stream, Stream &other, uint64_t number) {
  enqueue(stream, [&other, number] { finish(other, number); });
}

/* Queues work, behind what the null stream and the blocking ones ask for, or records it. */
inline void submit(Stream &stream, std::function<void()> run) {
  if (stream.recording != nullptr) {
    stream.recording->work.push_back(std::move(run));
    return;
  }
  if (stream.id == 0) {
    for (const auto &other : streams) {
      if (other->blocking && other->device == stream.device) wait_for(stream, *other, last_number);
    }
  } else if (stream.blocking) {
    Stream &null = devices[static_cast<std::size_t>(stream.device)]->null;
    if (!null.queue.empty()) wait_for(stream, null, last_number);
  }
  enqueue(stream, std::move(run));
}

inline void finish_all(const Device &device) {
  finish(const_cast<Stream &>(device.null), last_number);
  for (std::size_t k = 0; k < streams.size(); ++k) {
    if (streams[k]->device == device.ordinal) finish(*streams[k], last_number);
  }
}

}  // namespace driver
#endif
