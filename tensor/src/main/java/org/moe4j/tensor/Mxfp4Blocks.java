package org.moe4j.tensor;

import java.util.ArrayList;
import java.util.List;

/**
 * A weight in MXFP4 as the published gpt-oss checkpoints have it: runs of 32 elements of a row
 * share a scale 2^(byte - 127), each element is an E2M1 code, two in a byte, the lower half first
 * (OCP Microscaling Formats v1.0, section 5). With the scale byte 254 the sizes of 2 and above
 * overflow F32 to infinity. The byte 255, NaN in that standard, is refused: no writer of weights
 * means it.
 */
public final class Mxfp4Blocks extends BlockScaled {
  /** What the name of the codes has behind the name of the weight. */
  public static final String BLOCKS = "_blocks";

  /** What the name of the scales has behind the name of the weight. */
  public static final String SCALES = "_scales";

  private static final int BLOCK = 32;
  private static final long BLOCK_BYTES = BLOCK / 2;

  private Mxfp4Blocks(Safetensors in, StoredTensor codes, StoredTensor scales, long[] shape) {
    super(in, codes, scales, shape);
  }

  /**
   * Checks the codes [.., rows, n, 16] U8 and scales [.., rows, n] U8 or F8_E8M0 of a weight [..,
   * rows, 32 n].
   *
   * @param weight the name without {@link #BLOCKS} and {@link #SCALES}
   * @throws MoeException if one is missing or of another type or shape
   */
  public static Mxfp4Blocks open(Safetensors in, String weight) {
    StoredTensor codes = codes(in, weight + BLOCKS, DType.U8, 3);
    List<Long> grid = new ArrayList<>(codes.shape());
    if (grid.removeLast() != BLOCK_BYTES) {
      throw failure(
          in, codes, "has shape " + codes.shape() + ", expected [.., n, " + BLOCK_BYTES + "]");
    }
    StoredTensor scales =
        scales(in, codes, weight + SCALES, List.of(DType.U8, DType.F8_E8M0), grid);
    long[] shape = grid.stream().mapToLong(Long::longValue).toArray();
    shape[shape.length - 1] *= BLOCK;
    return new Mxfp4Blocks(in, codes, scales, shape);
  }

  @Override
  Decoder decoder(long from, long rows) {
    long perRow = scales.shape().getLast();
    refuseNan(from * perRow, (from + rows) * perRow);
    return (row, column, r, c, out) -> {
      long first = row * perRow + column / BLOCK;
      int count = r * c / BLOCK;
      byte[] exponents = bytes(scales, first, count);
      byte[] pairs = bytes(codes, first * BLOCK_BYTES, r * c / 2);
      for (int b = 0; b < count; b++) {
        float factor = SmallFloats.e8m0(exponents[b]);
        for (int i = b * BLOCK; i < (b + 1) * BLOCK; i += 2) {
          byte pair = pairs[i / 2];
          out[i] = SmallFloats.e2m1(pair) * factor;
          out[i + 1] = SmallFloats.e2m1(pair >> 4) * factor;
        }
      }
    };
  }

  private void refuseNan(long start, long end) {
    for (long at = start; at < end; at += PIECE) {
      byte[] read = bytes(scales, at, (int) Math.min(PIECE, end - at));
      for (int i = 0; i < read.length; i++) {
        if ((read[i] & 0xFF) == SmallFloats.E8M0_NAN) {
          throw failure(scales, "has the scale NaN (byte 255) at element " + (at + i));
        }
      }
    }
  }
}
