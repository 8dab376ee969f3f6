package org.moe4j.models;

import java.util.List;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Tensor;

/**
 * Rotary position embedding (Su et al. 2021, arXiv 2104.09864) on all channels of a head, in the
 * half-split form: channels j and j + D/2 are one pair, turned by {@code position * theta^(-2j/D)}.
 *
 * <p>The tables of cosines and sines grow with the positions that are asked for.
 */
public final class Rope implements AutoCloseable {
  private static final int SMALLEST_TABLE = 128;

  private final int headDim;
  private final double theta;
  private final int maxPositions;
  private final Device device;
  private Tensor cos;
  private Tensor sin;

  /**
   * A rotation for heads of {@code headDim} (D, even) channels.
   *
   * @param maxPositions the largest number of positions that will be asked for
   */
  public Rope(int headDim, double theta, int maxPositions, Device device) {
    this.headDim = headDim;
    this.theta = theta;
    this.maxPositions = maxPositions;
    this.device = device;
    int first = Math.min(SMALLEST_TABLE, maxPositions);
    this.cos = table(first, true).keep();
    this.sin = table(first, false).keep();
  }

  /** {@code x [B,H,S,D]} turned; its first position is {@code start}. */
  public Tensor apply(Tensor x, long start) {
    long positions = x.size(2);
    grow(start + positions);
    Tensor c = cos.narrow(0, start, positions).to(x.dtype());
    Tensor s = sin.narrow(0, start, positions).to(x.dtype());
    long half = headDim / 2;
    Tensor a = x.narrow(-1, 0, half);
    Tensor b = x.narrow(-1, half, half);
    return Tensor.cat(List.of(a.mul(c).sub(b.mul(s)), b.mul(c).add(a.mul(s))), -1);
  }

  /** Cosines of the angles of positions 0 .. positions-1: [positions, D/2], F32. */
  Tensor cosines(long positions) {
    grow(positions);
    return cos.narrow(0, 0, positions);
  }

  /** Sines of the angles of positions 0 .. positions-1: [positions, D/2], F32. */
  Tensor sines(long positions) {
    grow(positions);
    return sin.narrow(0, 0, positions);
  }

  private void grow(long positions) {
    if (positions <= cos.size(0)) {
      return;
    }
    if (positions > maxPositions) {
      throw new IllegalArgumentException(
          "position " + (positions - 1) + " of at most " + maxPositions);
    }
    int next = (int) Math.min(maxPositions, Math.max(positions, 2 * cos.size(0)));
    close();
    cos = table(next, true).keep();
    sin = table(next, false).keep();
  }

  /** [positions, D/2] in F32: the angles are rounded as the released models' code rounds them. */
  private Tensor table(int positions, boolean cosine) {
    int half = headDim / 2;
    float[] values = new float[positions * half];
    for (int j = 0; j < half; j++) {
      float power = (float) Math.pow(theta, (double) ((float) (2 * j) / headDim));
      float frequency = 1 / power;
      for (int p = 0; p < positions; p++) {
        float angle = p * frequency;
        values[p * half + j] = (float) (cosine ? Math.cos(angle) : Math.sin(angle));
      }
    }
    return Tensor.of(values, positions, half).to(device);
  }

  /** Frees the tables. */
  @Override
  public void close() {
    cos.close();
    sin.close();
  }
}
