package org.moe4j.engine.model;

import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.kernel.Packing;

/**
 * Experts of a layer as the file stores them: each tensor stacks a matrix of every expert.
 *
 * @param count how many
 * @param width of the residual stream
 * @param hidden rows of a gate
 */
public record ExpertTensors(
    int count, int width, int hidden, GgufTensor gate, GgufTensor up, GgufTensor down) {
  /** Packs expert {@code e}. */
  public Expert pack(int e, Packing packing) {
    return new Expert(
        packing.pack(gate, e, hidden), packing.pack(up, e, hidden), packing.pack(down, e, width));
  }
}
