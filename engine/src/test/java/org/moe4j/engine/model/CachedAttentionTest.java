package org.moe4j.engine.model;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.moe4j.engine.CacheType;
import org.moe4j.engine.cache.Cache;
import org.moe4j.engine.cache.PageLayout;
import org.moe4j.engine.cache.PagePool;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.kernel.Workers;

/** Attention to a cache against a loop in doubles, and its bits however a text is cut. */
class CachedAttentionTest {
  private static final int LAYER = 2;

  private static float[] random(Random random, int n) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) {
      x[i] = Float.float16ToFloat(Float.floatToFloat16((float) random.nextGaussian()));
    }
    return x;
  }

  /** Queries, keys and values of a text's tokens, and where results of each head begin. */
  private record Text(AttentionShape shape, int length, float[] q, float[] k, float[] v) {
    static Text of(AttentionShape shape, int length) {
      Random r = new Random(shape.hashCode() + length);
      return new Text(
          shape,
          length,
          random(r, length * shape.heads() * shape.keySize()),
          random(r, length * shape.keyWidth()),
          random(r, length * shape.valueWidth()));
    }

    private static float[] rows(float[] x, int width, int from, int count) {
      return Arrays.copyOfRange(x, from * width, (from + count) * width);
    }

    /** All tokens' results, of steps of so many tokens. */
    float[] run(int threads, int step, float[] sinks) {
      Shape model =
          new Shape(
              Architecture.LLAMA,
              1,
              LAYER + 1,
              32,
              length,
              0,
              shape,
              new RotaryShape(Architecture.Pairing.HALVES, 0, 1, 1, 0, 1, 1, 1, 1, 0),
              MixtureShape.NONE,
              1,
              new Scales(1, 1, 1));
      PageLayout layout = new PageLayout(shape.cached(CacheType.F16), LAYER + 1, shape.keyHeads());
      float[] all = new float[length * shape.heads() * shape.valueSize()];
      try (Workers workers = new Workers(threads);
          PagePool pool = new PagePool(layout, PageLayout.pages(length) * layout.bytes(), 0);
          Cache cache = new Cache(pool)) {
        Products products = new Products(workers);
        HiddenStates states = new HiddenStates(model, products);
        CachedAttention attention = new CachedAttention(shape, products);
        MemorySegment numbers = MemorySegment.ofArray(new byte[128]);
        GgufTensor embedding =
            new GgufTensor("token_embd.weight", GgmlType.F32, new long[] {32, 1}, numbers);
        cache.reserve(length);
        int width = shape.heads() * shape.valueSize();
        for (int from = 0; from < length; from += step) {
          int count = Math.min(step, length - from);
          products.reserve(count, count);
          Step.Piece piece = new Step.Piece(cache, new int[count], false);
          states.embed(new Step(List.of(piece)), embedding);
          float[] keys = rows(k, shape.keyWidth(), from, count);
          float[] values = rows(v, shape.valueWidth(), from, count);
          attention.store(LAYER, states, keys, shape.keyWidth(), values, shape.valueWidth());
          int at = from * width;
          float[] queries = rows(q, shape.heads() * shape.keySize(), from, count);
          attention.run(
              LAYER,
              states,
              queries,
              sinks,
              all,
              (t, head) -> at + t * width + head * shape.valueSize());
        }
      }
      return all;
    }

    /** In doubles, of one token and head. */
    double[] expected(int token, int head, float[] sinks) {
      int keyHead = head / (shape.heads() / shape.keyHeads());
      int size = shape.keySize();
      double sum = sinks.length > 0 ? Math.exp(sinks[head]) : 0;
      double[] result = new double[shape.valueSize()];
      for (int p = shape.first(LAYER, token); p <= token; p++) {
        double score = 0;
        for (int d = 0; d < size; d++) {
          score +=
              (double) q[(token * shape.heads() + head) * size + d]
                  * k[(p * shape.keyHeads() + keyHead) * size + d];
        }
        double weight = Math.exp(score * shape.scale());
        sum += weight;
        for (int d = 0; d < result.length; d++) {
          result[d] += weight * v[(p * shape.keyHeads() + keyHead) * result.length + d];
        }
      }
      for (int d = 0; d < result.length; d++) {
        result[d] /= sum;
      }
      return result;
    }
  }

  @ParameterizedTest
  @CsvSource({
    // heads, key heads, key size, value size, window, sinks, length
    "32, 4, 128, 128, 0, false, 75", // Qwen3-30B-A3B
    "16, 16, 128, 128, 0, false, 131", // OLMoE
    "32, 8, 128, 128, 0, false, 63", // Mixtral
    "24, 8, 64, 64, 0, false, 65", // Granite
    "64, 8, 64, 64, 33, true, 140", // gpt-oss
    "96, 8, 128, 128, 0, false, 20", // GLM 4.5
    "16, 1, 576, 512, 0, false, 70", // latent
    "6, 2, 80, 48, 0, true, 66",
    "7, 1, 96, 20, 5, false, 600",
    "20, 1, 33, 1, 300, true, 530",
    "1, 1, 192, 128, 0, false, 1030"
  })
  void isThatOfADoubleLoopWithTheSameBitsInAnyStepsOnAnyThreads(
      int heads,
      int keyHeads,
      int keySize,
      int valueSize,
      int window,
      boolean sinking,
      int length) {
    float scale = (float) (1 / Math.sqrt(keySize));
    AttentionShape shape =
        new AttentionShape(
            heads, keyHeads, keySize, valueSize, scale, window, window > 0, Optional.empty());
    Text text = Text.of(shape, length);
    float[] sinks = sinking ? random(new Random(1), heads) : new float[0];
    float[] all = text.run(1, length, sinks);
    assertThat(Arrays.equals(text.run(2, 1, sinks), all)).isTrue();
    assertThat(Arrays.equals(text.run(3, 37, sinks), all)).isTrue();
    for (int token = length - 1; token >= 0; token -= Math.max(1, length / 9)) {
      for (int head = 0; head < heads; head++) {
        double[] expected = text.expected(token, head, sinks);
        int at = (token * heads + head) * valueSize;
        double error = 0;
        for (int d = 0; d < valueSize; d++) {
          error = Math.max(error, Math.abs(all[at + d] - expected[d]));
        }
        assertThat(error).as("token %s, head %s", token, head).isLessThan(2e-5);
      }
    }
  }
}
