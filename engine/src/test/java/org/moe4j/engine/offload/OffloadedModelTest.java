package org.moe4j.engine.offload;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.SortedMap;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.engine.Engine;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.EngineOptions;
import org.moe4j.engine.Sequence;
import org.moe4j.engine.cache.Cache;
import org.moe4j.engine.cache.PageLayout;
import org.moe4j.engine.cache.PagePool;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.kernel.CachedHeads;
import org.moe4j.engine.kernel.Packing;
import org.moe4j.engine.kernel.Workers;
import org.moe4j.engine.model.AttentionShape;
import org.moe4j.engine.model.Forward;
import org.moe4j.engine.model.Step;
import org.moe4j.engine.model.Weights;
import org.moe4j.engine.plan.MemoryPlan;

class OffloadedModelTest {
  private static Path model(String name) {
    try {
      return Path.of(OffloadedModelTest.class.getResource("/models/" + name + ".gguf").toURI());
    } catch (URISyntaxException e) {
      throw new IllegalArgumentException(e);
    }
  }

  private static int[] text(int n) {
    return new Random(n).ints(n, 0, 288).toArray();
  }

  /** Logits after each piece of a text: a prompt, a few tokens one by one, a prompt again. */
  private static float[][] logits(Engine model) {
    int[] tokens = text(60);
    try (Sequence sequence = model.sequence()) {
      float[][] all = new float[8][];
      all[0] = model.prompt(sequence, Arrays.copyOf(tokens, 40));
      for (int i = 1; i < 7; i++) {
        all[i] = model.prompt(sequence, new int[] {tokens[39 + i]});
      }
      all[7] = model.prompt(sequence, Arrays.copyOfRange(tokens, 46, 60));
      return all;
    }
  }

  private static MemoryPlan plan(String name, EngineOptions options) {
    try (GgufFile file = GgufFile.open(model(name))) {
      return MemoryPlan.of(file, options);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"mixtral-q4_0", "olmoe-bf16", "olmoe-q4_0", "qwen3moe-q4_0", "qwen3moe-q8_0"})
  void logitsDoNotDependOnTheMemoryThatAModelMayTake(String name) {
    float[][] expected;
    try (Engine whole = Engine.open(model(name))) {
      expected = logits(whole);
      assertThat(whole.offloadStatistics()).isEqualTo(OffloadStatistics.NONE);
    }
    for (double part : new double[] {0, 0.3, 0.99}) {
      EngineOptions options =
          EngineOptions.DEFAULT
              .withCache(1 << 20, 0)
              .withThreads(part == 0 ? 1 : 3)
              .withBatch(part == 0 ? 7 : 64);
      MemoryPlan plan = plan(name, options);
      long memory = plan.minimum() + (long) (part * (plan.everything() - plan.minimum()));
      options = options.withMemory(memory);
      assertThat(plan(name, options).total()).isBetween(plan.minimum(), memory);
      try (Engine budgeted = Engine.open(model(name), options)) {
        assertThat(logits(budgeted)).isEqualTo(expected);
        assertThat(budgeted.offloadStatistics().bytesRead()).isPositive();
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"1,1,0,1", "1,2,2,2", "2,4,2,1", "4,8,8,3", "7,3,0,2"})
  void logitsDoNotDependOnTheSizesOfTheCache(int slots, int spares, int ahead, int readers) {
    float[][] expected;
    try (Engine whole = Engine.open(model("olmoe-q4_0"))) {
      expected = logits(whole);
    }
    for (boolean direct : new boolean[] {false, true}) {
      try (GgufFile file = GgufFile.open(model("olmoe-q4_0"));
          Arena arena = Arena.ofShared();
          Workers workers = new Workers(2)) {
        Packing packing = new Packing(arena, false);
        Weights weights =
            Weights.load(
                file,
                packing,
                workers,
                stored -> {
                  SortedMap<Integer, Integer> all = new TreeMap<>();
                  stored.keySet().forEach(layer -> all.put(layer, slots));
                  CacheSizes sizes = new CacheSizes(all, spares, ahead, readers, direct);
                  return ExpertStore.open(file, stored, sizes, packing, arena);
                });
        AttentionShape a = weights.shape().attention();
        CachedHeads heads =
            CachedHeads.of(EngineOptions.DEFAULT.cacheType(), a.keySize(), a.valueSize());
        PageLayout layout = new PageLayout(heads, weights.shape().layers(), a.keyHeads());
        try (ExpertStore store = (ExpertStore) weights.experts();
            PagePool pool = new PagePool(layout, Long.MAX_VALUE, 0)) {
          Forward forward = new Forward(weights, workers);
          Cache cache = new Cache(pool);
          assertThat(cache.reserve(60)).isTrue();
          int[] tokens = text(60);
          assertThat(step(forward, cache, Arrays.copyOf(tokens, 40))).isEqualTo(expected[0]);
          for (int i = 1; i < 7; i++) {
            assertThat(step(forward, cache, tokens[39 + i])).isEqualTo(expected[i]);
          }
          assertThat(store.statistics().misses()).isPositive();
          assertThat(store.statistics().guessesRead() > 0).isEqualTo(ahead > 0);
        }
      }
    }
  }

  private static float[] step(Forward forward, Cache cache, int... tokens) {
    return forward.run(new Step(List.of(new Step.Piece(cache, tokens, false))))[0];
  }

  @Test
  void tooLittleMemoryIsRefusedWithTheLeastThatWouldDo() {
    MemoryPlan plan = plan("olmoe-q4_0", EngineOptions.DEFAULT);
    assertThatThrownBy(
            () -> Engine.open(model("olmoe-q4_0"), EngineOptions.DEFAULT.withMemory(1000)))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining(
            "1000 bytes of memory are too few; it needs at least " + plan.minimum() + " (10");
    EngineOptions least = EngineOptions.DEFAULT.withMemory(plan.minimum());
    try (Engine model = Engine.open(model("olmoe-q4_0"), least)) {
      assertThat(model.prompt(model.sequence(), text(9))).hasSize(288);
    }
    assertThatThrownBy(
            () ->
                Engine.open(
                    model("olmoe-q4_0"), EngineOptions.DEFAULT.withMemory(plan.minimum() - 1)))
        .isInstanceOf(EngineException.class);
  }

  @Test
  void modelWithoutExpertsSaysThatNothingCanStayOnDisk() {
    assertThatThrownBy(
            () -> Engine.open(model("llama-q8_0"), EngineOptions.DEFAULT.withMemory(1000)))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("no experts that could stay on disk");
  }

  @Test
  void modelThatFitsIsWhollyInMemory() {
    EngineOptions options = EngineOptions.DEFAULT.withMemory(4_000_000_000L);
    try (Engine model = Engine.open(model("olmoe-q4_0"), options)) {
      model.prompt(model.sequence(), text(20));
      assertThat(model.offloadStatistics()).isEqualTo(OffloadStatistics.NONE);
    }
  }
}
