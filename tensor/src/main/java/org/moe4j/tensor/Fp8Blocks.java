package org.moe4j.tensor;

import java.util.ArrayList;
import java.util.List;

/**
 * A weight as FP8 E4M3 codes with one scale for every rectangle of a matrix, 128 x 128 in the
 * published DeepSeek-V3 checkpoints: W = code x {@code weight_scale_inv} of its block (DeepSeek-V3
 * Technical Report, 2024, section 3.3.2; the scale is multiplied in spite of the stored name).
 * Blocks at the lower and right edge are cut off. The codes 0x7F and 0xFF give NaN.
 */
public final class Fp8Blocks extends BlockScaled {
  /** What the name of the scales has behind the name of the weight. */
  public static final String SCALES = "_scale_inv";

  private static final List<DType> SCALE_TYPES =
      List.of(DType.F32, DType.BF16, DType.F16, DType.F8_E8M0);

  private final long blockRows;
  private final long blockColumns;

  private Fp8Blocks(
      Safetensors in, StoredTensor codes, StoredTensor scales, long blockRows, long blockColumns) {
    super(in, codes, scales, codes.sizes());
    this.blockRows = blockRows;
    this.blockColumns = blockColumns;
  }

  /**
   * Checks a weight [.., rows, columns] F8_E4M3 and its scales [.., ceil(rows / blockRows),
   * ceil(columns / blockColumns)], which are F32, BF16, F16 or F8_E8M0.
   *
   * @param weight the name of the codes; that of the scales has {@link #SCALES} behind it
   * @param blockRows the first number of {@code weight_block_size} in the model's config (it does
   *     not follow from the shapes)
   * @param blockColumns the second one
   * @throws MoeException if one is missing or of another type or shape
   */
  public static Fp8Blocks open(Safetensors in, String weight, long blockRows, long blockColumns) {
    StoredTensor codes = codes(in, weight, DType.F8_E4M3, 2);
    if (blockRows < 1 || blockColumns < 1) {
      throw failure(
          in, codes, "cannot have blocks of " + blockRows + " x " + blockColumns + " elements");
    }
    List<Long> grid = new ArrayList<>(codes.shape());
    int last = grid.size() - 1;
    grid.set(last - 1, Math.ceilDiv(grid.get(last - 1), blockRows));
    grid.set(last, Math.ceilDiv(grid.get(last), blockColumns));
    StoredTensor scales = scales(in, codes, weight + SCALES, SCALE_TYPES, grid);
    if (scales.elements() > Integer.MAX_VALUE / 2) {
      throw failure(in, scales, "has too many scales: " + scales.elements());
    }
    return new Fp8Blocks(in, codes, scales, blockRows, blockColumns);
  }

  @Override
  Decoder decoder(long first, long count) {
    float[] factors = factors();
    long rows = codes.shape().get(codes.shape().size() - 2);
    long columns = codes.shape().getLast();
    long gridRows = Math.ceilDiv(rows, blockRows);
    long gridColumns = Math.ceilDiv(columns, blockColumns);
    return (row, column, r, c, out) -> {
      byte[] read = bytes(codes, row * columns + column, r * c);
      for (int i = 0; i < r; i++) {
        long matrix = (row + i) / rows;
        long gridRow = matrix * gridRows + (row + i) % rows / blockRows;
        for (int j = 0; j < c; ) {
          long block = (column + j) / blockColumns;
          int end = (int) Math.min(c, (block + 1) * blockColumns - column);
          float factor = factors[(int) (gridRow * gridColumns + block)];
          for (; j < end; j++) {
            out[i * c + j] = SmallFloats.e4m3(read[i * c + j]) * factor;
          }
        }
      }
    };
  }

  private float[] factors() {
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      float[] factors = in.load(scales.name()).toFloats();
      for (int i = 0; i < factors.length; i++) {
        if (!Float.isFinite(factors[i])) {
          throw failure(scales, "has the scale " + factors[i] + " at element " + i);
        }
      }
      return factors;
    }
  }
}
