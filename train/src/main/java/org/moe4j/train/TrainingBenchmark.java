package org.moe4j.train;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.moe4j.BalanceRegistry;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.ParameterStore;
import org.moe4j.TokenContext;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NativeMemory;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * How fast one full step of training is: forward, cross-entropy with balance loss, backward,
 * clipping, AdamW, on random tokens. The model has OLMoE's shape (Muennighoff and others, 2024):
 * norms over whole queries and keys, softmax then top-k without renormalisation, SwiGLU experts in
 * every layer, untied embeddings, balance loss 0.01.
 *
 * @param layers decoder blocks
 * @param hidden d
 * @param heads attention heads
 * @param experts E
 * @param topK k
 * @param ffn h
 * @param vocab V
 * @param seq S, tokens of a sequence
 * @param batch B, sequences
 * @param bf16 whether activations are BF16; parameters and router are F32
 * @param device where
 */
public record TrainingBenchmark(
    int layers,
    int hidden,
    int heads,
    int experts,
    int topK,
    int ffn,
    int vocab,
    int seq,
    int batch,
    boolean bf16,
    Device device) {
  private static final int WARM_UP = 3;

  /**
   * What was measured.
   *
   * @param tokensPerSecond B * S over the median step
   * @param milliseconds of the median step
   * @param parameters of the model
   * @param peakMemory most resident memory of the process in bytes; 0 if unknown
   * @param threads of the CPU
   */
  public record Result(
      double tokensPerSecond, double milliseconds, long parameters, long peakMemory, int threads) {}

  /** The model. */
  DecoderConfig config() {
    MoeConfig moe =
        MoeConfig.builder(hidden, ffn, experts, topK)
            .gating(Gating.SOFTMAX_TOP_K)
            .balance(BalanceRegistry.named("mixtral"), 0.01)
            .build();
    GroupedQueryConfig attention =
        GroupedQueryConfig.of(hidden, heads).withQkNorm(GroupedQueryConfig.QkNorm.WHOLE);
    return DecoderConfig.builder(
            vocab,
            hidden,
            attention,
            FeedForwardConfig.every(layers, new FeedForwardConfig.Moe(moe)))
        .maxPositions(Math.max(seq, 1))
        .build();
  }

  /** Runs a few steps to warm up and then {@code steps}. */
  public Result run(int steps) {
    if (steps < 1 || batch < 1 || seq < 1) {
      throw new MoeException("steps, batch and seq must be at least 1");
    }
    NativeMemory.reuseFreedBlocks(1L << 30);
    RandomSource random = new RandomSource(0);
    AdamW.Options options = new AdamW.Options(0.9, 0.95, 1e-8, 0.1);
    try (Decoder model = new Decoder(config(), new ParameterStore(random, device.require()));
        AdamW optimiser = new AdamW(model.parameters().all(), options)) {
      Decoder precise = model.withPrecision(bf16 ? DType.BF16 : DType.F32);
      List<Double> seconds = new ArrayList<>();
      for (int i = 0; i < WARM_UP + steps; i++) {
        long begin = System.nanoTime();
        step(precise, optimiser, random);
        if (i >= WARM_UP) {
          seconds.add((System.nanoTime() - begin) * 1e-9);
        }
      }
      double[] sorted = seconds.stream().mapToDouble(s -> s).sorted().toArray();
      double median = Arrays.stream(sorted, (steps - 1) / 2, steps / 2 + 1).average().orElse(0);
      return new Result(
          (double) batch * seq / median,
          median * 1e3,
          model.config().parameters().total(),
          NativeMemory.peakResident(),
          Ops.threads());
    }
  }

  private void step(Decoder model, AdamW optimiser, RandomSource random) {
    try (Scope scope = Scope.open()) {
      Tensor ids = tokens(random);
      Tensor targets = tokens(random);
      model.loss(ids, targets, TokenContext.train(batch, seq, random)).total().backward();
      double norm = Gradients.norm(model.parameters().all());
      optimiser.update(4e-4, Math.max(1, norm));
      Gradients.clear(model.parameters().all());
    }
  }

  private Tensor tokens(RandomSource random) {
    return random.uniform(0, vocab, DType.F64, batch, seq).to(DType.I64).to(device);
  }
}
