package org.moe4j.train;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.moe4j.TokenContext;
import org.moe4j.models.Decoder;
import org.moe4j.models.DomainMixture;
import org.moe4j.models.EncoderDecoder;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.models.hf.HfEncoderDecoder;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * What a model expects behind every token of a sequence.
 *
 * @param read the tokens that the logits stand behind
 * @param logits [positions][V]
 */
public record ModelLogits(List<Integer> read, float[][] logits) {
  /**
   * Reads the model in {@code folder} and shows it one sequence.
   *
   * @param ids what the model reads; an encoder-decoder's encoder
   * @param decoderIds what the decoder of an encoder-decoder reads, the token that begins its
   *     answers if empty; empty for a decoder
   * @throws MoeException if there is no such model, or an id is not in its vocabulary
   */
  public static ModelLogits of(
      Path folder, List<Integer> ids, List<Integer> decoderIds, Loading how) {
    if (HfEncoderDecoder.serves(folder)) {
      return encoderDecoder(folder, ids, decoderIds, how);
    }
    if (!decoderIds.isEmpty()) {
      throw new MoeException(
          folder
              + ": --decoder-ids is for encoder-decoder models, which this is not; leave it out");
    }
    LanguageModel.refuseExpertBytes(folder, how);
    HfCheckpoint.Loaded loaded =
        HfCheckpoint.load(folder, how.device().require(), how.dtype(), how.progress());
    try (Decoder model = loaded.model().withPrecision(how.dtype())) {
      return new ModelLogits(ids, of(model, ints(ids)));
    }
  }

  private static ModelLogits encoderDecoder(
      Path folder, List<Integer> ids, List<Integer> decoderIds, Loading how) {
    try (HfEncoderDecoder.Loaded loaded =
            HfEncoderDecoder.load(folder, AnswerModel.options(how), how.progress());
        NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      EncoderDecoder model = loaded.model().withPrecision(how.dtype());
      int vocab = model.config().vocab();
      List<Integer> read = decoderIds.isEmpty() ? List.of(model.config().start()) : decoderIds;
      check(ints(ids), vocab);
      check(ints(read), vocab);
      Device device = model.parameters().device();
      Tensor hidden = model.forward(row(device, ints(ids)), row(device, ints(read))).hidden();
      return new ModelLogits(read, rows(model.logits(hidden), read.size()));
    }
  }

  private static int[] ints(List<Integer> ids) {
    return ids.stream().mapToInt(Integer::intValue).toArray();
  }

  private static Tensor row(Device device, int... ids) {
    long[] wide = Arrays.stream(ids).asLongStream().toArray();
    return Tensor.of(wide, 1, wide.length).to(device);
  }

  private static float[][] rows(Tensor logits, int positions) {
    float[] flat = logits.toFloats();
    int vocab = flat.length / positions;
    float[][] rows = new float[positions][];
    Arrays.setAll(rows, s -> Arrays.copyOfRange(flat, s * vocab, (s + 1) * vocab));
    return rows;
  }

  /** The logits of a decoder over a sequence of which nothing but its ids is known. */
  static float[][] of(Decoder model, int... ids) {
    check(ids, model.config().vocab());
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      Tensor logits = of(model, row(model.parameters().device(), ids));
      return rows(logits, ids.length);
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
