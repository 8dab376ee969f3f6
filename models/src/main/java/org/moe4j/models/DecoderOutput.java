package org.moe4j.models;

import java.util.List;
import java.util.Map;
import org.moe4j.MoeOutput;
import org.moe4j.tensor.Tensor;

/**
 * What a forward pass gives.
 *
 * @param hidden [B,S,d], after the final norm
 * @param moe what each sparse layer did, by block index
 * @param balance the sum of the layers' weighted balance losses, a scalar
 */
public record DecoderOutput(Tensor hidden, Map<Integer, MoeOutput> moe, Tensor balance) {
  /** The sparse layers' outputs in order. */
  public List<MoeOutput> layers() {
    return List.copyOf(moe.values());
  }
}
