// From the last token to the first: the gradients.
#pragma once

#include "cells.h"
#include "layer.h"

constexpr int64_t CHUNK = PAIR > 1 ? 256 : 64;  // tokens at once in the product for the weights' gradient
constexpr int64_t WINDOW = 1024;       // tokens whose gradients are held until they are used

template <class Cell>
class Back {
  const Layer &l;
  const Part x{l.inputs, l.weight_x, l.x_masks, false}, h{l.hidden, l.weight_h, l.h_masks, true};
  const int64_t units = up(l.hidden, PANEL), rows = Cell::GATES * l.hidden;  // of the weights
  const int64_t inputs = up(l.inputs, PANEL), depth = deep(l.hidden);         // of a gate
  const int64_t g_row = apart(Cell::SUMS * units);
  const int64_t window = std::min(l.time, WINDOW / std::max<int64_t>(l.batch, 1) + 1);  // steps
  const Room<Term> packed_x{inputs * Cell::GATES * depth}, packed_h{units * Cell::GATES * depth};
  const Room<Real> total_x{inputs * rows}, total_h{units * rows};  // of the weights
  const Room<Real> grad_h{l.batch * units}, grad_c{l.batch * units};  // of the state
  const Room<Term> sums{(window * l.batch + BLOCK) * g_row};  // the gradients of the gates' sums
  const int64_t t_row = apart(CHUNK);

  struct Scratch {
    Term *chunk, *turned;
  };

 public:
  explicit Back(const Layer &layer) : l(layer) {}

  void run() {
    begin();
    const int64_t threads = std::min(l.threads, rows);
    const int64_t of_chunk = CHUNK / PAIR * apart(PAIR * std::max(inputs, units));
    const int64_t of_turned = BLOCK * t_row;
    const Room<Term> chunks{threads * of_chunk}, turned{threads * of_turned};
    for (int64_t end = l.time; end > 0; end -= window) {
      int64_t start = std::max<int64_t>(0, end - window);
      split(l.batch, l.threads, [&](int64_t, int64_t first, int64_t last) {
        [[maybe_unused]] const Tiles tiles;
        for (; first < last; first += BLOCK)
          block(start, end, first, std::min(first + BLOCK, last));
      });
      split(rows, threads, [&](int64_t thread, int64_t first, int64_t last) {
        [[maybe_unused]] const Tiles tiles;
        const Scratch scratch{chunks + thread * of_chunk, turned + thread * of_turned};
        weights(start, end, x, first, last, scratch, total_x);
        weights(start, end, h, first, last, scratch, total_h);
      });
    }
    copy_rows(rows, l.inputs, total_x, inputs, l.grad_weight_x, l.inputs);
    copy_rows(rows, l.hidden, total_h, units, l.grad_weight_h, l.hidden);
    copy_rows(l.batch, l.hidden, grad_h, units, l.grad_h0, l.hidden);
    if (Cell::STATES > 1) copy_rows(l.batch, l.hidden, grad_c, units, l.grad_c0, l.hidden);
  }

 private:
  void begin() {
    pack(x, packed_x);
    pack(h, packed_h);
    std::fill(total_x + 0, total_x + inputs * rows, Real(0));
    std::fill(total_h + 0, total_h + units * rows, Real(0));
    std::fill(grad_h + 0, grad_h + l.batch * units, Real(0));
    std::fill(grad_c + 0, grad_c + l.batch * units, Real(0));
    std::fill(l.grad_bias, l.grad_bias + rows, Real(0));
    if (Cell::STATES > 1) copy_rows(l.batch, l.hidden, l.grad_c, l.hidden, grad_c, units);
  }

  // in the order of reading: for each row the weights of a panel's columns, 0 behind the last one
  void pack(const Part &part, Term *to) {
    for (int64_t first = 0; first < part.size; first += PANEL)
      for (int64_t gate = 0; gate < Cell::GATES; gate++, to += depth * PANEL) {
        const Real *from = part.weight + gate * l.hidden * part.size + first;
        put_rows(to, PANEL * PAIR, l.hidden, PANEL, [&](int64_t row) {
          return Row{from + row * part.size, nullptr, part.size - first};
        });
      }
  }

  // h_t-1 of a row
  const Real *before(int64_t row, int64_t t) const {
    return t > 0 ? l.h + (row * l.time + t - 1) * l.hidden : l.h0 + row * l.hidden;
  }

  void block(int64_t start, int64_t end, int64_t first, int64_t last) const {
    for (int64_t t = end - 1; t >= start; t--) {
      Term *grads = sums + ((t - start) * l.batch + first) * g_row;
      for (int64_t row = first; row < last; row++) gates(t, row, grads + (row - first) * g_row);
      if (l.grad_x) columns(x, packed_x, t, first, last, grads);
      columns(h, packed_h, t, first, last, grads);
    }
  }

