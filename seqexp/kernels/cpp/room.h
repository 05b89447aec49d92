// Memory for numbers that are written before they are read.
#pragma once

#include <algorithm>
#include <cstdint>
#include <new>

template <class T>
struct Room {  // at the start of a line of the cache
  static constexpr std::align_val_t LINE{64};
  T *all;
  explicit Room(int64_t count)
      : all(static_cast<T *>(operator new(std::max<int64_t>(count, 1) * sizeof(T), LINE))) {}
  Room(const Room &) = delete;
  ~Room() { operator delete(all, LINE); }
  operator T *() const { return all; }
};
