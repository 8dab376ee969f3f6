package org.moe4j.engine.model;

import java.util.Arrays;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.kernel.Packing;
import org.moe4j.engine.model.Expert.Biases;

/**
 * Experts of a layer as the file stores them: each tensor stacks a matrix of every expert.
 *
 * @param count how many
 * @param width of the residual stream
 * @param hidden rows of a gate
 * @param biases of all experts, one after the other, or none
 */
public record ExpertTensors(
    int count,
    int width,
    int hidden,
    GgufTensor gate,
    GgufTensor up,
    GgufTensor down,
    Biases biases) {
  /** Packs expert {@code e}, or promises to. */
  public Expert pack(int e, Packing packing) {
    return new Expert(
        packing.packLater(gate, e, hidden),
        packing.packLater(up, e, hidden),
        packing.packLater(down, e, width),
        biases(e));
  }

  /** Those of expert {@code e}. */
  public Biases biases(int e) {
    return new Biases(
        part(biases.gate(), e, hidden),
        part(biases.up(), e, hidden),
        part(biases.down(), e, width));
  }

  private static float[] part(float[] all, int e, int size) {
    return all.length == 0 ? all : Arrays.copyOfRange(all, e * size, (e + 1) * size);
  }
}
