// What Python hands over, and what both ways through it share: threads, scratch, masks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "products.h"
#include "room.h"
#include "threads.h"

constexpr int64_t BLOCK = 32;  // rows that a thread takes through the sequence at once

extern "C" struct Layer {
  int64_t batch, time, inputs, hidden;
  int64_t num_masks;  // 1: for all gates; else one for each gate
  int64_t threads;
  int64_t x_row, x_step;  // distances in x, of rows and of tokens
  const Real *x, *weight_x, *weight_h, *bias, *h0, *c0;
  const Real *x_masks, *h_masks;  // (masks, batch, .), or null
  const uint8_t *is_real;         // (batch, time), or null
  Real *h, *c;                    // (batch, time, hidden); of an LSTM, c after the last token
  Real *kept;                     // what the way back needs of each token
  const Real *grad_h, *grad_c;
  Real *grad_x;  // or null, if nobody asks for it
  Real *grad_weight_x, *grad_weight_h, *grad_bias, *grad_h0, *grad_c0;
};

INLINE void copy_rows(int64_t rows, int64_t count, const Real *from, int64_t from_row, Real *to,
                      int64_t to_row) {
  for (int64_t i = 0; i < rows; i++)
    std::memcpy(to + i * to_row, from + i * from_row, count * sizeof(Real));
}

// What x and h have alike: a size, weights, masks; and where a gate's sum stands.
struct Part {
  int64_t size;
  const Real *weight, *masks;
  bool is_h;

  const Real *mask(const Layer &l, int64_t number, int64_t row) const {
    return masks ? masks + (number * l.batch + row) * size : nullptr;
  }
  template <class Cell>
  int64_t place(int64_t gate) const {
    return is_h && gate == Cell::GATES - 1 ? Cell::SUMS - 1 : gate;
  }
};

INLINE bool real(const Layer &l, int64_t row, int64_t t) {
  return !l.is_real || l.is_real[row * l.time + t];
}
