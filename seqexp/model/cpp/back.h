// From the last token to the first: the gradients.
#pragma once

#include "cells.h"
#include "layer.h"
#include "products.h"

constexpr int64_t CHUNK = 128;    // tokens at once in the product for the weights' gradient
constexpr int64_t WINDOW = 1024;  // tokens whose gradients are held until they are used

template <class Cell>
class Back {
  const Layer &l;
  const Part x{l.inputs, l.weight_x, l.x_masks, false}, h{l.hidden, l.weight_h, l.h_masks, true};
  const int64_t units = up(l.hidden, PANEL), rows = Cell::GATES * l.hidden;  // of the weights
  const int64_t g_row = apart(Cell::SUMS * units);
  const int64_t window = std::min(l.time, WINDOW / std::max<int64_t>(l.batch, 1) + 1);  // steps
  const Numbers packed_x{up(l.inputs, PANEL) * rows}, packed_h{units * rows};
  const Numbers total_x{up(l.inputs, PANEL) * rows}, total_h{units * rows};  // of the weights
  const Numbers grad_h{l.batch * units}, grad_c{l.batch * units};  // of the state
  const Numbers sums{window * l.batch * g_row};  // the gradients of the gates' sums

 public:
  explicit Back(const Layer &layer) : l(layer) {}

  void run() {
    begin();
    int64_t threads = std::min(l.threads, rows);
    int64_t of_chunk = CHUNK * apart(std::max(up(l.inputs, PANEL), units));
    Numbers chunks{threads * of_chunk};
    for (int64_t end = l.time; end > 0; end -= window) {
      int64_t start = std::max<int64_t>(0, end - window);
      split(l.batch, l.threads, [&](int64_t, int64_t first, int64_t last) {
        for (; first < last; first += BLOCK)
          block(start, end, first, std::min(first + BLOCK, last));
      });
      split(rows, threads, [&](int64_t thread, int64_t first, int64_t last) {
        weights(start, end, x, first, last, chunks + thread * of_chunk, total_x);
        weights(start, end, h, first, last, chunks + thread * of_chunk, total_h);
      });
    }
    copy_rows(rows, l.inputs, total_x, up(l.inputs, PANEL), l.grad_weight_x, l.inputs);
    copy_rows(rows, l.hidden, total_h, units, l.grad_weight_h, l.hidden);
    copy_rows(l.batch, l.hidden, grad_h, units, l.grad_h0, l.hidden);
    if (Cell::STATES > 1) copy_rows(l.batch, l.hidden, grad_c, units, l.grad_c0, l.hidden);
  }

 private:
  void begin() {
    pack(x, packed_x);
    pack(h, packed_h);
    std::fill(total_x + 0, total_x + up(l.inputs, PANEL) * rows, Real(0));
    std::fill(total_h + 0, total_h + units * rows, Real(0));
    std::fill(grad_h + 0, grad_h + l.batch * units, Real(0));
    std::fill(grad_c + 0, grad_c + l.batch * units, Real(0));
    std::fill(l.grad_bias, l.grad_bias + rows, Real(0));
    if (Cell::STATES > 1) copy_rows(l.batch, l.hidden, l.grad_c, l.hidden, grad_c, units);
  }

  // in the order of reading: for each row the weights of a panel's columns, 0 behind the last one
  void pack(const Part &part, Real *to) {
    for (int64_t first = 0; first < part.size; first += PANEL, to += rows * PANEL) {
      int64_t count = std::min<int64_t>(PANEL, part.size - first);
      if (count < PANEL) std::fill(to, to + rows * PANEL, Real(0));
      copy_rows(rows, count, part.weight + first, part.size, to, PANEL);
    }
  }

  // h_t-1 of a row
  const Real *before(int64_t row, int64_t t) const {
    return t > 0 ? l.h + (row * l.time + t - 1) * l.hidden : l.h0 + row * l.hidden;
  }

  void block(int64_t start, int64_t end, int64_t first, int64_t last) const {
    for (int64_t t = end - 1; t >= start; t--) {
      Real *grads = sums + (t - start) * l.batch * g_row;
      for (int64_t row = first; row < last; row++) gates(t, row, grads + row * g_row);
      for (int64_t from = 0; from < l.inputs && l.grad_x; from += PANEL)
        for_tiles(first, last, [&](auto count, int64_t row) {
          Real *to = l.grad_x + (row * l.time + t) * l.inputs;
          columns<count>(x, packed_x, from, row, grads, to, l.time * l.inputs);
        });
      for (int64_t from = 0; from < l.hidden; from += PANEL)
        for_tiles(first, last, [&](auto count, int64_t row) {
          columns<count>(h, packed_h, from, row, grads, grad_h + row * units, units);
        });
    }
  }

