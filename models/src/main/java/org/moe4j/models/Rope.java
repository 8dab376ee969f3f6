package org.moe4j.models;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Tensor;

/**
 * A {@link RopeConfig rotary embedding} at work. The tables of cosines and sines grow with the
 * positions that are asked for; where the rotation depends on a text's length there is one for each
 * set of frequencies.
 */
public final class Rope implements AutoCloseable {
  private static final int SMALLEST_TABLE = 128;
  private static final int MOST_TABLES = 4;

  private final RopeConfig config;
  private final int headDim;
  private final int maxPositions;
  private final Device device;
  private final Map<Integer, Angles> tables = new HashMap<>();

  /** Cosines and sines, [positions, R/2] in F32. */
  private record Angles(Tensor cos, Tensor sin) {
    private void close() {
      cos.close();
      sin.close();
    }
  }

  /**
   * A rotation for heads of {@code headDim} (D, even) channels.
   *
   * @param maxPositions the largest number of positions that will be asked for
   */
  public Rope(RopeConfig config, int headDim, int maxPositions, Device device) {
    this.config = config;
    this.headDim = headDim;
    this.maxPositions = maxPositions;
    this.device = device;
  }

  /** What is computed. */
  public RopeConfig config() {
    return config;
  }

  /**
   * {@code x [B,H,S,D]} turned, its tokens standing where {@code span} says. Below F32 it is turned
   * in F32 and rounded once.
   */
  Tensor apply(Tensor x, Span span) {
    DType wide = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    return turned(x.to(wide), span).to(x.dtype());
  }

  private Tensor turned(Tensor x, Span span) {
    Angles angles = at(span);
    Tensor c = angles.cos.to(x.dtype());
    Tensor s = angles.sin.to(x.dtype());
    long rotated = config.rotatedOf(headDim);
    long half = rotated / 2;
    Tensor a;
    Tensor b;
    if (config.interleaved()) {
      Tensor pairs = x.narrow(-1, 0, rotated).reshape(x.size(0), x.size(1), x.size(2), half, 2);
      a = pairs.select(-1, 0);
      b = pairs.select(-1, 1);
    } else {
      a = x.narrow(-1, 0, half);
      b = x.narrow(-1, half, half);
    }
    // Interleaved pairs come out as two halves: queries and keys alike, so their products agree.
    List<Tensor> parts = new ArrayList<>();
    parts.add(a.mul(c).sub(b.mul(s)));
    parts.add(b.mul(c).add(a.mul(s)));
    if (rotated < headDim) {
      parts.add(x.narrow(-1, rotated, headDim - rotated));
    }
    return Tensor.cat(parts, -1);
  }

  /** Cosines of the angles of positions 0 .. positions-1: [positions, R/2], F32. */
  Tensor cosines(long positions) {
    return angles((int) positions, (int) positions).cos.narrow(0, 0, positions);
  }

  /** Sines of the angles of positions 0 .. positions-1: [positions, R/2], F32. */
  Tensor sines(long positions) {
    return angles((int) positions, (int) positions).sin.narrow(0, 0, positions);
  }

  /** [S,R/2] where all sequences agree, else [B,1,S,R/2]. */
  private Angles at(Span span) {
    if (span.aligned()) {
      Angles all = angles(span.end(), span.end());
      return new Angles(
          all.cos.narrow(0, span.start(), span.count()),
          all.sin.narrow(0, span.start(), span.count()));
    }
    List<Tensor> cos = new ArrayList<>();
    List<Tensor> sin = new ArrayList<>();
    for (int row = 0; row < span.rows(); row++) {
      long[] positions = new long[span.count()];
      for (int i = 0; i < positions.length; i++) {
        positions[i] = span.position(row, span.start() + i);
      }
      Tensor index = Tensor.of(positions, positions.length).to(device);
      Angles all = angles(span.length(row), span.end());
      cos.add(all.cos.indexSelect(0, index));
      sin.add(all.sin.indexSelect(0, index));
    }
    return new Angles(Tensor.stack(cos, 0).unsqueeze(1), Tensor.stack(sin, 0).unsqueeze(1));
  }

  /** A table of at least {@code positions} for a text of {@code length} tokens. */
  private Angles angles(int length, int positions) {
    int regime = regime(length);
    Angles known = tables.get(regime);
    if (known != null && known.cos.size(0) >= positions) {
      return known;
    }
    if (positions > maxPositions) {
      throw new IllegalArgumentException(
          "position " + (positions - 1) + " of at most " + maxPositions);
    }
    int twice = known == null ? SMALLEST_TABLE : (int) Math.min(1 << 30, 2 * known.cos.size(0));
    Angles made = table(length, Math.min(maxPositions, Math.max(positions, twice)));
    if (tables.size() == MOST_TABLES) {
      close();
    }
    Angles before = tables.put(regime, made);
    if (before != null) {
      before.close();
    }
    return made;
  }

  /** Texts of the same regime are turned alike. */
  private int regime(int length) {
    return switch (config.scaling()) {
      case RopeConfig.Scaling.Dynamic s -> Math.max(length, s.original());
      case RopeConfig.Scaling.LongRope s -> length > s.original() ? 1 : 0;
      default -> 0;
    };
  }

  /** The angles are rounded as the released models' code rounds them. */
  private Angles table(int length, int positions) {
    RopeTable table = RopeTable.of(config, headDim, length);
    float[] frequencies = table.frequencies();
    int half = frequencies.length;
    float[] cos = new float[positions * half];
    float[] sin = new float[positions * half];
    for (int p = 0; p < positions; p++) {
      for (int j = 0; j < half; j++) {
        float angle = p * frequencies[j];
        cos[p * half + j] = (float) (Math.cos(angle) * table.magnitude());
        sin[p * half + j] = (float) (Math.sin(angle) * table.magnitude());
      }
    }
    return new Angles(
        Tensor.of(cos, positions, half).to(device).keep(),
        Tensor.of(sin, positions, half).to(device).keep());
  }

  /** Frees the tables. */
  @Override
  public void close() {
    tables.values().forEach(Angles::close);
    tables.clear();
  }
}
