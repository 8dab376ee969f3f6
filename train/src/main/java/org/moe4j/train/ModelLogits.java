package org.moe4j.train;

import java.nio.file.Path;
import java.util.Arrays;
import org.moe4j.TokenContext;
import org.moe4j.models.Decoder;
import org.moe4j.models.DomainMixture;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** What a model expects behind every token of a sequence. */
public final class ModelLogits {
  private ModelLogits() {}

  /**
   * Reads the model in {@code folder} and shows it one sequence.
   *
   * @param ids what the model reads; an encoder-decoder's encoder
   * @param decoderIds what the decoder of an encoder-decoder reads; empty for a decoder
   * @return logits [positions][V]
   * @throws MoeException if there is no such model, or an id is not in its vocabulary
   */
  public static float[][] of(Path folder, int[] ids, int[] decoderIds, Device device, DType dtype) {
    if (decoderIds.length > 0) {
      throw new MoeException(
          folder
              + ": --decoder-ids is for encoder-decoder models, which this is not; leave it out");
    }
    try (Decoder model =
        HfCheckpoint.load(folder, device.require(), dtype).model().withPrecision(dtype)) {
      return of(model, ids);
    }
  }

  /** The logits of a decoder over a sequence of which nothing but its ids is known. */
  static float[][] of(Decoder model, int... ids) {
    int vocab = model.config().vocab();
    check(ids, vocab);
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      long[] wide = Arrays.stream(ids).asLongStream().toArray();
      Tensor input = Tensor.of(wide, 1, wide.length).to(model.parameters().device());
      float[] flat = of(model, input).toFloats();
      float[][] rows = new float[ids.length][];
      Arrays.setAll(rows, s -> Arrays.copyOfRange(flat, s * vocab, (s + 1) * vocab));
      return rows;
    }
  }

  /** Logits [B,S,V] of {@code ids [B,S]}. */
  static Tensor of(Decoder model, Tensor ids) {
    if (DomainMixture.serves(model)) {
      return new DomainMixture(model).logits(ids);
    }
    Tensor unknown = Tensor.full(-1, DType.I64, ids.device(), ids.shape());
    TokenContext context = TokenContext.eval(ids.size(0), ids.size(1)).withDomains(unknown);
    return model.logits(model.forward(ids, context).hidden());
  }

  private static void check(int[] ids, int vocab) {
    if (ids.length == 0) {
      throw new MoeException("no token ids; give at least one");
    }
    for (int id : ids) {
      if (id < 0 || id >= vocab) {
        throw new MoeException("token id " + id + " is not in the vocabulary of " + vocab);
      }
    }
  }
}
