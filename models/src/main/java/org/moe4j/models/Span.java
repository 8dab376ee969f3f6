package org.moe4j.models;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Tensor;

/**
 * Where the tokens of a pass stand: {@code count} columns of each sequence from column {@code
 * start} on, of which a sequence's first {@code pad} columns are padding. A sequence's first real
 * token has position 0.
 */
final class Span {
  private final int start;
  private final int count;
  private final int[] pad;
  private final Map<Integer, Optional<Tensor>> masks = new HashMap<>();

  private Span(int start, int count, int[] pad) {
    this.start = start;
    this.count = count;
    this.pad = pad;
  }

  /** Whole sequences of {@code count} tokens, without padding on the left. */
  static Span whole(long count) {
    return new Span(0, (int) count, new int[0]);
  }

  /** The tokens of {@code context}, behind {@code start} columns that had {@code padBefore}. */
  static Span of(TokenContext context, int start, int[] padBefore) {
    int[] pad = start == 0 ? leading(context) : padBefore;
    return new Span(start, (int) context.length(), pad);
  }

  /** Columns of padding at the left of each sequence; empty if there are none at all. */
  private static int[] leading(TokenContext context) {
    Optional<Tensor> mask = context.padding();
    if (mask.isEmpty()) {
      return new int[0];
    }
    byte[] real = mask.get().toBytes();
    int length = (int) context.length();
    int[] pad = new int[(int) context.sequences()];
    for (int b = 0; b < pad.length; b++) {
      while (pad[b] < length && real[b * length + pad[b]] == 0) {
        pad[b]++;
      }
    }
    return Arrays.stream(pad).allMatch(p -> p == 0) ? new int[0] : pad;
  }

  /** The first column. */
  int start() {
    return start;
  }

  /** S. */
  int count() {
    return count;
  }

  /** N, the columns up to the last of these tokens. */
  int end() {
    return start + count;
  }

  /** Columns of padding of each sequence; empty if there are none. */
  int[] pad() {
    return pad.clone();
  }

  /** True if all sequences stand at the same positions. */
  boolean aligned() {
    return pad.length == 0;
  }

  /** Sequences that differ in their positions: 1 if none do. */
  int rows() {
    return Math.max(1, pad.length);
  }

  /** Position of column {@code column} in sequence {@code row}; 0 in its padding. */
  int position(int row, int column) {
    return Math.max(0, column - padOf(row));
  }

  /** Real tokens of sequence {@code row} up to the last of these. */
  int length(int row) {
    return end() - padOf(row);
  }

  private int padOf(int row) {
    return aligned() ? 0 : pad[row];
  }

  /** All columns up to the last of these tokens. */
  Span fromZero() {
    return new Span(0, end(), pad);
  }

  /** True if a query sees exactly the columns up to its own. */
  boolean causal(int window) {
    return aligned() && (window == 0 || window >= end());
  }

  /**
   * Which columns each query sees, [B or 1, 1, S, N] BOOL: those up to its own and not in the
   * padding, of the last {@code window} (0: of all). Padding sees itself, so that no row is empty.
   * Nothing if every query sees every column.
   */
  Optional<Tensor> visible(int window, Device device) {
    if (count == 1 && causal(window)) {
      return Optional.empty();
    }
    return masks.computeIfAbsent(window, w -> Optional.of(mask(w).to(device)));
  }

  private Tensor mask(int window) {
    int n = end();
    byte[] seen = new byte[Math.multiplyExact(rows(), Math.multiplyExact(count, n))];
    int at = 0;
    for (int b = 0; b < rows(); b++) {
      for (int i = start; i < n; i++, at += n) {
        int first = Math.max(padOf(b), window == 0 ? 0 : i - window + 1);
        Arrays.fill(seen, at + Math.min(first, i), at + i + 1, (byte) 1);
      }
    }
    return Tensor.of(seen, rows(), 1, count, n).to(DType.BOOL);
  }
}
