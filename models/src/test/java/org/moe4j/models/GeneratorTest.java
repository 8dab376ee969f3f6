package org.moe4j.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.TokenContext;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

class GeneratorTest {
  private static final int[] PROMPT = {3, 17, 42, 5};

  /** Every token from a whole new pass over everything so far. */
  private static int[] withoutCache(Decoder model, int[] prompt, int count) {
    long[] ids = Arrays.stream(prompt).asLongStream().toArray();
    int[] made = new int[count];
    for (int i = 0; i < count; i++) {
      try (Scope scope = Scope.open();
          NoGrad off = NoGrad.open()) {
        Tensor hidden =
            model.forward(Tensor.of(ids, 1, ids.length), TokenContext.eval(1, ids.length)).hidden();
        made[i] = (int) model.logits(hidden.select(1, ids.length - 1)).argmax(-1, false).item();
      }
      ids = Arrays.copyOf(ids, ids.length + 1);
      ids[ids.length - 1] = made[i];
    }
    return made;
  }

  @ParameterizedTest
  @MethodSource("org.moe4j.models.DecoderTest#shapes")
  void greedyWithCacheEqualsWithout(DecoderConfig config) {
    for (int seed = 0; seed < 3; seed++) {
      try (Decoder model = Tiny.model(config, seed)) {
        int[] cached =
            new Generator(model, Sampling.GREEDY, Set.of()).generate(PROMPT, 20, t -> true);
        assertThat(cached).isEqualTo(withoutCache(model, PROMPT, 20));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("org.moe4j.models.DecoderTest#shapes")
  void turnsKeepWhatTheyHaveInCommon(DecoderConfig config) {
    try (Decoder model = Tiny.model(config, 4);
        PrefixCache kept = new PrefixCache(model)) {
      Generator generator = new Generator(model, Sampling.GREEDY, Set.of());
      int[][] prompts = {{3, 17, 42, 5}, {3, 17, 42, 5, 9, 11, 2}, {3, 17, 8}, {3, 17, 8}, {60}};
      for (int[] prompt : prompts) {
        int[] made = generator.generate(prompt, 6, kept, t -> true);
        assertThat(made).isEqualTo(generator.generate(prompt, 6, t -> true));
        // The last one made is not read.
        assertThat(kept.length()).isEqualTo(prompt.length + made.length - 1);
      }
    }
  }

  @Test
  void onlyWhatIsNewIsRead() {
    try (Decoder model = Tiny.model(Tiny.mixtral(), 1);
        PrefixCache kept = new PrefixCache(model)) {
      Generator generator = new Generator(model, Sampling.GREEDY, Set.of());
      int[] made = generator.generate(PROMPT, 3, kept, t -> true);
      int[] longer = Arrays.copyOf(PROMPT, PROMPT.length + 3);
      System.arraycopy(made, 0, longer, PROMPT.length, 3);
      assertThat(kept.begin(longer, 10)).isEqualTo(PROMPT.length + 2);
      assertThat(kept.begin(PROMPT, 10)).isEqualTo(PROMPT.length - 1);
      assertThat(kept.begin(new int[] {9, 17}, 10)).isZero();
    }
  }

  private static List<int[]> alone(Generator generator, List<int[]> prompts, int count) {
    return prompts.stream().map(p -> generator.generate(p, count, t -> true)).toList();
  }

  @ParameterizedTest
  @MethodSource("org.moe4j.models.DecoderTest#shapes")
  void promptsSideBySideGetTheTokensTheyGetAlone(DecoderConfig config) {
    List<int[]> prompts =
        List.of(new int[] {3, 17, 42, 5}, new int[] {9}, new int[] {7, 7, 1, 30, 2, 55, 8, 11, 4});
    try (Decoder model = Tiny.model(config, 5)) {
      Generator greedy = new Generator(model, Sampling.GREEDY, Set.of());
      List<int[]> each = alone(greedy, prompts, 12);
      assertThat(greedy.generate(prompts, 12)).containsExactlyElementsOf(each);
      // Each row ends by itself: at tokens that come at different places, if at all.
      Set<Integer> stops = Set.of(each.get(0)[2], each.get(2)[7]);
      Generator stopping = new Generator(model, Sampling.GREEDY, stops);
      assertThat(stopping.generate(prompts, 12))
          .containsExactlyElementsOf(alone(stopping, prompts, 12));
      Generator drawn = new Generator(model, new Sampling(1.2, 30, 0.95, 7), Set.of());
      assertThat(drawn.generate(prompts, 12)).containsExactlyElementsOf(alone(drawn, prompts, 12));
    }
  }

  @Test
  void promptsSideBySideUseAllPositionsTheyHaveAlone() {
    List<int[]> prompts = List.of(PROMPT, new int[60]);
    try (Decoder model = Tiny.model(Tiny.mixtral(), 1)) {
      Generator greedy = new Generator(model, Sampling.GREEDY, Set.of());
      List<int[]> made = greedy.generate(prompts, 999);
      assertThat(made).containsExactlyElementsOf(alone(greedy, prompts, 999));
      assertThat(made.get(0)).hasSize(61);
      assertThat(made.get(1)).hasSize(5);
      assertThat(greedy.generate(List.of(), 5)).isEmpty();
      assertThat(greedy.generate(prompts, 0)).allMatch(m -> m.length == 0);
      assertThatThrownBy(() -> greedy.generate(List.of(PROMPT, new int[0]), 5))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("no tokens");
    }
  }

  @Test
  void samplingDependsOnTheSeedAlone() {
    try (Decoder model = Tiny.model(Tiny.mixtral(), 1)) {
      int[] a = sample(model, 7);
      assertThat(sample(model, 7)).isEqualTo(a);
      assertThat(sample(model, 8)).isNotEqualTo(a);
    }
  }

  private static int[] sample(Decoder model, long seed) {
    return new Generator(model, new Sampling(1.2, 30, 0.95, seed), Set.of())
        .generate(PROMPT, 30, t -> true);
  }

  @Test
  void endsAtStopTokensAtRefusalAndAtTheLastPosition() {
    try (Decoder model = Tiny.model(Tiny.olmoe(), 2)) {
      int[] free = new Generator(model, Sampling.GREEDY, Set.of()).generate(PROMPT, 8, t -> true);
      int stop = free[3];
      int first = indexOf(free, stop);
      int[] stopped =
          new Generator(model, Sampling.GREEDY, Set.of(stop)).generate(PROMPT, 8, t -> true);
      assertThat(stopped).isEqualTo(Arrays.copyOf(free, first));

      List<Integer> seen = new ArrayList<>();
      int[] refused =
          new Generator(model, Sampling.GREEDY, Set.of())
              .generate(PROMPT, 8, t -> seen.add(t) && seen.size() < 2);
      assertThat(refused).containsExactly(free[0], free[1]);
      assertThat(seen).containsExactly(free[0], free[1]);

      int[] all = new Generator(model, Sampling.GREEDY, Set.of()).generate(PROMPT, 999, t -> true);
      assertThat(all).hasSize(64 - PROMPT.length + 1);
      assertThat(new Generator(model, Sampling.GREEDY, Set.of()).generate(PROMPT, 0, t -> true))
          .isEmpty();
    }
  }

  private static int indexOf(int[] values, int wanted) {
    for (int i = 0; i < values.length; i++) {
      if (values[i] == wanted) {
        return i;
      }
    }
    throw new AssertionError();
  }

  @Test
  void promptsThatDoNotFitAreTold() {
    try (Decoder model = Tiny.model(Tiny.dense(), 3)) {
      Generator g = new Generator(model, Sampling.GREEDY, Set.of());
      assertThatThrownBy(() -> g.generate(new int[0], 5, t -> true))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("no tokens");
      assertThatThrownBy(() -> g.generate(new int[65], 5, t -> true))
          .isInstanceOf(MoeException.class)
          .hasMessageContainingAll("65", "64");
      assertThatThrownBy(() -> g.generate(new int[] {1, 61}, 5, t -> true))
          .isInstanceOf(MoeException.class)
          .hasMessageContainingAll("61", "vocabulary");
    }
  }
}
