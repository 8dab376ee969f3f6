package org.moe4j.bench;

import java.util.Arrays;
import java.util.Locale;
import org.moe4j.Gating;
import org.moe4j.Init;
import org.moe4j.MoeConfig;
import org.moe4j.ParameterStore;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.KvCache;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * How fast an OLMoE-1B-7B-shaped model of random weights reads a prompt and writes tokens, greedily
 * and one sequence at a time: {@code GenerationSpeed LAYERS cpu|cuda f32|bf16 PROMPT TOKENS RUNS}.
 * A line per run: prompt tokens/s, then new tokens/s (the first token, which reading the prompt
 * gives, not counted).
 */
public final class GenerationSpeed {
  private static final int VOCAB = 50_304;
  private static final int WIDTH = 2048;

  private GenerationSpeed() {}

  /** See the class. */
  public static void main(String[] args) {
    int layers = Integer.parseInt(args[0]);
    Device device = (args[1].equals("cuda") ? Device.CUDA : Device.CPU).require();
    DType dtype = args[2].equals("bf16") ? DType.BF16 : DType.F32;
    int prompt = Integer.parseInt(args[3]);
    int tokens = Integer.parseInt(args[4]);
    try (Decoder made = model(layers, device, dtype);
        NoGrad off = NoGrad.open()) {
      Decoder model = made.withPrecision(dtype);
      run(model, Math.min(prompt, 16), 4);
      for (int i = 0; i < Integer.parseInt(args[5]); i++) {
        double[] seconds = run(model, prompt, tokens);
        System.out.printf(
            Locale.ROOT,
            "prompt %.1f tokens/s, decode %.2f tokens/s%n",
            prompt / seconds[0],
            (tokens - 1) / seconds[1]);
      }
    }
  }

  /** Weights of the usual size, so that routing is neither even nor stuck. */
  private static Decoder model(int layers, Device device, DType dtype) {
    MoeConfig moe = MoeConfig.builder(WIDTH, 1024, 64, 8).gating(Gating.SOFTMAX_TOP_K).build();
    DecoderConfig config =
        DecoderConfig.of(
            VOCAB,
            WIDTH,
            GroupedQueryConfig.of(WIDTH, 16).withQkNorm(GroupedQueryConfig.QkNorm.WHOLE),
            FeedForwardConfig.every(layers, new FeedForwardConfig.Moe(moe)));
    ParameterStore store = ParameterStore.uninitialised(device, dtype);
    Decoder model = new Decoder(config, store);
    RandomSource random = new RandomSource(1);
    store
        .all()
        .forEach(
            p -> {
              p.tensor().requiresGrad(false);
              try (Scope scope = Scope.open();
                  NoGrad off = NoGrad.open()) {
                Tensor t = p.tensor();
                Init init = t.dim() == 1 ? Init.constant(1) : Init.normal(0.02);
                long rows = t.dim() == 3 ? t.size(0) : 1;
                for (long e = 0; e < rows; e++) {
                  Tensor part = t.dim() == 3 ? t.select(0, e) : t;
                  part.copyInPlace(init.make(random, part.shape()).to(dtype).to(device));
                }
              }
            });
    return model;
  }

  /** Seconds of the prompt and of the tokens behind the first. */
  private static double[] run(Decoder model, int prompt, int tokens) {
    long[] ids = new long[prompt];
    Arrays.setAll(ids, i -> (i * 7919L + 11) % VOCAB);
    try (KvCache cache = model.newCache(1, prompt + tokens)) {
      long begin = System.nanoTime();
      long next = step(model, ids, cache);
      long middle = System.nanoTime();
      for (int i = 1; i < tokens; i++) {
        next = step(model, new long[] {next}, cache);
      }
      long end = System.nanoTime();
      return new double[] {(middle - begin) * 1e-9, (end - middle) * 1e-9};
    }
  }

  private static long step(Decoder model, long[] ids, KvCache cache) {
    try (Scope scope = Scope.open()) {
      Tensor input = Tensor.of(ids, 1, ids.length).to(model.parameters().device());
      return model.decode(input, cache).argmax(-1, false).toLongs()[0];
    }
  }
}