  // from the gradients of a token's state to those of its gates' sums; fetches the next row's
  void gates(int64_t t, int64_t row, Term *to) const {
    const Real *given = l.grad_h + (row * l.time + t) * l.hidden;
    const Real *kept = l.kept + (t * l.batch + row) * Cell::KEPT * units;
    const Real *c = kept + (Cell::KEPT - 1) * units - l.batch * Cell::KEPT * units;  // of t - 1
    const bool is_real = real(l, row, t);
    for (int64_t unit = 0; unit < units; unit += LANES) {
      int64_t count = std::max<int64_t>(0, std::min<int64_t>(LANES, l.hidden - unit));
      for (int k = 0; k < Cell::KEPT; k++) fetch(kept + (Cell::KEPT + k) * units + unit);
      fetch(c + Cell::KEPT * units + unit), fetch(given + l.time * l.hidden + unit);
      Real *dh = grad_h + row * units + unit, *dc = grad_c + row * units + unit;
      State grad = {load(dh) + load_part(given + unit, count), load(dc)};
      if (is_real) {
        State old = {load_part(before(row, t) + unit, count), Vector{}};
        if (Cell::STATES > 1)
          old.c = t > 0 ? load(c + unit) : load_part(l.c0 + row * l.hidden + unit, count);
        grad = Cell::back(kept + unit, units, old, grad, to + unit);
      } else {
        for (int j = 0; j < Cell::SUMS; j++) put(to + j * units + unit, Vector{});
      }
      store(dh, grad.h);
      store(dc, grad.c);
    }
  }

  // gradients of x_t, or what is added to those of h_t-1
  void columns(const Part &part, const Term *packed, int64_t t, int64_t first, int64_t last,
               const Term *grads) const {
    const bool is_tied = l.num_masks == 1;
    const int64_t to_row = part.is_h ? units : l.time * l.inputs;
    Real *to = part.is_h ? grad_h + first * units : l.grad_x + (first * l.time + t) * l.inputs;
    alignas(64) Real values[BLOCK * PANEL];
    for (int64_t from = 0; from < part.size; from += PANEL)
      for (int gate = 0; gate < Cell::GATES; gate++, packed += depth * PANEL) {
        const Left left{grads + part.place<Cell>(gate) * units, g_row};
        if (gate == 0 || !is_tied)
          product<false>(last - first, left, {packed}, depth, values, PANEL);
        else
          product<true>(last - first, left, {packed}, depth, values, PANEL);
        if (is_tied && gate < Cell::GATES - 1) continue;
        const bool adds = part.is_h || (!is_tied && gate > 0);
        for (int64_t row = 0; row < last - first; row++) {
          const Real *mask = part.mask(l, is_tied ? 0 : gate, first + row);
          for (int64_t i = 0; i < PANEL; i += LANES) {
            const int64_t count = part.size - from - i;
            Real *out = to + row * to_row + from + i;
            Vector value = load(values + row * PANEL + i);
            if (mask) value *= load_part(mask + from + i, count);
            store_part(out, adds ? load_part(out, count) + value : value, count);
          }
        }
      }
  }

  // add to rows of the weights' gradient, in chunks of tokens that fit into the cache
  void weights(int64_t start, int64_t end, const Part &part, int64_t first, int64_t last,
               const Scratch &scratch, Real *total) const {
    const int64_t width = up(part.size, PANEL), step = apart(width * PAIR);
    const int64_t all = (end - start) * l.batch;
    for (int64_t token = 0; token < all; token += CHUNK) {
      const int64_t count = std::min(CHUNK, all - token);
      for (int64_t gate = first / l.hidden; gate * l.hidden < last; gate++) {
        const int64_t begin = std::max(first, gate * l.hidden);
        const int64_t stop = std::min(last, (gate + 1) * l.hidden);
        const Term *grads = sums + token * g_row + part.place<Cell>(gate) * units - gate * l.hidden;
        if (l.num_masks > 1 || begin == first)
          put_rows(scratch.chunk, step, count, width,
                   [&](int64_t k) { return read(part, gate, start, token + k); });
        if (!part.is_h) add_up(grads, count, begin, stop);
        for (int64_t row = begin; row < stop; row += BLOCK) {
          const int64_t some = std::min(BLOCK, stop - row);
          const Left left = turned(grads + row, g_row, some, count, scratch.turned, t_row);
          for (int64_t column = 0; column < width; column += PANEL)
            product<true>(some, left, {scratch.chunk + column * PAIR, step}, deep(count),
                          total + row * width + column, width);
        }
      }
    }
  }

  // a token's x_t or h_t-1, as the products had them
  Row read(const Part &part, int64_t gate, int64_t start, int64_t token) const {
    const int64_t t = start + token / l.batch, row = token % l.batch;
    const Real *from = part.is_h ? before(row, t) : l.x + row * l.x_row + t * l.x_step;
    return {from, part.mask(l, l.num_masks > 1 ? gate : 0, row), part.size};
  }

  // the gradients of biases
  void add_up(const Term *grads, int64_t count, int64_t begin, int64_t stop) const {
    for (int64_t row = begin; row < stop; row += LANES) {
      Vector sum = load_part(l.grad_bias + row, stop - row);
      for (int64_t k = 0; k < count; k++) sum += numbers(grads + k * g_row + row);
      store_part(l.grad_bias + row, sum, stop - row);
    }
  }
};
