package org.moe4j.models.hf;

import java.util.List;

/**
 * What {@code quantization_config} says of weights that are stored as codes and scales.
 *
 * @param blockRows rows of an FP8 block
 * @param blockColumns columns of an FP8 block
 */
record Quantisation(long blockRows, long blockColumns) {
  /** Blocks of 128 x 128, as DeepSeek-V3's. */
  static final Quantisation DEFAULT = new Quantisation(128, 128);

  static final String FIELD = "quantization_config";
  private static final String METHOD = FIELD + "/quant_method";
  private static final String BLOCK = FIELD + "/weight_block_size";

  /**
   * Reads it from a configuration.
   *
   * @throws org.moe4j.tensor.MoeException if it names a method that is not read
   */
  static Quantisation of(ConfigFile file) {
    if (!file.has(FIELD)) {
      return DEFAULT;
    }
    String method = file.textOr("none", METHOD);
    if (!List.of("fp8", "mxfp4", "none").contains(method)) {
      throw file.failure(METHOD + " " + method + " is not supported; supported: fp8, mxfp4");
    }
    if (!file.has(BLOCK)) {
      return DEFAULT;
    }
    return new Quantisation(file.positive(BLOCK + "/0"), file.positive(BLOCK + "/1"));
  }
}
