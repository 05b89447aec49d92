// Work that is shared by threads; where the compiler has no OpenMP, one does it.
#pragma once

#include <algorithm>
#include <cstdint>

#ifdef _OPENMP
#include <omp.h>
#endif

// Call work(thread, first, last) with a part of the items for each thread.
template <class Work>
void split(int64_t items, int64_t threads, Work &&work) {
#ifdef _OPENMP
  if (std::min(items, threads) > 1) {
#pragma omp parallel num_threads(std::min(items, threads))
    {
      int64_t index = omp_get_thread_num(), count = omp_get_num_threads();
      work(index, items * index / count, items * (index + 1) / count);
    }
    return;
  }
#endif
  work(0, 0, items);
}