  // from the gradients of a token's state to those of its gates' sums
  void gates(int64_t t, int64_t row, Real *to) const {
    const Real *given = l.grad_h + (row * l.time + t) * l.hidden;
    const Real *kept = l.kept + (t * l.batch + row) * Cell::KEPT * units;
    const Real *c = kept + (Cell::KEPT - 1) * units - l.batch * Cell::KEPT * units;  // of t - 1
    const bool is_real = real(l, row, t);
    for (int64_t unit = 0; unit < units; unit += LANES) {
      int64_t count = std::max<int64_t>(0, std::min<int64_t>(LANES, l.hidden - unit));
      Real *dh = grad_h + row * units + unit, *dc = grad_c + row * units + unit;
      State grad = {load(dh) + load_part(given + unit, count), load(dc)};
      if (is_real) {
        State old = {load_part(before(row, t) + unit, count), Vector{}};
        if (Cell::STATES > 1)
          old.c = t > 0 ? load(c + unit) : load_part(l.c0 + row * l.hidden + unit, count);
        grad = Cell::back(kept + unit, units, old, grad, to + unit);
      } else {
        for (int j = 0; j < Cell::SUMS; j++) store(to + j * units + unit, Vector{});
      }
      store(dh, grad.h);
      store(dc, grad.c);
    }
  }

  // for M rows, gradients of columns of x_t, or what is added to those of h_t-1
  template <int M>
  void columns(const Part &part, const Real *packed, int64_t from, int64_t row, const Real *grads,
               Real *to, int64_t to_row) const {
    int64_t count = std::min<int64_t>(PANEL, part.size - from);
    const bool is_tied = l.num_masks == 1;
    Vector tile[M][WIDE] = {};
    for (int64_t gate = 0; gate < Cell::GATES; gate++) {
      multiply<M>(grads + row * g_row + part.place<Cell>(gate) * units, g_row, 1,
                  packed + from * rows + gate * l.hidden * PANEL, PANEL, l.hidden, tile);
      if (is_tied && gate < Cell::GATES - 1) continue;
      for (int i = 0; i < M; i++) {
        Real *out = to + i * to_row + from, values[PANEL];
        for (int j = 0; j < WIDE; j++) store(values + j * LANES, tile[i][j]), tile[i][j] = Vector{};
        const Real *mask = part.mask(l, is_tied ? 0 : gate, row + i);
        if (mask) masked(values, values, mask + from, count);
        if (part.is_h || (!is_tied && gate > 0))
          for (int64_t k = 0; k < count; k++) out[k] += values[k];
        else
          std::memcpy(out, values, count * sizeof(Real));
      }
    }
  }

  // add to rows of the weights' gradient, in chunks of tokens that fit into the cache
  void weights(int64_t start, int64_t end, const Part &part, int64_t first, int64_t last,
               Real *chunk, Real *total) const {
    int64_t width = up(part.size, PANEL), b_row = apart(width), all = (end - start) * l.batch;
    std::fill(chunk, chunk + CHUNK * b_row, Real(0));
    for (int64_t token = 0; token < all; token += CHUNK) {
      int64_t count = std::min(CHUNK, all - token);
      for (int64_t gate = first / l.hidden; gate * l.hidden < last; gate++) {
        int64_t begin = std::max(first, gate * l.hidden);
        int64_t stop = std::min(last, (gate + 1) * l.hidden);
        const Real *a = sums + token * g_row + part.place<Cell>(gate) * units - gate * l.hidden;
        if (l.num_masks > 1 || begin == first) fill(part, gate, start, token, count, chunk, b_row);
        if (!part.is_h)
          for (int64_t k = 0; k < count; k++)
            for (int64_t row = begin; row < stop; row++) l.grad_bias[row] += a[k * g_row + row];
        for_tiles(begin, stop, [&](auto tile, int64_t row) {
          for (int64_t column = 0; column < width; column += PANEL)
            add<tile>(a + row, chunk + column, b_row, count, total + row * width + column, width);
        });
      }
    }
  }

  // x_t or h_t-1 of tokens, as the products had them
  void fill(const Part &part, int64_t gate, int64_t start, int64_t token, int64_t count, Real *to,
            int64_t to_row) const {
    for (int64_t k = token; k < token + count; k++, to += to_row) {
      int64_t t = start + k / l.batch, row = k % l.batch;
      const Real *from = part.is_h ? before(row, t) : l.x + row * l.x_row + t * l.x_step;
      masked(to, from, part.mask(l, l.num_masks > 1 ? gate : 0, row), part.size);
    }
  }

  template <int M>
  void add(const Real *a, const Real *b, int64_t b_row, int64_t count, Real *to,
           int64_t to_row) const {
    Vector tile[M][WIDE];
    for (int i = 0; i < M; i++)
      for (int j = 0; j < WIDE; j++) tile[i][j] = load(to + i * to_row + j * LANES);
    multiply<M>(a, 1, g_row, b, b_row, count, tile);
    for (int i = 0; i < M; i++)
      for (int j = 0; j < WIDE; j++) store(to + i * to_row + j * LANES, tile[i][j]);
  }
};
